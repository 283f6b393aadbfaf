//! An API with a few conversations, in two parts.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::{BoxError, service_fn, util::BoxCloneService};

pub(crate) const PAGE_SIZE: u32 = 3;
pub(crate) const FROM: &str = "2026-01-01T00:00:00Z";
/// More than 31 days later.
pub(crate) const TO: &str = "2026-02-10T00:00:00Z";
/// One conversation in so many hours.
const EVERY: i64 = 72;

#[derive(Clone, Default)]
pub(crate) struct Api(Arc<AtomicU64>);

// === impl Api ===

impl Api {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// How many pages were asked for.
    pub(crate) fn asked(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn service(&self) -> BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError> {
        let asked = Arc::clone(&self.0);
        BoxCloneService::new(service_fn(move |request: Request<Full<Bytes>>| {
            asked.fetch_add(1, Ordering::SeqCst);
            async move {
                let query: Value = serde_json::from_slice(&request.into_body().collect().await?.to_bytes())?;
                Ok(Response::new(page(&query).to_string().into()))
            }
        }))
    }
}

fn page(query: &Value) -> Value {
    let (from, to) = query["interval"].as_str().unwrap().split_once('/').unwrap();
    let hours = |text: &str| text.parse::<Timestamp>().unwrap().as_second().div_euclid(3600);
    let begun = (hours(from)..hours(to)).filter(|hour| hour % EVERY == 0);
    let all: Vec<_> = begun.map(|hour| json!({"conversationId": format!("c-{hour}"), "x": "é".repeat(7)})).collect();
    let number = query["paging"]["pageNumber"].as_u64().unwrap();
    let page = all.chunks(PAGE_SIZE as usize).nth(usize::try_from(number - 1).unwrap());
    json!({"conversations": page.unwrap_or_default(), "totalHits": all.len()})
}
