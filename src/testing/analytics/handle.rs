//! The handle of an analytics API.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::contacts::push_contact;
use super::cxone_contact::{self, Fields, SIZE as CXONE_SIZE};
use super::hash::{mix, uuid};
use super::jobs::{JobFate, Jobs};
use super::limiter::Limiter;
use super::record_text::{SIZE, push_record};
use super::records::Records;
use super::users::push_user;
use super::{AnalyticsBuilder, AnalyticsService, AnalyticsStats, Fault, Faults};
use crate::testing::Issuer;
use crate::testing::sync::{Gauge, lock};

/// An API like Genesys Cloud's analytics, which wants a bearer token of an [`Issuer`].
///
/// A clone is another handle of the same API. It has
///
/// - `POST /api/v2/analytics/conversations/details/query` in three shapes, told apart by the body: the real one
///   (`interval`, `paging`), and the two that tutorials show: `dateFrom` and `dateTo`, answered by `results` and a link
///   `nextPage`, and `time_filter`, answered by `entities` and a token `next_page` for the parameter `page_token`;
/// - `/api/v2/analytics/conversations/details/jobs`, the same as a job: POST, GET of its `state` and of its `results` by
///   `cursor`, DELETE; conversations with activity in the interval; and `jobs/availability`;
/// - `GET /api/v2/users`, a listing with `pageSize`, `pageNumber` and a link `nextUri`;
/// - `GET /api/v2/externalcontacts/scan/contacts`, with `limit` (10 to 200, or else 100) and `cursor`, where the next cursor
///   is at `cursors.after`; in names there is what a spreadsheet takes for a formula;
/// - `GET /incontactapi/services/v30.0/contacts/completed`, as NICE CXone has it: the same conversations by `startDate`,
///   `endDate` (both included) and `updatedSince`, in an order by `orderBy`, with `skip` and `top` (10,000 at the most, and
///   if it is not given), and absolute links; nothing is 204. Its errors are told in `icStatusDescription`;
/// - `/echo`, which answers every method with the method, the path, and the length of the body.
///
/// ```
/// use http::Request;
/// use http_body_util::BodyExt;
/// use tower::ServiceExt;
/// use tower_oauth2::testing::{Analytics, Fault, Issuer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let issuer = Issuer::new();
/// let analytics = Analytics::builder(&issuer).records(3).build();
/// let token = issuer.mint();
/// let query = || {
///     Request::post("/api/v2/analytics/conversations/details/query")
///         .header("authorization", format!("Bearer {token}"))
///         .body(format!(r#"{{"interval":"{}","paging":{{"pageSize":1,"pageNumber":2}}}}"#, analytics.interval()))
/// };
/// let page = analytics.service().oneshot(query()?).await?.into_body().collect().await?.to_bytes();
/// assert_eq!(page, format!(r#"{{"conversations":[{}],"totalHits":3}}"#, analytics.record(1)));
///
/// analytics.fail_next(Fault::Status(503));
/// assert_eq!(analytics.service().oneshot(query()?).await?.status(), 503);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Analytics {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) issuer: Issuer,
    pub(super) records: Records,
    pub(super) config: Config,
    pub(super) gauge: Arc<Gauge>,
    state: Mutex<State>,
}

/// What stays as it was built.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) max_page_size: u64,
    pub(super) users: u64,
    pub(super) contacts: u64,
    pub(super) latency: Duration,
    pub(super) retry_after_as_date: bool,
    pub(super) challenge: bool,
    pub(super) always_unauthorized: bool,
    pub(super) absolute_links: bool,
    pub(super) max_jobs: usize,
    pub(super) job_polls: u32,
    /// In milliseconds since 1970.
    pub(super) available_until: Option<i64>,
}

/// What changes while it runs.
pub(super) struct State {
    pub(super) limiter: Limiter,
    pub(super) faults: Faults,
    pub(super) script: VecDeque<Fault>,
    pub(super) rng: fastrand::Rng,
    pub(super) stats: AnalyticsStats,
    pub(super) turn: u64,
    pub(super) server_errors: u64,
    pub(super) jobs: Jobs,
    /// When each client may come again.
    pub(super) not_before: HashMap<Arc<str>, Instant>,
}

// === impl Analytics ===

impl Analytics {
    /// An API with the defaults of [`AnalyticsBuilder`].
    pub fn new(issuer: &Issuer) -> Self {
        Self::builder(issuer).build()
    }

