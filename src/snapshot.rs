//! What a service clone remembers of the token, so that it need not ask the cache.

use std::{mem, sync::Arc, time::Duration};

use http::HeaderValue;
use tokio::time::Instant;

use crate::{
    cache::{Carried, Lease, TokenCache},
    clock::Until,
};

/// What this clone knows of the token. Empty in a fresh clone, and filled by its second request only: a service that is
/// cloned for every request would pay for the copy and never use it.
pub(crate) enum Snapshot {
    Empty,
    Used,
    Held(Held),
}

/// The token, as long as it is as good as what the cache has.
pub(crate) struct Held {
    /// With bytes of its own: what costs under contention is not a lock but the counts that all cores share.
    pub(crate) header: HeaderValue,
    pub(crate) carried: Carried,
    pub(crate) lease: Arc<Lease>,
    until: Until,
    epoch: u64,
}

/// A token that was looked for.
pub(crate) struct Seen {
    pub(crate) header: HeaderValue,
    pub(crate) carried: Carried,
    pub(crate) is_due: bool,
}

// === impl Snapshot ===

impl Snapshot {
    /// The copy, if it is as good as what the cache has.
    #[inline(always)]
    pub(crate) fn held(&self, tokens: &TokenCache, min_ttl: Duration) -> Option<&Held> {
        match self {
            Self::Held(held) if held.holds(tokens, min_ttl) => Some(held),
            _ => None,
        }
    }

    /// The token, if the request need not wait for it.
    #[inline(always)]
    pub(crate) fn look(&mut self, tokens: &TokenCache, min_ttl: Duration) -> Option<Seen> {
        if matches!(self, Self::Empty) && min_ttl.is_zero() {
            if let Some(seen) = tokens.glance(|lease| Seen::of(lease, false)) {
                *self = Self::Used;
                return Some(seen);
            }
        }
        let now = Instant::now();
        let (grant, epoch) = tokens.try_acquire(now, min_ttl)?;
        let mut seen = Seen::of(&grant.lease, grant.lease.is_due(now));
        let header = match mem::replace(self, Self::Used) {
            Self::Empty => return Some(seen),
            Self::Held(held) if held.lease.generation() == grant.lease.generation() => held.header,
            Self::Held(_) | Self::Used => grant.lease.token().detached_header(),
        };
        seen.header = header.clone();
        let until = Until::new(grant.recheck_at, now);
        *self = Self::Held(Held { header, carried: seen.carried, lease: grant.lease, until, epoch });
        Some(seen)
    }
}

// === impl Held ===

impl Held {
    #[inline(always)]
    fn holds(&self, tokens: &TokenCache, min_ttl: Duration) -> bool {
        self.epoch == tokens.epoch()
            && self.until.holds()
            && (min_ttl.is_zero() || self.lease.satisfies(Instant::now(), min_ttl))
    }
}

// === impl Seen ===

impl Seen {
    #[inline]
    fn of(lease: &Lease, is_due: bool) -> Self {
        Self { header: lease.header().clone(), carried: lease.carried(), is_due }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::{source::source_fn, token::Token};

    #[tokio::test(start_paused = true)]
    async fn a_copy_is_made_by_the_second_request_and_kept_as_long_as_the_token() {
        let source = source_fn(|_| async { Ok(Token::new("abc")?.with_lifetime(Duration::from_secs(100))) });
        let tokens = TokenCache::builder(source).refresh_before(Duration::from_secs(20)).build();
        tokens.token().await.unwrap();
        let mut snapshot = Snapshot::Empty;
        let mut token = || {
            if let Some(held) = snapshot.held(&tokens, Duration::ZERO) {
                return (held.header.clone(), held.carried);
            }
            let seen = snapshot.look(&tokens, Duration::ZERO).unwrap();
            (seen.header, seen.carried)
        };
        let is_copy_of =
            |one: &HeaderValue, other: &HeaderValue| one == other && !std::ptr::eq(one.as_bytes(), other.as_bytes());
        let (first, copy) = (token(), token());
        assert!(is_copy_of(&first.0, &copy.0), "one of its own");
        assert!(std::ptr::eq(copy.0.as_bytes(), token().0.as_bytes()));
        // In the refresh window it is looked at again, and copied no more.
        advance(Duration::from_secs(90)).await;
        assert!(std::ptr::eq(copy.0.as_bytes(), token().0.as_bytes()));
        tokens.invalidate();
        tokens.token().await.unwrap();
        let next = token();
        assert_ne!(copy.1, next.1);
        let held = tokens.peek(Instant::now(), Duration::ZERO).unwrap().0.lease;
        assert!(is_copy_of(&next.0, held.header()), "one of its own again");
        assert!(std::ptr::eq(next.0.as_bytes(), token().0.as_bytes()));
    }
}
