//! What failed token requests mean for the next one.

use tokio::time::Instant;

use super::rules::Rules;
use crate::error::Error;

/// Since the last success. Counted apart, so that a flaky network does not make a wrong secret look new.
#[derive(Debug, Default)]
pub(super) struct Failures {
    transient: u32,
    permanent: u32,
    last: Option<Failure>,
}

/// The last token request failed.
#[derive(Debug)]
pub(super) struct Failure {
    error: Error,
    until: Instant,
}

// === impl Failures ===

impl Failures {
    /// The failure for which the issuer is left alone.
    /// Whether the last request failed, whether or not it is over by now.
    pub(super) fn any(&self) -> bool {
        self.last.is_some()
    }

    pub(super) fn cooling(&self, now: Instant) -> Option<&Failure> {
        self.last.as_ref().filter(|failure| now < failure.until)
    }

    /// The request that left at `departed` has failed: the error as callers get it. `jitter` is in 0.0..1.0.
    pub(super) fn add(&mut self, error: Error, departed: Instant, now: Instant, rules: &Rules, jitter: f64) -> Error {
        let until = if error.is_transient() {
            self.transient = self.transient.saturating_add(1);
            // From when it left: an issuer that hangs is asked on the same beat as one that says no.
            departed + rules.transient_backoff.beat(self.transient, jitter)
        } else {
            self.permanent = self.permanent.saturating_add(1);
            now + rules.permanent_backoff.after(self.permanent)
        };
        let asked = error.retry_after().unwrap_or_default().min(rules.max_retry_after);
        let until = until.max(departed + rules.min_interval).max(now + asked);
        self.last.insert(Failure { error, until }).error()
    }
}

// === impl Failure ===

impl Failure {
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// As callers get it.
    pub(super) fn error(&self) -> Error {
        self.error.clone().with_retry_at(self.until)
    }
}
