//! What callers see, and how often the issuer is asked, while it fails.

use std::{error::Error as _, pin::pin, task::Poll};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tower_oauth2::{Error, Token, TokenCache, source_fn};

use crate::support::{Answer, Issuer, millis, poll_once, secs};

#[tokio::test(start_paused = true)]
async fn one_failure_is_shared_by_all_who_waited() {
    for answer in [Answer::Transient, Answer::Permanent] {
        let issuer = Issuer::new(secs(100)).latency(millis(100));
        issuer.always(answer);
        let tokens = TokenCache::new(issuer.clone());
        let mut callers = JoinSet::new();
        for _ in 0..1000 {
            let tokens = tokens.clone();
            callers.spawn(async move { tokens.token().await.unwrap_err() });
        }
        for error in callers.join_all().await {
            assert_eq!(error.source().unwrap().to_string(), "failure 1");
            assert!(error.retry_at().is_some());
        }
        assert_eq!((issuer.requests(), tokens.stats().failed), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_asked_ten_thousand_times_makes_five_requests_at_most() {
    let issuer = Issuer::new(secs(100));
    issuer.always(Answer::Permanent);
    let tokens = TokenCache::new(issuer.clone());
    for _ in 0..10_000 {
        let error = tokens.token().await.unwrap_err();
        assert!(!error.is_transient());
        sleep(millis(60)).await;
    }
    // At 0, 60, 180 and 420 s of the ten minutes.
    assert_eq!(issuer.requests(), 4);
}

#[tokio::test(start_paused = true)]
async fn while_it_cools_down_the_same_error_comes_at_once_and_says_until_when() {
    let issuer = Issuer::new(secs(100));
    issuer.next([Answer::RetryAfter(secs(20))]);
    let tokens = TokenCache::new(issuer.clone());
    let start = Instant::now();
    let first = tokens.token().await.unwrap_err();
    assert_eq!(first.retry_at(), Some(start + secs(20)));
    sleep_until(start + secs(20) - millis(1)).await;
    let Poll::Ready(Err(again)) = poll_once(pin!(tokens.token())) else { panic!("not at once") };
    assert_eq!(again.retry_at(), first.retry_at());
    assert_eq!(again.source().unwrap().to_string(), "busy");
    assert_eq!(issuer.requests(), 1);
    sleep(millis(1)).await;
    assert_eq!(tokens.token().await.unwrap().secret(), "t2");
}

#[tokio::test(start_paused = true)]
async fn transient_failures_are_bounded_by_time_and_not_by_callers() {
    let requests = async |pause| {
        let issuer = Issuer::new(secs(100));
        issuer.always(Answer::Transient);
        let tokens = TokenCache::builder(issuer.clone()).seed(3).build();
        let end = Instant::now() + secs(600);
        while Instant::now() < end {
            for _ in 0..10 {
                tokens.token().await.unwrap_err();
            }
            sleep(pause).await;
        }
        let asked = issuer.asked();
        assert!(asked.windows(2).all(|pair| pair[1].at - pair[0].at >= secs(1)));
        asked.len()
    };
    let (few, many) = (requests(millis(500)).await, requests(millis(20)).await);
    assert!((10..=80).contains(&few), "{few}");
    assert!(many <= few + few / 4 + 5, "{many} with 25 times the callers, {few} without");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_source_is_an_error_for_all_and_passes() {
    let issuer = Issuer::new(secs(100)).latency(millis(100));
    issuer.next([Answer::Panic]);
    let tokens = TokenCache::new(issuer.clone());
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let tokens = tokens.clone();
        callers.spawn(async move { tokens.token().await.unwrap_err() });
    }
    let errors = callers.join_all().await;
    assert!(errors.iter().all(|error| error.is_transient() && error.to_string() == "the token source panicked"));
    assert_eq!(issuer.requests(), 1);
    sleep_until(errors[0].retry_at().unwrap()).await;
    assert_eq!(tokens.token().await.unwrap().secret(), "t2");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_before_its_future_is_an_error_too() {
    let tokens = TokenCache::new(source_fn(|rejected: Option<Token>| {
        assert!(rejected.is_some(), "always");
        std::future::ready(Token::new("a"))
    }));
    let error = tokens.token().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("panicked"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up_after_the_fetch_timeout() {
    let issuer = Issuer::new(secs(100));
    issuer.next([Answer::Hang]);
    let tokens = TokenCache::builder(issuer.clone()).fetch_timeout(secs(7)).build();
    let start = Instant::now();
    let error = tokens.token().await.unwrap_err();
    assert_eq!((Instant::now() - start).as_secs(), 7);
    assert!(error.is_timeout() && error.is_transient(), "{error}");
    sleep_until(error.retry_at().unwrap()).await;
    assert_eq!(tokens.token().await.unwrap().secret(), "t2");
}

#[tokio::test(start_paused = true)]
async fn the_pause_of_a_failure_is_over_when_a_token_comes() {
    let issuer = Issuer::new(secs(10));
    issuer.next([Answer::Permanent, Answer::Permanent, Answer::Mint, Answer::Permanent]);
    let tokens = TokenCache::new(issuer.clone());
    let mut pauses = Vec::new();
    for _ in 0..4 {
        match tokens.token().await {
            Ok(_) => sleep(secs(11)).await,
            Err(error) => {
                let until = error.retry_at().unwrap();
                pauses.push((until - Instant::now()).as_secs());
                sleep_until(until).await;
            }
        }
    }
    assert_eq!(pauses, [60, 120, 60]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_stays_while_the_issuer_is_failing() {
    let issuer = Issuer::new(secs(100));
    let tokens = TokenCache::builder(issuer.clone()).refresh_before(secs(50)).build();
    let token = tokens.token().await.unwrap();
    issuer.always(Answer::Permanent);
    sleep(secs(60)).await;
    tokens.token().await.unwrap();
    sleep(millis(1)).await;
    assert_eq!(tokens.stats().failed, 1);
    assert!(!tokens.reject(&token), "the 401 says more than an error of the issuer would");
    assert_eq!(tokens.token().await.unwrap().secret(), "t1");
}

#[tokio::test(start_paused = true)]
async fn a_token_refused_while_the_issuer_failed_is_replaced_as_soon_as_it_can_be() {
    let issuer = Issuer::new(secs(1000)).latency(millis(100));
    let tokens = TokenCache::builder(issuer.clone()).refresh_before(secs(500)).build();
    let token = tokens.token().await.unwrap();
    issuer.next([Answer::RetryAfter(secs(20)), Answer::RetryAfter(secs(20)), Answer::Mint]);
    sleep(secs(600)).await;
    tokens.token().await.unwrap();
    sleep(secs(1)).await;
    assert!(!tokens.reject(&token));
    sleep(secs(20)).await;
    let mut caller = pin!(tokens.token());
    assert!(poll_once(caller.as_mut()).is_pending(), "another may be had now");
    assert_eq!(caller.await.unwrap().secret(), "t1", "and was not: this one may still be good for something");
    assert_eq!(issuer.requests(), 3);
    assert_eq!(issuer.asked()[2].rejected.as_deref(), Some("t1"));
    sleep(secs(21)).await;
    assert_eq!(tokens.token().await.unwrap().secret(), "t4");
}

#[tokio::test(start_paused = true)]
async fn a_source_of_ones_own_sees_its_own_error_come_back() {
    let tokens = TokenCache::new(source_fn(|_| async { Err(Error::permanent(std::io::Error::other("sealed"))) }));
    let error = tokens.token().await.unwrap_err();
    let source = error.source().unwrap().downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(source.to_string(), "sealed");
}
