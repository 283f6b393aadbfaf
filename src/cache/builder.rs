//! The limits of a cache.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use super::{
    TokenCache,
    events::Feed,
    metrics::Meter,
    rules::{Backoff, Rules},
    shared::Shared,
};
use crate::{source::ErasedSource, token::MAX_LIFETIME};

/// Sets the limits of a [`TokenCache`]; each has a default that protects.
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    source: Arc<dyn ErasedSource>,
    rules: Rules,
    seed: Option<u64>,
    name: Cow<'static, str>,
}

// === impl Builder ===

impl Builder {
    pub(super) fn new(source: Arc<dyn ErasedSource>) -> Self {
        Self { source, rules: Rules::default(), seed: None, name: Cow::Borrowed("default") }
    }

    /// How long before its expiry a token is replaced, ± 10 % of jitter. Callers go on with it meanwhile.
    ///
    /// A token that lives less than twice as long is replaced at half its life. Defaults to a fifth of its life, five
    /// minutes at the most.
    pub fn refresh_before(mut self, before: Duration) -> Self {
        self.rules.refresh_before = Some(before.min(MAX_LIFETIME));
        self
    }

    /// The lifetime of a token whose issuer does not say. Defaults to 300 s, 30 days at the most.
    pub fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.rules.default_lifetime = lifetime.min(MAX_LIFETIME);
        self
    }

    /// The least time between two times that the source is asked, whatever it answers and whoever needs a token; callers
    /// that need one sooner wait: longer than a layer's [`acquire_timeout`](crate::OAuthLayer::acquire_timeout) and a token
    /// that is refused soon after it came is an outage until it is over. Defaults to 1 s; 100 ms at the least, one hour at
    /// the most.
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.rules.min_interval = interval.clamp(Duration::from_millis(100), HOUR);
        self
    }

    /// How long the source may take before that counts as a transient failure. Defaults to 30 s; a millisecond at the least,
    /// one hour at the most.
    pub fn fetch_timeout(mut self, timeout: Duration) -> Self {
        self.rules.fetch_timeout = timeout.clamp(Duration::from_millis(1), HOUR);
        self
    }

    /// The least time between two refusals that force a token request. In between, a token that is refused right after it
    /// came stays, and the 401 goes to the caller; right after is within this time, and within half its life. The token
    /// request itself may have to wait for [`min_interval`](Self::min_interval), so that two can be closer by that much.
    /// Defaults to 10 s; 100 ms at the least, one hour at the most.
    pub fn flap_interval(mut self, interval: Duration) -> Self {
        self.rules.flap_interval = interval.clamp(Duration::from_millis(100), HOUR);
        self
    }

    /// The pause after a transient failure, counted from when the request left: random between zero and `base`, four times
    /// that after each further one, up to `cap`; once that was reached, 95 % to 100 % of it. Never less than
    /// [`min_interval`](Self::min_interval). A `Retry-After` of the issuer, counted from when it came, holds if it is longer.
    /// Defaults to 2 s and 30 s; 100 ms at the least, 30 days at the most.
    ///
    /// The random pauses spread a fleet once, and the steady ones keep it spread: with the defaults an outage costs at most
    /// 25 requests to the source in ten minutes, whatever the load, and its end is noticed within 30 s.
    pub fn transient_backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.rules.transient_backoff = Backoff::within(Duration::from_millis(100), base, cap);
        self
    }

    /// The pause after a permanent failure, such as a wrong secret: `base`, twice that after each further one, up to
    /// `cap`. Defaults to 60 s and 15 min, which no issuer takes for an attack; 1 s at the least, 30 days at the most.
    pub fn permanent_backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.rules.permanent_backoff = Backoff::within(Duration::from_secs(1), base, cap);
        self
    }

    /// The longest `Retry-After` of the issuer that is believed. Defaults to one hour; 30 days at the most.
    pub fn max_retry_after(mut self, max: Duration) -> Self {
        self.rules.max_retry_after = max.min(MAX_LIFETIME);
        self
    }

    /// What the cache is called in the log and in metrics, to tell several apart. No secret, and one of few: a metric is kept
    /// for each. Defaults to `default`.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Makes every jitter repeatable. Defaults to a seed of the system's.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The cache. Needs no runtime: nothing is asked, and no task runs, until somebody needs a token.
    pub fn build(self) -> TokenCache {
        let feed = Arc::<Feed>::default();
        let meter = Meter::new(&self.name);
        let shared = Shared::new(self.source, self.rules, self.seed, self.name, Arc::downgrade(&feed), meter);
        let shared = Arc::new(shared);
        TokenCache { shared, feed }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("rules", &self.rules).finish_non_exhaustive()
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{source::source_fn, token::Token};

    #[test]
    fn limits_have_bounds() {
        let of = |duration| {
            TokenCache::builder(source_fn(|_| async { Token::new("abc") }))
                .min_interval(duration)
                .fetch_timeout(duration)
                .flap_interval(duration)
                .rules
        };
        let (least, most) = (of(Duration::ZERO), of(Duration::MAX));
        let hour = Duration::from_secs(3600);
        assert_eq!([most.min_interval, most.fetch_timeout, most.flap_interval], [hour; 3]);
        let millis = Duration::from_millis;
        assert_eq!(
            [least.min_interval, least.fetch_timeout, least.flap_interval],
            [millis(100), millis(1), millis(100)]
        );
    }
}
