//! What happens in a cache, in numbers for the [`metrics`] facade. The crate's docs have the table of names.

use std::{
    fmt,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use metrics::{Counter, SharedString, counter, gauge, histogram};
use tokio::time::Instant;

use super::{
    events::RejectionOutcome,
    fact::{Fact, Flown},
};

/// Numbers of one cache.
pub(super) struct Meter {
    name: SharedString,
    /// Kept, because looking one up costs more than a hit. Made by the first, so that a recorder may come after the cache.
    hits: OnceLock<Counter>,
    stale: OnceLock<Counter>,
}

/// A caller that could not be served at once.
pub(super) struct Wait<'a> {
    meter: &'a Meter,
    since: Instant,
    outcome: &'static str,
}

// === impl Meter ===

impl Meter {
    pub(super) fn new(name: &str) -> Self {
        Self { name: SharedString::from_shared(name.into()), hits: OnceLock::new(), stale: OnceLock::new() }
    }

    /// A caller had its token at once.
    pub(super) fn served(&self, stale: impl FnOnce() -> bool) {
        let (counter, outcome) = if stale() { (&self.stale, "stale") } else { (&self.hits, "hit") };
        counter.get_or_init(|| self.requests(outcome)).increment(1);
    }

    /// `expires_at` is the end of the token that is there now, if one is.
    pub(super) fn count(&self, fact: &Fact<'_>, expires_at: impl FnOnce() -> Option<Instant>, now: Instant) {
        match fact {
            Fact::Waited | Fact::Departed => {}
            Fact::Invalidated => self.expires_at(expires_at(), now),
            Fact::Refreshed(flown, _) => {
                self.refresh(flown, "refreshed");
                self.expires_at(expires_at(), now);
            }
            Fact::Failed(flown, error) => {
                self.refresh(flown, if error.is_transient() { "transient" } else { "permanent" });
            }
            Fact::Superseded(flown) => self.refresh(flown, "superseded"),
            Fact::Rejected(_, refusal) => {
                let (cache, outcome) = (self.name.clone(), refusal.outcome.as_str());
                counter!("tower_oauth2_rejections_total", "cache" => cache.clone(), "outcome" => outcome).increment(1);
                if let Some(age) = refusal.age {
                    histogram!("tower_oauth2_rejected_token_age_seconds", "cache" => cache).record(age);
                }
                if refusal.outcome == RejectionOutcome::Dropped {
                    self.expires_at(expires_at(), now);
                }
            }
        }
    }

    /// A caller is not served at once, or gets an error.
    pub(super) fn wait(&self) -> Wait<'_> {
        Wait { meter: self, since: Instant::now(), outcome: "gave_up" }
    }

    fn requests(&self, outcome: &'static str) -> Counter {
        counter!("tower_oauth2_requests_total", "cache" => self.name.clone(), "outcome" => outcome)
    }

    fn refresh(&self, flown: &Flown, outcome: &'static str) {
        let (cache, reason) = (self.name.clone(), flown.reason.as_str());
        counter!("tower_oauth2_refreshes_total", "cache" => cache.clone(), "reason" => reason, "outcome" => outcome)
            .increment(1);
        histogram!("tower_oauth2_refresh_seconds", "cache" => cache.clone(), "outcome" => outcome).record(flown.took);
        histogram!("tower_oauth2_refresh_waiters", "cache" => cache).record(flown.waiters);
    }

    /// As wall time, because a gauge is read at any time: what is left would be right for a moment only.
    fn expires_at(&self, at: Option<Instant>, now: Instant) {
        let left = at.map(|at| at.saturating_duration_since(now)).unwrap_or_default();
        let at = SystemTime::now() + left;
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        gauge!("tower_oauth2_token_expires_at_seconds", "cache" => self.name.clone()).set(seconds);
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("name", &self.name).finish_non_exhaustive()
    }
}

// === impl Wait ===

impl Wait<'_> {
    /// It need not wait after all: the token that is there will do.
    pub(super) fn none(&mut self, stale: bool) {
        self.outcome = "";
        self.meter.served(|| stale);
    }

    pub(super) fn over(mut self, served: bool) {
        if !self.outcome.is_empty() {
            self.outcome = if served { "waited" } else { "failed" };
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.outcome.is_empty() {
            return;
        }
        self.meter.requests(self.outcome).increment(1);
        let waited = Instant::now().saturating_duration_since(self.since);
        histogram!("tower_oauth2_wait_seconds", "cache" => self.meter.name.clone(), "outcome" => self.outcome)
            .record(waited);
    }
}
