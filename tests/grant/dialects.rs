//! Authorization servers as they are: each refusal with the right code and the right patience, or a token.

use http::StatusCode;
use tokio::time::{Instant, sleep};
use tower_oauth2::{
    Error, TokenCache, TokenSource,
    grant::{ClientAuth, ClientCredentials, TokenRequest},
    testing::{Dialect, Issuer, IssuerBuilder, TokenStatus},
};

use crate::issuer::{Disk, auth, millis, refresh, secs};

const URL: &str = "https://login.example.com/o/token/";
const ALL: [Dialect; 6] = [
    Dialect::GenesysCloud,
    Dialect::Glewlwyd,
    Dialect::DjangoOauthToolkit,
    Dialect::Authlib,
    Dialect::OidcProvider,
    Dialect::Oauth2MockServer,
];

#[tokio::test(start_paused = true)]
async fn everybody_gives_a_token_to_who_asks_right() {
    for dialect in ALL {
        let issuer = issuer(dialect);
        let grant = grant(&issuer, auth()).scope("read");
        let token = grant.token(None).await.unwrap_or_else(|error| panic!("{dialect:?}: {error:?}"));
        assert_eq!(issuer.check(token.secret()), TokenStatus::Valid);
        let refreshed = refresh(&issuer, issuer.sign_in(), &Disk::default());
        let tokens = TokenCache::new(refreshed);
        if dialect != Dialect::DjangoOauthToolkit {
            tokens.token().await.unwrap_or_else(|error| panic!("{dialect:?}: {error:?}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_is_permanent_whatever_it_is_called() {
    for (dialect, status, code) in [
        (Dialect::GenesysCloud, 401, Some("invalid_client")),
        (Dialect::Glewlwyd, 403, None),
        (Dialect::DjangoOauthToolkit, 401, Some("invalid_client")),
        (Dialect::Authlib, 401, Some("invalid_client")),
        (Dialect::OidcProvider, 401, Some("invalid_client")),
        (Dialect::Oauth2MockServer, 401, Some("invalid_client")),
    ] {
        let issuer = issuer(dialect);
        let error = grant(&issuer, ClientAuth::basic("test-client", "wrong")).token(None).await.unwrap_err();
        refused(&error, status, code);
        assert_eq!(issuer.stats().requests, 1, "{dialect:?} may lock out who asks again");
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_secret_is_permanent_and_a_new_one_heals() {
    for (dialect, status) in [(Dialect::OidcProvider, 400), (Dialect::Authlib, 401)] {
        let issuer = issuer(dialect);
        let grant = grant(&issuer, auth());
        issuer.expire_secret();
        refused(&grant.token(None).await.unwrap_err(), status, Some("invalid_client"));
        issuer.set_secret("test-secret");
        grant.token(None).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_or_a_scope_that_is_not_known_is_permanent() {
    for (dialect, unknown_grant, unknown_scope) in [
        (Dialect::Glewlwyd, None, "scope_invalid"),
        (Dialect::DjangoOauthToolkit, Some("unsupported_grant_type"), "invalid_scope"),
        (Dialect::OidcProvider, Some("unsupported_grant_type"), "invalid_scope"),
    ] {
        let issuer = builder(dialect).scopes("read write").build();
        let request = TokenRequest::new(issuer.service(), URL, auth()).unwrap().grant_type("made_up");
        refused(&request.token(None).await.unwrap_err(), 400, unknown_grant);
        let error = grant(&issuer, auth()).scope("read admin").token(None).await.unwrap_err();
        refused(&error, 400, Some(unknown_scope));
        grant(&issuer, auth()).scope("write read").token(None).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_authentication_is_refused_under_a_name_of_its_own() {
    let issuer = issuer(Dialect::Authlib);
    let error = grant(&issuer, ClientAuth::anonymous()).token(None).await.unwrap_err();
    refused(&error, 401, Some("missing_authorization"));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_needs_encoding_arrives_where_it_is_decoded_and_raw_where_not() {
    for secret in ["p w+d/=:&%41\u{e9}", "a b", "a+b"] {
        for dialect in ALL {
            let issuer = builder(dialect).client("a client", secret).build();
            let decoded = grant(&issuer, ClientAuth::basic("a client", secret)).token(None).await;
            let raw = grant(&issuer, ClientAuth::basic_raw("a client", secret)).token(None).await;
            let posted = grant(&issuer, ClientAuth::post("a client", secret)).token(None).await;
            assert_eq!(decoded.is_ok(), dialect != Dialect::Glewlwyd, "{dialect:?} {secret}");
            assert!(raw.is_ok() || dialect != Dialect::Glewlwyd, "{secret}");
            assert!(posted.is_ok(), "{dialect:?} {secret}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_url_without_the_slash_at_its_end_is_redirected_and_the_secret_does_not_follow() {
    let issuer = issuer(Dialect::DjangoOauthToolkit);
    let url = URL.trim_end_matches('/');
    let error = ClientCredentials::new(issuer.service(), url, auth()).unwrap().token(None).await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("redirect (301"), "{error}");
    assert_eq!(issuer.stats().requests, 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ends_at_a_whole_second_is_replaced_in_time_or_when_it_is_refused() {
    let issuer = builder(Dialect::OidcProvider).lifetime(secs(2)).build();
    sleep(millis(550)).await;
    let tokens = TokenCache::new(grant(&issuer, auth()));
    let token = tokens.token().await.unwrap();
    sleep(millis(1440)).await;
    assert_eq!(issuer.check(token.secret()), TokenStatus::Valid);
    sleep(millis(10)).await;
    assert_eq!(issuer.check(token.secret()), TokenStatus::Expired);
    // The cache believes in it for a while longer; a refusal is what tells it.
    assert!(Instant::now() < token.expires_at().unwrap());
    assert!(tokens.reject(&token));
    let next = tokens.token().await.unwrap();
    assert_eq!(issuer.check(next.secret()), TokenStatus::Valid);
}

#[tokio::test(start_paused = true)]
async fn the_same_string_again_is_a_fresh_token() {
    let issuer = issuer(Dialect::Oauth2MockServer);
    let grant = grant(&issuer, auth());
    let first = grant.token(None).await.unwrap();
    assert_eq!(grant.token(None).await.unwrap().secret(), first.secret());
    let tokens = TokenCache::new(grant);
    let first = tokens.token().await.unwrap();
    assert!(tokens.reject(&first));
    let second = tokens.token().await.unwrap();
    assert_ne!(second.generation(), first.generation());
    assert_eq!(issuer.check(second.secret()), TokenStatus::Valid);
}

#[tokio::test(start_paused = true)]
async fn the_scope_of_the_answer_may_be_absent_or_smaller() {
    for (json, scope) in [("null", None), ("\"read\"", Some("read"))] {
        let issuer = Issuer::builder().field("scope", json).build();
        let token = grant(&issuer, auth()).scope("read write").token(None).await.unwrap();
        assert_eq!(token.field::<String>("scope").as_deref(), scope);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_has_no_refresh_token_that_is_good_has_to_sign_in_everywhere() {
    for dialect in ALL.into_iter().filter(|dialect| *dialect != Dialect::DjangoOauthToolkit) {
        let issuer = issuer(dialect);
        let error = refresh(&issuer, "gone", &Disk::default()).token(None).await.unwrap_err();
        assert!(error.requires_sign_in(), "{dialect:?}: {error:?}");
    }
}

fn builder(dialect: Dialect) -> IssuerBuilder {
    Issuer::builder().dialect(dialect)
}

fn issuer(dialect: Dialect) -> Issuer {
    builder(dialect).build()
}

fn grant(issuer: &Issuer, auth: ClientAuth) -> ClientCredentials {
    ClientCredentials::new(issuer.service(), URL, auth).unwrap()
}

fn refused(error: &Error, status: u16, code: Option<&str>) {
    assert_eq!(error.status().map(|status: StatusCode| status.as_u16()), Some(status), "{error:?}");
    assert_eq!(error.oauth_code(), code, "{error:?}");
    assert!(!error.is_transient() && error.retry_after().is_none(), "{error:?}");
}
