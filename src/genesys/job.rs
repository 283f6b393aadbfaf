//! `POST /api/v2/analytics/conversations/details/jobs`.

use serde_json::{Map, Value};

use super::{error::explain, filters};
use crate::pager::{Error, Job, Place, Query, Rule};

/// A conversation details job: conversations with **activity** within an interval, from the data lake, as one
/// [job](Job).
///
/// It differs from [`ConversationDetails`](super::ConversationDetails) in more than how it is asked for:
///
/// * A conversation belongs to every interval that it was active in. Jobs for adjacent intervals overlap, and of two
///   copies of a conversation, by `conversationId`, the one of the later job is the newer.
/// * Participants have their `attributes`.
/// * The data lake lags behind. If it does not reach the end of the interval the stream ends with
///   [`Incomplete`](crate::pager::ErrorKind::JobIncomplete), after the last page.
/// * There is no limit of 31 days or 100,000 results, but one of jobs at a time.
///
/// ```
/// use tower_oauth2::genesys::{ConversationJob, Region};
///
/// let region: Region = "mypurecloud.ie".parse()?;
/// let query = ConversationJob::query(region.api_url(), "2026-03-01T00:00:00Z/2026-03-08T00:00:00Z").build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ConversationJob {
    api: String,
    interval: String,
    page_size: u32,
    filters: Value,
    keep_unfinished: bool,
}

// === impl ConversationJob ===

impl ConversationJob {
    /// At the API `api`, such as [`Region::api_url`](super::Region::api_url), for `interval`: two instants of ISO 8601 with
    /// a slash between, the second in UTC with a `Z`.
    pub fn query(api: impl Into<String>, interval: impl Into<String>) -> Self {
        let filters = Value::Object(Map::new());
        Self { api: api.into(), interval: interval.into(), page_size: 1000, filters, keep_unfinished: false }
    }

    /// Conversations a page of results, 1 to 1,000, which is the default. Genesys does not publish what it takes.
    pub fn page_size(mut self, size: u32) -> Self {
        self.page_size = size.clamp(1, 1000);
        self
    }

    /// Members of the request body, such as `segmentFilters`: a JSON object. None by default.
    pub fn filters(mut self, filters: Value) -> Self {
        self.filters = filters;
        self
    }

    /// As [`Job::keep_unfinished`]. Off by default.
    pub fn keep_unfinished(mut self) -> Self {
        self.keep_unfinished = true;
        self
    }

    /// The query for a [`Pager`](crate::pager::Pager).
    ///
    /// # Errors
    ///
    /// If the API is not an absolute http or https URL, the end of the interval is no instant in UTC, or the filters are no
    /// object, or have a member that is set here (`interval`, `order`, `orderBy`) or that a job does not take (`paging`,
    /// `aggregations`).
    pub fn build(self) -> Result<Query, Error> {
        let end = self.interval.split_once('/').map_or("", |(_, end)| end).to_owned();
        let mut body = Map::new();
        body.insert("interval".into(), self.interval.into());
        body.insert("order".into(), "asc".into());
        body.insert("orderBy".into(), "conversationStart".into());
        filters::add(&mut body, self.filters, &["paging", "aggregations"])?;

        let jobs = filters::url(&self.api, "/api/v2/analytics/conversations/details/jobs");
        let results = format!("{jobs}/{{id}}/results?pageSize={}", self.page_size);
        let results = Query::get(results, "/conversations", Rule::cursor("/cursor", Place::query("cursor")))?;
        let job = Job::post(&jobs, Value::Object(body), "/jobId")
            .status(format!("{jobs}/{{id}}"), "/state")
            .message("/errorMessage")
            .done(["FULFILLED"])
            .failed(["FAILED", "CANCELLED", "EXPIRED"])
            .delete(format!("{jobs}/{{id}}"))
            .complete_to("/dataAvailabilityDate", end);
        let job = if self.keep_unfinished { job.keep_unfinished() } else { job };
        job.results(results.explain_errors(explain))
    }
}
