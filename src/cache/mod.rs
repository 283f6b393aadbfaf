//! A token shared by everybody who needs it, and kept fresh.
//!
//! [`TokenCache`] asks its [`TokenSource`] for a token when the first caller needs one, replaces it ahead of its expiry
//! while callers go on with the one they have, and makes one token request at a time whatever callers do. Clones share
//! the token.
//!
//! ```
//! use std::time::Duration;
//! use tower_oauth2::{Token, TokenCache, source_fn};
//!
//! let tokens = TokenCache::builder(source_fn(|_| async { Token::new("abc") }))
//!     .refresh_before(Duration::from_secs(60))
//!     .build();
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let token = tokens.token().await?;
//! assert_eq!(token.header(), "Bearer abc");
//!
//! // Somebody refused it: the next caller gets another one.
//! assert!(tokens.reject(&token));
//! assert_ne!(tokens.token().await?.generation(), token.generation());
//! assert_eq!(tokens.stats().minted, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod flight;
mod lease;
mod rules;
mod shared;
mod state;
mod stats;
mod sync;

use std::{fmt, sync::Arc};

use tokio::{runtime::Handle, time::Instant};

pub use self::{builder::Builder, stats::Stats};
use self::{lease::Refuse as _, shared::Step, state::Landing};
pub(crate) use self::{
    lease::{Grant, Lease},
    shared::Shared,
};
use crate::{
    error::{Error, Kind},
    source::TokenSource,
    token::Token,
};

/// The token that a service, a pager and anybody else share.
///
/// # Clone
///
/// Clones share the token and everything known about it. Cheap.
///
/// # Cancellation
///
/// The token request runs in a task of its own. Dropping any or all futures that wait for it neither cancels it nor
/// loses its result.
#[derive(Clone)]
pub struct TokenCache {
    shared: Arc<Shared>,
}

// === impl TokenCache ===

impl TokenCache {
    /// With every limit at its default; see [`Builder`].
    pub fn new(source: impl TokenSource) -> Self {
        Self::builder(source).build()
    }

    /// To set the limits.
    pub fn builder(source: impl TokenSource) -> Builder {
        Builder::new(Arc::new(source))
    }

    /// The token. At once if there is a valid one, which it begins to replace if its end is near; otherwise when the
    /// token request, which all who wait share, is done.
    ///
    /// # Errors
    ///
    /// What the source answered, shared by all who waited. Until [`Error::retry_at`] the same error comes at once, without
    /// asking the source.
    ///
    /// # Cancellation
    ///
    /// Safe at any point.
    pub async fn token(&self) -> Result<Token, Error> {
        self.acquire().await.map(|grant| grant.lease.token().clone())
    }

    /// Says that a resource server refused `token`. Whether another one is to be had.
    ///
    /// Compare and swap: if the cache has another token by now it stays, so that many refusals of one token cost one
    /// token request, and a late one costs none. A token that is refused again within
    /// [`flap_interval`](Builder::flap_interval) stays as well: what refuses fresh tokens does not want a fresh token.
    pub fn reject(&self, token: &Token) -> bool {
        self.shared.refuse(token, Instant::now())
    }

    /// What has happened so far.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.shared.epoch()
    }

    /// The token with the epoch it is known of, if nothing has to be decided or waited for.
    pub(crate) fn peek(&self, now: Instant) -> Option<(Grant, u64)> {
        let locked = self.shared.read();
        let grant = locked.state.peek(now)?;
        // Read under the lock, so that it belongs to what was read.
        Some((grant, self.epoch()))
    }

    /// As [`peek`](Self::peek), and starts the refresh if it is due; `None` if the caller has to wait.
    pub(crate) fn try_acquire(&self, now: Instant) -> Option<(Grant, u64)> {
        self.peek(now).or_else(|| {
            let due = self.shared.read().state.is_valid(now);
            // Read before the step: a change in between costs one more look, never a stale answer.
            let epoch = self.epoch();
            let Some(Step::Use(grant)) = due.then(|| self.shared.step(now)) else { return None };
            Some((grant, epoch))
        })
    }

    pub(crate) async fn acquire(&self) -> Result<Grant, Error> {
        // A hit must not take the lock alone, nor make every service clone look again.
        if let Some((grant, _)) = self.peek(Instant::now()) {
            return Ok(grant);
        }
        for _ in 0..MAX_TAKEOVERS {
            let waiter = match self.shared.step(Instant::now()) {
                Step::Use(grant) => return Ok(grant),
                Step::Fail(error) => return Err(error),
                Step::Wait(waiter) => waiter,
            };
            if Handle::try_current().is_err() {
                return Err(Error::new(Kind::NoRuntime));
            }
            match waiter.landing().await {
                Some(Landing::Token(grant)) => return Ok(grant),
                Some(Landing::Failed(error)) => return Err(error),
                // The flight was abandoned, or brought what was refused meanwhile: decide anew.
                Some(Landing::Superseded) | None => {}
            }
        }
        Err(Error::new(Kind::Abandoned).with_transient(true))
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// A source whose every runtime ends at once must not be asked for ever.
const MAX_TAKEOVERS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::source_fn;

    #[tokio::test]
    async fn a_hit_changes_nothing_that_a_snapshot_would_have_to_notice() {
        let tokens = TokenCache::new(source_fn(|_| async { Token::new("a") }));
        tokens.token().await.unwrap();
        let epoch = tokens.epoch();
        tokens.token().await.unwrap();
        assert_eq!(tokens.epoch(), epoch);
    }
}
