//! What a cache tells of its token, to whom, and when it ends.

use std::{
    pin::{Pin, pin},
    task::Poll,
};

use futures_util::{Stream, StreamExt};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tower_oauth2::{
    OAuthLayer, TokenCache,
    cache::{Event, Events, Reason, RejectionOutcome},
};

use crate::support::{Answer, Issuer, millis, poll_once, secs};

#[tokio::test(start_paused = true)]
async fn a_life_is_told_from_the_first_token_on() {
    let issuer = Issuer::new(secs(100)).latency(millis(500));
    let tokens = TokenCache::new(issuer.clone());
    let mut events = tokens.events();
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let tokens = tokens.clone();
        callers.spawn(async move { tokens.token().await.unwrap() });
    }
    let token = callers.join_all().await.pop().unwrap();
    let Some(Event::Refreshed { generation, reason, took, expires_in, waiters, .. }) = ready(&mut events) else {
        panic!("no token")
    };
    assert_eq!((generation, reason, waiters), (token.generation(), Reason::First, 10));
    assert_eq!((took, expires_in), (millis(500), millis(99_500)));

    issuer.always(Answer::RetryAfter(secs(20)));
    sleep(secs(90)).await;
    tokens.token().await.unwrap();
    assert!(ready(&mut events).is_none(), "a hit is no event");
    sleep(secs(1)).await;
    let Some(Event::RefreshFailed { error, reason, took, waiters, retry_at, .. }) = ready(&mut events) else {
        panic!("no failure")
    };
    assert!(error.is_transient() && retry_at == error.retry_at());
    assert_eq!((reason, took, waiters), (Reason::Early, millis(500), 0));
    assert_eq!(retry_at.unwrap() - Instant::now(), millis(19_500));

    tokens.reject(&token);
    tokens.reject(&token);
    let Some(Event::Rejected { generation, age, outcome, .. }) = ready(&mut events) else { panic!("no refusal") };
    assert_eq!((generation, age, outcome), (token.generation(), millis(91_500), RejectionOutcome::Kept));
    assert!(ready(&mut events).is_none(), "told once");

    tokens.invalidate();
    assert!(matches!(ready(&mut events), Some(Event::Invalidated)));
    issuer.always(Answer::Mint);
    let token = tokens.token().await.unwrap();
    let reasons = refreshed(&mut events);
    assert_eq!(reasons, Some((token.generation(), Reason::Invalidated, 1)));
    tokens.reject(&token);
    tokens.reject(&token);
    let Some(Event::Rejected { outcome, .. }) = ready(&mut events) else { panic!("no refusal") };
    assert_eq!(outcome, RejectionOutcome::Dropped);
    assert!(ready(&mut events).is_none(), "a late refusal is no event");
    let token = tokens.token().await.unwrap();
    assert_eq!(refreshed(&mut events), Some((token.generation(), Reason::Rejected, 1)));
    sleep(secs(200)).await;
    tokens.token().await.unwrap();
    assert!(matches!(refreshed(&mut events), Some((_, Reason::Expired, 1))));
    assert!(ready(&mut events).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_with_the_last_clone_even_if_a_token_request_hangs() {
    let issuer = Issuer::new(secs(100));
    issuer.next([Answer::Hang]);
    let tokens = TokenCache::new(issuer.clone());
    let mut events = tokens.events();
    assert!(timeout(millis(10), tokens.token()).await.is_err());
    assert_eq!(issuer.requests(), 1, "it is under way");
    let layer = OAuthLayer::for_origin("https://api.example.com", tokens).unwrap();
    assert!(timeout(secs(1), events.next()).await.is_err(), "a layer has a clone");
    drop(layer);
    let start = Instant::now();
    assert!(events.next().await.is_none());
    assert!(events.next().await.is_none(), "and stays the end");
    assert_eq!(Instant::now(), start);
}

#[tokio::test(start_paused = true)]
async fn what_was_told_before_the_end_is_heard() {
    let tokens = TokenCache::new(Issuer::new(secs(100)));
    let mut events = tokens.events();
    tokens.token().await.unwrap();
    tokens.invalidate();
    drop(tokens);
    assert!(matches!(events.next().await, Some(Event::Refreshed { .. })));
    assert!(matches!(events.next().await, Some(Event::Invalidated)));
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_told_how_much_it_missed_and_goes_on() {
    let tokens = TokenCache::new(Issuer::new(secs(100)));
    let mut events = tokens.events();
    for _ in 0..300 {
        tokens.invalidate();
    }
    let Some(Event::Missed(missed)) = events.next().await else { panic!("nothing was missed") };
    assert_eq!(missed, 300 - 256);
    let mut heard = 0;
    while let Some(Event::Invalidated) = ready(&mut events) {
        heard += 1;
    }
    assert_eq!(heard, 256);
    tokens.token().await.unwrap();
    assert!(matches!(events.next().await, Some(Event::Refreshed { .. })));
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_hears_what_comes_later_and_who_waits_is_woken() {
    let tokens = TokenCache::new(Issuer::new(secs(100)).latency(millis(100)));
    let mut early = tokens.events();
    tokens.token().await.unwrap();
    let mut late = tokens.events();
    tokens.invalidate();
    assert!(matches!(early.next().await, Some(Event::Refreshed { .. })));
    assert!(matches!(early.next().await, Some(Event::Invalidated)));
    assert!(matches!(late.next().await, Some(Event::Invalidated)));
    let reader = tokio::spawn(async move {
        let event = late.next().await;
        (event, Instant::now())
    });
    sleep(secs(5)).await;
    tokens.token().await.unwrap();
    let (event, at) = reader.await.unwrap();
    assert!(matches!(event, Some(Event::Refreshed { .. })));
    assert_eq!(at, Instant::now());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_loses_no_event() {
    let tokens = TokenCache::new(Issuer::new(secs(100)).latency(millis(100)));
    let mut events = tokens.events();
    for _ in 0..10 {
        assert!(timeout(millis(1), events.next()).await.is_err());
    }
    tokens.token().await.unwrap();
    assert!(timeout(secs(1), events.next()).await.unwrap().is_some());
    tokens.invalidate();
    let rest: Vec<Event> = {
        drop(tokens);
        events.collect().await
    };
    assert!(matches!(rest[..], [Event::Invalidated]));
}

#[test]
fn names_are_stable() {
    let reasons =
        [Reason::First, Reason::Early, Reason::Expired, Reason::Rejected, Reason::MinTtl, Reason::Invalidated];
    assert_eq!(
        reasons.map(|reason| reason.to_string()),
        ["first", "early", "expired", "rejected", "min_ttl", "invalidated"]
    );
    let outcomes = [RejectionOutcome::Dropped, RejectionOutcome::Superseded, RejectionOutcome::Kept];
    assert_eq!(outcomes.map(|outcome| outcome.to_string()), ["dropped", "superseded", "kept"]);
}

#[test]
fn a_stream_of_events_can_cross_threads() {
    fn streamed<T: Stream + Send + Sync + Unpin + std::fmt::Debug + 'static>() {}
    streamed::<Events>();
    fn shared<T: Send + Sync + Unpin + Clone + std::fmt::Debug + 'static>() {}
    shared::<Event>();
}

/// What is there already. Not to be mixed with the end.
fn ready(events: &mut Events) -> Option<Event> {
    match poll_once(pin!(events.next())) {
        Poll::Ready(event) => Some(event.expect("the end")),
        Poll::Pending => None,
    }
}

fn refreshed(events: &mut Events) -> Option<(u64, Reason, u32)> {
    match poll_once(Pin::new(&mut StreamExt::next(events))) {
        Poll::Ready(Some(Event::Refreshed { generation, reason, waiters, .. })) => Some((generation, reason, waiters)),
        _ => None,
    }
}
