//! How a caller comes by the token.

use std::time::Duration;

use tokio::{runtime::Handle, time::Instant};

use super::{
    TokenCache,
    lease::{Grant, Lease},
    metrics::Wait,
    shared::Step,
    state::Landing,
};
use crate::error::{Error, Kind};

impl TokenCache {
    #[inline]
    pub(crate) fn epoch(&self) -> u64 {
        self.shared.epoch()
    }

    /// The token with the epoch it is known of, if nothing has to be decided or waited for. For `min_ttl` see
    /// [`MinTtl`](crate::MinTtl); zero asks for nothing. Whoever keeps the grant has to look whether its lease
    /// [satisfies](super::Lease::satisfies) the next demand.
    pub(crate) fn peek(&self, now: Instant, min_ttl: Duration) -> Option<(Grant, u64)> {
        let locked = self.shared.read();
        let grant = locked.state.peek(now, min_ttl)?;
        // Read under the lock, so that it belongs to what was read.
        Some((grant, self.epoch()))
    }

    /// What `look` takes of the token, if it holds for a while: nothing has to be decided, and only the clock that costs little
    /// is looked at. It is called under the lock.
    #[inline]
    pub(crate) fn glance<T>(&self, look: impl FnOnce(&Lease) -> T) -> Option<T> {
        self.shared.read().quick().map(look)
    }

    /// As [`peek`](Self::peek), and starts the refresh if it is due; `None` if the caller has to wait.
    pub(crate) fn try_acquire(&self, now: Instant, min_ttl: Duration) -> Option<(Grant, u64)> {
        self.peek(now, min_ttl).or_else(|| {
            let due = self.shared.read().state.serves(now, min_ttl);
            // Read before the step: a change in between costs one more look, never a stale answer.
            let epoch = self.epoch();
            let Some(Step::Use(grant)) = due.then(|| self.shared.step(now, min_ttl)) else { return None };
            Some((grant, epoch))
        })
    }

    pub(crate) async fn acquire(&self, min_ttl: Duration) -> Result<Grant, Error> {
        self.acquire_by(min_ttl, None).await.unwrap_or_else(|| Err(abandoned()))
    }

    /// As [`acquire`](Self::acquire); `None` if the wait was not over `by` then, for which it needs no timer of its own.
    pub(crate) async fn acquire_by(&self, min_ttl: Duration, by: Option<Instant>) -> Option<Result<Grant, Error>> {
        // A hit must not take the lock alone, nor make every service clone look again.
        let now = Instant::now();
        if let Some((grant, _)) = self.peek(now, min_ttl) {
            self.served(|| grant.lease.is_due(now));
            return Some(Ok(grant));
        }
        let mut wait = self.shared.meter.wait();
        let result = self.acquire_slow(min_ttl, by, &mut wait).await?;
        wait.over(result.is_ok());
        Some(result)
    }

    async fn acquire_slow(
        &self,
        min_ttl: Duration,
        by: Option<Instant>,
        wait: &mut Wait<'_>,
    ) -> Option<Result<Grant, Error>> {
        for takeovers in 0..MAX_TAKEOVERS {
            let now = Instant::now();
            let waiter = match self.shared.step(now, min_ttl) {
                Step::Use(grant) => {
                    if takeovers == 0 {
                        wait.none(grant.lease.is_due(now));
                    }
                    return Some(Ok(grant));
                }
                Step::Fail(error) => return Some(Err(error)),
                Step::Wait(waiter) => waiter,
            };
            if Handle::try_current().is_err() {
                return Some(Err(Error::new(Kind::NoRuntime)));
            }
            if takeovers == 0 {
                self.shared.wait(now);
            }
            match waiter.landing(by).await {
                Some(Landing::Token(grant)) => return Some(Ok(grant)),
                // A token that was refused, while no other could be had, is better than none again.
                Some(Landing::Failed(error)) => {
                    return Some(self.try_acquire(Instant::now(), min_ttl).map(|(grant, _)| grant).ok_or(error));
                }
                None if by.is_some_and(|by| Instant::now() >= by) => return None,
                // The flight was abandoned, or brought what was refused or invalidated meanwhile: decide anew.
                Some(Landing::Superseded) | None => {}
            }
        }
        Some(Err(abandoned()))
    }
}

fn abandoned() -> Error {
    Error::new(Kind::Abandoned).with_transient(true)
}

/// A source whose every runtime ends at once must not be asked for ever.
const MAX_TAKEOVERS: u32 = 16;

#[cfg(test)]
mod tests {
    use tokio::{task::yield_now, time::advance};

    use super::*;
    use crate::{source::source_fn, token::Token};

    #[tokio::test]
    async fn a_hit_changes_nothing_that_a_snapshot_would_have_to_notice() {
        let tokens = TokenCache::new(source_fn(|_| async { Token::new("a") }));
        tokens.token().await.unwrap();
        let epoch = tokens.epoch();
        tokens.token().await.unwrap();
        assert_eq!(tokens.epoch(), epoch);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hit_is_had_by_looking() {
        let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
        assert!(tokens.peek(Instant::now(), Duration::ZERO).is_none());
        let token = tokens.token().await.unwrap();
        let (grant, epoch) = tokens.peek(Instant::now(), Duration::ZERO).unwrap();
        assert_eq!((grant.lease.generation(), epoch), (token.generation(), tokens.epoch()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_glance_never_sees_what_is_due_replaced_refused_or_invalidated() {
        let source = source_fn(|_| async {
            let token = Token::new(format!("token{}", fastrand::u64(..)))?;
            Ok(token.with_lifetime(Duration::from_secs(100)))
        });
        let tokens = TokenCache::builder(source)
            .refresh_before(Duration::from_secs(20))
            .min_interval(Duration::ZERO)
            .flap_interval(Duration::ZERO)
            .seed(1)
            .build();
        let glance = || tokens.glance(Lease::generation);
        assert_eq!(glance(), None);
        let first = tokens.token().await.unwrap();
        assert_eq!(glance(), Some(first.generation()));
        advance(Duration::from_secs(70)).await;
        assert_eq!(glance(), Some(first.generation()));
        advance(Duration::from_secs(20)).await;
        assert_eq!(glance(), None, "due");
        let held = tokens.token().await.unwrap();
        assert_eq!(held.generation(), first.generation());
        while tokens.stats().minted < 2 {
            yield_now().await;
        }
        let second = tokens.token().await.unwrap();
        assert_eq!(glance(), Some(second.generation()), "replaced");
        tokens.invalidate();
        assert_eq!(glance(), None, "invalidated");
        let third = tokens.token().await.unwrap();
        assert_eq!(glance(), Some(third.generation()));
        assert!(tokens.reject(&third));
        assert_eq!(glance(), None, "refused");
    }
}
