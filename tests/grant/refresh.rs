//! A rotating refresh token: kept before the access token that came with it is used (RFC 6749 §6, RFC 9700 §4.14.2).

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt};
use tower_oauth2::{
    OAuthLayer, TokenCache, TokenSource,
    grant::{RefreshToken, TokenRequest},
    retry::{RetryLayer, RetryPolicy},
    testing::{Analytics, Issuer, TokenStatus},
};

use crate::issuer::{Disk, Fault, auth, millis, refresh, secs, sent, signed_in};

#[tokio::test(start_paused = true)]
async fn the_next_refresh_token_is_kept_before_the_access_token_is_used() {
    let issuer = Issuer::new();
    let disk = Disk::slow(secs(3));
    let tokens = TokenCache::new(signed_in(&issuer, &disk));
    let start = Instant::now();
    let waiting = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    sleep(millis(2999)).await;
    assert_eq!((issuer.stats().minted, disk.begun().len(), disk.kept().len()), (1, 1, 0));
    assert!(!waiting.is_finished(), "the access token was used before its refresh token was kept");
    let token = waiting.await.unwrap().unwrap();
    assert_eq!((Instant::now() - start, disk.kept().len()), (secs(3), 1));
    assert_eq!(issuer.check(token.secret()), TokenStatus::Valid);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_what_is_sent_next() {
    let issuer = Issuer::new();
    let first = issuer.sign_in();
    let disk = Disk::default();
    let grant = refresh(&issuer, first.clone(), &disk);
    for _ in 0..5 {
        grant.token(None).await.unwrap();
    }
    let mut expected = vec![first];
    expected.extend(disk.kept());
    assert_eq!(sent(&issuer), expected[..5]);
    assert_eq!(issuer.stats().reuses, 0);
    // And is as good after a restart.
    refresh(&issuer, expected[5].clone(), &disk).token(None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_kept_is_kept_again_before_anything_else_is_asked() {
    for faults in [vec![Fault::Fail; 2], vec![Fault::Panic; 2], vec![Fault::Hang; 2], vec![Fault::Panic, Fault::Hang]] {
        let issuer = Issuer::new();
        let disk = Disk::default();
        disk.faults(faults.clone());
        let grant = signed_in(&issuer, &disk).persist_timeout(secs(2));
        for fault in &faults {
            let start = Instant::now();
            let error = grant.token(None).await.unwrap_err();
            let hung = matches!(fault, Fault::Hang);
            assert!(error.is_transient() && !error.requires_sign_in(), "{error:?}");
            assert_eq!((error.is_timeout(), Instant::now() - start), (hung, if hung { secs(2) } else { secs(0) }));
        }
        let token = grant.token(None).await.unwrap();
        assert_eq!(issuer.check(token.secret()), TokenStatus::Valid);
        let begun = disk.begun();
        assert_eq!((begun.len(), disk.kept().len()), (3, 1));
        assert!(begun.iter().all(|next| *next == begun[0]), "the same refresh token every time");
        assert_eq!(issuer.stats().requests, 1, "the access token was there already: {faults:?}");
        grant.token(None).await.unwrap();
        assert_eq!((issuer.stats().refreshes, issuer.stats().reuses), (2, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_kept_is_not_handed_out_when_it_is_over_or_refused() {
    for over in [true, false] {
        let issuer = Issuer::builder().lifetime(secs(60)).build();
        let disk = Disk::default();
        disk.faults([Fault::Fail]);
        let grant = signed_in(&issuer, &disk);
        grant.token(None).await.unwrap_err();
        if over {
            sleep(secs(60)).await;
        }
        let token = grant.token(None).await.unwrap();
        assert_eq!(issuer.stats().refreshes, if over { 2 } else { 1 });
        assert_eq!(issuer.check(token.secret()), TokenStatus::Valid);
        let other = grant.token(Some(&token)).await.unwrap();
        assert_ne!(other.secret(), token.secret());
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_without_a_known_lifetime_does_not_wait_for_ever() {
    let issuer = Issuer::builder().without_expires_in().build();
    let disk = Disk::default();
    disk.faults([Fault::Fail]);
    let grant = signed_in(&issuer, &disk);
    grant.token(None).await.unwrap_err();
    sleep(secs(3600)).await;
    let start = Instant::now();
    grant.token(None).await.unwrap();
    assert_eq!(issuer.stats().refreshes, 2);
    assert_eq!(Instant::now(), start);
}

#[tokio::test(start_paused = true)]
async fn the_next_one_is_kept_though_the_access_token_beside_it_cannot_be_used() {
    for (name, json) in [("token_type", "\"DPoP\""), ("access_token", "\"a b\""), ("access_token", "null")] {
        let issuer = Issuer::builder().field(name, json).build();
        let disk = Disk::default();
        let grant = signed_in(&issuer, &disk);
        for _ in 0..3 {
            assert!(!grant.token(None).await.unwrap_err().is_transient(), "{name}");
        }
        assert_eq!((issuer.stats().refreshes, issuer.stats().reuses, disk.kept().len()), (3, 0, 3), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_old_one_is_kept_where_none_is_returned() {
    for issuer in [
        Issuer::builder().rotation(false).build(),
        Issuer::builder().rotation(false).field("refresh_token", "null").build(),
        Issuer::builder().rotation(false).field("refresh_token", "\"\"").build(),
        Issuer::builder().rotation(false).field("refresh_token", "7").build(),
    ] {
        let disk = Disk::default();
        let grant = signed_in(&issuer, &disk);
        for _ in 0..3 {
            grant.token(None).await.unwrap();
        }
        let sent = sent(&issuer);
        assert!(sent.len() == 3 && sent.iter().all(|token| *token == sent[0]));
        assert!(disk.begun().is_empty(), "there is nothing new to keep");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_one_returned_is_not_kept_again() {
    let first = Issuer::builder().seed(7).build().sign_in();
    let issuer = Issuer::builder().seed(7).rotation(false).field("refresh_token", &format!("\"{first}\"")).build();
    assert_eq!(issuer.sign_in(), first);
    let disk = Disk::default();
    refresh(&issuer, first, &disk).token(None).await.unwrap();
    assert!(disk.begun().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_access_token_is_refreshed_once_whoever_says_so() {
    let issuer = Issuer::new();
    let disk = Disk::default();
    let tokens = TokenCache::new(signed_in(&issuer, &disk));
    let api = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new()))
        .layer(OAuthLayer::for_origin("https://api.example.com", tokens.clone()).unwrap())
        .service(Analytics::new(&issuer).service());
    let ask = || {
        let request = Request::get("https://api.example.com/echo").body(Full::<Bytes>::default()).unwrap();
        let api = api.clone();
        async move { api.oneshot(request).await.unwrap().status().as_u16() }
    };
    assert_eq!(ask().await, 200);
    issuer.revoke(tokens.token().await.unwrap().secret());
    let answers = futures_util::future::join_all((0..50).map(|_| ask())).await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert_eq!((issuer.stats().refreshes, issuer.stats().reuses, disk.kept().len()), (2, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_of_another_shape_finds_the_next_one_where_it_is() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let bodies = Arc::clone(&seen);
    let http = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let bodies = Arc::clone(&bodies);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            bodies.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
            let text = r#"{"d":{"t":"abc","r":"next \"one\""}}"#;
            Ok::<_, tower::BoxError>(Response::new(text.to_owned()))
        }
    });
    let request = TokenRequest::new(http, "https://login.example.com/renew", auth()).unwrap().json();
    let request = request.access_token_at("/d/t").unwrap().refresh_token_at("/d/r").unwrap();
    assert!(request.clone().param("renewal", "x").is_ok());
    let disk = Disk::default();
    let keep = |_: String| async { Ok::<_, std::io::Error>(()) };
    let taken = request.clone().param("renewal", "x").unwrap();
    assert!(RefreshToken::with_request(taken, "renewal", "r1", keep).unwrap_err().is_config());
    assert!(RefreshToken::with_request(request.clone(), "renewal", "", keep).unwrap_err().is_config());
    let grant = RefreshToken::with_request(request, "renewal", "r1", keep).unwrap();
    assert!(grant.clone().param("renewal", "x").is_err() && grant.clone().secret_param("renewal", "x").is_err());
    for _ in 0..2 {
        grant.token(None).await.unwrap();
    }
    assert_eq!(*seen.lock().unwrap(), [r#"{"renewal":"r1"}"#, r#"{"renewal":"next \"one\""}"#]);
    assert!(disk.begun().is_empty());
}
