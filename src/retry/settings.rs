//! What a policy can be told.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method, Uri};
use tower::retry::budget::Budget;

use super::{backoff::Curve, budget::Purse, limits::Limits, policy::RetryPolicy};

// === impl RetryPolicy ===

impl<C> RetryPolicy<C> {
    /// How often a request is sent, the first time included, a replay after a 401 not; 1 at the least. Defaults to 4, and to
    /// [6 in all](Self::max_throttled_attempts) if it is throttled in between; if this is set, it holds for both.
    pub fn max_attempts(self, attempts: u32) -> Self {
        self.change(|limits| limits.max_attempts = Some(attempts.max(1)))
    }

    /// How often a request is sent that is throttled: answered with a 429, or with a 503 that says when to come back; 1 at
    /// the least. Other failures in between count towards [`max_attempts`](Self::max_attempts), and the larger of both
    /// numbers holds in all. Defaults to 6, or to `max_attempts` if that is set.
    pub fn max_throttled_attempts(self, attempts: u32) -> Self {
        self.change(|limits| limits.max_throttled = Some(attempts.max(1)))
    }

    /// The back-off: random between zero and `base`, twice that after each further failure, up to `cap`. Defaults to
    /// 200 ms and 10 s; one day at the most. If this is set, it holds for
    /// [throttled requests](Self::throttled_backoff) too.
    pub fn backoff(self, base: Duration, cap: Duration) -> Self {
        self.change(|limits| limits.backoff.failed = Some(Curve { base, cap: cap.min(DAY) }))
    }

    /// The back-off of requests that are throttled, where nothing says when to come back: random between half of `base` and
    /// all of it, twice that after each further time, up to `cap`. Defaults to 1 s and 10 s, or to what
    /// [`backoff`](Self::backoff) has set; one day at the most.
    pub fn throttled_backoff(self, base: Duration, cap: Duration) -> Self {
        self.change(|limits| limits.backoff.throttled = Some(Curve { base, cap: cap.min(DAY) }))
    }

    /// The longest `Retry-After` that is waited for; a response with a longer one is returned at once. Defaults to 120 s;
    /// one day at the most.
    pub fn max_retry_after(self, max: Duration) -> Self {
        self.change(|limits| limits.max_retry_after = max.min(DAY))
    }

    /// How long after a request was first sent it may be sent again: a wait that ends later is not begun, nor one of a retry in a
    /// [`CooldownLayer`](super::CooldownLayer) underneath. What an attempt takes is not bounded by it, but by the request's
    /// [`Deadline`](crate::Deadline), which also counts here if it is sooner. Defaults to 300 s; 30 days at the most.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.change(|limits| limits.deadline = deadline.min(30 * DAY))
    }

    /// How many retries the requests of this policy may make in a row while nothing succeeds: `capacity` / 14, or
    /// `capacity` / 5 of those that are throttled. Every answer that is no failure gives back one, or what its last retry had
    /// cost, and so does a 401 that is final. A retry costs nothing if its caller goes away during the back-off, or if a
    /// cool-down or the lack of a token keeps it from being sent. Defaults to 500.
    pub fn budget_capacity(self, capacity: u32) -> Self {
        self.change(|limits| limits.purse = Purse::bucket(capacity))
    }

    /// A budget of your own, or tower's.
    pub fn budget(self, budget: impl Budget + Send + Sync + 'static) -> Self {
        self.change(|limits| limits.purse = Purse::Custom(Arc::new(budget)))
    }

    /// No budget: in an outage every request is sent [`max_attempts`](Self::max_attempts) times. Not recommended.
    pub fn no_budget(self) -> Self {
        self.change(|limits| limits.purse = Purse::Bottomless)
    }

    /// Says for which routes doing a request twice is as good as doing it once, whatever their method. A request's
    /// [`Repeat`](super::Repeat) goes before it. None by default.
    ///
    /// ```
    /// use http::Method;
    /// use tower_oauth2::retry::RetryPolicy;
    ///
    /// let policy = RetryPolicy::new()
    ///     .repeatable_when(|method, uri| method == Method::POST && uri.path().ends_with("/search"));
    /// ```
    pub fn repeatable_when(self, route: impl Fn(&Method, &Uri) -> bool + Send + Sync + 'static) -> Self {
        self.change(|limits| limits.repeatable = Some(Arc::new(route)))
    }

    /// Tells the server how often a request was sent before, in a header of this name: none the first time, then `1`, `2` and so on,
    /// replays after a 401 included. Off by default.
    ///
    /// ```
    /// use http::HeaderName;
    /// use tower_oauth2::retry::RetryPolicy;
    ///
    /// let policy = RetryPolicy::new().attempt_header(HeaderName::from_static("retry-attempt"));
    /// ```
    pub fn attempt_header(self, name: HeaderName) -> Self {
        self.change(|limits| limits.attempt_header = Some(name))
    }

    /// Makes the jitter repeatable. Defaults to a seed of the system's.
    pub fn seed(self, seed: u64) -> Self {
        self.change(|limits| limits.backoff.seed(seed))
    }

    fn change(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut Arc::make_mut(&mut self.config).limits);
        self
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
