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

mod acquire;
mod builder;
mod decision;
mod events;
mod fact;
mod failure;
mod flight;
mod landing;
mod lease;
#[cfg_attr(not(feature = "metrics"), path = "no_metrics.rs")]
mod metrics;
mod published;
mod rules;
mod shared;
mod state;
mod stats;
mod sync;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

pub use self::{
    builder::Builder,
    events::{Event, Events, Reason, RejectionOutcome},
    stats::Stats,
};
use self::{events::Feed, published::Refuse as _};
pub(crate) use self::{
    lease::{Grant, Lease},
    published::Carried,
    shared::Shared,
};
use crate::{error::Error, min_ttl::MinTtl, source::TokenSource, token::Token};

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
    /// Ends the events with the last clone. A token request under way holds `shared`, and must not.
    feed: Arc<Feed>,
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
        self.token_with(MinTtl::default()).await
    }

    /// As [`token`](Self::token), for a caller who needs it to live on for a while: one that ends sooner is replaced first,
    /// while others go on with it.
    ///
    /// Of tokens that live shorter than asked for, half of what one had to live when it came is enough. How often the
    /// source is asked is limited as ever.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_oauth2::{MinTtl, Token, TokenCache, source_fn};
    ///
    /// let tokens = TokenCache::new(source_fn(|_| async {
    ///     Ok(Token::new("abc")?.with_lifetime(Duration::from_secs(3600)))
    /// }));
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let token = tokens.token_with(MinTtl::new(Duration::from_secs(600))).await?;
    /// assert_eq!(token.header(), "Bearer abc");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token), also if a token is there that ends too soon and no other is to be had.
    ///
    /// # Cancellation
    ///
    /// Safe at any point.
    pub async fn token_with(&self, min_ttl: MinTtl) -> Result<Token, Error> {
        self.acquire(min_ttl.duration()).await.map(|grant| grant.lease.token().clone())
    }

    /// Gets the first token ahead of the first request, so that it need not wait. Does nothing if there is a valid one.
    ///
    /// ```
    /// use tower_oauth2::{Token, TokenCache, source_fn};
    ///
    /// let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// tokens.warm_up().await?;
    /// assert_eq!(tokens.stats().minted, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token). One that is [transient](Error::is_transient) is no reason not to start: the next request
    /// tries again.
    ///
    /// # Cancellation
    ///
    /// Safe at any point: the token request goes on, and serves the first request.
    pub async fn warm_up(&self) -> Result<(), Error> {
        self.acquire(Duration::ZERO).await.map(drop)
    }

    /// Says that a resource server refused `token`. Whether another one is to be had.
    ///
    /// Compare and swap: if the cache has another token by now it stays, so that many refusals of one token cost one
    /// token request, and a late one costs none. A token that is refused again within
    /// [`flap_interval`](Builder::flap_interval) stays as well: what refuses fresh tokens does not want a fresh token.
    /// While the source fails and is left alone, it serves until another can be asked for.
    pub fn reject(&self, token: &Token) -> bool {
        self.shared.refuse(token.generation(), Instant::now())
    }

    /// Says that nothing that was heard so far holds any more: permissions have changed, a secret was replaced, an operator
    /// wants it.
    ///
    /// Drops the token, which the source must not return again, and forgets the failure that is stored with its pause. The
    /// result of a token request that is under way does not count: when it is over those who wait for it wait for another
    /// one. No more is asked of the source than its [least interval](Builder::min_interval) allows.
    ///
    /// Not for a 401: that is [`reject`](Self::reject), which harms no newer token and is limited in how often it makes the
    /// source be asked.
    ///
    /// ```
    /// use tower_oauth2::{Token, TokenCache, source_fn};
    ///
    /// let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let before = tokens.token().await?;
    /// tokens.invalidate();
    /// assert_ne!(tokens.token().await?.generation(), before.generation());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn invalidate(&self) {
        self.shared.invalidate(Instant::now());
    }

    /// What happens from now on. Nothing is kept for anybody while nobody listens.
    ///
    /// ```
    /// use tower_oauth2::{Token, TokenCache, cache::Event, source_fn};
    ///
    /// let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
    /// let mut events = tokens.events();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// tokens.token().await?;
    /// drop(tokens);
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         Event::Refreshed { reason, waiters, .. } => println!("a new token ({reason}) for {waiters} callers"),
    ///         Event::RefreshFailed { error, .. } => println!("no new token: {error}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn events(&self) -> Events {
        self.feed.subscribe()
    }

    /// What has happened so far.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Counts a request that has not had to wait, with a token that is about to be replaced or not.
    pub(crate) fn served(&self, is_due: impl FnOnce() -> bool) {
        self.shared.meter.served(is_due);
    }

    /// Whether anybody but the caller holds it: a clone, somebody who waits for its token, or a token request under way.
    pub(crate) fn is_held_elsewhere(&self) -> bool {
        Arc::strong_count(&self.shared) > 1
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
