//! A period that the API does not answer for at once is asked for in parts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use analytics_exporter::{
    args::{Said, Shape},
    checkpoint::Subject,
    config::{Patience, Period},
    disk::RealDisk,
    output::Output,
    pump::{Halt, pump},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tower::{BoxError, service_fn, util::BoxCloneService};

use support::{Api, Exporter};

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

async fn export(millis: i64, refuses: bool) -> (Result<(), Halt>, String, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let at = |millis| Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap();
    let subject = Subject {
        api: "https://api.example.com".into(),
        shape: Shape::Details,
        page_size: 100,
        filters: Map::new(),
        period: Period { from: at(0), to: at(millis) },
    };
    let second = Duration::from_secs(1);
    let patience = Patience { connect: second, request: second, idle: second, max_retry_after: second };
    let mut output = Output::open(RealDisk, Path::new(&path), subject, Said { from: true, to: true }, false).unwrap();
    let asked = Arc::default();
    let result = pump(dense(refuses, Arc::clone(&asked)), &patience, &mut output, &mut 0, |_| {}).await;
    let asked = asked.lock().unwrap().clone();
    (result, std::fs::read_to_string(&path).unwrap(), asked)
}

#[tokio::test]
async fn a_part_with_more_than_the_api_counts_is_halved_until_it_fits() {
    for refuses in [false, true] {
        let (result, output, asked) = export(250_001, refuses).await;
        result.unwrap();
        let expected: String = (0..250_001_i64).map(|at| format!("{}\n", 1_700_000_000_000 + at)).collect();
        assert!(output == expected, "{} lines", output.lines().count());
        assert_eq!(asked.len(), 7, "the whole, two halves of it, and four of theirs: {asked:?}");

        let (result, output, asked) = export(100_000, refuses).await;
        result.unwrap();
        assert_eq!((output.lines().count(), asked.len()), (100_000, 1), "what the API counts to is not too much");
    }
}
