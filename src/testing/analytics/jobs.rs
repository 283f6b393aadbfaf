//! The query as an asynchronous job: submitted, done after a while, read by cursor, deleted.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;

use http::{Method, StatusCode, request};
use serde_json::Value;

use super::details::push_list;
use super::error_body::ErrorBody;
use super::filter::Filters;
use super::handle::Inner;
use super::hash::{mix, uuid};
use super::interval::{Interval, time};
use super::page_token::PageToken;
use super::record_text::SIZE;
use super::records::{LONGEST, Records};
use super::route::Reply;
use crate::testing::reply::quoted;
use crate::testing::target::param;

pub(super) const JOBS: &str = "/api/v2/analytics/conversations/details/jobs";
const DEFAULT_PAGE_SIZE: u64 = 1_000;

/// The jobs that somebody submitted and nobody deleted.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    open: HashMap<String, Job>,
    made: u64,
    /// How the next jobs end, instead of with results.
    pub(super) fates: VecDeque<JobFate>,
}

#[derive(Debug)]
struct Job {
    interval: Interval,
    filters: Value,
    asked: u32,
    pages: u64,
    fate: Option<JobFate>,
}

/// How a job of an [`Analytics`](crate::testing::Analytics) ends, instead of with results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobFate {
    /// It fails.
    Failed,
    /// Somebody cancels it.
    Cancelled,
    /// It expires before anybody reads it.
    Expired,
    /// It expires after so many pages of its results, and is gone then.
    ExpiredAfter(u64),
    /// It is never done.
    Pending,
}

pub(super) fn route(inner: &Inner, head: &request::Parts, body: &[u8]) -> Result<Reply, ErrorBody> {
    let path = head.uri.path().strip_prefix(JOBS).unwrap_or_default().trim_start_matches('/');
    match (path.split_once('/').unwrap_or((path, "")), &head.method) {
        (("", ""), &Method::POST) => submit(inner, body),
        (("availability", ""), &Method::GET) => Ok(Reply::json(format!("{{{}}}", available(inner)))),
        ((id, ""), &Method::GET) if !id.is_empty() => status(inner, id),
        ((id, ""), &Method::DELETE) if !id.is_empty() => delete(inner, id),
        ((id, "results"), &Method::GET) => results(inner, id, head),
        (("" | "availability", "") | (_, "" | "results"), _) => {
            Err(ErrorBody::new(405, "method.not.allowed", "The method is not allowed here."))
        }
        _ => Err(ErrorBody::of_status(404)),
    }
}

