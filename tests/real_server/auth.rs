//! Every client authentication method at a real authorization server.

use http::StatusCode;
use serde_json::{Value, json};
use tower_oauth2::{
    Error, Token, TokenCache, TokenSource,
    grant::{ClientAuth, ClientCredentials},
};

use crate::oidc_provider::Provider;

#[tokio::test]
async fn every_printable_character_may_be_in_an_id_and_a_secret() {
    let clients: Vec<_> = (' '..='~').map(|c| (format!("{c}i{c}d{c}"), format!("{c}{c}s{c}"))).collect();
    let config = json!({ "clients": clients.iter().map(|(id, secret)| secret_client(id, secret)).collect::<Vec<_>>() });
    let Some(server) = Provider::start(config).await else { return };
    for (id, secret) in &clients {
        for auth in [ClientAuth::basic(id, secret), ClientAuth::post(id, secret)] {
            let answer = ask(&server, auth.clone()).await;
            assert!(answer.is_ok(), "{auth:?}: {answer:?}");
        }
    }
    // This server decodes what it gets: raw is for what decoding leaves alone, and the first colon ends the id.
    for (id, secret) in clients.iter().filter(|(id, _)| !id.contains(['%', '+', ':'])) {
        let answer = ask(&server, ClientAuth::basic_raw(id, secret)).await;
        assert!(answer.is_ok(), "{id}: {answer:?}");
    }
    let answer = ask(&server, ClientAuth::basic_raw("%i%d%", "%%s%")).await;
    assert_eq!(answer.unwrap_err().oauth_code(), Some("invalid_request"));
}

#[tokio::test]
async fn long_secrets_of_all_characters_are_understood() {
    let all: String = (' '..='~').collect();
    let clients = [(all.clone(), all.repeat(10)), ("%2B+%20".to_owned(), "a%3Ab:c%".to_owned())];
    let config = json!({ "clients": clients.iter().map(|(id, secret)| secret_client(id, secret)).collect::<Vec<_>>() });
    let Some(server) = Provider::start(config).await else { return };
    for (id, secret) in &clients {
        for auth in [ClientAuth::basic(id, secret), ClientAuth::post(id, secret)] {
            let answer = ask(&server, auth.clone()).await;
            assert!(answer.is_ok(), "{auth:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_is_sent_once_and_a_typed_error() {
    let expired = json!({ "client_id": "expired", "client_secret": "short-lived", "client_secret_expires_at": 1 });
    let config = json!({ "clients": [secret_client("good", "right"), expired] });
    let Some(server) = Provider::start(config).await else { return };
    for (auth, status, detail) in [
        (ClientAuth::basic("good", "wrong"), 401, "invalid secret provided"),
        (ClientAuth::basic_raw("good", "wrong"), 401, "invalid secret provided"),
        (ClientAuth::post("good", "wrong"), 401, "invalid secret provided"),
        (ClientAuth::none("good"), 401, "does not match the registered"),
        (ClientAuth::basic("expired", "short-lived"), 400, "client_secret expired"),
    ] {
        let before = server.stats().await.token_requests.len();
        let tokens = TokenCache::new(grant(&server, auth.clone()));
        let (first, second) = (tokens.token().await.unwrap_err(), tokens.token().await.unwrap_err());
        for error in [&first, &second] {
            assert_eq!(error.oauth_code(), Some("invalid_client"), "{auth:?}: {error:?}");
            assert_eq!(error.status(), Some(StatusCode::from_u16(status).unwrap()), "{auth:?}");
            assert!(!error.is_transient() && error.retry_at().is_some(), "{auth:?}: {error:?}");
        }
        let stats = server.stats().await;
        let [request] = &stats.token_requests[before..] else { panic!("{auth:?}: {stats:?}") };
        assert!(request.error.as_ref().unwrap().contains(detail), "{auth:?}: {request:?}");
    }
}

#[tokio::test]
async fn a_client_that_nobody_knows_is_told_so() {
    let Some(server) = Provider::start(json!({})).await else { return };
    for auth in
        [ClientAuth::basic("nobody", "hush-hush"), ClientAuth::post("nobody", "hush-hush"), ClientAuth::none("nobody")]
    {
        let error = ask(&server, auth).await.unwrap_err();
        assert_eq!((error.oauth_code(), error.is_transient()), (Some("invalid_client"), false), "{error:?}");
    }
    assert_eq!(server.stats().await.token_requests.len(), 3);
}

#[tokio::test]
async fn a_secret_that_the_server_cannot_have_is_a_permanent_error() {
    let Some(server) = Provider::start(json!({ "clients": [secret_client("a", "hush-hush")] })).await else { return };
    for (auth, code) in [
        (ClientAuth::basic("a", "passwörd"), "invalid_request"),
        (ClientAuth::basic_raw("a", "passwörd"), "invalid_request"),
        (ClientAuth::post("a", "passwörd"), "invalid_client"),
        // Not form-encoded, and no encoding either.
        (ClientAuth::basic_raw("a", "100%"), "invalid_request"),
    ] {
        let error = ask(&server, auth.clone()).await.unwrap_err();
        assert_eq!((error.oauth_code(), error.is_transient()), (Some(code), false), "{auth:?}: {error:?}");
    }
}

#[tokio::test]
async fn what_a_client_may_not_have_is_a_typed_error() {
    let mut other = secret_client("other", "hush-hush");
    other["grant_types"] = json!(["refresh_token"]);
    let mut narrow = secret_client("narrow", "hush-hush");
    narrow["scope"] = json!("api:read");
    let config = json!({ "clients": [other, narrow, secret_client("a", "hush-hush")] });
    let Some(server) = Provider::start(config).await else { return };
    let of = |id: &str| grant(&server, ClientAuth::basic(id, "hush-hush"));
    for (grant, code) in [
        (of("other"), "invalid_request"),
        (of("narrow").scope("api:write"), "invalid_scope"),
        (of("a").resource("not a URI"), "invalid_target"),
        (of("a").resource("https://a.example.com").resource("https://b.example.com"), "invalid_target"),
    ] {
        let error = grant.token(None).await.unwrap_err();
        assert_eq!((error.oauth_code(), error.is_transient()), (Some(code), false), "{error:?}");
    }
}

#[tokio::test]
async fn the_token_is_for_the_scope_and_the_resource_that_were_asked_for() {
    let Some(server) = Provider::start(json!({ "clients": [secret_client("a b", "s")] })).await else { return };
    let grant = grant(&server, ClientAuth::basic("a b", "s")).scope("api:read").resource("https://api.example.com/v1");
    let token = grant.token(None).await.unwrap();
    assert_eq!(token.field::<String>("scope").as_deref(), Some("api:read"));
    let answer = server.whoami(&token).await;
    let expected = json!({ "client": "a b", "scope": "api:read", "audience": "https://api.example.com/v1" });
    assert_eq!(answer, expected);
}

fn secret_client(id: &str, secret: &str) -> Value {
    json!({ "client_id": id, "client_secret": secret })
}

fn grant(server: &Provider, auth: ClientAuth) -> ClientCredentials {
    ClientCredentials::new(server.http(), server.token_url(), auth).unwrap()
}

async fn ask(server: &Provider, auth: ClientAuth) -> Result<Token, Error> {
    grant(server, auth).token(None).await
}
