//! What is exported, and what is said meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::{collections::HashSet, time::Duration};

use serde_json::Value;
use tower_oauth2::testing::{Fault, Faults, Issuer};

use support::{Api, Exporter, ID, SECRET};

#[tokio::test]
async fn without_credentials_the_simulator_is_exported_whole_while_tokens_expire_and_requests_are_limited() {
    let outcome = Exporter::new().exits(0).await;
    let said: Vec<_> = outcome.stderr.lines().filter(|line| line.contains("simulator on http://127.0.0.1:")).collect();
    assert_eq!(said.len(), 1, "{}", outcome.stderr);
    outcome.says(["no credentials in the environment", "; 0 came inside a Retry-After window"]);
    let output = outcome.output();
    let mut ids = HashSet::new();
    for line in output.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        ids.insert(record["conversationId"].as_str().unwrap().to_owned());
    }
    assert_eq!((ids.len(), output.lines().count()), (20_000, 20_000));
    let summary = outcome.summary();
    let members: HashSet<_> = summary.as_object().unwrap().keys().map(String::as_str).collect();
    let documented =
        ["complete", "records", "records_before", "pages", "bytes", "tokens_minted", "replays_401", "retries"];
    assert_eq!(members, documented.into_iter().chain(["elapsed_s", "source", "files", "held_back"]).collect());
    assert_eq!(summary["complete"], true);
    assert_eq!(summary["records"], 20_000);
    assert_eq!(summary["pages"], 200);
    assert_eq!(summary["bytes"], output.len());
    assert!(summary["tokens_minted"].as_u64().unwrap() > 1, "{summary}");
    assert!(summary["retries"].as_u64().unwrap() > 0, "{summary}");
    let elapsed = summary["elapsed_s"].as_f64().unwrap();
    assert!(elapsed > 0.0 && elapsed <= outcome.took.as_secs_f64(), "{summary}");
    assert!(outcome.stdout.is_empty());
}

#[tokio::test]
async fn every_shape_is_written_byte_for_byte_in_the_order_of_its_pages() {
    let api = Api::serve(|it| it.records(230)).await;
    for shape in ["details", "results", "entities"] {
        let outcome = Exporter::of(&api).args(["--shape", shape, "--page-size", "50"]).exits(0).await;
        outcome.kept(&api, 230);
        let summary = outcome.summary();
        assert_eq!((&summary["pages"], &summary["complete"]), (&5.into(), &true.into()));
        assert_eq!(summary["bytes"], api.ndjson().len());
        assert_eq!(summary["retries"], 0);
        outcome.says(["230 conversations", "5 pages"]);
    }
}

#[tokio::test]
async fn a_record_is_written_digit_for_digit_on_one_line() {
    let issuer = Issuer::builder().client(ID, SECRET).build();
    let tokens = issuer.serve().await.unwrap();
    let page = "{\"conversations\": [\r\n  {\"id\": 12345678901234567890123,\n   \"mos\": 4.10,\r\n   \"e\": 1E400, \
                \"text\": \"a\\nb \\u00e9 \u{e9} \\/\"},\n  {\"z\": -0.0, \"a\": 1, \"z\": 2}\n], \"totalHits\": 2}";
    let url = canned(page).await;
    let outcome =
        Exporter::with_credentials().args(["--api-url", &url, "--token-url", &tokens.url("/")]).exits(0).await;
    let first = r#"{"id": 12345678901234567890123,   "mos": 4.10,   "e": 1E400, "text": "a\nb \u00e9 é \/"}"#;
    assert_eq!(outcome.output(), format!("{first}\n{{\"z\": -0.0, \"a\": 1, \"z\": 2}}\n"));
}

#[tokio::test]
async fn the_standard_output_holds_nothing_but_records() {
    let api = Api::serve(|it| it.records(120).latency(Duration::from_millis(1100))).await;
    api.analytics.fail_next(Fault::Truncate);
    let outcome = Exporter::of(&api).args(["--output", "-", "--page-size", "250"]).exits(0).await;
    assert_eq!(String::from_utf8(outcome.stdout.clone()).unwrap(), api.ndjson());
    outcome.says(["--page-size 250", "asking for the page again", " of 120 conversations", "120 conversations ("]);
    assert_eq!(outcome.summary()["bytes"], outcome.stdout.len());
    assert!(!outcome.path("conversations.ndjson").exists() && !outcome.path("-").exists());
}

#[tokio::test]
async fn a_quiet_run_that_succeeds_says_nothing() {
    let api = Api::serve(|it| it.records(30)).await;
    let outcome = Exporter::of(&api).args(["--quiet", "--page-size", "10"]).exits(0).await;
    assert_eq!(outcome.stderr, "");
    assert!(outcome.stdout.is_empty());
    outcome.kept(&api, 30);
}

#[tokio::test]
async fn without_a_terminal_progress_is_plain_lines() {
    let api = Api::serve(|it| it.records(30).latency(Duration::from_millis(750))).await;
    let outcome = Exporter::of(&api).args(["--page-size", "5"]).exits(0).await;
    assert!(
        outcome
            .stderr
            .lines()
            .any(|line| line.contains(" of 30 conversations (") && line.contains(" a second, 1 token, 0 waits")),
        "{}",
        outcome.stderr
    );
    assert!(!outcome.stderr.contains(['\x1b', '\r']), "{:?}", outcome.stderr);
}

