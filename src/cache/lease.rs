//! A published token with all that a request needs of it.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use tokio::time::Instant;

use super::published::Carried;
use crate::token::Token;

/// Held by the cache, by each service clone that has used it, and by each request that waits to be sent with it.
#[derive(Debug)]
pub(crate) struct Lease {
    token: Token,
    header: HeaderValue,
    carried: Carried,
    refresh_at: Instant,
    expires_at: Instant,
    landed_at: Instant,
}

/// A lease, and until when it may be used without asking the cache again.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) lease: Arc<Lease>,
    pub(crate) recheck_at: Instant,
}

// === impl Lease ===

impl Lease {
    /// Of a token that gets this for its generation. `now` is when it came, which may be later than it lives.
    pub(super) fn new(token: Token, refresh_at: Instant, expires_at: Instant, now: Instant, carried: Carried) -> Self {
        let token = token.with_generation(carried.generation());
        let header = token.header().clone();
        Self { token, header, carried, refresh_at, expires_at, landed_at: now }
    }

    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    #[inline]
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// What a request that is sent with it remembers.
    pub(crate) fn carried(&self) -> Carried {
        self.carried
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
    pub(crate) fn is_due(&self, now: Instant) -> bool {
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
}
