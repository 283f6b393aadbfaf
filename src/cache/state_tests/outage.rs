use super::*;
use crate::cache::rules::Backoff;

/// Ten minutes.
const WINDOW: f64 = 600.0;

#[test]
fn transient_failures_are_spread_once_and_then_keep_a_steady_beat() {
    for (failures, least, most) in
        [(1, 0.0, 2.0), (2, 0.0, 8.0), (3, 0.0, 30.0), (4, 28.5, 30.0), (5, 28.5, 30.0), (40, 28.5, 30.0)]
    {
        let rules = Rules { min_interval: Duration::ZERO, ..Rules::default() };
        let pauses: Vec<f64> = (0..300)
            .map(|seed| {
                let mut cache = Cache::with(rules, seed);
                let mut now = 0.0;
                for _ in 1..failures {
                    now = cache.fail_at(now, Error::transient("x"));
                }
                cache.fail_at(now, Error::transient("x")) - now
            })
            .collect();
        let edge = (most - least) / 10.0;
        assert!(pauses.iter().all(|pause| (least - 1e-6..=most + 1e-6).contains(pause)), "failure {failures}");
        assert!(pauses.iter().any(|pause| *pause > most - edge), "failure {failures} does not reach its limit");
        assert!(pauses.iter().any(|pause| *pause < least + edge), "failure {failures} has no full jitter");
    }
}

#[test]
fn no_ten_minutes_of_an_outage_cost_more_than_25_requests() {
    for latency in [0.0, 0.2, 10.0, 30.0] {
        for seed in 0..300 {
            let asked = outage(seed, latency, 3600.0);
            for (nth, start) in asked.iter().enumerate() {
                let within = asked[nth..].iter().take_while(|at| **at < start + WINDOW).count();
                assert!(within <= 25, "{within} from {start} on, seed {seed}, latency {latency}");
            }
        }
    }
}

#[test]
fn the_issuer_is_asked_within_thirty_seconds_whenever_it_comes_back() {
    for latency in [0.0, 0.2, 10.0, 30.0] {
        for seed in 0..300 {
            let asked = outage(seed, latency, 3600.0);
            let longest = asked.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
            assert!(longest <= 30.0 + 1e-6, "{longest} between two requests, seed {seed}, latency {latency}");
            assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= 1.0 - 1e-6), "seed {seed}, latency {latency}");
        }
    }
}

#[test]
fn a_fleet_that_fails_together_does_not_come_back_together() {
    let mut counts = [0; 30];
    for seed in 0..1000 {
        let at = *outage(seed, 0.0, 1200.0).iter().find(|at| **at >= 600.0).unwrap();
        let second = usize::try_from(Duration::from_secs_f64(at - 600.0).as_secs()).unwrap();
        counts[second % 30] += 1;
    }
    assert!(counts.iter().all(|count| *count <= 100), "33 in each second would be even: {counts:?}");
}

#[test]
fn the_pause_counts_from_the_departure_and_a_retry_after_from_its_arrival() {
    let mut cache = Cache::new(0);
    let mut now = 0.0;
    for _ in 0..3 {
        now = cache.fail_at(now, Error::transient("x"));
    }
    let hangs = cache.launch(now);
    cache.depart(&hangs, now);
    let error = cache.failed(hangs.flight, Error::transient("x"), now + 20.0);
    let until = (error.retry_at().unwrap() - cache.at(now)).as_secs_f64();
    assert!((28.5..=30.0).contains(&until), "{until}");
    let now = now + until;
    let hangs = cache.launch(now);
    cache.depart(&hangs, now);
    let error = cache.failed(hangs.flight, Error::transient("x").with_retry_after(secs(25)), now + 20.0);
    assert_eq!(error.retry_at(), Some(cache.at(now) + secs(45)));
    let now = now + 45.0;
    let hangs = cache.launch(now);
    cache.depart(&hangs, now);
    let error = cache.failed(hangs.flight, Error::transient("x"), now + 40.0);
    assert_eq!(error.retry_at(), Some(cache.at(now + 40.0)), "the beat is over: whoever comes next asks");
    cache.launch(now + 40.0);
}

#[test]
fn a_base_as_long_as_the_cap_is_spread_once_too() {
    let constant = Backoff { base: secs(10), cap: secs(10) };
    let rules = Rules { min_interval: Duration::ZERO, transient_backoff: constant, ..Rules::default() };
    let firsts: Vec<f64> = (0..100).map(|seed| Cache::with(rules, seed).fail_at(0.0, Error::transient("x"))).collect();
    assert!(firsts.iter().any(|pause| *pause < 1.0) && firsts.iter().any(|pause| *pause > 9.0));
    let mut cache = Cache::with(rules, 0);
    let first = cache.fail_at(0.0, Error::transient("x"));
    let second = cache.fail_at(first, Error::transient("x")) - first;
    assert!((9.5..=10.0).contains(&second), "{second}");
}

/// When the issuer was asked, by callers who come at every moment, while each request fails after `latency`.
fn outage(seed: u64, latency: f64, length: f64) -> Vec<f64> {
    let mut cache = Cache::new(seed);
    let (mut now, mut asked) = (0.0, Vec::new());
    while now < length {
        let orders = cache.launch(now);
        let leaves = (orders.not_before - cache.start).as_secs_f64();
        cache.depart(&orders, leaves);
        asked.push(leaves);
        let error = cache.failed(orders.flight, Error::transient("x"), leaves + latency);
        let until = error.retry_at().unwrap();
        now = (until - cache.start).as_secs_f64();
        let just_before = (until - Duration::from_micros(1)).max(cache.at(leaves + latency));
        if just_before < until {
            assert!(matches!(cache.state.decide(just_before, Duration::ZERO), Decision::Fail(_)));
        }
    }
    asked
}
