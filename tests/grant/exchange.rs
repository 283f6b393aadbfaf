//! One token for another (RFC 8693).

use tokio::time::sleep;
use tower_oauth2::{
    Error, TokenCache, TokenSource,
    grant::{ClientCredentials, Secret, TokenExchange},
    testing::{Issuer, Outage, TokenStatus},
};

use crate::issuer::{URL, auth, secs};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

#[tokio::test(start_paused = true)]
async fn it_says_whose_token_it_is_and_of_what_kind() {
    let issuer = Issuer::new();
    let subject = issuer.mint();
    let grant = exchange(&issuer, subject.clone()).audience("https://reports.example.com").scope("reports:read");
    let token = grant.token(None).await.unwrap();
    assert_eq!(issuer.check(token.secret()), TokenStatus::Valid);
    let kind = token.field::<String>("issued_token_type");
    assert_eq!(kind.as_deref(), Some(TokenExchange::ACCESS_TOKEN));
    let seen = &issuer.seen()[0];
    for (name, value) in [
        ("grant_type", GRANT),
        ("subject_token", &subject),
        ("subject_token_type", TokenExchange::ACCESS_TOKEN),
        ("audience", "https://reports.example.com"),
        ("scope", "reports:read"),
    ] {
        assert_eq!(seen.param(name), Some(value));
    }
    assert_eq!((seen.form.len(), issuer.stats().exchanges), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn an_actor_and_other_kinds_are_sent_once_each() {
    let issuer = Issuer::new();
    let grant = exchange(&issuer, issuer.mint())
        .subject_token_type(TokenExchange::JWT)
        .subject_token_type(TokenExchange::ACCESS_TOKEN)
        .requested_token_type("urn:x")
        .requested_token_type(TokenExchange::JWT)
        .actor("first", TokenExchange::JWT)
        .unwrap()
        .actor("second", TokenExchange::ID_TOKEN)
        .unwrap();
    grant.token(None).await.unwrap();
    let seen = &issuer.seen()[0];
    assert_eq!(seen.param("actor_token"), Some("second"));
    assert_eq!(seen.param("actor_token_type"), Some(TokenExchange::ID_TOKEN));
    assert_eq!(seen.param("requested_token_type"), Some(TokenExchange::JWT));
    assert!(!format!("{seen:?}").contains("second"));
    assert!(exchange(&issuer, issuer.mint()).actor("", TokenExchange::JWT).unwrap_err().is_config());
    assert!(TokenExchange::new(issuer.service(), URL, auth(), "").unwrap_err().is_config());
    for name in ["subject_token", "actor_token"] {
        assert!(grant.clone().param(name, "x").is_err() && grant.clone().secret_param(name, "x").is_err(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_subject_that_is_not_valid_is_permanent() {
    let issuer = Issuer::new();
    for subject in ["unknown".to_owned(), {
        let revoked = issuer.mint();
        issuer.revoke(&revoked);
        revoked
    }] {
        let error = exchange(&issuer, subject.clone()).token(None).await.unwrap_err();
        assert_eq!((error.oauth_code(), error.is_transient()), (Some("invalid_request"), false));
        assert!(!error.requires_sign_in() && !format!("{error} {error:?}").contains(&subject));
    }
}

#[tokio::test(start_paused = true)]
async fn the_subject_of_another_cache_is_a_live_one_every_time() {
    let issuer = Issuer::builder().lifetime(secs(60)).build();
    let wide = TokenCache::new(ClientCredentials::new(issuer.service(), URL, auth()).unwrap());
    let narrow = TokenCache::new(exchange(&issuer, of(&wide)));
    for _ in 0..10 {
        let token = narrow.token().await.unwrap();
        assert_eq!(issuer.check(token.secret()), TokenStatus::Valid);
        sleep(secs(61)).await;
    }
    assert_eq!((issuer.stats().minted, issuer.stats().exchanges, issuer.stats().refused), (20, 10, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_the_subjects_source_is_told_with_its_patience() {
    let issuer = Issuer::new();
    let wide = TokenCache::new(ClientCredentials::new(issuer.service(), URL, auth()).unwrap());
    let narrow = exchange(&issuer, of(&wide));
    issuer.fail_next(Outage::Status { status: 429, retry_after: Some(secs(40)) });
    let error = narrow.token(None).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(error.retry_after(), Some(secs(40)));
    assert_eq!(issuer.stats().requests, 1, "the cache did not ask again, nor was anything exchanged");
    sleep(secs(41)).await;
    narrow.token(None).await.unwrap();

    issuer.set_secret("another");
    issuer.revoke_all();
    let wide = TokenCache::new(ClientCredentials::new(issuer.service(), URL, auth()).unwrap());
    let error = exchange(&issuer, of(&wide)).token(None).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(Error::find(source).unwrap().oauth_code(), Some("invalid_client"));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_no_bearer_token_is_not_used() {
    let issuer = Issuer::builder().token_type("N_A").build();
    let error = exchange(&issuer, issuer.mint()).token(None).await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("token_type"), "{error}");
}

fn exchange(issuer: &Issuer, subject: impl Into<Secret>) -> TokenExchange {
    TokenExchange::new(issuer.service(), URL, auth(), subject).unwrap()
}

fn of(tokens: &TokenCache) -> Secret {
    let tokens = tokens.clone();
    Secret::from_fn(move || {
        let tokens = tokens.clone();
        async move { tokens.token().await.map(|token| token.secret().to_owned()) }
    })
}
