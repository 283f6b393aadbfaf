//! What a service clone remembers of the token, so that it need not ask the cache.

use std::{mem, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    cache::{Lease, TokenCache},
    clock::Until,
};

/// What this clone knows of the token. Empty in a fresh clone, and filled by its second request only: a service that is
/// cloned for every request would pay for the copy and never use it.
pub(crate) enum Snapshot {
    Empty,
    Used,
    Held { lease: Arc<Lease>, until: Until, epoch: u64 },
}

// === impl Snapshot ===

impl Snapshot {
    /// The copy, if it is as good as what the cache has.
    #[inline(always)]
    pub(crate) fn lease(&mut self, tokens: &TokenCache, min_ttl: Duration) -> Option<Arc<Lease>> {
        if let Self::Held { lease, until, epoch } = self {
            if *epoch == tokens.epoch()
                && until.holds()
                && (min_ttl.is_zero() || lease.satisfies(Instant::now(), min_ttl))
            {
                return Some(Arc::clone(lease));
            }
        }
        None
    }

    /// The token, if the request need not wait for it.
    #[inline(always)]
    pub(crate) fn look(&mut self, tokens: &TokenCache, min_ttl: Duration) -> Option<Arc<Lease>> {
        let now = Instant::now();
        let (grant, epoch) = tokens.try_acquire(now, min_ttl)?;
        let lease = match mem::replace(self, Self::Used) {
            Self::Empty => return Some(grant.lease),
            Self::Held { lease, .. } if lease.generation() == grant.lease.generation() => lease,
            Self::Held { .. } | Self::Used => Arc::new(grant.lease.detached()),
        };
        *self = Self::Held { lease: Arc::clone(&lease), until: Until::new(grant.recheck_at, now), epoch };
        Some(lease)
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
        let mut lease = || {
            let held = snapshot.lease(&tokens, Duration::ZERO);
            held.or_else(|| snapshot.look(&tokens, Duration::ZERO)).unwrap()
        };
        let (first, copy) = (lease(), lease());
        assert!(!Arc::ptr_eq(&first, &copy), "one of its own");
        assert!(Arc::ptr_eq(&copy, &lease()));
        // In the refresh window it is looked at again, and copied no more.
        advance(Duration::from_secs(90)).await;
        assert!(Arc::ptr_eq(&copy, &lease()));
        tokens.invalidate();
        tokens.token().await.unwrap();
        let next = lease();
        assert_ne!(copy.generation(), next.generation());
        let held = tokens.peek(Instant::now(), Duration::ZERO).unwrap().0.lease;
        assert!(!Arc::ptr_eq(&next, &held), "one of its own again");
        assert!(Arc::ptr_eq(&next, &lease()));
    }
}
