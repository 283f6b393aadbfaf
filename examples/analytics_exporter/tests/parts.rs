//! A period that the API does not answer for at once is asked for in parts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use analytics_exporter::{
    args::Shape,
    checkpoint::Subject,
    config::Patience,
    disk::RealDisk,
    form::Form,
    frame::{Common, Halt, Jobs},
    output::{Opened, Output, Said},
    period::Period,
    pump::{Manner, Told, pump},
    source::Source,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tower::{BoxError, service_fn, util::BoxCloneService};
use tower_oauth2::testing::Issuer;

use support::{Api, Exporter, ID, SECRET};

#[tokio::test]
async fn a_year_is_exported_in_parts_of_a_month() {
    let year = "2025-01-01T00:00:00.000Z/2026-01-01T00:00:00.000Z";
    let api = Api::serve(|it| it.records(300).interval(year).unwrap()).await;
    let period = ["--from", "2025-01-01T00:00:00Z", "--to", "2026-01-01T00:00:00Z"];
    let outcome = Exporter::of(&api).args(period).exits(0).await;
    outcome.kept(&api, 300);
    assert_eq!(outcome.summary()["pages"], 12);
}

/// One conversation a millisecond, as many on a page as there are. More than the API counts to is either told or refused.
fn dense(
    refuses: bool,
    asked: Arc<Mutex<Vec<String>>>,
) -> BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError> {
    BoxCloneService::new(service_fn(move |request: Request<Full<Bytes>>| {
        let asked = Arc::clone(&asked);
        async move {
            let query: Value = serde_json::from_slice(&request.into_body().collect().await?.to_bytes())?;
            let interval = query["interval"].as_str().ok_or("no interval")?.to_owned();
            let (from, to) = interval.split_once('/').ok_or("no interval")?;
            let [from, to] = [from.parse::<Timestamp>()?.as_millisecond(), to.parse::<Timestamp>()?.as_millisecond()];
            asked.lock().unwrap().push(interval);
            let total = to - from;
            if total > 100_000 && refuses {
                let message = "Pagination may not exceed 100000 results.\n\nTip: smaller intervals";
                let body = json!({"message": message, "code": "bad.request", "status": 400}).to_string();
                return Ok(Response::builder().status(400).body(body.into())?);
            }
            let shown = if total > 100_000 { from..from + 1 } else { from..to };
            let items: Vec<_> = shown.map(|at| format!("{at}")).collect();
            Ok(Response::new(format!(r#"{{"conversations":[{}],"totalHits":{total}}}"#, items.join(",")).into()))
        }
    }))
}

/// Where to, and how.
#[derive(Clone, Debug, Default)]
struct To {
    path: PathBuf,
    rotate: Option<u64>,
    parts: u32,
}

async fn export(
    millis: i64,
    service: BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError>,
) -> (Result<(), Halt>, String) {
    let dir = tempfile::tempdir().unwrap();
    let to = To { path: dir.path().join("out"), ..To::default() };
    let result = export_to(&to, millis, service, |_| {}).await;
    (result, std::fs::read_to_string(&to.path).unwrap())
}

async fn export_to(
    to: &To,
    millis: i64,
    service: BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError>,
    tell: impl FnMut(Told<'_>),
) -> Result<(), Halt> {
    let at = |millis| Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap();
    let subject = Subject {
        api: "https://api.example.com".into(),
        source: Source::Details,
        shape: Shape::Details,
        page_size: 100,
        filters: Map::new(),
        form: Form { rotate: to.rotate, ..Form::default() },
        shard: None,
        period: Some(Period { from: at(0), to: at(millis) }),
    };
    let second = Duration::from_secs(1);
    let common = Arc::new(Common {
        subject: subject.clone(),
        patience: Patience { connect: second, request: second, idle: second, max_retry_after: second },
        keep_jobs: true,
        repeats: AtomicU64::new(0),
        jobs: Jobs::default(),
    });
    let said = Said { from: true, to: true, at_once: to.parts.max(1), ..Said::default() };
    let Ok(Opened::Output(mut output)) = Output::open(RealDisk, &to.path, subject, said) else { panic!("not opened") };
    let (_stop, stop) = watch::channel(false);
    pump(service, &common, &mut output, &Manner { lanes: 1, spool: 0, stop }, tell).await
}

async fn export_dense(millis: i64, refuses: bool) -> (Result<(), Halt>, String, Vec<String>) {
    let asked = Arc::default();
    let (result, output) = export(millis, dense(refuses, Arc::clone(&asked))).await;
    let asked = asked.lock().unwrap().clone();
    (result, output, asked)
}

#[tokio::test]
async fn a_part_with_more_than_the_api_counts_is_halved_until_it_fits() {
    for refuses in [false, true] {
        let (result, output, asked) = export_dense(250_001, refuses).await;
        result.unwrap();
        let expected: String = (0..250_001_i64).map(|at| format!("{}\n", 1_700_000_000_000 + at)).collect();
        assert!(output == expected, "{} lines", output.lines().count());
        assert_eq!(asked.len(), 7, "the whole, two halves of it, and four of theirs: {asked:?}");

        let (result, output, asked) = export_dense(100_000, refuses).await;
        result.unwrap();
        assert_eq!((output.lines().count(), asked.len()), (100_000, 1), "what the API counts to is not too much");
    }
}

/// The API counts it to be too much only when that page is asked for, of a period that begins then, in milliseconds; once.
fn growing(begins: i64, page: i64) -> BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError> {
    let grown = Arc::new(AtomicU64::new(0));
    BoxCloneService::new(service_fn(move |request: Request<Full<Bytes>>| {
        let grown = Arc::clone(&grown);
        async move {
            let query: Value = serde_json::from_slice(&request.into_body().collect().await?.to_bytes())?;
            let (from, to) = query["interval"].as_str().and_then(|text| text.split_once('/')).ok_or("no interval")?;
            let [from, to] = [from.parse::<Timestamp>()?.as_millisecond(), to.parse::<Timestamp>()?.as_millisecond()];
            let number = query["paging"]["pageNumber"].as_i64().ok_or("no number")?;
            let grows = (from - 1_700_000_000_000, number) == (begins, page);
            if grows && grown.fetch_add(1, Ordering::SeqCst) < 1 {
                let body = json!({"message": "Pagination may not exceed 100000 results.", "status": 400}).to_string();
                return Ok(Response::builder().status(400).body(body.into())?);
            }
            let shown = (from + (number - 1) * 100).min(to)..(from + number * 100).min(to);
            let items: Vec<_> = shown.map(|at| format!("{at}")).collect();
            let page = format!(r#"{{"conversations":[{}],"totalHits":{}}}"#, items.join(","), to - from);
            Ok(Response::new(page.into()))
        }
    }))
}

#[tokio::test]
async fn a_part_that_grows_too_large_in_its_middle_is_cut_and_nothing_comes_twice() {
    let (result, output) = export(250, growing(0, 2)).await;
    result.unwrap();
    let expected: String = (0..250_i64).map(|at| format!("{}\n", 1_700_000_000_000 + at)).collect();
    assert!(output == expected, "{output}");
}

#[tokio::test]
async fn a_file_that_was_taken_away_does_not_come_back_as_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let to = To { path: dir.path().join("out"), rotate: Some(1), parts: 2 };
    let third = dir.path().join("out-00003");
    // The first part ends in the third file; the second part has two files when it begins again.
    let halt = export_to(&to, 600, growing(300, 3), |told| {
        if told.state.mark.pages == 5 {
            std::fs::remove_file(&third).unwrap();
        }
    });
    let halt = halt.await.unwrap_err();
    let Halt::Output(error) = halt else { panic!("{halt:?}") };
    assert!(error.to_string().contains("somebody changed it"), "{error}");
    assert_eq!(std::fs::metadata(&third).map_or(0, |file| file.len()), 0);
    assert_eq!(std::fs::read_to_string(dir.path().join("out-00004")).unwrap().lines().count(), 100);
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_pipe_or_a_device_was_given_is_not_taken_back() {
    let to = To { path: "/dev/null".into(), ..To::default() };
    export_to(&to, 250, growing(0, 1), |_| {}).await.unwrap();
    let halt = export_to(&to, 250, growing(0, 2), |_| {}).await.unwrap_err();
    let Halt::Output(error) = halt else { panic!("{halt:?}") };
    assert!(error.to_string().contains("cannot be taken back"), "{error}");
}

#[tokio::test]
async fn parts_at_once_have_one_token_and_one_order() {
    let week = "2026-03-01T00:00:00.000Z/2026-03-08T00:00:00.000Z";
    let issuer = Issuer::builder().client(ID, SECRET).latency(Duration::from_millis(50)).build();
    let api =
        Api::serve_with(issuer, |it| it.records(3_000).interval(week).unwrap().latency(Duration::from_millis(15)))
            .await;
    let period = ["--from", "2026-03-01T00:00:00Z", "--to", "2026-03-08T00:00:00Z"];
    let outcome = Exporter::of(&api).args(period).args(["--concurrency", "5"]).exits(0).await;
    outcome.kept(&api, 3_000);
    assert_eq!(api.issuer.stats().minted, 1, "all asked for it at once");
    assert_eq!(api.analytics.stats().largest_concurrency, 5);
    assert_eq!(outcome.summary()["tokens_minted"], 1);
}

#[tokio::test]
async fn a_limit_that_one_part_meets_holds_all_of_them() {
    let week = "2026-03-01T00:00:00.000Z/2026-03-08T00:00:00.000Z";
    let limit = |it: tower_oauth2::testing::AnalyticsBuilder| {
        it.records(3_000)
            .interval(week)
            .unwrap()
            .rate_limit(20, Duration::from_secs(2))
            .latency(Duration::from_millis(5))
    };
    let api = Api::serve(limit).await;
    let period = ["--from", "2026-03-01T00:00:00Z", "--to", "2026-03-08T00:00:00Z"];
    let outcome = Exporter::of(&api).args(period).args(["--concurrency", "4"]).exits(0).await;
    outcome.kept(&api, 3_000);
    let stats = api.analytics.stats();
    // Those that were on their way could not know.
    assert!(stats.requests_inside_retry_after <= 3 * stats.rate_limited.max(1), "{stats:?}");
    assert!(stats.rate_limited <= 8, "{stats:?}");
}
