//! Jobs: what is sent again, what it is told by, and every way out.

use std::io;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tower_oauth2::{
    genesys::ConversationJob,
    pager::{Error, ErrorKind, Pager, Query},
};

use crate::{
    edges::world::{API, INTERVAL, World, refusal, secs, with},
    scripted_api::{Answer, ScriptedApi, broken, drain, ok, status},
};

const JOBS: &str = "https://api.mypurecloud.ie/api/v2/analytics/conversations/details/jobs";

fn submitted() -> Answer {
    status(202, r#"{"jobId":"j1"}"#)
}

fn told(state: &str) -> Answer {
    ok(json!({"state": state}).to_string())
}

fn page(cursor: Option<&str>) -> Answer {
    ok(json!({"conversations": [{"conversationId": "c1"}], "cursor": cursor}).to_string())
}

fn job() -> Query {
    ConversationJob::query(API, INTERVAL).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_job_asks_for_what_jobs_take() {
    for (asked, size) in [(0, 1), (1, 1), (250, 250), (1000, 1000), (1001, 1000), (u32::MAX, 1000)] {
        let taken =
            json!({"limit": 50, "startOfDayIntervalMatching": true, "conversationFilters": [], "segmentFilters": []});
        let query = ConversationJob::query(API, INTERVAL).page_size(asked).filters(taken.clone()).build().unwrap();
        let api = ScriptedApi::new([submitted(), told("FULFILLED"), page(None), status(204, "")]);
        let (_, error) = drain(&mut Pager::new(api.service(), query)).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(api.uris()[2], format!("{JOBS}/j1/results?pageSize={size}"));
        let mut sent: Value = serde_json::from_str(&api.bodies()[0]).unwrap();
        for (name, value) in [("interval", INTERVAL), ("order", "asc"), ("orderBy", "conversationStart")] {
            assert_eq!(sent.as_object_mut().unwrap().remove(name), Some(value.into()));
        }
        assert_eq!(sent, taken);
    }
    for not in ["aggregations", "paging", "order"] {
        let error = ConversationJob::query(API, INTERVAL).filters(json!({not: []})).build().unwrap_err();
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains(not), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_submission_is_sent_again_only_if_nobody_looked_at_it() {
    let io = |kind: io::ErrorKind| -> Answer { Err(io::Error::from(kind).into()) };
    for (fault, posts) in [
        (with(refusal(429, "too.many.requests.retry.after", "Rate limit exceeded"), "retry-after", "3"), 2),
        (refusal(429, "too.many.requests", "Retry the request in [3] seconds"), 2),
        (refusal(401, "bad.credentials", "Invalid login credentials."), 2),
        (io(io::ErrorKind::ConnectionRefused), 2),
        (io(io::ErrorKind::ConnectionReset), 1),
        (Err(tower::timeout::error::Elapsed::new().into()), 1),
        (refusal(500, "internal.server.error", "Oops"), 1),
        (refusal(502, "bad.gateway", "Oops"), 1),
        (with(refusal(503, "service.unavailable", "Oops"), "retry-after", "3"), 1),
        (refusal(504, "request.timeout", "The request timed out."), 1),
        (refusal(409, "too.many.jobs", "Too many concurrent jobs"), 1),
        (broken(r#"{"jobId":"#), 1),
    ] {
        let world = World::new([fault, submitted(), told("FULFILLED"), page(None), status(204, "")]);
        let (pages, error) = drain(&mut world.pager(job())).await;
        let methods: Vec<_> = world.api.seen().into_iter().map(|seen| seen.method).collect();
        if posts == 2 {
            assert!(error.is_none() && pages.len() == 1, "{error:?}");
            assert_eq!(methods, ["POST", "POST", "GET", "GET", "DELETE"]);
        } else {
            // There may be one now, and nobody knows what it is called.
            assert!(error.is_some() && pages.is_empty());
            assert_eq!(methods, ["POST"], "{error:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_else_about_a_job_is_sent_again() {
    let refused = || refusal(401, "credentials.expired", "The login credentials have expired.");
    let timed_out = || refusal(504, "request.timeout", "The request timed out.");
    let limited = || refusal(429, "too.many.requests", "Retry the request in [2] seconds");
    let world = World::new([
        submitted(),
        limited(),
        told("QUEUED"),
        timed_out(),
        told("PENDING"),
        refused(),
        told("FULFILLED"),
        timed_out(),
        page(Some("Yw==")),
        limited(),
        page(None),
        timed_out(),
        status(204, ""),
    ]);
    let (pages, error) = drain(&mut world.pager(job())).await;
    assert!(error.is_none() && pages.len() == 2, "{error:?}");
    assert_eq!((world.api.left(), world.login.requests()), (0, 2));
    let last = world.api.seen().pop().unwrap();
    assert_eq!((last.method.as_str(), last.uri), ("DELETE", format!("{JOBS}/j1")));
}

type Settings = fn(Pager<crate::edges::world::Client>) -> Pager<crate::edges::world::Client>;

#[tokio::test(start_paused = true)]
async fn a_job_is_deleted_whatever_ends_it() {
    let html = || ok("<html>");
    let as_it_is: Settings = |pager| pager;
    let forbidden = || refusal(403, "missing.permissions", "No");
    let results = |answers: Vec<Answer>| [submitted(), told("FULFILLED")].into_iter().chain(answers).collect();
    let stale = r#"{"conversations":[],"dataAvailabilityDate":"2026-02-08T21:00:00.000Z"}"#;
    let cases: [(&str, Vec<Answer>, Settings, Option<ErrorKind>); 16] = [
        ("its end", results(vec![page(None)]), as_it_is, None),
        ("no content", results(vec![status(204, "")]), as_it_is, None),
        ("failure", vec![submitted(), told("FAILED")], as_it_is, Some(ErrorKind::JobFailed)),
        (
            "no end",
            (0..300).map(|n| if n == 0 { submitted() } else { told("PENDING") }).collect(),
            as_it_is,
            Some(ErrorKind::JobTimeout),
        ),
        ("a refused question", vec![submitted(), forbidden()], as_it_is, Some(ErrorKind::Status)),
        (
            "a broken answer",
            [submitted()].into_iter().chain((0..4).map(|_| html())).collect(),
            as_it_is,
            Some(ErrorKind::Body),
        ),
        ("a job that is gone", vec![submitted(), status(404, "")], as_it_is, Some(ErrorKind::JobFailed)),
        ("refused results", results(vec![forbidden(), told("FULFILLED")]), as_it_is, Some(ErrorKind::Status)),
        ("expired results", results(vec![status(404, ""), told("EXPIRED")]), as_it_is, Some(ErrorKind::JobFailed)),
        ("broken results", results((0..4).map(|_| html()).collect()), as_it_is, Some(ErrorKind::Body)),
        ("no answer", results(vec![Err("who knows".into())]), as_it_is, Some(ErrorKind::Send)),
        ("a loop", results(vec![page(Some("a")), page(Some("a"))]), as_it_is, Some(ErrorKind::Loop)),
        (
            "empty pages",
            results(vec![ok(r#"{"cursor":"a"}"#)]),
            |pager| pager.max_empty_pages(0),
            Some(ErrorKind::EmptyPages),
        ),
        ("too many pages", results(vec![page(Some("a"))]), |pager| pager.max_pages(1), Some(ErrorKind::MaxPages)),
        ("a page too large", results(vec![page(None)]), |pager| pager.max_page_bytes(9), Some(ErrorKind::TooLarge)),
        ("data that ends too early", results(vec![ok(stale)]), as_it_is, Some(ErrorKind::JobIncomplete)),
    ];
    for (what, answers, set, expected) in cases {
        let world = World::new(answers.into_iter().chain([status(204, "")]));
        let (_, error) = drain(&mut set(world.pager(job()))).await;
        assert_eq!(error.as_ref().map(Error::kind), expected, "{what}: {error:?}");
        assert_deleted(&world, what);
    }
}

fn assert_deleted(world: &World, what: &str) {
    let seen = world.api.seen();
    let count = |method: &str| seen.iter().filter(|seen| seen.method == method).count();
    assert_eq!((count("POST"), count("DELETE")), (1, 1), "{what}");
    let last = seen.last().unwrap();
    assert_eq!((last.method.as_str(), last.uri.as_str()), ("DELETE", &*format!("{JOBS}/j1")), "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_job_is_deleted_whoever_turns_away() {
    let pending = || (0..300).map(|_| told("PENDING"));
    let answers = || [submitted()].into_iter().chain([told("FULFILLED"), page(Some("a")), status(204, "")]);

    let world = World::new([submitted()].into_iter().chain(pending()));
    let mut pager = world.pager(job());
    assert!(timeout(secs(100), pager.next()).await.is_err());
    drop(pager);
    sleep(secs(60)).await;
    assert_deleted(&world, "dropped while it is waited for");

    let world = World::new(answers());
    let mut pager = world.pager(job());
    pager.next().await.unwrap().unwrap();
    pager.close().await;
    assert_deleted(&world, "closed amid its results");

    let world = World::new(answers());
    let mut items = world.pager(job()).items::<u32>();
    assert_eq!(items.next().await.unwrap().unwrap_err().kind(), ErrorKind::Decode);
    drop(items);
    sleep(secs(60)).await;
    assert_deleted(&world, "an item of another type");

    let world = World::new(answers());
    let mut ahead = world.pager(job()).read_ahead(1);
    ahead.next().await.unwrap().unwrap();
    drop(ahead);
    sleep(secs(60)).await;
    assert_eq!(world.api.seen().last().unwrap().method, "DELETE", "read ahead");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_leads_through_the_results_until_there_is_none() {
    for last in [json!(null), json!(""), json!(" ")] {
        let cursor = "eyJvIjoyLCJrIjoiYSt2Lz0ifQ==";
        let last = ok(json!({"conversations": [{"conversationId": "c2"}], "cursor": last}).to_string());
        let api = ScriptedApi::new([submitted(), told("FULFILLED"), page(Some(cursor)), last, status(204, "")]);
        let (items, error) = drain(&mut Pager::new(api.service(), job()).items::<Value>()).await;
        assert!(error.is_none() && items.len() == 2 && api.left() == 0, "{error:?}");
        let results = format!("{JOBS}/j1/results?pageSize=1000");
        assert_eq!(api.uris()[2..4], [results.clone(), format!("{results}&cursor=eyJvIjoyLCJrIjoiYSt2Lz0ifQ%3D%3D")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_names_the_answer_that_said_so() {
    let id = |answer: Answer, id: &str| with(answer, "inin-correlation-id", id);
    for (said, message) in [
        (json!({"state": "FAILED", "errorMessage": "Query is too large"}), "the job is FAILED: Query is too large"),
        (json!({"state": "FAILED", "errorMessage": null}), "the job is FAILED"),
        (json!({"state": "FAILED", "errorMessage": " "}), "the job is FAILED"),
        (json!({"state": "EXPIRED", "expirationDate": "2026-02-10T00:00:00.000Z"}), "the job is EXPIRED"),
    ] {
        let failed = id(ok(said.to_string()), "0000c0de-3");
        let api = ScriptedApi::new([
            id(submitted(), "0000c0de-1"),
            id(told("QUEUED"), "0000c0de-2"),
            failed,
            status(204, ""),
        ]);
        let (_, error) = drain(&mut Pager::new(api.service(), job())).await;
        let error = error.unwrap();
        assert_eq!(error.to_string(), format!("{message} (correlation id 0000c0de-3)"));
    }
    // Nor is that of data that ends too early forgotten, nor that of a job that is not done in time.
    let stale = ok(r#"{"conversations":[],"dataAvailabilityDate":"2026-02-08T21:00:00.000Z"}"#);
    let api = ScriptedApi::new([submitted(), told("FULFILLED"), id(stale, "0000c0de-4"), status(204, "")]);
    let (_, error) = drain(&mut Pager::new(api.service(), job())).await;
    let error = error.unwrap();
    assert_eq!((error.kind(), error.correlation_id()), (ErrorKind::JobIncomplete, Some("0000c0de-4")));

    let api = ScriptedApi::new([submitted()].into_iter().chain((0..300).map(|_| id(told("PENDING"), "0000c0de-5"))));
    let (_, error) = drain(&mut Pager::new(api.service(), job())).await;
    let error = error.unwrap();
    assert_eq!((error.kind(), error.correlation_id()), (ErrorKind::JobTimeout, Some("0000c0de-5")));
}
