//! Token requests that are not quite RFC 6749's, and the duties that hold for all of them.

use std::{
    convert::Infallible,
    error::Error as _,
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{
    Request, Response,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, sleep};
use tower::{service_fn, util::BoxCloneService};
use tower_oauth2::{
    Error, TokenCache, TokenSource,
    grant::{ClientAuth, ClientCredentials, Secret, TokenRequest},
    testing::Issuer,
};

use crate::issuer::{Disk, URL, auth, refresh, secs, signed_in};

#[tokio::test]
async fn json_in_and_members_anywhere_out() {
    let (log, http) = server(200, r#"{"error":{"code":""},"a/b":[{"t":"abc"}],"~":{"ttl":"60","kind":"bearer"}}"#);
    let grant = TokenRequest::new(http, "https://login.example.com/session", ClientAuth::anonymous())
        .unwrap()
        .json()
        .param("user", "é\"\\\n\u{1}")
        .unwrap()
        .secret_param("key", "s3cr3t")
        .unwrap()
        .access_token_at("/a~1b/0/t")
        .unwrap()
        .expires_in_at("/~0/ttl")
        .unwrap()
        .token_type_at("/~0/kind")
        .unwrap()
        .error_at("/error/code")
        .unwrap();
    let token = grant.token(None).await.unwrap();
    assert_eq!((token.secret(), token.lifetime()), ("abc", Some(secs(60))));
    let (head, body) = log.lock().unwrap().remove(0);
    assert_eq!(head.headers[CONTENT_TYPE], "application/json");
    assert!(!head.headers.contains_key(AUTHORIZATION));
    let sent: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(sent, serde_json::json!({"user": "é\"\\\n\u{1}", "key": "s3cr3t"}));
}

#[tokio::test(start_paused = true)]
async fn an_error_is_found_where_it_is_said_to_be() {
    for (status, transient) in [(200, false), (400, false), (503, true)] {
        let body = r#"{"fault":{"code":"Locked","detail":{"text":"three\u001b[2J times"}},"error":"other"}"#;
        let (_, http) = server(status, body);
        let grant = TokenRequest::new(http, URL, auth()).unwrap();
        let grant = grant.error_at("/fault/code").unwrap().error_description_at("/fault/detail/text").unwrap();
        let error = grant.token(None).await.unwrap_err();
        assert_eq!((error.oauth_code(), error.is_transient()), (Some("Locked"), transient), "{error:?}");
        assert!(error.to_string().contains("three [2J times"), "{error}");
    }
    // The default place inside another, and a place that is none.
    let (_, http) = server(400, r#"{"error":{"code":"x","message":"y"}}"#);
    let grant = TokenRequest::new(http, URL, auth()).unwrap().error_description_at("/error/message").unwrap();
    let error = grant.token(None).await.unwrap_err();
    assert_eq!(error.oauth_code(), None);
    assert!(error.to_string().contains("(y)"), "{error}");
    for bad in ["", "error", "error/code"] {
        let (_, http) = server(200, "{}");
        let result = TokenRequest::new(http, URL, auth()).unwrap().error_at(bad);
        assert!(result.unwrap_err().is_config(), "{bad}");
    }
}

#[tokio::test]
async fn no_secret_is_shown_however_it_is_echoed() {
    let secret = "cänary\"+\\ /&=%\u{1f511}\t-tail";
    let form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = serde_json::to_string(secret).unwrap();
    let ascii: String = secret
        .encode_utf16()
        .map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("\\u{unit:04X}"),
        })
        .collect();
    let echoes = [
        secret.to_owned(),
        form.clone(),
        form.to_lowercase(),
        form.replace('+', "%20"),
        json.clone(),
        serde_json::to_string(&json).unwrap(),
        ascii,
        json.replace('/', "\\/"),
    ];
    for echo in &echoes {
        for encoding in ["form", "json"] {
            let text = serde_json::to_string(&format!("{}bad request: {echo}", "x".repeat(170))).unwrap();
            let (_, http) = server(400, &format!(r#"{{"error":{text},"error_description":{text}}}"#));
            let request = TokenRequest::new(http, URL, ClientAuth::anonymous()).unwrap();
            let request = if encoding == "json" { request.json() } else { request };
            let request = request.secret_param("password", secret).unwrap().param("user", "me").unwrap();
            let error = request.token(None).await.unwrap_err();
            let mut shown = format!("{request:?} {request:#?} {error} {error:?} {error:#?}");
            let mut source = error.source();
            while let Some(cause) = source {
                write!(shown, "{cause} {cause:?}").unwrap();
                source = cause.source();
            }
            assert!(shown.contains("password") && !shown.contains("nary") && !shown.contains("bad request"), "{shown}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_secret_that_was_replaced_heals_after_the_cool_down() {
    let place = Arc::new(Mutex::new("test-secret".to_owned()));
    let shared = Arc::clone(&place);
    let secret = Secret::from_fn(move || {
        let secret = shared.lock().unwrap().clone();
        async move { Ok::<_, Infallible>(secret) }
    });
    let issuer = Issuer::builder().lifetime(secs(60)).build();
    let auth = ClientAuth::basic("test-client", secret);
    let tokens = TokenCache::new(ClientCredentials::new(issuer.service(), URL, auth).unwrap());
    tokens.token().await.unwrap();
    issuer.set_secret("next");
    sleep(secs(61)).await;
    assert_eq!(tokens.token().await.unwrap_err().oauth_code(), Some("invalid_client"));
    let refused = Instant::now();
    next(&place, "next");
    while tokens.token().await.is_err() {
        sleep(secs(1)).await;
    }
    // The first cool-down after a permanent failure is a minute.
    assert_eq!((Instant::now() - refused).as_secs(), 60);
    assert_eq!((issuer.stats().requests, issuer.stats().refused), (3, 1));
    // Replaced in time, nobody notices.
    issuer.set_secret("third");
    next(&place, "third");
    for _ in 0..600 {
        sleep(secs(1)).await;
        tokens.token().await.unwrap();
    }
    assert_eq!(issuer.stats().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_looked_up_for_every_attempt() {
    let issuer = Issuer::new();
    let lookups = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&lookups);
    let secret = Secret::from_fn(move || {
        let mut lookups = counter.lock().unwrap();
        *lookups += 1;
        let answer = if *lookups < 3 { Err("the vault is sealed") } else { Ok("test-secret") };
        async move { answer }
    });
    let grant = ClientCredentials::new(issuer.service(), URL, ClientAuth::post("test-client", secret)).unwrap();
    grant.token(None).await.unwrap();
    assert_eq!((*lookups.lock().unwrap(), issuer.stats().requests), (3, 1));
}

/// RFC 6749 §2.3, §3.2, §6.
#[tokio::test(start_paused = true)]
async fn one_authentication_one_of_each_parameter_and_no_more_scope_than_asked() {
    let issuer = Issuer::new();
    let grant = refresh(&issuer, issuer.sign_in(), &Disk::default()).scope("a").scope(" b ").param("x", "").unwrap();
    for _ in 0..2 {
        grant.token(None).await.unwrap();
    }
    for seen in issuer.seen() {
        let mut names: Vec<_> = seen.form.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["grant_type", "refresh_token", "scope"], "no parameter without a value, none twice");
        assert_eq!(seen.param("scope"), Some("a b"));
        assert_eq!(seen.headers.get_all(AUTHORIZATION).iter().count(), 1);
        assert_eq!((seen.method.as_str(), seen.uri.query()), ("POST", None));
    }
    let silent = signed_in(&issuer, &Disk::default());
    silent.token(None).await.unwrap();
    assert_eq!(issuer.seen()[2].param("scope"), None, "as before, RFC 6749 §6");
}

#[test]
fn outside_of_a_runtime_is_an_error_and_no_panic() {
    let issuer = Issuer::new();
    let grant = ClientCredentials::new(issuer.service(), URL, auth()).unwrap();
    let answer = tokio_test::task::spawn(grant.token(None)).poll();
    let std::task::Poll::Ready(Err(error)) = answer else { panic!("{answer:?}") };
    assert!(error.to_string().contains("runtime"), "{error}");
}

fn next(place: &Mutex<String>, secret: &str) {
    secret.clone_into(&mut place.lock().unwrap());
}

type Log = Arc<Mutex<Vec<(http::request::Parts, String)>>>;
type Server = BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, Error>;

/// Always answers alike; keeps what it was sent.
fn server(status: u16, body: &str) -> (Log, Server) {
    let (log, body) = (Log::default(), body.to_owned());
    let seen = Arc::clone(&log);
    let service = service_fn(move |request: Request<Full<Bytes>>| {
        let (seen, body) = (Arc::clone(&seen), body.clone());
        async move {
            let (head, sent) = request.into_parts();
            let sent = sent.collect().await.unwrap().to_bytes();
            seen.lock().unwrap().push((head, String::from_utf8(sent.to_vec()).unwrap()));
            Ok(Response::builder().status(status).body(Full::from(body)).unwrap())
        }
    });
    (log, BoxCloneService::new(service))
}
