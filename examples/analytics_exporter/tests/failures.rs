//! How a run ends that cannot succeed: at once, with words, with the right code, and with all that was exported until then.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tower_oauth2::testing::{Fault, Issuer, Outage};

use support::{Api, Exporter, ID, Outcome, SECRET, signal};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_wrong_secret_fails_at_once_after_one_request_and_says_what_to_check() {
    let issuer = Issuer::builder().client(ID, "another").build();
    let api = Api::serve_with(issuer, |it| it).await;
    let outcome = Exporter::of(&api).exits(3).await;
    let host = api.server.addr().to_string();
    outcome.within(2 * SECOND).says(["error: ", &host, "GENESYS_CLIENT_ID", "GENESYS_CLIENT_SECRET", "region"]);
    assert!(!outcome.stderr.contains(SECRET), "{}", outcome.stderr);
    assert_eq!((api.issuer.stats().requests, api.analytics.stats().requests), (1, 0));
    incomplete(&outcome, 0);
}

#[tokio::test]
async fn a_run_that_fails_before_its_first_page_leaves_the_last_export_alone() {
    let issuer = Issuer::builder().client(ID, "another").build();
    let api = Api::serve_with(issuer, |it| it).await;
    let outcome = Exporter::of(&api).write("conversations.ndjson", "yesterday\n").exits(3).await;
    assert_eq!(outcome.output(), "yesterday\n");
}

#[tokio::test]
async fn an_unknown_client_and_an_unknown_scope_say_what_to_check() {
    let issuer = Issuer::builder().client("somebody-else", SECRET).build();
    let unknown = Api::serve_with(issuer, |it| it).await;
    Exporter::of(&unknown).exits(3).await.within(2 * SECOND).says(["GENESYS_CLIENT_ID"]);
    let api = Api::serve(|it| it).await;
    let refusal = ("invalid_scope", "no such scope");
    api.issuer.set_outage(Some(Outage::OAuthError {
        status: 400,
        code: refusal.0.into(),
        description: refusal.1.into(),
    }));
    let outcome = Exporter::of(&api).env("GENESYS_SCOPE", "nonsense").exits(3).await;
    outcome.within(2 * SECOND).says(["no such scope", "GENESYS_SCOPE"]);
}

