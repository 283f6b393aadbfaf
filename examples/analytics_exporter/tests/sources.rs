//! Each source, from its API to its file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::{collections::HashSet, time::Duration};

use serde_json::Value;
use tower_oauth2::testing::{Fault, Issuer, JobFate};

use support::{Api, Exporter, ID, Outcome, SECRET, signal};

const WEEK: &str = "2026-03-01T00:00:00.000Z/2026-03-08T00:00:00.000Z";
const PERIOD: [&str; 4] = ["--from", "2026-03-01T00:00:00Z", "--to", "2026-03-08T00:00:00Z"];
const JOB: [&str; 2] = ["--source", "job"];

/// The records, by their ids; each is there once.
fn ids(text: &str, member: &str) -> HashSet<String> {
    let mut ids = HashSet::new();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert!(ids.insert(record[member].to_string()), "{} is there twice", record[member]);
    }
    ids
}

fn texts(count: u64, text: impl Fn(u64) -> String) -> String {
    (0..count).map(|index| text(index) + "\n").collect()
}

#[tokio::test]
async fn users_and_contacts_are_exported_as_they_are_now() {
    let api = Api::serve(|it| it.users(250).contacts(430)).await;
    let users = Exporter::of(&api).args(["--source", "users", "--page-size", "40"]).exits(0).await;
    assert_eq!(users.read("users.ndjson"), texts(250, |index| api.analytics.user(index)));
    assert_eq!((users.summary()["source"].as_str(), users.summary()["pages"].as_u64()), (Some("users"), Some(7)));
    let contacts = Exporter::of(&api).args(["--source", "contacts"]).exits(0).await;
    assert_eq!(contacts.read("contacts.ndjson"), texts(430, |index| api.analytics.contact(index)));
    // The API counts neither twice nor from where the last run ended.
    let again = Exporter::of(&api).args(["--source", "contacts"]).after(contacts).exits(0).await;
    assert_eq!(again.read("contacts.ndjson"), texts(430, |index| api.analytics.contact(index)));
}

