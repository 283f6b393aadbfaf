//! The layer and its settings.

use std::{hash::Hash, sync::Arc, time::Duration};

use http::request::Parts;
use tower_layer::Layer;

use super::{
    super::hints::RetryHints,
    config::{Config, DAY},
    pacing::Pacing,
    service::Cooldown,
    stats::CooldownStats,
};

/// Makes every clone of a client wait when one was told to; makes [`Cooldown`]. See the [module](super).
///
/// # Clone
///
/// Clones, and all services of them, share what they know, and the counters. Settings of a clone are its own.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is stacked"]
pub struct CooldownLayer {
    config: Arc<Config>,
}

// === impl CooldownLayer ===

impl CooldownLayer {
    /// With every limit at its default, and without pacing.
    pub fn new() -> Self {
        Self { config: Arc::new(Config::new()) }
    }

    /// How long a request waits here, all its waits before it is sent taken together and the spread of the release aside. One
    /// that would have to wait longer fails at once with a [`CooldownError`](super::CooldownError). Defaults to 120 s; one day
    /// at the most. With zero nothing waits.
    pub fn max_wait(self, max: Duration) -> Self {
        self.change(|config| config.max_wait = max.min(DAY))
    }

    /// How long a 429 without a `Retry-After`, or with one of zero, holds requests back. Defaults to 1 s; one day at the most.
    /// With zero such a 429 holds nothing back.
    pub fn unhinted(self, wait: Duration) -> Self {
        self.change(|config| config.unhinted = wait.min(DAY))
    }

    /// How long a server can hold requests back by one answer, whatever it says. Defaults to one day; thirty days at the most.
    /// A server that asks for more is asked again after that time: it is less likely meant than a time since 1970 in the wrong
    /// place.
    pub fn max_cooldown(self, max: Duration) -> Self {
        self.change(|config| config.max_cooldown = max.min(30 * DAY))
    }

    /// Of how many keys, each an origin and a credential, a cool-down is remembered, and a limit for
    /// [pacing](Self::pace) as well. Defaults to 1,024; 1 at the least. If there are more, those go first that are over, then
    /// those that end first: their requests are sent then. Some hundred bytes each.
    pub fn max_keys(self, keys: usize) -> Self {
        self.change(|config| config.max_keys = keys.max(1))
    }

    /// What tells credentials apart, in place of the `Authorization` header and the [`TokenKey`](crate::TokenKey): requests to one
    /// origin share a cool-down if it returns the same for them. Only a hash of it is kept, with a random key.
    ///
    /// ```
    /// use tower_oauth2::retry::cooldown::CooldownLayer;
    ///
    /// // By API key; and searches, which have a limit of their own, apart from all else.
    /// let layer = CooldownLayer::new().credential(|request| {
    ///     (request.headers.get("x-api-key").cloned(), request.uri.path().starts_with("/search"))
    /// });
    /// ```
    pub fn credential<K: Hash>(self, credential: impl Fn(&Parts) -> K + Send + Sync + 'static) -> Self {
        self.change(|config| {
            config.credential = Some(Arc::new(move |parts, mut hasher| credential(parts).hash(&mut hasher)));
        })
    }

    /// Where a response says when to come back. Defaults to `Retry-After`. A [`RetryHint`](crate::retry::RetryHint) that a layer
    /// further in has put on the response counts as well. To be the same as the policy's.
    ///
    /// ```
    /// use tower_oauth2::retry::{CooldownLayer, HttpClassifier, RetryHints, RetryPolicy};
    ///
    /// let hints = RetryHints::new().retry_after_ms();
    /// let layer = CooldownLayer::new().hints(hints.clone());
    /// let policy = RetryPolicy::new().classifier(HttpClassifier::new().hints(hints));
    /// ```
    pub fn hints(self, hints: RetryHints) -> Self {
        self.change(|config| config.hints = hints)
    }

    /// Takes `grpc-status: 8` (`RESOURCE_EXHAUSTED`) in the head of a 200 for a 429, and `grpc-status: 14` (`UNAVAILABLE`) for a
    /// 503, and reads `grpc-retry-pushback-ms`. Off by default: a server may mean by the first that one message was too large,
    /// for which others need not wait.
    pub fn grpc(self) -> Self {
        self.change(|config| config.grpc = true)
    }

    /// Takes a 403 for a 429 if it says when to come back, or that nothing is left, and reads `X-RateLimit-Reset`: what
    /// [`HttpClassifier::limited_403`](crate::retry::HttpClassifier::limited_403) tells the policy. Off by default.
    pub fn limited_403(self) -> Self {
        self.change(|config| config.limited_403 = true)
    }

    /// Keeps requests within the limit that the server tells, so that no 429 is provoked. Off by default.
    ///
    /// ```
    /// use tower_oauth2::retry::cooldown::{CooldownLayer, Pacing};
    ///
    /// let layer = CooldownLayer::new().pace(Pacing::genesys());
    /// ```
    pub fn pace(self, pacing: Pacing) -> Self {
        self.change(|config| config.pacing = Some(pacing))
    }

    /// Makes the spread of the release repeatable. Defaults to a seed of the system's.
    pub fn seed(self, seed: u64) -> Self {
        self.change(|config| config.seed(seed))
    }

    /// Ends every cool-down now, and forgets what was known of limits. A request that waits already waits on until the time it
    /// was given.
    pub fn clear(&self) {
        self.config.memory.clear();
    }

    /// What the services of this layer and its clones have done so far.
    pub fn stats(&self) -> CooldownStats {
        self.config.memory.counters.read()
    }

    fn change(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl Default for CooldownLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for CooldownLayer {
    type Service = Cooldown<S>;

    fn layer(&self, inner: S) -> Cooldown<S> {
        Cooldown::new(inner, Arc::clone(&self.config))
    }
}