#[tokio::test]
async fn a_token_url_that_is_no_token_endpoint_is_an_authentication_failure() {
    let api = Api::serve(|it| it).await;
    for outage in [Outage::Html, Outage::Redirect { location: "https://elsewhere.example/".into() }] {
        api.issuer.set_outage(Some(outage));
        Exporter::of(&api).exits(3).await.within(6 * SECOND).says(["token URL", "127.0.0.1"]);
    }
    assert_eq!(api.analytics.stats().requests, 0);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_an_authentication_failure() {
    let api = Api::serve(|it| it).await;
    api.issuer.set_outage(Some(Outage::Status { status: 503, retry_after: None }));
    let outcome = Exporter::of(&api).exits(3).await;
    outcome.within(15 * SECOND).says(["503", &api.server.addr().to_string(), "try again later"]);
    let nobody = nobody().await;
    let token_url = format!("{nobody}/oauth/token");
    let outcome = Exporter::with_credentials().args(["--api-url", &nobody, "--token-url", &token_url]).exits(3).await;
    outcome.within(15 * SECOND).says([nobody.trim_start_matches("http://"), "can be reached"]);
}

#[tokio::test]
async fn a_refusal_for_good_is_told_in_the_words_of_the_api() {
    let api = Api::serve(|it| it).await;
    api.analytics.fail_next(Fault::Status(403));
    let outcome = Exporter::of(&api).exits(4).await;
    outcome.within(2 * SECOND).says(["403", "missing.any.permissions", "Unable to perform the requested action."]);
    outcome.says(["correlation id", "analytics:conversationDetail:view"]);
    let sent = api.analytics.stats().requests;
    assert_eq!(sent, 1);
    // A filter that is none of the API's.
    let outcome = Exporter::of(&api).write("q.json", r#"{"order": "up"}"#).args(["--query", "q.json"]).exits(2).await;
    outcome.says(["order is no filter"]);
}

#[tokio::test]
async fn an_api_that_refuses_every_token_is_an_authentication_failure_and_no_storm() {
    let api = Api::serve(|it| it.always_unauthorized(true)).await;
    let outcome = Exporter::of(&api).exits(3).await;
    outcome.within(3 * SECOND).says(["401", "bad.credentials", "of the same region"]);
    assert_eq!(api.analytics.stats().requests, 2);
    assert_eq!(outcome.summary()["replays_401"], 1);
}

#[tokio::test]
async fn a_wait_longer_than_allowed_ends_the_run_at_once() {
    let api = Api::serve(|it| it).await;
    for status in [429, 503] {
        api.analytics.fail_next(Fault::RetryAfter(status, 20 * SECOND));
        let outcome = Exporter::of(&api).args(["--max-retry-after", "19s"]).exits(4).await;
        outcome.within(2 * SECOND).says([&status.to_string(), "--max-retry-after"]);
    }
    assert_eq!(api.analytics.stats().requests, 2);
}

#[tokio::test]
async fn a_wait_that_is_allowed_is_begun_however_long_it_is() {
    let api = Api::serve(|it| it).await;
    api.analytics.fail_next(Fault::RetryAfter(429, 3000 * SECOND));
    let mut run = Exporter::of(&api).args(["--max-retry-after", "1h"]).start();
    let ended = tokio::time::timeout(2 * SECOND, run.child.wait()).await;
    signal(&run.child, "INT").await;
    let outcome = run.end().await;
    assert!(ended.is_err() && outcome.code == Some(130), "{}", outcome.stderr);
    assert_eq!(api.analytics.stats().requests, 1);
}

#[tokio::test]
async fn an_api_that_cannot_be_reached_is_named() {
    let issuer = Issuer::builder().client(ID, SECRET).build();
    let server = issuer.serve().await.unwrap();
    let url = nobody().await;
    let outcome =
        Exporter::with_credentials().args(["--api-url", &url, "--token-url", &server.url("/")]).exits(4).await;
    outcome.within(45 * SECOND).says([url.trim_start_matches("http://"), "refused"]);
    assert_eq!(issuer.stats().requests, 1);
}

#[tokio::test]
async fn an_answer_that_never_begins_is_given_up_and_asked_for_again() {
    let api = Api::serve(|it| it.records(10)).await;
    api.analytics.fail_next(Fault::Hang);
    let outcome = Exporter::of(&api).args(["--request-timeout", "300ms"]).exits(0).await;
    outcome.within(5 * SECOND).kept(&api, 10);
    assert_eq!(outcome.summary()["retries"], 1);
}

#[tokio::test]
async fn an_answer_that_stalls_is_given_up_and_asked_for_again() {
    let api = Api::serve(|it| it.records(10)).await;
    api.analytics.fail_next(Fault::Stall);
    let outcome = Exporter::of(&api).args(["--idle-timeout", "300ms"]).exits(0).await;
    outcome.within(5 * SECOND).says(["stalled"]).kept(&api, 10);
    for _ in 0..4 {
        api.analytics.fail_next(Fault::Stall);
    }
    let outcome = Exporter::of(&api).args(["--idle-timeout", "300ms"]).exits(4).await;
    outcome.within(10 * SECOND).says(["page 1", "stalled"]);
    assert_eq!(outcome.summary()["retries"], 3);
}

#[tokio::test]
async fn a_failure_in_mid_run_keeps_what_was_exported_and_says_that_it_is_not_all() {
    for shape in ["details", "results", "entities"] {
        let api = Api::serve(|it| it.records(50).latency(Duration::from_millis(100))).await;
        let mut run = Exporter::of(&api).args(["--page-size", "10", "--shape", shape]).start();
        run.pages(&api, 2).await;
        api.analytics.fail_next(Fault::Status(403));
        let outcome = run.end().await;
        assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
        let records = outcome.summary()["records"].as_u64().unwrap();
        assert!((20..50).contains(&records));
        outcome.kept(&api, records).says(["403", &format!("after {records} conversations"), "not complete"]);
        incomplete(&outcome, records);
    }
}

#[tokio::test]
async fn a_secret_changed_in_mid_run_ends_it_with_what_was_exported() {
    let issuer = Issuer::builder().client(ID, SECRET).lifetime(SECOND).build();
    let api = Api::serve_with(issuer, |it| it.records(100).latency(Duration::from_millis(100))).await;
    let mut run = Exporter::of(&api).args(["--page-size", "2"]).start();
    run.pages(&api, 2).await;
    api.issuer.set_secret("rotated");
    let outcome = run.end().await;
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    let records = outcome.summary()["records"].as_u64().unwrap();
    assert!(records > 0);
    outcome.kept(&api, records);
    incomplete(&outcome, records);
}

#[tokio::test]
async fn an_interrupted_or_terminated_run_leaves_whole_lines_and_says_so() {
    for (name, code, says) in [("INT", 130, "interrupted"), ("TERM", 143, "terminated")] {
        let api = Api::serve(|it| it.records(1000).latency(Duration::from_millis(30))).await;
        let mut run = Exporter::of(&api).args(["--page-size", "10"]).start();
        run.pages(&api, 5).await;
        signal(&run.child, name).await;
        let outcome = run.end().await;
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        let records = outcome.summary()["records"].as_u64().unwrap();
        outcome.kept(&api, records).says([says, "not complete"]);
        incomplete(&outcome, records);
    }
}

#[tokio::test]
async fn an_interrupt_ends_a_run_whose_reader_has_stopped_reading() {
    let api = Api::serve(|it| it.records(200)).await;
    let mut run = Exporter::of(&api).args(["--output", "-"]).start();
    let mut first = [0];
    let mut stdout = run.child.stdout.take().unwrap();
    stdout.read_exact(&mut first).await.unwrap();
    // A pipe holds 64 KiB, a page has 200.
    tokio::time::sleep(Duration::from_millis(500)).await;
    signal(&run.child, "INT").await;
    let outcome = run.end().await;
    assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
    outcome.within(10 * SECOND);
    drop(stdout);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_told_in_words() {
    let api = Api::serve(|it| it.records(300)).await;
    let outcome = Exporter::of(&api).args(["--output", "/dev/full"]).exits(1).await;
    outcome.says(["cannot write /dev/full", "No space left on device"]);
    assert_eq!(outcome.summary()["complete"], false);
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let outcome = Exporter::of(&api).args(["--output", "-"]).stdout(full()).exits(1).await;
    outcome.says(["No space left on device"]);
}

#[tokio::test]
async fn a_reader_that_has_enough_ends_the_run_without_a_word() {
    let api = Api::serve(|it| it.records(300).latency(Duration::from_millis(20))).await;
    let mut run = Exporter::of(&api).args(["--output", "-", "--page-size", "10"]).start();
    let mut first = [0; 100];
    run.child.stdout.as_mut().unwrap().read_exact(&mut first).await.unwrap();
    drop(run.child.stdout.take());
    let outcome = run.end().await;
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(141), ""));
    assert_eq!(outcome.summary()["complete"], false);
    assert!(api.analytics.stats().pages < 30);
}

#[tokio::test]
async fn yesterdays_summary_does_not_outlive_a_run_that_did_not_end() {
    let api = Api::serve(|it| it.latency(Duration::from_millis(200))).await;
    let exporter = Exporter::of(&api).write("summary.json", r#"{"complete": true, "records": 7}"#);
    let mut run = exporter.args(["--page-size", "10"]).start();
    run.pages(&api, 1).await;
    let outcome = run.killed().await;
    assert_eq!(outcome.code, None);
    assert_eq!(outcome.summary()["complete"], false);
}

/// That the summary does not claim more than was done.
fn incomplete(outcome: &Outcome, records: u64) {
    let summary = outcome.summary();
    assert_eq!((&summary["complete"], &summary["records"]), (&Value::Bool(false), &records.into()));
    assert_eq!(summary["bytes"], outcome.output().len());
}

/// A URL where nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
