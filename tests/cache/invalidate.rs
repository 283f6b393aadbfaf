//! An order that nothing heard so far holds any more, and a token ahead of the first request.

use std::{pin::pin, task::Poll};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_oauth2::{MinTtl, OAuthLayer, TokenCache};

use crate::support::{Answer, Issuer, millis, poll_once, secs};

#[tokio::test(start_paused = true)]
async fn the_next_caller_gets_another_token_and_the_source_is_told_of_the_old_one() {
    let issuer = Issuer::new(secs(1000));
    let tokens = TokenCache::new(issuer.clone());
    tokens.token().await.unwrap();
    sleep(secs(5)).await;
    tokens.invalidate();
    assert_eq!(tokens.token().await.unwrap().secret(), "t2");
    assert_eq!(issuer.asked()[1].rejected.as_deref(), Some("t1"));
    assert_eq!((tokens.stats().invalidated, tokens.stats().rejected), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_what_no_longer_counts_wait_for_the_next_flight() {
    for answer in [Answer::Mint, Answer::Permanent, Answer::Transient, Answer::RetryAfter(secs(60))] {
        let issuer = Issuer::new(secs(1000)).latency(millis(500));
        issuer.next([answer]);
        let tokens = TokenCache::new(issuer.clone());
        let mut callers = JoinSet::new();
        for _ in 0..100 {
            let tokens = tokens.clone();
            callers.spawn(async move { tokens.token().await.unwrap() });
        }
        sleep(millis(100)).await;
        tokens.invalidate();
        assert!(callers.join_all().await.iter().all(|token| token.secret() == "t2"));
        let asked = issuer.asked();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[1].at - asked[0].at, secs(1), "the interval holds");
        let stats = tokens.stats();
        assert_eq!((stats.requests, stats.minted, stats.failed, stats.superseded, stats.waited), (2, 1, 0, 1, 100));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stored_failure_and_its_pause_are_forgotten() {
    let issuer = Issuer::new(secs(1000));
    issuer.next([Answer::Permanent]);
    let tokens = TokenCache::new(issuer.clone());
    tokens.token().await.unwrap_err();
    sleep(secs(2)).await;
    tokens.token().await.unwrap_err();
    assert_eq!(issuer.requests(), 1);
    tokens.invalidate();
    assert_eq!(tokens.token().await.unwrap().secret(), "t2");
}

#[tokio::test(start_paused = true)]
async fn orders_without_end_neither_ask_in_a_loop_nor_keep_callers_for_ever() {
    let issuer = Issuer::new(secs(1000)).latency(millis(300));
    let tokens = TokenCache::new(issuer.clone());
    let start = Instant::now();
    let mut caller = JoinSet::new();
    let waiting = tokens.clone();
    caller.spawn(async move { waiting.token().await.unwrap_err() });
    while caller.try_join_next().is_none_or(|error| !error.unwrap().is_transient()) {
        assert!(Instant::now() < start + secs(60), "the caller still waits");
        tokens.invalidate();
        sleep(millis(10)).await;
    }
    assert!(issuer.asked().windows(2).all(|pair| pair[1].at - pair[0].at >= secs(1)));
    assert!((10..=18).contains(&issuer.requests()), "{}", issuer.requests());
    assert_eq!(tokens.token().await.unwrap().secret(), format!("t{}", issuer.requests()));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_keeps_a_copy_of_the_token_hears_of_it() {
    let issuer = Issuer::new(secs(1000));
    let tokens = TokenCache::new(issuer.clone());
    let layer = OAuthLayer::for_origin("https://api.example.com", tokens.clone()).unwrap();
    let mut api = layer.layer(service_fn(|request: http::Request<()>| async move {
        Ok::<_, BoxError>(http::Response::new(request.headers()["authorization"].to_str().unwrap().to_owned()))
    }));
    let mut sent = async || {
        let request = http::Request::get("https://api.example.com/").body(()).unwrap();
        api.ready().await.unwrap().call(request).await.unwrap().into_body()
    };
    for _ in 0..4 {
        assert_eq!(sent().await, "Bearer t1");
    }
    tokens.invalidate();
    assert_eq!(sent().await, "Bearer t2");
    for _ in 0..4 {
        assert_eq!(sent().await, "Bearer t2");
    }

    // Refused, while another cannot be had, long before its refresh is due.
    let token = tokens.token().await.unwrap();
    issuer.next([Answer::RetryAfter(secs(20))]);
    sleep(secs(600)).await;
    tokens.token_with(MinTtl::new(secs(500))).await.unwrap_err();
    assert_eq!(sent().await, "Bearer t2");
    assert!(!tokens.reject(&token));
    sleep(secs(19)).await;
    assert_eq!(sent().await, "Bearer t2");
    sleep(secs(1)).await;
    assert_eq!(sent().await, "Bearer t4");
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_warm_makes_nobody_wait() {
    let issuer = Issuer::new(secs(1000)).latency(millis(500));
    let tokens = TokenCache::new(issuer.clone());
    assert!(timeout(millis(100), tokens.warm_up()).await.is_err(), "given up, and it goes on");
    tokens.warm_up().await.unwrap();
    assert!(matches!(poll_once(pin!(tokens.token())), Poll::Ready(Ok(_))));
    tokens.warm_up().await.unwrap();
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_cannot_be_warmed_says_why_and_tries_again() {
    let issuer = Issuer::new(secs(1000));
    issuer.next([Answer::Transient]);
    let tokens = TokenCache::new(issuer.clone());
    let error = tokens.warm_up().await.unwrap_err();
    assert!(error.is_transient());
    tokio::time::sleep_until(error.retry_at().unwrap()).await;
    tokens.warm_up().await.unwrap();
}