fn submit(inner: &Inner, body: &[u8]) -> Result<Reply, ErrorBody> {
    let query: Value =
        serde_json::from_slice(body).map_err(|_| ErrorBody::bad_request("The request body is not valid JSON."))?;
    let interval = query.get("interval").and_then(Value::as_str).and_then(|text| Interval::parse(text).ok());
    let interval = interval.ok_or_else(|| ErrorBody::bad_request("You must specify a search interval."))?;
    if query.get("paging").is_some() {
        return Err(ErrorBody::bad_request("A job takes no paging."));
    }
    let mut state = inner.state();
    if state.jobs.open.len() >= inner.config.max_jobs {
        let message = "The maximum of concurrent jobs is reached.";
        return Err(ErrorBody::new(429, "too.many.requests", message));
    }
    state.jobs.made += 1;
    state.stats.jobs += 1;
    let id = uuid(mix(inner.records.seed ^ 0x10B, state.jobs.made));
    let fate = state.jobs.fates.pop_front();
    state.jobs.open.insert(id.clone(), Job { interval, filters: query, asked: 0, pages: 0, fate });
    Ok(Reply { status: StatusCode::ACCEPTED, ..Reply::json(format!(r#"{{"jobId":"{id}"}}"#)) })
}

fn status(inner: &Inner, id: &str) -> Result<Reply, ErrorBody> {
    let mut state = inner.state();
    let job = state.jobs.open.get_mut(id).ok_or_else(|| ErrorBody::of_status(404))?;
    job.asked = job.asked.saturating_add(1);
    let (name, message) = job.state(inner.config.job_polls);
    let message = message.map(|message| format!(r#","errorMessage":{}"#, quoted(message))).unwrap_or_default();
    Ok(Reply::json(format!(r#"{{"state":"{name}"{message}}}"#)))
}

fn delete(inner: &Inner, id: &str) -> Result<Reply, ErrorBody> {
    let mut state = inner.state();
    state.jobs.open.remove(id).ok_or_else(|| ErrorBody::of_status(404))?;
    state.stats.jobs_deleted += 1;
    Ok(Reply { status: StatusCode::NO_CONTENT, ..Reply::json(String::new()) })
}

fn results(inner: &Inner, id: &str, head: &request::Parts) -> Result<Reply, ErrorBody> {
    let size = match param(head, "pageSize").map(|text| text.parse::<u64>()) {
        None => DEFAULT_PAGE_SIZE,
        Some(Ok(size)) if size > 0 => size.min(DEFAULT_PAGE_SIZE),
        Some(_) => return Err(ErrorBody::bad_request("pageSize must be a positive number.")),
    };
    let mut state = inner.state();
    let job = state.jobs.open.get_mut(id).ok_or_else(|| ErrorBody::of_status(404))?;
    if job.state(inner.config.job_polls).0 != "FULFILLED" {
        return Err(ErrorBody::bad_request("The job has no results."));
    }
    let first = match param(head, "cursor") {
        None => None,
        Some(text) => {
            let token = PageToken::decode(&text).filter(|token| token.interval == job.interval);
            Some(token.ok_or_else(|| ErrorBody::bad_request("The cursor is invalid."))?.offset)
        }
    };
    job.pages += 1;
    let (interval, filters) = (job.interval, Filters::of_query(&job.filters));
    drop(state);

    let (indices, next) = select(&inner.records, interval, &filters, first, size);
    let mut out = String::with_capacity(indices.len() * SIZE + 128);
    out.push_str("{\"conversations\":[");
    push_list(&mut out, &inner.records, &indices);
    out.push(']');
    if let Some(offset) = next {
        let _ = write!(out, r#","cursor":"{}""#, PageToken { interval, size, offset }.encode());
    }
    let _ = write!(out, ",{}}}", available(inner));
    Ok(Reply::page(out, indices.len() as u64))
}

/// Those that had some activity, from the index `first` on, and the index where the next page begins.
fn select(
    records: &Records,
    interval: Interval,
    filters: &Filters,
    first: Option<u64>,
    size: u64,
) -> (Vec<u64>, Option<u64>) {
    let early = Interval { start: interval.start.saturating_sub(LONGEST), ..interval };
    let range = records.within(early);
    let mut indices = Vec::new();
    for index in first.unwrap_or(range.start).max(range.start)..range.end {
        let traits = records.traits(index);
        if traits.last_activity() >= interval.start && (filters.is_empty() || filters.pass(&traits.kind)) {
            if indices.len() as u64 == size {
                return (indices, Some(index));
            }
            indices.push(index);
        }
    }
    (indices, None)
}

fn available(inner: &Inner) -> String {
    let until = inner.config.available_until.unwrap_or(FAR);
    format!(r#""dataAvailabilityDate":"{:.3}""#, time(until))
}

// === impl Job ===

impl Job {
    /// Its state, and what is said about that.
    fn state(&self, polls: u32) -> (&'static str, Option<&'static str>) {
        match self.fate {
            _ if self.asked == 0 => ("QUEUED", None),
            _ if self.asked < polls => ("PENDING", None),
            Some(JobFate::Failed) => ("FAILED", Some("An error occurred while executing the query")),
            Some(JobFate::Cancelled) => ("CANCELLED", None),
            Some(JobFate::Expired) => ("EXPIRED", None),
            Some(JobFate::ExpiredAfter(pages)) if self.pages >= pages => ("EXPIRED", None),
            Some(JobFate::Pending) => ("PENDING", None),
            Some(JobFate::ExpiredAfter(_)) | None => ("FULFILLED", None),
        }
    }
}

// === impl Jobs ===

impl Jobs {
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }
}

/// The year 2200: whatever anybody asks for is there.
const FAR: i64 = 7_258_118_400_000;
