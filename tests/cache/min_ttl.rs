//! Who needs a token that lives on for a while gets one, and nobody else waits for it.

use std::{pin::pin, task::Poll, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower_oauth2::{MinTtl, Token, TokenCache};

use crate::support::{Answer, Issuer, millis, poll_once, secs};

#[tokio::test(start_paused = true)]
async fn a_demand_waits_for_another_token_while_others_go_on_with_the_old_one() {
    let issuer = Issuer::new(secs(1000)).latency(millis(500));
    let tokens = TokenCache::new(issuer.clone());
    tokens.token().await.unwrap();
    sleep(secs(600)).await;
    let mut demanding = JoinSet::new();
    for _ in 0..100 {
        let tokens = tokens.clone();
        demanding.spawn(async move { tokens.token_with(MinTtl::new(secs(450))).await.unwrap() });
    }
    sleep(millis(100)).await;
    assert_eq!(at_once(&tokens).await.secret(), "t1");
    let start = Instant::now();
    let served = demanding.join_all().await;
    assert_eq!((Instant::now() - start).as_millis(), 400);
    assert!(served.iter().all(|token| token.secret() == "t2"));
    assert_eq!(at_once(&tokens).await.secret(), "t2");
    assert_eq!((issuer.requests(), tokens.stats().waited), (2, 101));
}

#[tokio::test(start_paused = true)]
async fn a_demand_that_is_met_costs_nothing() {
    let issuer = Issuer::new(secs(1000));
    let tokens = TokenCache::new(issuer.clone());
    tokens.warm_up().await.unwrap();
    sleep(secs(400)).await;
    let Poll::Ready(token) = poll_once(pin!(tokens.token_with(MinTtl::new(secs(599))))) else { panic!("it waits") };
    assert_eq!(token.unwrap().secret(), "t1");
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_demand_makes_a_hot_loop() {
    for (life, most) in [(0, 61), (1, 61), (2, 61), (10, 13), (100, 2)] {
        for min_ttl in [secs(5), secs(86_400), Duration::MAX] {
            let issuer = Issuer::new(secs(life)).latency(millis(5));
            let tokens = TokenCache::new(issuer.clone());
            let end = Instant::now() + secs(60);
            while Instant::now() < end {
                tokens.token_with(MinTtl::new(min_ttl)).await.unwrap();
                sleep(millis(10)).await;
            }
            assert!((1..=most).contains(&issuer.requests()), "{} for {life} s, {min_ttl:?}", issuer.requests());
            assert!(issuer.asked().windows(2).all(|pair| pair[1].at - pair[0].at >= secs(1)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_issuer_fails_a_demand_fails_and_asks_no_more_often_than_others() {
    let issuer = Issuer::new(secs(1000)).latency(millis(100));
    let tokens = TokenCache::new(issuer.clone());
    tokens.warm_up().await.unwrap();
    issuer.always(Answer::Permanent);
    sleep(secs(600)).await;
    let start = Instant::now();
    let mut failed = 0;
    while Instant::now() < start + secs(50) {
        let error = tokens.token_with(MinTtl::new(secs(500))).await.unwrap_err();
        assert!(error.retry_at().is_some());
        failed += 1;
        assert_eq!(at_once(&tokens).await.secret(), "t1");
        sleep(millis(10)).await;
    }
    assert!(failed > 1000);
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_came_for_a_demand_is_handed_over_even_if_it_does_not_meet_it() {
    let issuer = Issuer::new(secs(60)).latency(secs(20));
    let tokens = TokenCache::new(issuer.clone());
    let token = tokens.token_with(MinTtl::new(secs(600))).await.unwrap();
    assert_eq!(token.secret(), "t1");
    assert_eq!(issuer.requests(), 1);
}

/// The token, without a moment's wait.
async fn at_once(tokens: &TokenCache) -> Token {
    let Poll::Ready(token) = poll_once(pin!(tokens.token())) else { panic!("a caller waits") };
    token.unwrap()
}