#[tokio::test]
async fn what_fails_in_passing_is_asked_for_again_counted_and_neither_lost_nor_doubled() {
    tokio::join!(through_each_fault("details"), through_each_fault("results"), through_each_fault("entities"));
}

#[tokio::test]
async fn tokens_revoked_in_mid_run_are_replaced() {
    let api = Api::serve(|it| it.records(100).latency(Duration::from_millis(50))).await;
    let mut run = Exporter::of(&api).args(["--page-size", "5", "-o", "-"]).start();
    let mut first = [0];
    let stdout = run.child.stdout.as_mut().unwrap();
    tokio::io::AsyncReadExt::read_exact(stdout, &mut first).await.unwrap();
    api.issuer.revoke_all();
    let outcome = run.end().await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, api.ndjson().as_bytes()[1..]);
    assert_eq!((outcome.summary()["replays_401"].as_u64(), api.issuer.stats().minted), (Some(1), 2));
}

#[tokio::test]
async fn tokens_revoked_again_and_again_are_replaced_each_time() {
    let api = Api::serve(|it| it.records(200).faults(Faults::new().revoke_every(11))).await;
    let outcome = Exporter::of(&api).args(["--page-size", "5"]).exits(0).await;
    outcome.kept(&api, 200);
    assert_eq!((outcome.summary()["replays_401"].as_u64(), api.issuer.stats().minted), (Some(3), 4));
}

#[tokio::test]
async fn a_quiet_run_against_the_simulator_still_says_so() {
    let to = ["--to", "2020-01-02T00:00:00Z"];
    let outcome = Exporter::new().args(["--quiet"]).args(to).exits(0).await;
    outcome.says(["no credentials in the environment"]);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
}

#[tokio::test]
async fn an_api_that_ends_before_all_that_it_counts_is_told_by_the_exit_code() {
    let url = canned(r#"{"totalHits":2}"#).await;
    let issuer = Api::serve(|it| it).await;
    let token_url = format!("{}/oauth/token", issuer.server.url(""));
    let run = Exporter::with_credentials().args(["--api-url", &url, "--token-url", &token_url]);
    let outcome = run.exits(5).await;
    outcome.says(["the answers end after 0 of 2 items", "run it again to go on"]);
    assert_eq!(outcome.summary()["complete"], false);
}

#[tokio::test]
async fn from_and_to_part_the_records_without_gap_or_overlap() {
    let interval = "2026-03-01T00:00:00.000Z/2026-03-02T00:00:00.000Z";
    let api = Api::serve(|it| it.records(50).interval(interval).unwrap()).await;
    let mut parts = String::new();
    for [from, to] in [
        ["2026-03-01T00:00:00Z", "2026-03-01T11:00:00+05:30"],
        ["2026-03-01T05:30:00Z", "2026-03-01T20:00:00.000Z"],
        ["2026-03-01T20:00:00Z", "2026-03-02T00:00:00Z"],
    ] {
        let outcome = Exporter::of(&api).args(["--from", from, "--to", to]).exits(0).await;
        assert!(!outcome.output().is_empty());
        parts += &outcome.output();
    }
    assert!(parts == api.ndjson());
}

#[tokio::test]
async fn a_period_without_conversations_is_an_empty_file_and_a_success() {
    let api = Api::serve(|it| it.records(50)).await;
    for shape in ["details", "results", "entities"] {
        let period = ["--from", "2020-01-01T00:00:00Z", "--to", "2020-01-02T00:00:00Z"];
        let run = Exporter::of(&api).write("conversations.ndjson", "yesterday\n").args(period);
        let outcome = run.args(["--shape", shape]).exits(0).await;
        assert_eq!(outcome.output(), "");
        assert_eq!((&outcome.summary()["records"], &outcome.summary()["complete"]), (&0.into(), &true.into()));
    }
}

async fn through_each_fault(shape: &str) {
    let api = Api::serve(|it| it.records(60)).await;
    let faults = [
        Fault::Status(503),
        Fault::Reset,
        Fault::Truncate,
        Fault::Html,
        Fault::Empty,
        Fault::RetryAfter(429, Duration::from_secs(1)),
    ];
    for fault in faults {
        api.analytics.fail_next(fault);
    }
    api.analytics.fail_next(Fault::Unauthorized);
    let outcome = Exporter::of(&api).args(["--shape", shape, "--page-size", "20"]).exits(0).await;
    outcome.kept(&api, 60);
    let summary = outcome.summary();
    assert_eq!(summary["retries"], faults.len(), "each fault is one retry: {}", outcome.stderr);
    assert_eq!(summary["replays_401"], 1);
    assert_eq!(summary["tokens_minted"], 2);
    assert_eq!(api.analytics.stats().requests_inside_retry_after, 0);
}

/// An API that has one answer. Needs no token.
async fn canned(page: &'static str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            // A query is small: it comes at once.
            let _request = connection.read(&mut [0; 4096]).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", page.len());
            connection.write_all((head + page).as_bytes()).await.unwrap();
        }
    });
    url
}
