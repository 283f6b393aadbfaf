//! A run that stops is gone on with by the next one, and nothing is lost or there twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::{fs, path::Path, time::Duration};

use serde_json::Value;
use tower_oauth2::testing::{Fault, Issuer};

use support::{Api, Exporter, ID, Outcome, SECRET, signal};

const CHECKPOINT: &str = "conversations.ndjson.checkpoint";
const OUTPUT: &str = "conversations.ndjson";
const PERIOD: &str = "2026-03-01T00:00:00.000Z/2026-03-02T00:00:00.000Z";
const FROM: [&str; 2] = ["--from", "2026-03-01T00:00:00Z"];
const TO: [&str; 2] = ["--to", "2026-03-02T00:00:00Z"];

/// Ten pages.
async fn api() -> Api {
    Api::serve(|it| it.records(100).interval(PERIOD).unwrap().latency(Duration::from_millis(60))).await
}

fn exporter(api: &Api) -> Exporter {
    Exporter::of(api).args(FROM).args(TO).args(["--page-size", "10"])
}

/// A run that is refused a page after the second.
async fn stopped(api: &Api, exporter: Exporter) -> Outcome {
    let before = api.analytics.stats().pages;
    let mut run = exporter.start();
    run.pages(api, before + 2).await;
    api.analytics.fail_next(Fault::Status(403));
    let outcome = run.end().await;
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    outcome.says(["not complete", "run it again with the same flags to go on"]);
    outcome
}

fn saved(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join(CHECKPOINT)).unwrap()).unwrap()
}

#[tokio::test]
async fn the_next_run_goes_on_where_one_stopped() {
    let api = api().await;
    let first = stopped(&api, exporter(&api)).await;
    let there = first.summary()["records"].as_u64().unwrap();
    assert!((20..100).contains(&there));
    first.kept(&api, there);

    let before = api.analytics.stats().pages;
    let second = exporter(&api).after(first).exits(0).await;
    second.kept(&api, 100).says([&format!("going on after {there} conversations")]);
    assert_eq!(api.analytics.stats().pages - before, (100 - there) / 10, "no page twice");
    let summary = second.summary();
    assert_eq!((&summary["records"], &summary["records_before"]), (&100.into(), &there.into()));
    assert_eq!(summary["bytes"], second.output().len());
}

#[tokio::test]
async fn it_keeps_the_period_that_was_not_said() {
    let api = api().await;
    let first = stopped(&api, Exporter::of(&api).args(FROM).args(["--page-size", "10"])).await;
    let to = saved(first.path("").as_path())["subject"]["period"]["to"].clone();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let second = Exporter::of(&api).args(FROM).args(["--page-size", "10"]).after(first).exits(0).await;
    second.kept(&api, 100);
    assert_eq!(saved(second.path("").as_path())["subject"]["period"]["to"], to, "now was then");
}

#[tokio::test]
async fn what_is_behind_the_checkpoint_is_cut_off() {
    let api = api().await;
    for torn in ["{\"conversationId\":\"torn", "{\"whole\":1}\n{\"and\":2}\n", "\0\0\0\0"] {
        let first = stopped(&api, exporter(&api)).await;
        let mut output = first.output();
        output.push_str(torn);
        fs::write(first.path(OUTPUT), output).unwrap();
        exporter(&api).after(first).exits(0).await.kept(&api, 100);
    }
}

#[tokio::test]
async fn another_export_is_refused_with_words_and_can_be_begun_anew() {
    let api = api().await;
    let first = stopped(&api, exporter(&api)).await;
    let there = first.output();
    let other = |exporter: Exporter| exporter.args(["--page-size", "10"]);
    let queries: [(Exporter, &str); 4] = [
        (other(Exporter::of(&api).args(FROM).args(["--to", "2026-03-03T00:00:00Z"])), "--to 2026-03-02T00:00:00.000Z"),
        (
            other(Exporter::of(&api).args(["--from", "2026-02-01T00:00:00Z"]).args(TO)),
            "--from 2026-03-01T00:00:00.000Z",
        ),
        (Exporter::of(&api).args(FROM).args(TO).args(["--page-size", "20"]), "--page-size 10"),
        (exporter(&api).args(["--shape", "results"]), "--shape details"),
    ];
    let mut last = first;
    for (run, says) in queries {
        last = run.after(last).exits(2).await;
        last.says(["part of another export", says, "--restart"]);
        assert!(last.output() == there, "it is as it was");
    }
    last = exporter(&api).write("q.json", "{}").after(last).exits(0).await;
    last.kept(&api, 100);

    let first = stopped(&api, exporter(&api)).await;
    let anew = exporter(&api).args(["--restart", "--page-size", "20"]).after(first).run().await;
    assert_eq!(anew.code, Some(2), "a flag is there once: {}", anew.stderr);
    let anew =
        Exporter::of(&api).args(FROM).args(TO).args(["--restart", "--page-size", "20"]).after(anew).exits(0).await;
    anew.kept(&api, 100);
    assert_eq!(anew.summary()["records_before"], 0);
}

