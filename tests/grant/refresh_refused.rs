//! A refresh token that is refused, or may have been used up by an answer that got lost.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::{Instant, sleep};
use tower::ServiceBuilder;
use tower_oauth2::{
    Error, OAuthLayer, TokenCache, TokenSource,
    grant::{ClientAuth, ClientCredentials, RefreshToken, Secret},
    testing::{Issuer, Outage, TokenStatus},
};

use crate::issuer::{self, Disk, URL, refresh, secs, sent, signed_in};

#[tokio::test(start_paused = true)]
async fn a_refused_one_is_never_sent_again() {
    let issuer = Issuer::new();
    let first = issuer.sign_in();
    let disk = Disk::default();
    let tokens = TokenCache::new(refresh(&issuer, first.clone(), &disk));
    tokens.token().await.unwrap();
    issuer.revoke(&first);
    // Twelve hours, a call a minute.
    for minute in 0..720 {
        sleep(secs(60)).await;
        if minute >= 60 {
            let error = tokens.token().await.unwrap_err();
            assert!(error.requires_sign_in() && !error.is_transient(), "{error:?}");
            assert_eq!(error.oauth_code(), Some("invalid_grant"));
            assert!(error.to_string().contains("sign in"), "{error}");
        } else {
            let _ = tokens.token().await;
        }
    }
    assert_eq!(sent(&issuer), [first, disk.kept()[0].clone()]);
    assert_eq!(issuer.stats().reuses, 0, "the first one is not tried again either");
}

#[tokio::test(start_paused = true)]
async fn a_user_who_signs_in_again_is_noticed_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("refresh_token");
    let issuer = Issuer::new();
    let first = issuer.sign_in();
    std::fs::write(&path, &first).unwrap();
    let keep = path.clone();
    let grant = RefreshToken::new(issuer.service(), URL, issuer::auth(), Secret::file(&path), move |next| {
        let path = keep.clone();
        async move { std::fs::write(path, next) }
    })
    .unwrap();
    let tokens = TokenCache::new(grant);
    tokens.token().await.unwrap();
    issuer.revoke(&first);
    sleep(secs(3600)).await;
    for _ in 0..300 {
        assert!(tokens.token().await.unwrap_err().requires_sign_in());
        sleep(secs(60)).await;
    }
    assert_eq!(issuer.stats().requests, 2);
    std::fs::write(&path, issuer.sign_in()).unwrap();
    let start = Instant::now();
    while tokens.token().await.is_err() {
        sleep(secs(1)).await;
    }
    assert!(Instant::now() - start <= secs(15 * 60), "{:?}", Instant::now() - start);
    assert_eq!((issuer.stats().requests, issuer.stats().reuses), (3, 0));
    // And goes on from there.
    sleep(secs(3600)).await;
    let token = tokens.token().await.unwrap();
    assert_eq!(issuer.check(token.secret()), TokenStatus::Valid);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_as_one_even_if_the_place_cannot_be_looked_into_after_it() {
    let issuer = Issuer::new();
    let (first, looked) = (issuer.sign_in(), AtomicBool::new(false));
    issuer.revoke(&first);
    let place = Secret::from_fn(move || {
        let again = looked.swap(true, Ordering::SeqCst);
        let first = first.clone();
        async move { if again { Err("sealed") } else { Ok(first) } }
    });
    let persist = |_| async { Ok::<_, std::io::Error>(()) };
    let grant = RefreshToken::new(issuer.service(), URL, issuer::auth(), place, persist).unwrap();
    assert!(grant.token(None).await.unwrap_err().requires_sign_in());
}

