//! What has happened in a cache.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{events::RejectionOutcome, fact::Fact};

/// Counters since the cache was made; from [`TokenCache::stats`](super::TokenCache::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Times the source was asked: those that were `minted`, `failed` and `superseded`, and at most one under way. Those
    /// whose runtime ended are counted here only.
    pub requests: u64,
    /// Tokens obtained.
    pub minted: u64,
    /// Times the source failed, timed out or panicked.
    pub failed: u64,
    /// Answers of the source that were of no use: a token that had been refused, replaced by a newer one or invalidated
    /// before it came, and whatever came after an invalidation.
    pub superseded: u64,
    /// Tokens dropped because a resource server refused them.
    pub rejected: u64,
    /// Times that all was [invalidated](super::TokenCache::invalidate).
    pub invalidated: u64,
    /// Callers who had to wait for a token.
    pub waited: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    minted: AtomicU64,
    failed: AtomicU64,
    superseded: AtomicU64,
    rejected: AtomicU64,
    invalidated: AtomicU64,
    waited: AtomicU64,
}

// === impl Counters ===

impl Counters {
    pub(super) fn count(&self, fact: &Fact<'_>) {
        let counter = match fact {
            Fact::Waited => &self.waited,
            Fact::Departed => &self.requests,
            Fact::Refreshed(..) => &self.minted,
            Fact::Failed(..) => &self.failed,
            Fact::Superseded(_) => &self.superseded,
            Fact::Rejected(_, refusal) if refusal.outcome == RejectionOutcome::Dropped => &self.rejected,
            Fact::Rejected(..) => return,
            Fact::Invalidated => &self.invalidated,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            requests: of(&self.requests),
            minted: of(&self.minted),
            failed: of(&self.failed),
            superseded: of(&self.superseded),
            rejected: of(&self.rejected),
            invalidated: of(&self.invalidated),
            waited: of(&self.waited),
        }
    }
}
