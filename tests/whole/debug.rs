//! What `{:?}` shows says what it is. That it shows no secret is in `secrets.rs`, `secrets_grants.rs` and `secrets_memory.rs`.

use std::{convert::Infallible, fmt::Debug, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Service, retry::budget::TpsBudget, service_fn};
use tower_layer::Layer;
use tower_oauth2::{
    OAuthLayer, Token, TokenCache, TokenCaches,
    client::HttpsClient,
    genesys::RetryHintLayer,
    grant::{
        ClientAuth, ClientCredentials, Metadata, RefreshToken, Secret, TokenEndpoint, TokenExchange, TokenRequest,
        assertion::{Algorithm, ClientAssertion},
    },
    retry::{CooldownLayer, ReplayBody, RetryPolicy, cooldown::Pacing},
    source_fn,
    testing::Issuer,
};

const TOKEN_URL: &str = "https://login.example.com/token";

#[test]
fn caches_and_layers() {
    let builder =
        TokenCache::builder(source_fn(|_| async { Token::new("abc") })).refresh_before(Duration::from_secs(77));
    shows(&builder, &["Builder", "77s"]);
    let tokens = builder.build();
    shows(&tokens, &["TokenCache", "requests: 0"]);
    shows(&tokens.events(), &["Events"]);
    let kept = tokens.clone();
    shows(&TokenCaches::new(move |_| Ok(kept.clone())), &["TokenCaches"]);
    let layer = OAuthLayer::for_origin("https://api.example.com", tokens).unwrap();
    shows(&layer, &["https://api.example.com", "acquire_timeout"]);
    let mut api = layer.layer(service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) }));
    shows(&api, &["OAuth", "inner", "https://api.example.com"]);
    shows(&api.call(Request::new(())), &["ResponseFuture"]);
}

#[tokio::test]
async fn grants() {
    let http = HttpsClient::new().unwrap();
    let auth = ClientAuth::post("id", "secret");
    shows(&auth, &["ClientAuth", r#"id: "id""#, "client_secret_post"]);
    shows(&ClientAuth::basic_raw("id", "secret"), &["client_secret_basic (raw)"]);
    assert_eq!(auth.id(), "id");
    shows(&Secret::env("PATH_OF_NOTHING"), &["PATH_OF_NOTHING"]);
    shows(&TokenEndpoint::new(TOKEN_URL).unwrap(), &["TokenEndpoint", "login.example.com", "/token"]);
    let plain = TokenRequest::new(http.clone(), TOKEN_URL, auth.clone()).unwrap().scope("read");
    shows(&plain, &["TokenRequest", "login.example.com", "scope", "ClientAuth", "10s"]);
    let client = ClientCredentials::new(http.clone(), TOKEN_URL, auth.clone()).unwrap();
    shows(&client, &["ClientCredentials", "login.example.com"]);
    let keep = |_: String| async { Ok::<_, Infallible>(()) };
    let refresh = RefreshToken::new(http.clone(), TOKEN_URL, auth.clone(), "first", keep).unwrap();
    shows(&refresh, &["RefreshToken", "login.example.com"]);
    let exchange = TokenExchange::new(http, TOKEN_URL, auth, "subject").unwrap();
    shows(&exchange, &["TokenExchange", "subject_token", "login.example.com"]);
    let issuer = Issuer::builder().metadata("https://login.example.com").build();
    let metadata = Metadata::discover(issuer.service(), "https://login.example.com").await.unwrap();
    shows(&metadata, &["Metadata", "https://login.example.com"]);
}

#[test]
fn assertions() {
    let assertion = ClientAssertion::with_client_secret(Algorithm::HS256).unwrap();
    shows(&assertion, &["ClientAssertion", "HS256", "60s"]);
}

#[test]
fn retries() {
    let policy = RetryPolicy::new().max_attempts(7).budget_capacity(77);
    shows(&policy, &["RetryPolicy", "max_attempts: 7", "300s", "77"]);
    shows(&policy.clone().no_budget(), &["Bottomless"]);
    shows(&policy.budget(TpsBudget::default()), &["Custom"]);
    let cooldown = CooldownLayer::new().max_wait(Duration::from_secs(77)).pace(Pacing::genesys());
    shows(&cooldown, &["CooldownLayer", "77s", "Genesys"]);
    let mut api = cooldown.layer(service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) }));
    shows(&api, &["Cooldown", "inner", "77s"]);
    shows(&api.call(Request::new(())), &["ResponseFuture"]);
    let body = ReplayBody::wrap(Request::new(Full::<Bytes>::from("canary")), 64);
    shows(&body.body(), &["ReplayBody", "read: 0"]);
    let hints = RetryHintLayer::new().max_body(77);
    shows(&hints, &["RetryHintLayer", "77"]);
    let answer =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("canary"))) });
    let future = hints.layer(answer).call(Request::new(()));
    shows(&future, &["RetryHintFuture"]);
    shows(future.now_or_never().unwrap().unwrap().body(), &["RetryHintBody"]);
}

fn shows(what: &impl Debug, parts: &[&str]) {
    let shown = format!("{what:?}");
    for part in parts {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
}
