//! What has happened in a cache.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the cache was made; from [`TokenCache::stats`](super::TokenCache::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Times the source was asked: those that were answered, those that failed, and at most one under way.
    pub requests: u64,
    /// Tokens obtained.
    pub minted: u64,
    /// Times the source failed, timed out or panicked.
    pub failed: u64,
    /// Tokens dropped because a resource server refused them.
    pub rejected: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    minted: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
}

// === impl Counters ===

impl Counters {
    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn mint(&self) {
        self.minted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reject(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            requests: of(&self.requests),
            minted: of(&self.minted),
            failed: of(&self.failed),
            rejected: of(&self.rejected),
        }
    }
}