#[tokio::test]
async fn an_output_or_a_checkpoint_that_somebody_changed_is_refused_with_words() {
    let api = api().await;
    let first = stopped(&api, exporter(&api)).await;
    let (output, checkpoint) = (first.output(), first.read(CHECKPOINT));
    fs::write(first.path(OUTPUT), &output[..output.len() - 1]).unwrap();
    let mut last = exporter(&api).after(first).exits(2).await;
    last.says(["somebody changed it", "--restart"]);
    fs::write(last.path(OUTPUT), &output).unwrap();
    for (bad, says) in [
        ("", "is damaged"),
        (&checkpoint[..checkpoint.len() / 2], "is damaged"),
        ("{}", "is no checkpoint"),
        (r#"{"version":99}"#, "is of version 99"),
        (r#"{"version":1}"#, "is of version 1"),
        (r#"{"version":2}"#, "is damaged"),
    ] {
        fs::write(last.path(CHECKPOINT), bad).unwrap();
        last = exporter(&api).after(last).exits(2).await;
        last.says([says, CHECKPOINT, "--restart"]);
        assert!(last.output() == output);
    }
    fs::write(last.path(CHECKPOINT), &checkpoint).unwrap();
    exporter(&api).after(last).exits(0).await.kept(&api, 100);
}

#[tokio::test]
async fn two_runs_do_not_write_the_same_output() {
    let slow = Duration::from_millis(400);
    let api = Api::serve(|it| it.records(100).interval(PERIOD).unwrap().latency(slow)).await;
    let mut first = exporter(&api).start();
    first.pages(&api, 2).await;
    let output = first.dir.path().join(OUTPUT);
    for flags in [&[][..], &["--restart"], &["--restart", "--rotate", "1MB"]] {
        let second = exporter(&api).args(["--output", output.to_str().unwrap()]);
        let second = flags.iter().fold(second, |second, flag| second.args([*flag])).exits(2).await;
        second.says(["is being written by another process"]);
    }
    let first = first.end().await;
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    first.kept(&api, 100);
}

#[tokio::test]
async fn a_complete_export_is_made_anew() {
    let api = api().await;
    let first = exporter(&api).exits(0).await;
    assert_eq!(saved(first.path("").as_path())["complete"], true);
    let second = exporter(&api).after(first).exits(0).await;
    second.kept(&api, 100);
    assert_eq!((api.analytics.stats().pages, &second.summary()["records_before"]), (20, &0.into()));
}

#[tokio::test]
async fn a_simulator_does_not_take_the_place_of_what_is_real() {
    let api = api().await;
    let first = exporter(&api).exits(0).await;
    let lost = Exporter::new().after(first).exits(2).await;
    lost.kept(&api, 100).says([&api.server.url(""), "credentials", "--restart"]);
    let meant = Exporter::new().args(["--restart", "--quiet"]).after(lost).exits(0).await;
    assert_eq!(meant.summary()["records"], 20_000);
    let again = Exporter::new().args(["--quiet"]).after(meant).exits(0).await;
    // What is real takes the place of what is not, also without a start.
    let real = Exporter::of(&api).args(TO).after(again).exits(0).await;
    real.kept(&api, 100);
}

#[tokio::test]
async fn a_run_without_a_start_adds_what_is_new_and_says_when_nothing_is() {
    let api = api().await;
    let to = |to| Exporter::of(&api).args(["--page-size", "10", "--to", to]);
    let first = to("2026-03-01T12:00:00Z").exits(0).await;
    let there = first.summary()["records"].as_u64().unwrap();
    assert!((1..100).contains(&there));
    first.kept(&api, there);
    let nothing = to("2026-03-01T12:00:00Z").after(first).exits(0).await;
    nothing.kept(&api, there).says(["nothing new"]);
    let summary = nothing.summary();
    assert_eq!((&summary["complete"], &summary["records"]), (&true.into(), &there.into()), "{summary}");
    assert_eq!((&summary["records_before"], &summary["files"]), (&there.into(), &1.into()), "{summary}");
    let all = to("2026-03-02T00:00:00Z").after(nothing).exits(0).await;
    all.kept(&api, 100).says([&format!("adding to {there} conversations")]);
    assert_eq!(all.summary()["records_before"], there);
}

#[tokio::test]
async fn a_complete_export_of_something_else_is_not_written_over() {
    let api = api().await;
    let of = |source| Exporter::of(&api).args(["--output", "out", "--source", source]);
    let first = of("users").exits(0).await;
    let users = first.read("out");
    let other = of("contacts").after(first).exits(2).await;
    other.says(["complete export of something else", "--source users", "say --restart"]);
    assert!(other.read("out") == users, "it is as it was");
    let again = of("users").after(other).exits(0).await;
    assert!(again.read("out") == users, "as it is now, which is the same");
    of("contacts").args(["--restart"]).after(again).exits(0).await;
}

#[tokio::test]
async fn a_checkpoint_holds_no_secret() {
    let api = api().await;
    let first = stopped(&api, exporter(&api)).await;
    let checkpoint = first.read(CHECKPOINT);
    assert!(checkpoint.contains("2026-03-01T00:00:00Z") && checkpoint.contains("continuation"), "{checkpoint}");
    for secret in [SECRET, ID, "Bearer", "authorization"] {
        assert!(!checkpoint.contains(secret), "{secret} in {checkpoint}");
    }
}

#[tokio::test]
async fn the_standard_output_has_no_checkpoint() {
    let api = api().await;
    let run = exporter(&api).args(["--output", "-"]);
    let outcome = run.exits(0).await;
    assert!(String::from_utf8(outcome.stdout.clone()).unwrap() == api.ndjson());
    let files: Vec<_> = fs::read_dir(outcome.path("")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["summary.json"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_standard_output_is_one_by_its_other_name_and_in_a_file() {
    let api = api().await;
    for name in ["-", "/dev/stdout"] {
        let run = exporter(&api).args(["--output", name]);
        let mut file = fs::File::create(run.path("all")).unwrap();
        std::io::Write::write_all(&mut file, b"before\n").unwrap();
        let outcome = run.stdout(file).exits(0).await;
        assert!(outcome.read("all") == format!("before\n{}", api.ndjson()));
        assert!(!Path::new("/dev/stdout.checkpoint").exists());
    }
}

#[tokio::test]
async fn two_hundred_kills_change_nothing() {
    let api = Api::serve(|it| it.records(400).interval(PERIOD).unwrap().latency(Duration::from_millis(3))).await;
    let expected = api.ndjson();
    let (mut kills, mut exports, mut seed) = (0, 0, 7_u64);
    while kills < 200 {
        let mut next = exporter(&api);
        loop {
            let mut run = next.start();
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            tokio::time::sleep(Duration::from_millis(seed >> 56)).await;
            let over = run.child.try_wait().unwrap().is_some();
            if !over {
                run.child.start_kill().unwrap();
                kills += 1;
            }
            let outcome = run.end().await;
            if outcome.code == Some(0) {
                assert!(outcome.output() == expected, "after {kills} kills");
                exports += 1;
                break;
            }
            assert_eq!(outcome.code, None, "{}", outcome.stderr);
            next = exporter(&api).after(outcome);
        }
    }
    assert!(exports > 3, "{exports} exports came to their end");
}

#[cfg(unix)]
#[tokio::test]
async fn a_process_that_sleeps_past_the_life_of_its_token_goes_on() {
    let issuer = Issuer::builder().client(ID, SECRET).lifetime(Duration::from_secs(1)).build();
    let api =
        Api::serve_with(issuer, |it| it.records(100).interval(PERIOD).unwrap().latency(Duration::from_millis(30)))
            .await;
    let mut run = exporter(&api).start();
    run.pages(&api, 2).await;
    signal(&run.child, "STOP").await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    signal(&run.child, "CONT").await;
    let outcome = run.end().await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome.kept(&api, 100);
    assert!(api.issuer.stats().minted >= 2);
}
