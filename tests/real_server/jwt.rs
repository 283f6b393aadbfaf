//! Clients that sign assertions, at a real authorization server (RFC 7523).

use std::{
    io,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower_oauth2::{
    TokenCache, TokenSource,
    grant::{
        ClientAuth, ClientCredentials, Metadata, RefreshToken,
        assertion::{Algorithm, Audience, ClientAssertion, SigningKey},
    },
};

use crate::oidc_provider::Provider;

#[tokio::test]
async fn every_algorithm_is_taken_with_either_form_of_the_key_and_either_audience() {
    let clients: Vec<_> = ALGORITHMS.iter().map(|algorithm| key_client(algorithm.as_str(), *algorithm)).collect();
    let Some(server) = Provider::start(json!({ "clients": clients })).await else { return };
    let metadata = Metadata::discover(server.http(), server.issuer()).await.unwrap();
    for algorithm in ALGORITHMS {
        let id = algorithm.as_str();
        let (pem, jwk) = server.key(id);
        let from_pem = SigningKey::from_pem(algorithm, pem).unwrap();
        let key_id = jwk["kid"].as_str().unwrap();
        let keys = [
            ("PEM with key id", from_pem.clone().with_key_id(key_id)),
            ("PEM", from_pem),
            ("JWK", SigningKey::from_jwk(jwk.to_string()).unwrap()),
        ];
        for (form, key) in keys {
            for audience in [Audience::issuer(), Audience::token_endpoint(), Audience::other(server.issuer())] {
                let assertion = ClientAssertion::new(key.clone()).audience(audience.clone());
                let auth = ClientAuth::private_key_jwt(id, assertion);
                let grant = ClientCredentials::new(server.http(), &metadata, auth).unwrap();
                let answer = grant.token(None).await;
                let stats = server.stats().await;
                assert!(answer.is_ok(), "{id}, {form}, {audience:?}: {:?}", stats.token_requests.last());
            }
        }
    }
}

#[tokio::test]
async fn a_client_secret_signs_whatever_characters_it_has() {
    let all: String = (' '..='~').collect();
    let client = json!({ "client_id": all, "client_secret": all, "token_endpoint_auth_method": "client_secret_jwt" });
    let Some(server) = Provider::start(json!({ "clients": [client] })).await else { return };
    let metadata = Metadata::discover(server.http(), server.issuer()).await.unwrap();
    let auth = ClientAuth::client_secret_jwt(&all, &all);
    let token = ClientCredentials::new(server.http(), &metadata, auth).unwrap().token(None).await.unwrap();
    assert_eq!(server.whoami(&token).await["client"], *all);

    let auth = ClientAuth::client_secret_jwt(&all, "the wrong one, and it is long enough");
    let error = ClientCredentials::new(server.http(), &metadata, auth).unwrap().token(None).await.unwrap_err();
    assert_eq!((error.oauth_code(), error.is_transient()), (Some("invalid_client"), false), "{error:?}");
}

#[tokio::test]
async fn each_token_request_has_an_assertion_of_its_own() {
    let settings = json!({ "clients": [key_client("app", Algorithm::ES256)], "lifetime": 2 });
    let Some(server) = Provider::start(settings).await else { return };
    let tokens = TokenCache::new(grant(&server, ClientAssertion::new(key(&server, "app"))).await);
    let end = Instant::now() + Duration::from_millis(4_500);
    while Instant::now() < end {
        tokens.token().await.unwrap();
        sleep(Duration::from_millis(50)).await;
    }
    // This server takes each `jti` once, and would say so.
    let stats = server.stats().await;
    assert!(stats.of("app").len() >= 3 && stats.of("app").iter().all(Option::is_none), "{stats:?}");

    // Also where the answer of the first was lost.
    server.lose_answers(1).await;
    grant(&server, ClientAssertion::new(key(&server, "app"))).await.token(None).await.unwrap();
}

#[tokio::test]
async fn a_key_that_the_server_does_not_know_is_a_typed_error_and_a_replaced_one_is_used() {
    let clients = [key_client("app", Algorithm::ES256), key_client("other", Algorithm::ES256)];
    let Some(server) = Provider::start(json!({ "clients": clients })).await else { return };
    let assertion = ClientAssertion::new(key(&server, "other"));
    let grant = grant(&server, assertion.clone()).await;
    let tokens = TokenCache::new(grant.clone());
    for _ in 0..3 {
        let error = tokens.token().await.unwrap_err();
        assert_eq!((error.oauth_code(), error.is_transient()), (Some("invalid_client"), false), "{error:?}");
    }
    assert_eq!(server.stats().await.token_requests.len(), 1);
    assertion.replace_key(key(&server, "app"));
    grant.token(None).await.unwrap();
}

#[tokio::test]
async fn an_assertion_of_a_clock_that_is_late_is_refused() {
    let Some(server) = Provider::start(json!({ "clients": [key_client("app", Algorithm::ES256)] })).await else {
        return;
    };
    for (late, taken) in [(0, true), (30, true), (120, false)] {
        let assertion = ClientAssertion::new(key(&server, "app"));
        let assertion = assertion.clock(move || SystemTime::now() - Duration::from_secs(late));
        let answer = grant(&server, assertion).await.token(None).await;
        assert_eq!(answer.is_ok(), taken, "{late} s: {answer:?}");
    }
}

#[tokio::test]
async fn a_refresh_is_signed_as_well() {
    let mut client = key_client("app", Algorithm::PS256);
    client["grant_types"] = json!(["refresh_token"]);
    let Some(server) = Provider::start(json!({ "clients": [client] })).await else { return };
    let metadata = Metadata::discover(server.http(), server.issuer()).await.unwrap();
    let auth = ClientAuth::private_key_jwt("app", ClientAssertion::new(key(&server, "app")));
    let first = server.refresh_token("app").await;
    let persist = |_| async { Ok::<_, io::Error>(()) };
    let grant = RefreshToken::new(server.http(), &metadata, auth, first, persist).unwrap();
    for _ in 0..3 {
        let token = grant.token(None).await.unwrap();
        assert_eq!(server.whoami(&token).await["account"], "somebody");
    }
}

async fn grant(server: &Provider, assertion: ClientAssertion) -> ClientCredentials {
    let metadata = Metadata::discover(server.http(), server.issuer()).await.unwrap();
    ClientCredentials::new(server.http(), &metadata, ClientAuth::private_key_jwt("app", assertion)).unwrap()
}

fn key(server: &Provider, client: &str) -> SigningKey {
    SigningKey::from_jwk(server.key(client).1.to_string()).unwrap()
}

fn key_client(id: &str, algorithm: Algorithm) -> Value {
    json!({ "client_id": id, "token_endpoint_auth_method": "private_key_jwt", "key": algorithm.as_str() })
}

const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
