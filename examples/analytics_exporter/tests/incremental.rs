//! Runs that follow each other, and machines that share an export.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use support::{Api, Exporter, Outcome};

const OUTPUT: &str = "conversations.ndjson";
const WEEK: &str = "2026-03-01T00:00:00.000Z/2026-03-08T00:00:00.000Z";

async fn api() -> Api {
    Api::serve(|it| it.records(700).interval(WEEK).unwrap()).await
}

fn to<'a>(api: &Api, to: &'a str) -> (Exporter, &'a str) {
    (Exporter::of(api).args(["--to", to]), to)
}

/// The first day, with its start said, and then until each of these.
async fn runs(api: &Api, ends: &[&str], flags: [&str; 2]) -> Outcome {
    let first = Exporter::of(api).args(["--from", "2026-03-01T00:00:00Z", "--to", "2026-03-02T00:00:00Z"]);
    let mut outcome = first.args(flags).exits(0).await;
    for end in ends {
        let (run, _) = to(api, end);
        outcome = run.args(flags).after(outcome).exits(0).await;
    }
    outcome
}

#[tokio::test]
async fn a_run_without_a_start_goes_on_where_the_last_complete_one_ended() {
    let api = api().await;
    let outcome = runs(
        &api,
        &["2026-03-03T12:00:00Z", "2026-03-04T00:00:00.001Z", "2026-03-08T00:00:00Z"],
        ["--page-size", "50"],
    )
    .await;
    outcome.kept(&api, 700).says(["adding to"]);
    let summary = outcome.summary();
    assert!(summary["records_before"].as_u64().unwrap() > 200 && summary["records"] == 700, "{summary}");
}

#[tokio::test]
async fn it_looks_back_as_far_as_was_said() {
    let api = api().await;
    let outcome = runs(&api, &["2026-03-03T00:00:00Z"], ["--page-size", "50"]).await;
    let (run, _) = to(&api, "2026-03-04T00:00:00Z");
    let outcome = run.args(["--page-size", "50", "--lookback", "12h"]).after(outcome).exits(0).await;
    // A hundred a day, and fifty of them again.
    let expected: String = (0..200).chain(150..300).map(|index| api.analytics.record(index) + "\n").collect();
    assert!(outcome.output() == expected, "{}", outcome.output().lines().count());
}

#[tokio::test]
async fn a_period_that_is_there_already_moves_nothing_back() {
    let api = api().await;
    let mut outcome = runs(&api, &["2026-03-05T00:00:00Z"], ["--page-size", "50"]).await;
    let before = (outcome.output(), outcome.read("conversations.ndjson.checkpoint"));
    for earlier in ["2026-03-02T00:00:00Z", "2026-03-05T00:00:00Z"] {
        let (run, _) = to(&api, earlier);
        outcome = run.args(["--page-size", "50", "--lookback", "7d"]).after(outcome).exits(0).await;
        outcome.says(["nothing new", "2026-03-05T00:00:00Z"]);
        assert!((outcome.output(), outcome.read("conversations.ndjson.checkpoint")) == before);
    }
    let (run, _) = to(&api, "2026-03-08T00:00:00Z");
    run.args(["--page-size", "50"]).after(outcome).exits(0).await.kept(&api, 700);
}

#[tokio::test]
async fn one_that_is_killed_is_gone_on_with_and_then_the_next_one_follows() {
    let api = Api::serve(|it| it.records(700).interval(WEEK).unwrap().latency(Duration::from_millis(20))).await;
    let flags = ["--page-size", "10"];
    let first = runs(&api, &[], flags).await;
    let (run, _) = to(&api, "2026-03-05T00:00:00Z");
    let killed = run.args(flags).after(first).start().killed_after(&api, 4, OUTPUT).await;
    assert!((140..400).contains(&killed.output().lines().count()));
    // The next one comes a day later, and does first what was begun.
    let begun = Exporter::of(&api).args(flags).after(killed).exits(0).await;
    begun.kept(&api, 400).says(["going on after"]);
    let (run, _) = to(&api, "2026-03-08T00:00:00Z");
    run.args(flags).after(begun).exits(0).await.kept(&api, 700);
}

