//! What a policy has done.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters over all requests of a policy and its clones; from [`RetryPolicy::stats`](super::RetryPolicy::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryStats {
    /// Retries after a failure, each counted when its wait begins.
    pub retries: u64,
    /// Replays after a 401, with a new token.
    pub replays: u64,
    /// Requests given up, see [`RetryOutcome`](super::RetryOutcome).
    pub given_up: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) retries: AtomicU64,
    pub(super) replays: AtomicU64,
    pub(super) given_up: AtomicU64,
}

// === impl Counters ===

impl Counters {
    pub(super) fn read(&self) -> RetryStats {
        RetryStats { retries: load(&self.retries), replays: load(&self.replays), given_up: load(&self.given_up) }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