#[tokio::test]
async fn a_scan_is_gone_on_with_where_it_stopped() {
    let api = Api::serve(|it| it.contacts(200).latency(Duration::from_millis(10))).await;
    let exporter = || Exporter::of(&api).args(["--source", "contacts", "--page-size", "10"]);
    api.analytics.fail_next(Fault::Hang);
    let mut first = exporter().start();
    while api.analytics.faults_to_come() > 0 {
        assert!(first.child.try_wait().unwrap().is_none(), "it ended too early");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut first = first.killed().await;
    for _ in 0..3 {
        first = exporter().after(first).start().killed_after(&api, 4, "contacts.ndjson").await;
    }
    let outcome = exporter().after(first).exits(0).await;
    assert_eq!(outcome.read("contacts.ndjson"), texts(200, |index| api.analytics.contact(index)));
    outcome.says(["going on after"]);
}

/// An API of CXone, with a page a request of the simulator's.
async fn cxone(records: u64) -> (Api, Exporter) {
    let issuer = Issuer::builder().client(ID, SECRET).access_key("KEYID====", "KEY+SECRET====").build();
    let api = Api::serve_with(issuer, |it| it.records(records).interval(WEEK).unwrap().job_polls(1)).await;
    let url = api.server.url("");
    let exporter = Exporter::new()
        .env("CXONE_CLIENT_ID", ID)
        .env("CXONE_CLIENT_SECRET", SECRET)
        .env("CXONE_ACCESS_KEY_ID", "KEYID====")
        .env("CXONE_ACCESS_KEY_SECRET", "KEY+SECRET====")
        .env("CXONE_ISSUER", &url)
        .args(["--source", "cxone-contacts"]);
    (api, exporter)
}

#[tokio::test]
async fn contacts_of_cxone_are_found_from_the_issuer_to_the_last_page() {
    let (api, exporter) = cxone(250).await;
    let outcome = exporter.args(PERIOD).args(["--page-size", "100"]).exits(0).await;
    assert_eq!(outcome.read("contacts.ndjson"), texts(250, |index| api.analytics.cxone_contact(index)));
    assert_eq!(outcome.summary()["tokens_minted"], 1);
}

#[tokio::test]
async fn both_vendors_have_urls_in_the_environment_and_neither_gets_the_others_secrets() {
    let (api, exporter) = cxone(5).await;
    let (url, genesys) = (api.server.url(""), Api::serve(|it| it).await);
    let exporter = exporter.env("CXONE_API_URL", &url).env("CXONE_TOKEN_URL", &format!("{url}/auth/token"));
    let other = genesys.server.url("");
    let exporter = exporter.env("GENESYS_ENV_URL", &other).env("GENESYS_TOKEN_URL", &format!("{other}/oauth/token"));
    let outcome = exporter.args(PERIOD).exits(0).await;
    assert_eq!(outcome.read("contacts.ndjson").lines().count(), 5);
    assert_eq!(genesys.requests(), 0);
}

#[tokio::test]
async fn a_contact_on_the_edge_of_two_parts_comes_once() {
    // One in the middle of the week, where the API counts both ends of a period to it.
    let (_api, exporter) = cxone(1).await;
    let outcome = exporter.args(PERIOD).args(["--concurrency", "2"]).exits(0).await;
    assert_eq!(ids(&outcome.read("contacts.ndjson"), "contactId").len(), 1);
}

#[tokio::test]
async fn a_week_without_contacts_is_an_empty_file_and_a_wrong_key_says_what_to_check() {
    let (_api, exporter) = cxone(250).await;
    let other = ["--from", "2026-04-01T00:00:00Z", "--to", "2026-04-08T00:00:00Z"];
    assert_eq!(exporter.args(other).exits(0).await.read("contacts.ndjson"), "");
    let (_api, exporter) = cxone(1).await;
    let outcome = exporter.env("CXONE_ACCESS_KEY_SECRET", "KEY+SECRET").args(PERIOD).exits(3).await;
    outcome.says(["access key", "===="]);
    assert!(!outcome.stderr.contains("KEY+SECRET"));
}

#[tokio::test]
async fn a_job_is_exported_whole_and_deleted() {
    let api = Api::serve(|it| it.records(230).interval(WEEK).unwrap().job_polls(1)).await;
    let outcome = Exporter::of(&api).args(JOB).args(PERIOD).args(["--page-size", "100"]).exits(0).await;
    outcome.kept(&api, 230);
    let stats = api.analytics.stats();
    assert_eq!((stats.jobs, stats.jobs_deleted, api.analytics.open_jobs()), (1, 1, 0));
}

#[tokio::test]
async fn jobs_at_once_bring_each_conversation_once() {
    let api = Api::serve(|it| it.records(3_000).interval(WEEK).unwrap().job_polls(1)).await;
    let outcome = Exporter::of(&api).args(JOB).args(PERIOD).args(["--concurrency", "7"]).exits(0).await;
    let found = ids(&outcome.output(), "conversationId");
    let all = (0..3_000).map(|index| format!("\"{}\"", api.analytics.conversation_id(index))).collect();
    assert!(found == all, "{} of 3000", found.len());
    let stats = api.analytics.stats();
    assert!(stats.records > 3_000, "no two jobs had the same: {stats:?}");
    assert_eq!((stats.jobs, stats.jobs_deleted), (7, 7));
}

#[tokio::test]
async fn a_job_is_gone_on_with_by_the_next_run_also_while_it_is_waited_for() {
    let slow = Duration::from_millis(10);
    let api = Api::serve(|it| it.records(400).interval(WEEK).unwrap().job_polls(3).latency(slow)).await;
    let exporter = || Exporter::of(&api).args(JOB).args(PERIOD).args(["--page-size", "50"]);
    let run = exporter().start();
    let saved = run.dir.path().join("conversations.ndjson.checkpoint");
    for _ in 0..500 {
        if std::fs::read_to_string(&saved).is_ok_and(|saved| saved.contains("\"job\": \"")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut first = run.killed().await;
    for pages in 1..4 {
        let mut run = exporter().after(first).start();
        run.pages(&api, pages).await;
        first = run.killed().await;
    }
    exporter().after(first).exits(0).await.kept(&api, 400);
    assert_eq!((api.analytics.stats().jobs, api.analytics.open_jobs()), (1, 0));
}

#[tokio::test]
async fn a_job_that_expires_or_fails_is_made_anew_and_nothing_comes_twice() {
    for fate in [JobFate::ExpiredAfter(2), JobFate::Failed, JobFate::Cancelled, JobFate::Expired] {
        let api = Api::serve(|it| it.records(230).interval(WEEK).unwrap().job_polls(1)).await;
        api.analytics.next_job(fate);
        let outcome = Exporter::of(&api).args(JOB).args(PERIOD).args(["--page-size", "50"]).exits(0).await;
        outcome.kept(&api, 230).says(["the job is made anew"]);
        assert_eq!(api.analytics.stats().jobs, 2, "{fate:?}");
    }
    let api = Api::serve(|it| it.records(230).interval(WEEK).unwrap().job_polls(1)).await;
    (0..3).for_each(|_| api.analytics.next_job(JobFate::Failed));
    let outcome = Exporter::of(&api).args(JOB).args(PERIOD).exits(4).await;
    outcome.says(["FAILED"]);
    assert_eq!(api.analytics.stats().jobs, 3, "not for ever");
}

#[tokio::test]
async fn data_that_is_not_there_yet_is_told_and_asked_for_again() {
    let until = std::time::UNIX_EPOCH + Duration::from_secs(1_772_841_600); // 2026-03-07
    let serve = |late| async move {
        let issuer = Issuer::builder().client(ID, SECRET).build();
        Api::serve_with(issuer, |it| {
            let it = it.records(230).interval(WEEK).unwrap().job_polls(1);
            if late { it.available_until(until) } else { it }
        })
        .await
    };
    let late = serve(true).await;
    let first = Exporter::of(&late).args(JOB).args(PERIOD).exits(5).await;
    first.kept(&late, 230).says(["all that the API has so far", "2026-03-07"]);
    assert_eq!(first.summary()["complete"], false);
    let second = Exporter::of(&late).args(JOB).args(PERIOD).after(first).exits(5).await;
    second.kept(&late, 230);
    assert_eq!(late.analytics.stats().jobs, 2);
    assert_eq!(late.analytics.open_jobs(), 0);

    // Whoever does not say until when is content with what there is.
    let outcome = Exporter::of(&late).args(JOB).args(["--from", "2026-03-01T00:00:00Z"]).exits(0).await;
    let begun =
        (0..230).filter(|index| late.analytics.record(*index).contains("\"conversationStart\":\"2026-03-07")).count();
    assert_eq!(outcome.output().lines().count(), 230 - begun);
    assert!(begun > 0);
    let early = Exporter::of(&late).args(JOB).args(["--from", "2026-03-07T12:00:00Z"]).exits(5).await;
    early.says(["data until 2026-03-07T00:00:00Z only", "run it again later"]);
    assert!(!early.path("conversations.ndjson").exists());
}

#[tokio::test]
async fn a_job_into_a_pipe_is_deleted_when_the_run_is_interrupted() {
    let api = Api::serve(|it| it.records(230).interval(WEEK).unwrap().job_polls(1_000)).await;
    let run = Exporter::of(&api).args(JOB).args(PERIOD).args(["-o", "-"]).start();
    while api.analytics.open_jobs() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    signal(&run.child, "INT").await;
    assert_eq!(run.end().await.code, Some(130));
    assert_eq!(api.analytics.open_jobs(), 0);
}

#[tokio::test]
async fn what_is_forbidden_says_which_permission_is_missing() {
    for (source, permission) in [
        ("job", "analytics:conversationDetail:view"),
        ("users", "directory:user:view"),
        ("contacts", "externalContacts:contact:view"),
    ] {
        let api = Api::serve(|it| it).await;
        (0..4).for_each(|_| api.analytics.fail_next(Fault::Status(403)));
        let outcome: Outcome = Exporter::of(&api).args(["--source", source]).exits(4).await;
        outcome.says([permission, "403"]);
    }
}

#[tokio::test]
async fn a_flag_that_means_nothing_to_a_source_is_refused() {
    let api = Api::serve(|it| it).await;
    for (flags, says) in [
        (["--source", "users", "--from", "2026-03-01T00:00:00Z"], "--from is for what is of a period"),
        (["--source", "contacts", "--shard", "1/2"], "--shard is for what is of a period"),
        (["--source", "users", "--query", "q.json"], "users takes none"),
        (["--source", "job", "--shape", "results"], "--shape"),
    ] {
        let outcome = Exporter::of(&api).write("q.json", "{}").args(flags).exits(2).await;
        outcome.says([says]);
    }
    assert_eq!(api.requests(), 0);
}
