//! What a token request looks like on the wire (RFC 6749 §2.3, §3.2, §4.4.2).

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{
    Method, Request, Response,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE},
    request::Parts,
};
use http_body_util::{BodyExt, Full};
use tower_oauth2::{
    TokenSource,
    grant::{ClientAuth, ClientCredentials, TokenEndpoint},
};
use tower_service::Service;

#[tokio::test]
async fn it_is_a_form_post_that_asks_for_json() {
    let (head, body) = sent(ClientAuth::basic("id", "secret"), |grant| grant).await;
    assert_eq!(head.method, Method::POST);
    assert_eq!(head.headers[ACCEPT], "application/json");
    assert_eq!(head.headers[CONTENT_TYPE], "application/x-www-form-urlencoded");
    assert!(!head.headers.contains_key(ACCEPT_ENCODING), "no encoding is asked for");
    assert_eq!(body, "grant_type=client_credentials");
}

#[tokio::test]
async fn exactly_one_way_of_authentication_is_used() {
    let form = "grant_type=client_credentials";
    for (auth, header, form) in [
        // `a%3Ab:s%20%2B` and `a:s +`.
        (ClientAuth::basic("a:b", "s +"), Some("Basic YSUzQWI6cyUyMCUyQg=="), form.to_owned()),
        (ClientAuth::basic_raw("a", "s +"), Some("Basic YTpzICs="), form.to_owned()),
        (ClientAuth::post("a:b", "s +"), None, format!("{form}&client_id=a%3Ab&client_secret=s+%2B")),
        (ClientAuth::none("a:b"), None, format!("{form}&client_id=a%3Ab")),
    ] {
        let (head, body) = sent(auth, |grant| grant).await;
        let fields: Vec<_> = head.headers.get_all(AUTHORIZATION).iter().collect();
        assert_eq!(fields.iter().map(|field| field.to_str().unwrap()).collect::<Vec<_>>(), Vec::from_iter(header));
        assert!(fields.iter().all(|field| field.is_sensitive()));
        assert_eq!(body, form);
        assert_eq!(head.uri, "https://login.example.com/token", "nothing goes into the URI");
    }
}

#[tokio::test]
async fn every_parameter_is_sent_once_but_resource() {
    let (_, body) = sent(ClientAuth::none("id"), |grant| {
        grant
            .scope("reports:read")
            .audience("https://old.example.com")
            .scope(" reports:list ")
            .audience("https://api.example.com")
            .resource("https://a.example.com/")
            .resource("https://b.example.com/")
            .param("tenant", "ac me")
            .unwrap()
            .param("empty", "")
            .unwrap()
    })
    .await;
    let pairs: Vec<_> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        pairs,
        [
            ("grant_type", "client_credentials"),
            ("scope", "reports:read reports:list"),
            ("audience", "https://api.example.com"),
            ("resource", "https://a.example.com/"),
            ("resource", "https://b.example.com/"),
            ("tenant", "ac me"),
            ("client_id", "id"),
        ]
    );
}

#[tokio::test]
async fn an_empty_scope_leaves_no_trace() {
    let (_, body) = sent(ClientAuth::none("id"), |grant| grant.scope("").scope(" ")).await;
    assert_eq!(body, "grant_type=client_credentials&client_id=id");
    let (_, body) = sent(ClientAuth::none("id"), |grant| grant.scope("").scope("a").scope("")).await;
    assert_eq!(body, "grant_type=client_credentials&scope=a&client_id=id");
}

#[test]
fn a_parameter_that_is_set_elsewhere_or_twice_is_refused() {
    let grant = || ClientCredentials::new(Recorder::default(), "https://h/", ClientAuth::none("id")).unwrap();
    for name in [
        "grant_type",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "assertion",
        "scope",
        "audience",
        "resource",
        "",
    ] {
        let error = grant().param(name, "canary").unwrap_err();
        assert!(error.is_config() && !format!("{error:?} {error}").contains("canary"), "{name}");
    }
    assert!(grant().param("a", "canary").unwrap().param("a", "canary").unwrap_err().is_config());
    assert!(grant().param("a", "1").unwrap().param("b", "1").is_ok());
}

#[test]
fn a_token_url_that_would_leak_or_cannot_work_is_refused() {
    let new = |url: &str| ClientCredentials::new(Recorder::default(), url, ClientAuth::basic("id", "secret")).map(drop);
    for url in [
        "http://login.example.com/token",
        "http://10.0.0.1/token",
        "http://localhost.example.com/token",
        "http://127.0.0.1.example.com/token",
        "HTTP://login.example.com/token",
        "https://login.example.com/token#fragment",
        "https://login.example.com/token#",
        "https://user:canary@login.example.com/token",
        "https://canary@login.example.com/token",
        "http://canary@localhost/token",
        "https://login.example.com:99999/token",
        "/oauth/token",
        "login.example.com/token",
        "login.example.com",
        "ftp://login.example.com/token",
        "https://",
        "https:///token",
        "",
        " ",
    ] {
        let error = new(url).expect_err(url);
        assert!(error.is_config(), "{url}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    for url in [
        "https://login.example.com/token",
        " https://login.example.com/token ",
        "https://login.example.com",
        "http://localhost:8080/token",
        "http://127.0.0.1/token",
        "http://127.8.9.1/token",
        "http://[::1]:8080/token",
    ] {
        assert!(new(url).is_ok(), "{url}");
    }
}

#[test]
fn plain_http_has_to_be_asked_for_by_a_name_that_warns() {
    let new = |url: &str| TokenEndpoint::danger_plain_http(url).map(drop);
    assert!(new("http://login.mesh.internal/token").is_ok());
    assert!(new("https://login.mesh.internal/token").is_ok());
    assert!(new("http://a:b@login.mesh.internal/token").is_err());
    assert!(new("http://login.mesh.internal/token#x").is_err());
    assert!(new("/token").is_err());
}

#[tokio::test]
async fn the_query_of_the_token_url_is_kept() {
    let recorder = Recorder::default();
    let url = "https://login.example.com/token?tenant=a%20b&v=2";
    let grant = ClientCredentials::new(recorder.clone(), url, ClientAuth::none("id")).unwrap();
    grant.token(None).await.unwrap();
    assert_eq!(recorder.only().0.uri, url);
    assert!(!format!("{grant:?}").contains("tenant"), "a query may carry anything");
}

/// A token endpoint that keeps what it was sent.
#[derive(Clone, Default)]
struct Recorder {
    seen: Arc<Mutex<Vec<(Parts, String)>>>,
}

impl Recorder {
    fn only(&self) -> (Parts, String) {
        let mut seen = self.seen.lock().unwrap();
        assert_eq!(seen.len(), 1);
        seen.remove(0)
    }
}

impl Service<Request<Full<Bytes>>> for Recorder {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let (head, body) = request.into_parts();
        let body = body.collect().now_or_never().unwrap().unwrap().to_bytes();
        self.seen.lock().unwrap().push((head, String::from_utf8(body.to_vec()).unwrap()));
        ready(Ok(Response::new(Full::from(r#"{"access_token":"abc"}"#))))
    }
}

type Grant = ClientCredentials;

async fn sent(auth: ClientAuth, set: impl FnOnce(Grant) -> Grant) -> (Parts, String) {
    let recorder = Recorder::default();
    let grant = ClientCredentials::new(recorder.clone(), "https://login.example.com/token", auth).unwrap();
    set(grant).token(None).await.unwrap();
    recorder.only()
}
