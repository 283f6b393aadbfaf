//! A run that somebody wants to end, whatever it is waiting for.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use tokio::time::Instant;
use tower_oauth2::testing::{Fault, Issuer};

use support::{Api, Exporter, ID, Outcome, Running, SECRET, signal};

const PERIOD: [&str; 4] = ["--from", "2026-03-01T00:00:00Z", "--to", "2026-03-08T00:00:00Z"];
const WEEK: &str = "2026-03-01T00:00:00.000Z/2026-03-08T00:00:00.000Z";

/// How it ends after a signal, and that it does so within two seconds.
async fn ended(run: Running, name: &str) -> Outcome {
    let asked = Instant::now();
    signal(&run.child, name).await;
    let outcome = run.end().await;
    assert!(Instant::now() - asked < Duration::from_secs(2), "{}", outcome.stderr);
    assert_eq!(outcome.code, Some(if name == "INT" { 130 } else { 143 }), "{}", outcome.stderr);
    outcome
}

async fn after_requests(api: &Api, requests: u64) {
    while api.analytics.stats().requests < requests {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn a_long_wait_for_a_retry_after_is_left_and_the_next_run_goes_on() {
    for (name, flags) in [("INT", &[][..]), ("TERM", &["--concurrency", "3"])] {
        let api = Api::serve(|it| it.records(120).interval(WEEK).unwrap()).await;
        let exporter = || {
            let mut exporter = Exporter::of(&api).args(PERIOD).args(["--page-size", "10"]);
            for flag in flags {
                exporter = exporter.args([flag]);
            }
            exporter
        };
        api.analytics.fail_next(Fault::RetryAfter(429, Duration::from_secs(150)));
        let run = exporter().start();
        after_requests(&api, 1).await;
        let outcome = ended(run, name).await;
        exporter().after(outcome).exits(0).await.kept(&api, 120);
    }
}

#[tokio::test]
async fn the_page_in_hand_is_finished_first() {
    let api = Api::serve(|it| it.records(100).interval(WEEK).unwrap().latency(Duration::from_millis(500))).await;
    let run = Exporter::of(&api).args(PERIOD).args(["--page-size", "10"]).start();
    after_requests(&api, 3).await;
    let outcome = ended(run, "INT").await;
    outcome.kept(&api, 30).says(["interrupted", "after 30 conversations", "to go on"]);
    assert_eq!(api.analytics.stats().requests, 3, "and no other one is asked for");
}

#[tokio::test]
async fn a_page_that_does_not_come_is_not_waited_for() {
    for concurrency in ["1", "4"] {
        let api = Api::serve(|it| it.records(100).interval(WEEK).unwrap()).await;
        (0..4).for_each(|_| api.analytics.fail_next(Fault::Stall));
        let run = Exporter::of(&api).args(PERIOD).args(["--concurrency", concurrency]).start();
        after_requests(&api, concurrency.parse().unwrap()).await;
        ended(run, "TERM").await;
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let api = Api::serve(|it| it.records(100).interval(WEEK).unwrap()).await;
    api.analytics.fail_next(Fault::Hang);
    let run = Exporter::of(&api).args(PERIOD).start();
    after_requests(&api, 1).await;
    signal(&run.child, "INT").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let asked = Instant::now();
    signal(&run.child, "TERM").await;
    let outcome = run.end().await;
    assert_eq!(outcome.code, Some(143), "{}", outcome.stderr);
    assert!(Instant::now() - asked < Duration::from_millis(500));
}

#[tokio::test]
async fn a_run_that_has_no_token_yet_ends_as_well() {
    let issuer = Issuer::builder().client(ID, SECRET).latency(Duration::from_secs(15)).build();
    let api = Api::serve_with(issuer, |it| it.records(100).interval(WEEK).unwrap()).await;
    for source in ["details", "job", "users"] {
        let flags = if source == "users" { &[][..] } else { &PERIOD };
        let mut exporter = Exporter::of(&api).args(["--source", source]);
        for flag in flags {
            exporter = exporter.args([flag]);
        }
        let before = api.issuer.stats().requests;
        let run = exporter.start();
        while api.issuer.stats().requests == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let outcome = ended(run, "INT").await;
        assert!(!outcome.stderr.contains("not complete"), "{}", outcome.stderr);
    }
}
