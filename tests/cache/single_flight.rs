//! One token request at a time, ahead of expiry, whatever callers do.

use std::{collections::HashSet, pin::pin, task::Poll};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tower_oauth2::{Token, TokenCache};

use crate::support::{Answer, Issuer, millis, poll_once, secs};

#[tokio::test(start_paused = true)]
async fn ten_thousand_tasks_at_one_expiry_make_one_request() {
    let issuer = Issuer::new(secs(100)).latency(millis(200));
    let tokens = TokenCache::new(issuer.clone());
    tokens.token().await.unwrap();
    sleep(secs(100)).await;
    let served = everybody(10_000, &tokens).await;
    assert_eq!(served, HashSet::from(["t2".to_owned()]));
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_expiries_under_load_make_a_hundred_and_one_requests() {
    let issuer = Issuer::new(secs(60)).latency(millis(100));
    let tokens = TokenCache::new(issuer.clone());
    for expected in 1..=101 {
        let served = everybody(100, &tokens).await;
        assert_eq!(served, HashSet::from([format!("t{expected}")]));
        // Past the end of it, with nobody there to refresh it ahead.
        sleep(secs(61)).await;
    }
    assert_eq!(issuer.requests(), 101);
}

#[tokio::test(start_paused = true)]
async fn steady_callers_never_wait_for_a_refresh_and_each_token_serves_most_of_its_life() {
    let issuer = Issuer::new(secs(60)).latency(millis(900));
    let tokens = TokenCache::builder(issuer.clone()).seed(1).build();
    tokens.token().await.unwrap();
    let end = Instant::now() + secs(3600);
    while Instant::now() < end {
        at_once(&tokens).await;
        sleep(millis(250)).await;
    }
    // 60 s less 12 s ± 10 %, give or take a call and the latency.
    let requests = issuer.requests();
    assert!((3600 / 52..=3600 / 46).contains(&requests), "{requests}");
}

#[tokio::test(start_paused = true)]
async fn a_short_token_is_not_refreshed_on_every_call() {
    let issuer = Issuer::new(secs(2));
    let tokens = TokenCache::new(issuer.clone());
    for _ in 0..1000 {
        tokens.token().await.unwrap();
        sleep(millis(10)).await;
    }
    assert!((5..=8).contains(&issuer.requests()), "{}", issuer.requests());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_who_give_up_make_one_request_whose_token_is_kept() {
    let issuer = Issuer::new(secs(3600)).latency(millis(500));
    let tokens = TokenCache::new(issuer.clone());
    let mut callers = JoinSet::new();
    for _ in 0..1000 {
        let tokens = tokens.clone();
        callers.spawn(async move { timeout(millis(50), tokens.token()).await.is_err() });
    }
    assert!(callers.join_all().await.into_iter().all(|gave_up| gave_up));
    assert_eq!(tokens.stats().minted, 0);
    sleep(millis(500)).await;
    assert_eq!(at_once(&tokens).await.secret(), "t1");
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_dead_for_half_a_life_fails_and_delays_nobody() {
    for (answer, most) in [(Answer::Transient, 200), (Answer::Permanent, 6), (Answer::Hang, 60)] {
        let issuer = Issuer::new(secs(3600)).latency(secs(2));
        let tokens = TokenCache::builder(issuer.clone()).seed(7).build();
        let minted = Instant::now();
        tokens.token().await.unwrap();
        issuer.always(answer.clone());
        sleep_until(minted + secs(1800)).await;
        while Instant::now() < minted + secs(3600) - millis(1) {
            assert_eq!(at_once(&tokens).await.secret(), "t1");
            sleep(millis(999)).await;
        }
        assert!((3..most).contains(&issuer.requests()), "{answer:?}: {}", issuer.requests());
        issuer.always(Answer::Mint);
        sleep(secs(15 * 60)).await;
        assert_ne!(tokens.token().await.unwrap().secret(), "t1");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_the_source_is_told_the_last_refused_token() {
    let issuer = Issuer::new(secs(100));
    let tokens = TokenCache::new(issuer.clone());
    let first = tokens.token().await.unwrap();
    sleep(secs(100)).await;
    let second = tokens.token().await.unwrap();
    assert!(tokens.reject(&second));
    let third = tokens.token().await.unwrap();
    assert!(tokens.reject(&first) && tokens.reject(&second), "late, and another one is there");
    assert_eq!(at_once(&tokens).await.generation(), third.generation());
    sleep(secs(100)).await;
    tokens.token().await.unwrap();
    let told: Vec<_> = issuer.asked().into_iter().map(|asked| asked.rejected).collect();
    let t2 = Some("t2".to_owned());
    assert_eq!(told, [None, None, t2.clone(), t2]);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_refusals_of_one_token_make_one_request() {
    let issuer = Issuer::new(secs(3600)).latency(millis(100));
    let tokens = TokenCache::new(issuer.clone());
    let refused = tokens.token().await.unwrap();
    sleep(secs(60)).await;
    let mut callers = JoinSet::new();
    for _ in 0..1000 {
        let (tokens, refused) = (tokens.clone(), refused.clone());
        callers.spawn(async move { (tokens.reject(&refused), tokens.token().await.unwrap()) });
    }
    for (renewable, token) in callers.join_all().await {
        assert!(renewable);
        assert_eq!(token.secret(), "t2");
    }
    assert_eq!(issuer.requests(), 2);
    assert_eq!(tokens.stats().rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_of_an_old_token_mints_no_new_one() {
    let issuer = Issuer::new(secs(100));
    let tokens = TokenCache::new(issuer.clone());
    let old = tokens.token().await.unwrap();
    sleep(secs(90)).await;
    tokens.token().await.unwrap();
    sleep(secs(2)).await;
    assert_eq!(at_once(&tokens).await.secret(), "t2");
    assert!(tokens.reject(&old), "a replay would carry another token");
    assert_eq!(at_once(&tokens).await.secret(), "t2");
    assert_eq!((issuer.requests(), tokens.stats().rejected), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_string_minted_twice_is_two_tokens() {
    let issuer = Issuer::new(secs(3600));
    issuer.always(Answer::Spell("same"));
    let tokens = TokenCache::new(issuer.clone());
    let first = tokens.token().await.unwrap();
    assert!(tokens.reject(&first));
    let second = tokens.token().await.unwrap();
    assert_eq!(first.secret(), second.secret());
    assert_ne!(first.generation(), second.generation());
    assert!(tokens.reject(&first), "a late refusal of the first");
    assert_eq!(at_once(&tokens).await.generation(), second.generation());
}

#[tokio::test(start_paused = true)]
async fn what_refuses_every_token_forces_one_request_in_ten_seconds() {
    let issuer = Issuer::new(secs(3600));
    let tokens = TokenCache::new(issuer.clone());
    for _ in 0..600 {
        let token = tokens.token().await.unwrap();
        tokens.reject(&token);
        sleep(millis(100)).await;
    }
    assert!((6..=8).contains(&issuer.requests()), "{}", issuer.requests());
}

#[tokio::test(start_paused = true)]
async fn two_caches_never_take_the_token_of_the_other_for_their_own() {
    let (one, two) = (Issuer::new(secs(3600)), Issuer::new(secs(3600)));
    one.always(Answer::Spell("same"));
    two.always(Answer::Spell("same"));
    let (a, b) = (TokenCache::new(one.clone()), TokenCache::new(two.clone()));
    let of_a = a.token().await.unwrap();
    let of_b = b.token().await.unwrap();
    assert_ne!(of_a.generation(), of_b.generation());
    b.reject(&of_a);
    b.reject(&Token::new("same").unwrap());
    assert_eq!(at_once(&b).await.generation(), of_b.generation());
    assert_eq!((one.requests(), two.requests(), b.stats().rejected), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_lives_for_nothing_serves_those_who_wait_and_no_one_asks_in_a_loop() {
    let issuer = Issuer::new(secs(0)).latency(millis(100));
    let tokens = TokenCache::new(issuer.clone());
    assert_eq!(everybody(100, &tokens).await, HashSet::from(["t1".to_owned()]));
    assert_eq!(everybody(100, &tokens).await, HashSet::from(["t2".to_owned()]));
    let end = Instant::now() + secs(10);
    while Instant::now() < end {
        tokens.token().await.unwrap();
    }
    let asked = issuer.asked();
    assert!(asked.windows(2).all(|pair| pair[1].at - pair[0].at >= secs(1)));
    assert!((10..=14).contains(&asked.len()), "{}", asked.len());
}

#[tokio::test(start_paused = true)]
async fn the_life_of_a_token_counts_from_when_it_was_asked_for() {
    let issuer = Issuer::new(secs(10)).latency(secs(4));
    let tokens = TokenCache::new(issuer.clone());
    assert_eq!(tokens.token().await.unwrap().secret(), "t1");
    sleep(secs(6)).await;
    let mut caller = pin!(tokens.token());
    assert!(poll_once(caller.as_mut()).is_pending(), "it is over 10 s after the request, not after the answer");
    assert_eq!(caller.await.unwrap().secret(), "t2");
}

/// The tokens that as many tasks get.
async fn everybody(tasks: usize, tokens: &TokenCache) -> HashSet<String> {
    let mut callers = JoinSet::new();
    for _ in 0..tasks {
        let tokens = tokens.clone();
        callers.spawn(async move { tokens.token().await.unwrap().secret().to_owned() });
    }
    callers.join_all().await.into_iter().collect()
}

/// The token, without a moment's wait.
async fn at_once(tokens: &TokenCache) -> Token {
    let Poll::Ready(token) = poll_once(pin!(tokens.token())) else { panic!("a caller waits") };
    token.unwrap()
}