#[tokio::test(start_paused = true)]
async fn the_verdict_of_another_server_on_the_way_is_none_on_the_refresh_token() {
    let issuer = Issuer::new();
    let (gateway, first) = (Issuer::new(), issuer.sign_in());
    gateway.fail_next(Outage::OAuthError { status: 400, code: "invalid_grant".into(), description: String::new() });
    let auth = ClientAuth::basic("test-client", "test-secret");
    let tokens = TokenCache::new(ClientCredentials::new(gateway.service(), URL, auth).unwrap());
    let http = ServiceBuilder::new()
        .layer(OAuthLayer::danger_any_origin(tokens))
        .map_request(|mut request: http::Request<_>| {
            // The gateway has seen it.
            request.headers_mut().remove("authorization");
            request
        })
        .service(issuer.service());
    let auth = ClientAuth::post("test-client", "test-secret");
    let persist = |_| async { Ok::<_, std::io::Error>(()) };
    let grant = RefreshToken::new(http, URL, auth, first, persist).unwrap();
    let error = grant.token(None).await.unwrap_err();
    assert!(error.oauth_code().is_none() && !error.requires_sign_in(), "{error}");
    assert_eq!(issuer.stats().requests, 0);
    // The gateway is itself again, and the refresh token is as good as ever.
    sleep(secs(61)).await;
    grant.token(None).await.unwrap();
    assert_eq!((issuer.stats().refreshes, issuer.stats().reuses), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_somebody_else_put_there_is_used_at_once() {
    let issuer = Issuer::new();
    let place = Arc::new(Mutex::new(issuer.sign_in()));
    let shared = Arc::clone(&place);
    let grant = refresh(
        &issuer,
        Secret::from_fn(move || {
            let token = shared.lock().unwrap().clone();
            async move { Ok::<_, Error>(token) }
        }),
        &Disk::default(),
    );
    grant.token(None).await.unwrap();
    let old = place.lock().unwrap().clone();
    issuer.revoke(&old);
    *place.lock().unwrap() = issuer.sign_in();
    let token = grant.token(None).await.unwrap();
    assert_eq!(issuer.check(token.secret()), TokenStatus::Valid);
    assert_eq!((issuer.stats().requests, issuer.stats().refreshes, issuer.stats().reuses), (3, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn the_code_of_a_failing_server_is_no_verdict() {
    for status in [500, 502, 503, 429] {
        let issuer = Issuer::new();
        let grant = signed_in(&issuer, &Disk::default()).attempts(1);
        issuer.fail_next(Outage::OAuthError { status, code: "invalid_grant".into(), description: "?".into() });
        let error = grant.token(None).await.unwrap_err();
        assert!(error.is_transient() && !error.requires_sign_in(), "{status}: {error:?}");
        grant.token(None).await.unwrap();
        let sent = sent(&issuer);
        assert!(sent.len() == 2 && sent[0] == sent[1], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_client_says_nothing_about_the_refresh_token() {
    for code in ["invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "made_up"] {
        let issuer = Issuer::new();
        let grant = signed_in(&issuer, &Disk::default());
        issuer.fail_next(Outage::OAuthError { status: 400, code: code.into(), description: "?".into() });
        let error = grant.token(None).await.unwrap_err();
        assert!(!error.is_transient() && !error.requires_sign_in(), "{code}: {error:?}");
        grant.token(None).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_somebody_elses_refresh_token_says_nothing_about_this_one() {
    let others = Issuer::new();
    let other = refresh(&others, "gone", &Disk::default());
    let refused = other.token(None).await.unwrap_err();
    assert!(refused.requires_sign_in());
    // The client secret comes from where the other's token is needed.
    let issuer = Issuer::new();
    let failing = Arc::new(AtomicBool::new(true));
    let fails = Arc::clone(&failing);
    let secret = Secret::from_fn(move || {
        let answer = if fails.load(Ordering::SeqCst) { Err(refused.clone()) } else { Ok("test-secret") };
        async move { answer }
    });
    let auth = ClientAuth::basic("test-client", secret);
    let keep = |_: String| async { Ok::<_, Error>(()) };
    let grant = RefreshToken::new(issuer.service(), URL, auth, issuer.sign_in(), keep).unwrap();
    let error = grant.token(None).await.unwrap_err();
    assert!(!error.is_transient() && error.requires_sign_in(), "somebody has to: {error:?}");
    failing.store(false, Ordering::SeqCst);
    grant.token(None).await.unwrap();
    assert_eq!(issuer.stats().requests, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_heals_with_a_grace_period() {
    for outage in [Outage::LoseAnswer, Outage::Truncate] {
        let issuer = Issuer::builder().refresh_grace(secs(30)).build();
        let disk = Disk::default();
        let grant = signed_in(&issuer, &disk);
        issuer.fail_next(outage);
        let token = grant.token(None).await.unwrap();
        assert_eq!(issuer.check(token.secret()), TokenStatus::Valid);
        let sent = sent(&issuer);
        assert!(sent.len() == 2 && sent[0] == sent[1], "there is no other to send");
        sleep(secs(60)).await;
        grant.token(None).await.unwrap();
        assert_eq!((issuer.stats().refreshes, issuer.stats().reuses, disk.kept().len()), (3, 0, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_without_a_grace_period_ends_in_a_sign_in() {
    let issuer = Issuer::new();
    let tokens = TokenCache::new(signed_in(&issuer, &Disk::default()));
    issuer.fail_next(Outage::LoseAnswer);
    let error = tokens.token().await.unwrap_err();
    assert!(error.requires_sign_in() && !error.is_transient(), "{error:?}");
    for _ in 0..120 {
        sleep(secs(60)).await;
        assert!(tokens.token().await.unwrap_err().requires_sign_in());
    }
    assert_eq!((issuer.stats().requests, issuer.stats().reuses), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn one_that_two_have_used_is_taken_from_both() {
    let issuer = Issuer::new();
    let first = issuer.sign_in();
    let (one, two) = (refresh(&issuer, first.clone(), &Disk::default()), refresh(&issuer, first, &Disk::default()));
    let another = signed_in(&issuer, &Disk::default()).token(None).await.unwrap();
    let token = one.token(None).await.unwrap();
    assert!(two.token(None).await.unwrap_err().requires_sign_in());
    assert_eq!(issuer.check(token.secret()), TokenStatus::Revoked);
    assert!(one.token(None).await.unwrap_err().requires_sign_in());
    assert_eq!(issuer.check(another.secret()), TokenStatus::Valid, "of another sign-in");
    assert_eq!((issuer.stats().reuses, issuer.stats().refused), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_reset_before_anything_was_done_costs_nothing() {
    let issuer = Issuer::new();
    let grant = signed_in(&issuer, &Disk::default());
    issuer.fail_next(Outage::Reset);
    issuer.fail_next(Outage::Status { status: 503, retry_after: None });
    grant.token(None).await.unwrap();
    assert_eq!((issuer.stats().requests, issuer.stats().refreshes, issuer.stats().reuses), (3, 1, 0));
}
