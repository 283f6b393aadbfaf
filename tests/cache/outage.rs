//! What an outage of the issuer costs it, and how soon its end is noticed.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tower_oauth2::TokenCache;

use crate::support::{Answer, Issuer, millis, secs};

#[tokio::test(start_paused = true)]
async fn ten_minutes_cost_25_requests_at_most_whatever_the_load() {
    for seed in 0..6 {
        let mut counts = Vec::new();
        for per_second in [1, 10_000] {
            let issuer = Issuer::new(secs(1000)).latency(millis(50));
            issuer.always(Answer::Transient);
            let tokens = TokenCache::builder(issuer.clone()).seed(seed).build();
            let calls = fails(&tokens, per_second, secs(600)).await;
            assert!(calls >= 600, "{calls}");
            counts.push(issuer.requests());
        }
        assert!(counts[0].abs_diff(counts[1]) <= 1, "{counts:?}, seed {seed}");
        assert!(counts.iter().all(|count| (20..=25).contains(count)), "{counts:?}, seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_hangs_is_asked_on_the_same_beat() {
    for seed in 0..3 {
        let mut counts = Vec::new();
        for (fetch_timeout, per_second) in [(10, 1), (10, 20), (30, 1), (30, 20)] {
            let issuer = Issuer::new(secs(1000));
            issuer.always(Answer::Hang);
            let tokens = TokenCache::builder(issuer.clone()).seed(seed).fetch_timeout(secs(fetch_timeout)).build();
            fails(&tokens, per_second, secs(600)).await;
            counts.push(issuer.requests());
        }
        assert!(counts.iter().all(|count| (19..=25).contains(count)), "{counts:?}, seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn its_end_is_noticed_within_thirty_seconds() {
    for answer in [Answer::Transient, Answer::Hang] {
        for seed in 0..20 {
            let issuer = Issuer::new(secs(1000)).latency(millis(50));
            issuer.always(answer.clone());
            let tokens = TokenCache::builder(issuer.clone()).seed(seed).build();
            let outage = secs(600) + millis(1700) * u32::try_from(seed).unwrap();
            fails(&tokens, 1, outage).await;
            issuer.always(Answer::Mint);
            let healed = Instant::now();
            while tokens.token().await.is_err() {
                sleep(millis(1)).await;
            }
            // Two answers may be under way: one that began before the end, and the one that is good.
            let noticed = Instant::now() - healed;
            assert!(noticed <= secs(30) + millis(105), "{noticed:?}, seed {seed}, {answer:?}");
        }
    }
}

/// As many calls a second for that long, all of which fail; how many were made. Of 10,000 a second most are left out where
/// nothing can come of them: while the stored error says that it is not the time yet. 20 a second are made there.
async fn fails(tokens: &TokenCache, per_second: u32, length: Duration) -> u64 {
    let end = Instant::now() + length;
    let (pause, burst) = if per_second > 1000 { (millis(1), per_second / 1000) } else { (secs(1) / per_second, 1) };
    let mut callers = JoinSet::new();
    let (mut calls, mut retry_at) = (0, Instant::now());
    while Instant::now() < end {
        for _ in 0..burst {
            let tokens = tokens.clone();
            callers.spawn(async move { tokens.token().await.unwrap_err().retry_at() });
            calls += 1;
        }
        let idle = burst > 1 && Instant::now() + millis(60) < retry_at;
        sleep(if idle { millis(50) } else { pause }).await;
        while let Some(error) = callers.try_join_next() {
            retry_at = retry_at.max(error.unwrap().unwrap());
        }
    }
    callers.abort_all();
    sleep_until(end).await;
    calls
}
