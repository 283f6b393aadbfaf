//! No secret of a client, and no token, in anything that a program prints: `Debug`, errors, their causes, logs at TRACE.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "support/log.rs"]
mod log;

use std::{
    error::Error as StdError,
    fmt::Write as _,
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header::AUTHORIZATION};
use http_body_util::Full;
use log::Log;
use tokio::time::sleep;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneService};
use tower_oauth2::{
    OAuthLayer, TokenCache, TokenSource,
    grant::{ClientAuth, ClientCredentials},
    retry::{RetryLayer, RetryPolicy},
};

const SECRET: &str = "canary-s3cret+/w";
const PARAM: &str = "canary-parameter";
const TOKEN: &str = "canary-token";
const REFRESH: &str = "canary-refresh";

/// Everything above, and what `client_secret_basic` and the body make of it.
const FORBIDDEN: [&str; 7] =
    ["canary", "s3cret", "%2B%2Fw", "Y2FuYXJ5LXMzY3Jld", "aWQ6Y2FuYXJ5", "aWQ6", "client_secret="];

#[tokio::test(start_paused = true)]
async fn nothing_that_is_printed_shows_a_secret() {
    let log = Log::default();
    log.listen_everywhere().unwrap();
    let mut shown = String::new();

    for behaviour in [
        Behaviour::Good,
        Behaviour::Refusing,
        Behaviour::Echoing(200),
        Behaviour::Echoing(401),
        Behaviour::Echoing(503),
        Behaviour::Breaking,
        Behaviour::Hanging,
        Behaviour::Garbled,
        Behaviour::Redirecting,
        Behaviour::BadToken,
        Behaviour::Duplicate,
    ] {
        for auth in
            [ClientAuth::basic("id", SECRET), ClientAuth::basic_raw("id", SECRET), ClientAuth::post("id", SECRET)]
        {
            write!(shown, "{auth:?} {auth:#?}").unwrap();
            let grant =
                ClientCredentials::new(issuer(behaviour), "https://login.example.com/t?k=canary", auth).unwrap();
            let grant = grant.secret_param("password", PARAM).unwrap();
            write!(shown, "{grant:?} {grant:#?}").unwrap();
            match grant.token(None).await {
                Ok(token) => {
                    assert!(matches!(behaviour, Behaviour::Good));
                    assert_eq!(token.secret(), TOKEN, "the canary was alive");
                    write!(shown, "{token:?} {token:#?}").unwrap();
                }
                Err(error) => show(&mut shown, &error),
            }
            let tokens = TokenCache::new(grant);
            let policy = RetryPolicy::new();
            let layer = OAuthLayer::for_origin("https://api.example.com", tokens.clone()).unwrap();
            let stack =
                ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).layer(layer.clone()).service(api());
            for _ in 0..3 {
                let request = Request::get("https://api.example.com/").body(()).unwrap();
                match stack.clone().oneshot(request).await {
                    Ok(response) => write!(shown, "{:?}", response.extensions()).unwrap(),
                    Err(error) => show(&mut shown, error.as_ref()),
                }
                write!(shown, "{tokens:?} {policy:?} {layer:?} {:?}", policy.stats()).unwrap();
                sleep(Duration::from_secs(20)).await;
            }
        }
    }

    let logged = log.text();
    for event in
        ["retrying the token request", "token refreshed", "token refresh failed", "token rejected", "giving up"]
    {
        assert!(logged.contains(event), "the log is that of this crate: {event}");
    }
    assert!(logged.contains(r#""replay":true"#) && logged.contains(r#""replay":false"#));
    for text in [&shown, &logged] {
        for secret in FORBIDDEN {
            if let Some(at) = text.find(secret) {
                panic!("{secret} in {:?}", &text[at.saturating_sub(300)..(at + 100).min(text.len())]);
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Behaviour {
    Good,
    Refusing,
    Echoing(u16),
    Breaking,
    Hanging,
    Garbled,
    Redirecting,
    BadToken,
    Duplicate,
}

type Issuer = BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError>;

fn issuer(behaviour: Behaviour) -> Issuer {
    let good = format!(r#"{{"access_token":"{TOKEN}","refresh_token":"{REFRESH}","expires_in":30}}"#);
    Issuer::new(service_fn(move |request: Request<Full<Bytes>>| {
        let header = request.headers().get(AUTHORIZATION).map_or("", |header| header.to_str().unwrap()).to_owned();
        let answer = |status: u16, body: String| {
            let response = Response::builder().status(status).header("location", "https://h/?canary");
            response.body(Full::from(body)).unwrap()
        };
        let response = match behaviour {
            Behaviour::Good => Some(Ok(answer(200, good.clone()))),
            Behaviour::Refusing => Some(Ok(answer(401, r#"{"error":"invalid_client","x":"canary"}"#.to_owned()))),
            Behaviour::Echoing(status) => {
                let said = format!("{header} {SECRET} {}", "canary".repeat(40));
                Some(Ok(answer(status, format!(r#"{{"error":"{SECRET}","error_description":"{said}"}}"#))))
            }
            Behaviour::Breaking => Some(Err(BoxError::from(io::Error::from(io::ErrorKind::ConnectionReset)))),
            Behaviour::Hanging => None,
            Behaviour::Garbled => Some(Ok(answer(200, format!("{good} canary")))),
            Behaviour::Redirecting => Some(Ok(answer(307, good.clone()))),
            Behaviour::BadToken => Some(Ok(answer(200, r#"{"access_token":"canary, token"}"#.to_owned()))),
            Behaviour::Duplicate => Some(Ok(answer(200, format!(r#"{{"access_token":"canary",{}"#, &good[1..])))),
        };
        async move {
            match response {
                Some(response) => response,
                None => pending().await,
            }
        }
    }))
}

/// Refuses, throttles, breaks down, and serves, in turn.
fn api() -> BoxCloneService<Request<()>, Response<()>, BoxError> {
    let calls = Arc::new(AtomicUsize::new(0));
    BoxCloneService::new(service_fn(move |_: Request<()>| {
        let status = [401, 429, 503, 200, 401, 401][calls.fetch_add(1, Ordering::SeqCst) % 6];
        async move { Ok::<_, BoxError>(Response::builder().status(status).body(()).unwrap()) }
    }))
}

fn show(shown: &mut String, error: &(dyn StdError + 'static)) {
    let mut next = Some(error);
    while let Some(error) = next {
        write!(shown, "{error} {error:?} {error:#?}").unwrap();
        next = error.source();
    }
}
