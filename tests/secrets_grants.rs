//! No refresh token, subject token, password or assertion in anything that a program prints, whatever becomes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    error::Error as StdError,
    fmt::{Debug, Write as _},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use tokio::time::sleep;
use tower::{BoxError, service_fn, util::BoxCloneService};
use tower_oauth2::{
    TokenCache, TokenSource,
    grant::{
        ClientAuth, ClientCredentials, Metadata, RefreshToken, Secret, TokenEndpoint, TokenExchange, TokenRequest,
    },
    testing::Issuer,
};

const URL: &str = "https://login.example.com/t?k=canary";
const SECRET: &str = "canary-\"s3cret+/w";
const FORBIDDEN: [&str; 6] = ["canary", "s3cret", "%2B%2Fw", "Y2FuYXJ5", "aWQ6", "client_secret="];

#[tokio::test(start_paused = true)]
async fn nothing_that_is_printed_shows_a_secret() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&log);
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    let subscriber = subscriber.with_writer(move || Sink(Arc::clone(&sink))).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut shown = String::new();
    for status in [200, 299, 400, 401, 503] {
        for auth in [
            ClientAuth::basic("id", SECRET),
            ClientAuth::basic_raw("id", Secret::from_fn(|| async { Ok::<_, BoxError>(SECRET) })),
            ClientAuth::post("id", SECRET),
            ClientAuth::assertion("id", SECRET),
            ClientAuth::anonymous(),
        ] {
            show(&mut shown, &auth);
            let http = echo(status);
            let refresh = RefreshToken::new(http.clone(), URL, auth.clone(), SECRET, |_| async {
                Err::<(), _>("the disk is full")
            });
            watch(&mut shown, refresh.unwrap()).await;
            let exchange = TokenExchange::new(http.clone(), URL, auth.clone(), SECRET).unwrap();
            watch(&mut shown, exchange.actor(SECRET, TokenExchange::JWT).unwrap()).await;
            let password = TokenRequest::new(http.clone(), URL, auth.clone()).unwrap().json();
            watch(&mut shown, password.secret_param("password", SECRET).unwrap()).await;
            watch(&mut shown, ClientCredentials::new(http, URL, auth).unwrap()).await;
        }
    }
    show(&mut shown, &Secret::new(SECRET));
    show(&mut shown, &Secret::from_fn(|| async { Ok::<_, BoxError>(SECRET) }));
    show(&mut shown, &TokenEndpoint::new("https://login.example.com/t").unwrap());
    let logged = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    for event in ["token refreshed", "token refresh failed", "retrying the token request"] {
        assert!(logged.contains(event), "the log is that of this crate: {event}");
    }
    for text in [&shown, &logged] {
        for secret in FORBIDDEN {
            if let Some(at) = text.find(secret) {
                panic!("{secret} in {:?}", String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(300)..][..350]));
            }
        }
    }
}

#[tokio::test]
async fn what_a_test_prints_of_an_issuer_shows_none_either() {
    let issuer = Issuer::builder().metadata("https://login.example.com").seed(1).build();
    let metadata = Metadata::discover(issuer.service(), "https://login.example.com").await.unwrap();
    let first = issuer.sign_in();
    let auth = ClientAuth::post("test-client", "test-secret");
    let keep = |_: String| async { Ok::<_, BoxError>(()) };
    let grant = RefreshToken::new(issuer.service(), &metadata, auth, first.clone(), keep).unwrap();
    let token = grant.token(None).await.unwrap();
    let next = token.field::<String>("refresh_token").unwrap();
    let shown = format!("{issuer:?} {:?} {:?} {metadata:?} {token:?} {grant:?}", issuer.seen(), issuer.stats());
    for secret in [&first, &next, "test-secret", token.secret()] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

/// Prints a grant, what it answers, and what a cache says of it.
async fn watch(shown: &mut String, grant: impl TokenSource + Clone + Debug) {
    show(shown, &grant);
    match grant.token(None).await {
        Ok(token) => show(shown, &token),
        Err(error) => chain(shown, &error),
    }
    let tokens = TokenCache::new(grant);
    for _ in 0..3 {
        match tokens.token().await {
            Ok(token) => show(shown, &token),
            Err(error) => chain(shown, &error),
        }
        show(shown, &tokens);
        sleep(Duration::from_secs(70)).await;
    }
}

fn show(shown: &mut String, value: &dyn Debug) {
    writeln!(shown, "{value:?} {value:#?}").unwrap();
}

fn chain(shown: &mut String, error: &(dyn StdError + 'static)) {
    let mut next = Some(error);
    while let Some(error) = next {
        writeln!(shown, "{error} {error:?} {error:#?}").unwrap();
        next = error.source();
    }
}

/// Says again all that it is sent; a token with it at 200.
fn echo(status: u16) -> BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError> {
    BoxCloneService::new(service_fn(move |request: Request<Full<Bytes>>| async move {
        let (head, body) = request.into_parts();
        let header = head.headers.get(AUTHORIZATION).map_or("", |value| value.to_str().unwrap()).to_owned();
        let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        let decoded: Vec<String> =
            form_urlencoded::parse(body.as_bytes()).map(|(_, value)| value.into_owned()).collect();
        let said = serde_json::to_string(&format!("{header} {body} {}", decoded.join(" ")))?;
        let answer = match status {
            200 => r#"{"access_token":"canary-token","refresh_token":"canary-next","expires_in":60}"#.to_owned(),
            299 => format!(r#"{{"access_token":{said},"refresh_token":{said}"#),
            _ => format!(r#"{{"error":{said},"error_description":{said},"x":"canary"}}"#),
        };
        Ok(Response::builder().status(status).body(Full::from(answer))?)
    }))
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