    /// An API to be set up first.
    pub fn builder(issuer: &Issuer) -> AnalyticsBuilder {
        AnalyticsBuilder::new(issuer.clone())
    }

    pub(super) fn from_inner(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// The API as a tower service, in process.
    pub fn service(&self) -> AnalyticsService {
        AnalyticsService::new(self.clone(), None)
    }

    /// The API as a tower service which sends `/oauth/token`, `/auth/token` and what is below `/.well-known/` to the issuer.
    pub fn service_with_issuer(&self) -> AnalyticsService {
        AnalyticsService::new(self.clone(), Some(self.inner.issuer.service()))
    }

    /// The issuer whose tokens are good here.
    pub fn issuer(&self) -> &Issuer {
        &self.inner.issuer
    }

    /// How many conversations there are.
    pub fn records(&self) -> u64 {
        self.inner.records.count
    }

    /// The interval that holds all conversations, as a query has it.
    pub fn interval(&self) -> String {
        self.inner.records.period.to_string()
    }

    /// The JSON text of a conversation, exactly as it is served, by its index from 0 in the order of their start.
    /// No index is refused; those from [`records`](Self::records) on are never served.
    pub fn record(&self, index: u64) -> String {
        let mut out = String::with_capacity(SIZE);
        push_record(&mut out, &self.inner.records, index);
        out
    }

    /// The JSON text of a user, exactly as the listing has it, by its index from 0. No index is refused here either.
    pub fn user(&self, index: u64) -> String {
        let mut out = String::new();
        push_user(&mut out, index);
        out
    }

    /// The JSON text of an external contact, exactly as the scan has it, by its index from 0. No index is refused here either.
    pub fn contact(&self, index: u64) -> String {
        let mut out = String::new();
        push_contact(&mut out, self.inner.records.seed, index);
        out
    }

    /// The JSON text of a conversation as CXone's report has it, with all its fields, by the same index as
    /// [`record`](Self::record). Its `contactId` is the index plus 900,000.
    pub fn cxone_contact(&self, index: u64) -> String {
        let mut out = String::with_capacity(CXONE_SIZE);
        cxone_contact::push_contact(&mut out, &self.inner.records, index, &Fields::all());
        out
    }

    /// The `conversationId` of that conversation.
    pub fn conversation_id(&self, index: u64) -> String {
        uuid(mix(self.inner.records.seed, index))
    }

    /// Replaces the random faults.
    pub fn set_faults(&self, faults: Faults) {
        self.inner.state().faults = faults;
    }

    /// Replaces the rate limit, requests per time, and opens new windows.
    pub fn set_rate_limit(&self, limit: Option<(u32, Duration)>) {
        self.inner.state().limiter = Limiter::new(limit);
    }

    /// Fails the next request that no earlier call has claimed, before its token is looked at.
    pub fn fail_next(&self, fault: Fault) {
        self.inner.state().script.push_back(fault);
    }

    /// How many calls of [`fail_next`](Self::fail_next) no request has claimed yet.
    pub fn faults_to_come(&self) -> usize {
        self.inner.state().script.len()
    }

    /// How the next job ends that no earlier call has claimed.
    pub fn next_job(&self, fate: JobFate) {
        self.inner.state().jobs.fates.push_back(fate);
    }

    /// How many jobs were submitted and not deleted.
    pub fn open_jobs(&self) -> usize {
        self.inner.state().jobs.open()
    }

    /// What was counted so far.
    pub fn stats(&self) -> AnalyticsStats {
        AnalyticsStats { largest_concurrency: self.inner.gauge.largest(), ..self.inner.state().stats.clone() }
    }
}

impl fmt::Debug for Analytics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Analytics").field("records", &self.inner.records).finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Inner {
    pub(super) fn new(issuer: Issuer, records: Records, config: Config, state: State) -> Self {
        Self { issuer, records, config, gauge: Arc::default(), state: Mutex::new(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

// === impl State ===

impl State {
    pub(super) fn new(limiter: Limiter, faults: Faults, seed: u64) -> Self {
        Self {
            limiter,
            faults,
            script: VecDeque::new(),
            rng: fastrand::Rng::with_seed(seed),
            stats: AnalyticsStats::default(),
            turn: 0,
            server_errors: 0,
            jobs: Jobs::default(),
            not_before: HashMap::new(),
        }
    }
}
