//! An API with a few conversations, as a query and as jobs.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::{BoxError, service_fn, util::BoxCloneService};

pub(crate) const PAGE_SIZE: u32 = 3;
pub(crate) const FROM: &str = "2026-01-01T00:00:00Z";
/// More than 31 days later.
pub(crate) const TO: &str = "2026-02-10T00:00:00Z";
/// One conversation in so many hours.
const EVERY: i64 = 72;
/// How many hours the longest goes on.
const LONGEST: i64 = 400;

#[derive(Clone, Default)]
pub(crate) struct Api(Arc<State>);

#[derive(Default)]
struct State {
    asked: AtomicU64,
    /// What each job is asked for.
    jobs: Mutex<HashMap<String, (i64, i64)>>,
    made: AtomicU64,
    /// Whether jobs say that they have not everything.
    lacks: AtomicBool,
    /// Whether an answer takes longer than it takes to write one.
    slow: AtomicBool,
}

// === impl Api ===

impl Api {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// How many pages were asked for.
    pub(crate) fn asked(&self) -> u64 {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// From now on answers take their time.
    pub(crate) fn slow_down(&self) {
        self.0.slow.store(true, Ordering::SeqCst);
    }

    /// From now on jobs say that they have not everything.
    pub(crate) fn lack(&self) {
        self.0.lacks.store(true, Ordering::SeqCst);
    }

    /// No job is there any more.
    pub(crate) fn expire_jobs(&self) {
        self.0.jobs.lock().unwrap().clear();
    }

    pub(crate) fn service(&self) -> BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError> {
        let state = Arc::clone(&self.0);
        BoxCloneService::new(service_fn(move |request: Request<Full<Bytes>>| {
            let state = Arc::clone(&state);
            async move {
                if state.slow.load(Ordering::SeqCst) {
                    sleep(Duration::from_millis(10)).await;
                }
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                match state.answer(&head.method, head.uri.path(), head.uri.query().unwrap_or_default(), &body) {
                    Some(answer) => Ok(Response::new(answer.to_string().into())),
                    None => Ok(Response::builder().status(404).body(Full::default())?),
                }
            }
        }))
    }
}

// === impl State ===

impl State {
    fn answer(&self, method: &Method, path: &str, query: &str, body: &[u8]) -> Option<Value> {
        let path = path.strip_prefix("/api/v2/analytics/conversations/details/")?;
        let mut names = path.split('/');
        match (method, names.next()?, names.next(), names.next()) {
            (&Method::POST, "query", None, None) => {
                self.asked.fetch_add(1, Ordering::SeqCst);
                let query: Value = serde_json::from_slice(body).unwrap();
                let number = usize::try_from(query["paging"]["pageNumber"].as_u64().unwrap()).unwrap();
                let (from, to) = interval(&query);
                let all: Vec<_> =
                    hours().filter(|hour| (from..to).contains(hour)).map(|hour| conversation(hour, "")).collect();
                let page = all.chunks(PAGE_SIZE as usize).nth(number - 1).unwrap_or_default();
                Some(json!({"conversations": page, "totalHits": all.len()}))
            }
            (&Method::POST, "jobs", None, None) => {
                let id = format!("job-{}", self.made.fetch_add(1, Ordering::SeqCst));
                let query = serde_json::from_slice(body).unwrap();
                self.jobs.lock().unwrap().insert(id.clone(), interval(&query));
                Some(json!({"jobId": id}))
            }
            (&Method::GET, "jobs", Some(id), None) => {
                self.jobs.lock().unwrap().get(id)?;
                Some(json!({"state": "FULFILLED"}))
            }
            (&Method::DELETE, "jobs", Some(id), None) => {
                self.jobs.lock().unwrap().remove(id)?;
                Some(json!({}))
            }
            (&Method::GET, "jobs", Some(id), Some("results")) => {
                self.asked.fetch_add(1, Ordering::SeqCst);
                let (from, to) = *self.jobs.lock().unwrap().get(id)?;
                let active = hours().filter(|hour| *hour < to && hour + length(*hour) >= from);
                // Which copy it is can be seen.
                let all: Vec<_> = active.map(|hour| conversation(hour, &from.to_string())).collect();
                let cursor = query.split('&').find_map(|param| param.strip_prefix("cursor="));
                let number: usize = cursor.map_or(0, |cursor| cursor.parse().unwrap());
                let mut pages = all.chunks(PAGE_SIZE as usize).skip(number);
                let mut answer = json!({"conversations": pages.next().unwrap_or_default()});
                if self.lacks.load(Ordering::SeqCst) {
                    answer["dataAvailabilityDate"] = FROM.into();
                }
                if pages.next().is_some() {
                    answer["cursor"] = (number + 1).to_string().into();
                }
                Some(answer)
            }
            _ => None,
        }
    }
}

fn interval(query: &Value) -> (i64, i64) {
    let (from, to) = query["interval"].as_str().unwrap().split_once('/').unwrap();
    let hour = |text: &str| text.parse::<Timestamp>().unwrap().as_second().div_euclid(3600);
    (hour(from), hour(to))
}

/// When each conversation began.
fn hours() -> impl Iterator<Item = i64> {
    static HOURS: LazyLock<Vec<i64>> = LazyLock::new(|| {
        let hour = |text: &str| text.parse::<Timestamp>().unwrap().as_second().div_euclid(3600);
        (hour(FROM) - LONGEST..hour(TO)).filter(|hour| hour % EVERY == 0).collect()
    });
    HOURS.iter().copied()
}

fn length(hour: i64) -> i64 {
    hour.wrapping_mul(31).rem_euclid(LONGEST)
}

fn conversation(hour: i64, copy: &str) -> Value {
    let start = Timestamp::from_second(hour * 3600).unwrap();
    json!({"conversationId": format!("c-{hour}"), "conversationStart": start, "x": "é".repeat(7), "copy": copy})
}

/// Of each conversation that a job for the whole period finds, the copy that is the newest with parts that begin then.
pub(crate) fn newest_copies(parts: &[i64]) -> HashMap<String, String> {
    let hour = |text: &str| text.parse::<Timestamp>().unwrap().as_second().div_euclid(3600);
    let active = hours().filter(|begun| begun + length(*begun) >= hour(FROM));
    let newest = |begun: i64| parts.iter().filter(|part| **part <= begun + length(begun)).max().unwrap();
    active.map(|begun| (format!("c-{begun}"), newest(begun).to_string())).collect()
}
