//! What an analytics API is made of.

use std::time::{Duration, SystemTime};

use super::handle::{Config, Inner, State};
use super::interval::Interval;
use super::limiter::Limiter;
use super::records::Records;
use super::{Analytics, Faults, InvalidInterval};
use crate::testing::Issuer;

const HOUR: Duration = Duration::from_secs(3600);

/// Builds an [`Analytics`].
#[derive(Debug)]
#[must_use]
pub struct AnalyticsBuilder {
    issuer: Issuer,
    records: Records,
    config: Config,
    rate_limit: Option<(u32, Duration)>,
    faults: Faults,
}

// === impl AnalyticsBuilder ===

impl AnalyticsBuilder {
    pub(super) fn new(issuer: Issuer) -> Self {
        let end = SystemTime::now().checked_sub(HOUR);
        let end = end.unwrap_or(SystemTime::UNIX_EPOCH);
        let start = end.checked_sub(HOUR * (6 * 24 + 22));
        let start = start.unwrap_or(SystemTime::UNIX_EPOCH);
        Self {
            issuer,
            records: Records { count: 1_000, seed: 42, period: Interval::of_system_times(start, end) },
            config: Config {
                max_page_size: 100,
                users: 25,
                contacts: 25,
                latency: Duration::ZERO,
                retry_after_as_date: false,
                challenge: false,
                always_unauthorized: false,
                absolute_links: false,
                max_jobs: 10,
                job_polls: 3,
                available_until: None,
            },
            rate_limit: None,
            faults: Faults::new(),
        }
    }

    /// How many conversations there are (1,000).
    pub fn records(mut self, records: u64) -> Self {
        self.records.count = records;
        self
    }

    /// When the conversations began: they are spread evenly, strictly inside (the six days and 22 hours that end one
    /// hour before now, so that a query for the last seven days finds all).
    pub fn period(mut self, start: SystemTime, end: SystemTime) -> Self {
        self.records.period = Interval::of_system_times(start, end);
        self
    }

    /// The same as [`period`](Self::period), from an interval as queries have it, two RFC 3339 times, `start/end`.
    ///
    /// # Errors
    ///
    /// If it is no such interval.
    pub fn interval(mut self, interval: &str) -> Result<Self, InvalidInterval> {
        self.records.period = Interval::parse(interval)?;
        Ok(self)
    }

    /// What the conversations, the external contacts and the faults are drawn from (42).
    pub fn seed(mut self, seed: u64) -> Self {
        self.records.seed = seed;
        self
    }

    /// The largest page (100 records, at least 1). A larger `paging.pageSize` is refused with 400; a larger `size` of
    /// the tutorials' shapes, or `pageSize` of a user listing, is clamped. Jobs, scans and CXone's
    /// reports have limits of their own.
    pub fn max_page_size(mut self, records: usize) -> Self {
        self.config.max_page_size = records.max(1) as u64;
        self
    }

    /// How many users there are (25).
    pub fn users(mut self, users: u64) -> Self {
        self.config.users = users;
        self
    }

    /// How many external contacts there are (25).
    pub fn contacts(mut self, contacts: u64) -> Self {
        self.config.contacts = contacts;
        self
    }

    /// How long every request takes (0 s).
    pub fn latency(mut self, latency: Duration) -> Self {
        self.config.latency = latency;
        self
    }

    /// So many requests per client in each window of this time (no limit). What exceeds it gets 429.
    pub fn rate_limit(mut self, requests: u32, per: Duration) -> Self {
        self.rate_limit = Some((requests, per));
        self
    }

    /// Whether `Retry-After` is a date instead of seconds (false).
    pub fn retry_after_as_date(mut self, as_date: bool) -> Self {
        self.config.retry_after_as_date = as_date;
        self
    }

    /// Whether a 401 says `WWW-Authenticate: Bearer error="invalid_token"` (false, as Genesys Cloud does it).
    pub fn challenge(mut self, challenge: bool) -> Self {
        self.config.challenge = challenge;
        self
    }

    /// Whether the tutorials' links to the next page are absolute (false). CXone's always are.
    pub fn absolute_links(mut self, absolute: bool) -> Self {
        self.config.absolute_links = absolute;
        self
    }

    /// How many jobs there can be at once (10). One more gets 429.
    pub fn max_jobs(mut self, jobs: usize) -> Self {
        self.config.max_jobs = jobs;
        self
    }

    /// How often a job is asked after until it is done (3).
    pub fn job_polls(mut self, polls: u32) -> Self {
        self.config.job_polls = polls;
        self
    }

    /// Until when jobs have data, their `dataAvailabilityDate` (the year 2200). They answer with what there is, whatever it
    /// says.
    pub fn available_until(mut self, until: SystemTime) -> Self {
        self.config.available_until = Some(Interval::of_system_times(until, until).start);
        self
    }

    /// Random faults (none).
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Whether every request gets 401, whatever its token (false).
    pub fn always_unauthorized(mut self, always: bool) -> Self {
        self.config.always_unauthorized = always;
        self
    }

    /// The analytics API.
    pub fn build(self) -> Analytics {
        let state = State::new(Limiter::new(self.rate_limit), self.faults, self.records.seed);
        Analytics::from_inner(Inner::new(self.issuer, self.records, self.config, state))
    }
}