#[tokio::test]
async fn what_was_taken_away_is_not_missed() {
    let api = api().await;
    let outcome = runs(&api, &["2026-03-03T00:00:00Z"], ["--page-size", "50"]).await;
    std::fs::remove_file(outcome.path(OUTPUT)).unwrap();
    let (run, _) = to(&api, "2026-03-04T00:00:00Z");
    let outcome = run.args(["--page-size", "50"]).after(outcome).exits(0).await;
    let expected: String = (200..300).map(|index| api.analytics.record(index) + "\n").collect();
    assert!(outcome.output() == expected, "{}", outcome.output().lines().count());
}

#[tokio::test]
async fn something_else_is_not_added_to_what_is_complete() {
    let api = api().await;
    let outcome = runs(&api, &[], ["--page-size", "50"]).await;
    let before = outcome.output();
    let (run, _) = to(&api, "2026-03-04T00:00:00Z");
    let outcome = run.args(["--page-size", "20"]).after(outcome).exits(2).await;
    outcome.says(["complete export of something else, with --page-size 50", "--restart"]);
    assert!(outcome.output() == before);
    let (run, _) = to(&api, "2026-03-02T00:00:00Z");
    let outcome = run.args(["--page-size", "20", "--restart"]).after(outcome).exits(0).await;
    assert!(outcome.output() == before, "the week before it is empty");
}

#[tokio::test]
async fn runs_that_rotate_and_compress_add_up() {
    let api = api().await;
    let outcome = runs(&api, &["2026-03-04T00:00:00Z", "2026-03-08T00:00:00Z"], ["--compress", "gzip"]).await;
    let mut text = String::new();
    let file = std::fs::File::open(outcome.path("conversations.ndjson.gz")).unwrap();
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(file), &mut text).unwrap();
    assert!(text == api.ndjson());
    let outcome = runs(&api, &["2026-03-04T00:00:00Z", "2026-03-08T00:00:00Z"], ["--rotate", "300kB"]).await;
    let all: String = (1..)
        .map_while(|n| std::fs::read_to_string(outcome.path(&format!("conversations-{n:05}.ndjson"))).ok())
        .collect();
    assert!(all == api.ndjson());
}

#[tokio::test]
async fn shards_are_all_of_it_without_overlap_or_gap() {
    let api = api().await;
    let period = ["--from", "2026-03-01T00:00:00Z", "--to", "2026-03-08T00:00:00Z"];
    for of in [1, 3, 8] {
        let mut all = String::new();
        for piece in 1..=of {
            let shard = format!("{piece}/{of}");
            let outcome = Exporter::of(&api).args(period).args(["--shard", &shard]).exits(0).await;
            all += &outcome.output();
        }
        assert!(all == api.ndjson(), "{of}");
    }
}

#[tokio::test]
async fn shards_of_jobs_have_each_conversation_once() {
    let api = Api::serve(|it| it.records(3_000).interval(WEEK).unwrap().job_polls(1)).await;
    let period = ["--from", "2026-03-02T00:00:00Z", "--to", "2026-03-08T00:00:00Z", "--source", "job"];
    let ids = |text: &str| {
        let id = |line: &str| line.get(19..55).unwrap().to_owned();
        text.lines().map(id).collect::<Vec<_>>()
    };
    let mut whole = ids(&Exporter::of(&api).args(period).exits(0).await.output());
    let mut found = Vec::new();
    for shard in ["1/5", "2/5", "3/5", "4/5", "5/5"] {
        found.extend(ids(&Exporter::of(&api).args(period).args(["--shard", shard]).exits(0).await.output()));
    }
    assert!(whole.len() > 2_500);
    whole.sort();
    found.sort();
    assert_eq!(found.len(), whole.len());
    assert!(found == whole);
}

#[tokio::test]
async fn shards_need_a_period_that_all_machines_mean() {
    let api = api().await;
    for flags in [&["--shard", "1/2"][..], &["--shard", "1/2", "--from", "2026-03-01T00:00:00Z"]] {
        let mut exporter = Exporter::of(&api);
        for flag in flags {
            exporter = exporter.args([flag]);
        }
        exporter.exits(2).await.says(["--shard needs --from and --to"]);
    }
    let period = ["--from", "2026-03-01T00:00:00Z", "--to", "2026-03-08T00:00:00Z"];
    let mut run = Exporter::of(&api).args(period).args(["--shard", "1/2", "--page-size", "5"]).start();
    run.has_written(OUTPUT).await;
    let first = run.killed().await;
    let other =
        Exporter::of(&api).args(period).args(["--shard", "2/2", "--page-size", "5"]).after(first).exits(2).await;
    other.says(["--shard 1/2"]);
}
