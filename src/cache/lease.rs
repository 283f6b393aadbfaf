//! A published token with all that a request needs of it.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use tokio::time::Instant;

use crate::token::Token;

/// Held by the cache, by each service clone that has used it, and by each request under way.
#[derive(Debug)]
pub(crate) struct Lease {
    token: Token,
    header: HeaderValue,
    refresh_at: Instant,
    expires_at: Instant,
    landed_at: Instant,
    /// Weak: the cache owns its lease, not the other way round.
    cache: Weak<dyn Refuse>,
}

/// Whom a lease tells that its token was refused.
pub(super) trait Refuse: fmt::Debug + Send + Sync {
    /// Whether a replay can carry another token.
    fn refuse(&self, token: &Token, now: Instant) -> bool;
}

/// A lease, and until when it may be used without asking the cache again.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) lease: Arc<Lease>,
    pub(crate) recheck_at: Instant,
}

// === impl Lease ===

impl Lease {
    /// Gives `token` its generation. `now` is when it came, which may be later than it lives.
    pub(super) fn new(
        token: Token,
        refresh_at: Instant,
        expires_at: Instant,
        now: Instant,
        cache: Weak<dyn Refuse>,
    ) -> Self {
        let token = token.with_generation(NEXT_GENERATION.fetch_add(1, Ordering::Relaxed));
        let header = token.header().clone();
        Self { token, header, refresh_at, expires_at, landed_at: now, cache }
    }

    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    #[inline]
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
    }

    pub(crate) fn generation(&self) -> u64 {
        self.token.generation()
    }

    pub(super) fn refresh_at(&self) -> Instant {
        self.refresh_at
    }

    /// Whether it has `min_ttl` left, which is none of its business if that is zero. Half of what it had to live when it
    /// came will do: a fresh one always satisfies, so that no demand asks for a token at every call.
    pub(crate) fn satisfies(&self, now: Instant, min_ttl: Duration) -> bool {
        if min_ttl.is_zero() {
            return true;
        }
        self.expires_at.saturating_duration_since(now) >= min_ttl.min(self.life() / 2)
    }

    /// Whether it is about to be replaced.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.refresh_at
    }

    /// Whether it serves those who wait for it only: it was over when it came.
    pub(crate) fn is_for_once(&self) -> bool {
        self.landed_at >= self.expires_at
    }

    /// When it came. It may have been minted long before, where a source keeps tokens.
    pub(super) fn landed_at(&self) -> Instant {
        self.landed_at
    }

    /// What it had to live when it came.
    pub(super) fn life(&self) -> Duration {
        self.expires_at.saturating_duration_since(self.landed_at)
    }

    pub(super) fn expires_at(&self) -> Instant {
        self.expires_at
    }

    /// A copy whose header bytes and reference counts no other service clone touches: what costs under contention is
    /// not a lock but the counts that all cores share.
    pub(crate) fn detached(&self) -> Self {
        Self {
            token: self.token.clone(),
            header: self.token.detached_header(),
            refresh_at: self.refresh_at,
            expires_at: self.expires_at,
            landed_at: self.landed_at,
            cache: self.cache.clone(),
        }
    }

    /// Tells the cache that a resource server refused the token. Whether a replay can carry another one: so it does if the
    /// cache is gone, because there was no room for it, and whoever comes next has another.
    pub(crate) fn reject(&self) -> bool {
        self.cache.upgrade().is_none_or(|cache| cache.refuse(&self.token, Instant::now()))
    }
}

/// Unique in the process, so that no cache takes the token of another for its own.
static NEXT_GENERATION: AtomicU64 = AtomicU64::new(1);
