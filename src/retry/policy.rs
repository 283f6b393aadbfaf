//! The policy: what an outcome means, then the limits.

use std::{
    error::Error as StdError,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{Method, Request, Response, Uri};
use tokio::time::Instant;
use tower::retry::{Policy, budget::Budget};
use tracing::{debug, field, warn};

use super::{
    backoff::Backoff,
    budget::{DEFAULT_CAPACITY, Purse, RETRY_COST, THROTTLED_COST},
    classify::{self, Failed, Processed, Verdict},
    outcome::{RetryOutcome, Stopped},
    replay,
    stats::{Counters, RetryStats, count},
    wait::Wait,
};
use crate::deadline::Deadline;

/// Replays a 401 once with a fresh token, and sends again after failures that pass; see the [module](super).
///
/// Give it to a [`RetryLayer`](super::RetryLayer) *outside* of [`OAuthLayer`](crate::OAuthLayer). It looks into errors that
/// are a [`BoxError`](tower::BoxError), as those of `OAuthLayer` and of tower's layers are; a client with an error type of
/// its own needs one line under it:
///
/// ```
/// # use http::{Request, Response};
/// use tower::{BoxError, ServiceBuilder};
/// use tower_oauth2::retry::{RetryLayer, RetryPolicy};
///
/// # let client = tower::service_fn(|_: Request<()>| async { Ok::<_, std::io::Error>(Response::new(())) });
/// let api = ServiceBuilder::new()
///     .layer(RetryLayer::new(RetryPolicy::new()))
///     .map_err(BoxError::from)
///     .service(client);
/// # fn is_service(_: impl tower::Service<Request<()>>) {}
/// # is_service(api);
/// ```
///
/// # Clone
///
/// Clones share the limits, the budget and the counters.
///
/// # Cancellation
///
/// Dropping the response future ends the wait, or the attempt under way.
#[derive(Clone)]
#[must_use = "a policy does nothing until it is given to a `RetryLayer`"]
pub struct RetryPolicy {
    config: Arc<Config>,
    session: Session,
}

#[derive(Clone)]
struct Config {
    max_attempts: u32,
    max_retry_after: Duration,
    deadline: Duration,
    backoff: Backoff,
    purse: Purse,
    repeatable: Option<Arc<Route>>,
    counters: Arc<Counters>,
}

type Route = dyn Fn(&Method, &Uri) -> bool + Send + Sync;

/// What is known of one request. Pristine in the policy that a service holds; `Retry` clones it for each request.
#[derive(Clone, Debug, Default)]
struct Session {
    started: Option<Instant>,
    sent: u32,
    replayed: bool,
    spent: u32,
}

// === impl RetryPolicy ===

impl RetryPolicy {
    /// With every limit at its default.
    pub fn new() -> Self {
        let config = Config {
            max_attempts: 4,
            max_retry_after: Duration::from_secs(120),
            deadline: Duration::from_secs(300),
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(10)),
            purse: Purse::bucket(DEFAULT_CAPACITY),
            repeatable: None,
            counters: Arc::default(),
        };
        Self { config: Arc::new(config), session: Session::default() }
    }

    /// How often a request is sent, the first time included, a replay after a 401 not. Defaults to 4; 1 at the least.
    pub fn max_attempts(self, attempts: u32) -> Self {
        self.change(|config| config.max_attempts = attempts.max(1))
    }

    /// The back-off: random between zero and `base`, twice that after each further failure, up to `cap`. Defaults to
    /// 200 ms and 10 s; one day at the most.
    pub fn backoff(self, base: Duration, cap: Duration) -> Self {
        self.change(|config| {
            config.backoff.base = base;
            config.backoff.cap = cap.min(DAY);
        })
    }

    /// The longest `Retry-After` that is waited for; a response with a longer one is returned at once. Defaults to 120 s;
    /// one day at the most.
    pub fn max_retry_after(self, max: Duration) -> Self {
        self.change(|config| config.max_retry_after = max.min(DAY))
    }

    /// How long after a request was first sent it may be sent again: a wait that ends later is not begun. Its
    /// [`Deadline`] counts if it is sooner. Defaults to 300 s; 30 days at the most.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.change(|config| config.deadline = deadline.min(30 * DAY))
    }

    /// How many retries the requests of this policy may make in a row while nothing succeeds: `capacity` / 14, or
    /// `capacity` / 5 after a 429. Every success gives back one, or what its last retry had cost. Defaults to 500.
    pub fn budget_capacity(self, capacity: u32) -> Self {
        self.change(|config| config.purse = Purse::bucket(capacity))
    }

    /// A budget of your own, or tower's.
    pub fn budget(self, budget: impl Budget + Send + Sync + 'static) -> Self {
        self.change(|config| config.purse = Purse::Custom(Arc::new(budget)))
    }

    /// No budget: in an outage every request is sent [`max_attempts`](Self::max_attempts) times. Not recommended.
    pub fn no_budget(self) -> Self {
        self.change(|config| config.purse = Purse::Bottomless)
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
        self.change(|config| config.repeatable = Some(Arc::new(route)))
    }

    /// Makes the jitter repeatable. Defaults to a seed of the system's.
    pub fn seed(self, seed: u64) -> Self {
        self.change(|config| config.backoff.seed(seed))
    }

    /// What this policy and its clones have done so far.
    pub fn stats(&self) -> RetryStats {
        self.config.counters.read()
    }

    fn change(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }

    /// When to send again after a failure, or why not to.
    fn plan<B>(&mut self, request: &Request<B>, failed: Failed, now: Instant) -> Result<Instant, Stopped> {
        let give_up_at = self.session.started.unwrap_or(now) + self.config.deadline;
        let give_up_at = request.extensions().get::<Deadline>().map_or(give_up_at, |at| at.instant().min(give_up_at));
        let (processed, throttled, hint) = match failed {
            Failed::Unauthorized { renewable } if renewable && !self.session.replayed => {
                if now >= give_up_at {
                    return Err(Stopped::Deadline);
                }
                return replay::claim(request.extensions()).map(|()| now);
            }
            Failed::Unauthorized { .. } => return Err(Stopped::Unauthorized),
            Failed::Passing { processed, throttled, hint } => (processed, throttled, hint),
        };
        let route = |request: &Request<B>| {
            self.config.repeatable.as_ref().is_some_and(|route| route(request.method(), request.uri()))
        };
        if processed == Processed::Maybe && !classify::is_repeatable(request, route) {
            return Err(Stopped::NotRepeatable);
        }
        let attempts = self.session.sent - u32::from(self.session.replayed);
        if attempts >= self.config.max_attempts {
            return Err(Stopped::Exhausted);
        }
        if let Some(hint) = hint.filter(|hint| *hint > self.config.max_retry_after) {
            return Err(Stopped::HintTooLong(hint));
        }
        let at = now + self.config.backoff.wait(attempts, hint);
        if at >= give_up_at {
            return Err(Stopped::Deadline);
        }
        replay::check(request.extensions())?;
        let cost = if throttled { THROTTLED_COST } else { RETRY_COST };
        if !self.config.purse.take(cost) {
            return Err(Stopped::Budget);
        }
        // An upload that still runs may have outgrown what is kept since then.
        replay::claim(request.extensions()).inspect_err(|_| self.config.purse.give(cost))?;
        self.session.spent = cost;
        Ok(at)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl<B, R, E> Policy<Request<B>, Response<R>, E> for RetryPolicy
where
    B: Clone,
    E: AsRef<dyn StdError + Send + Sync>,
{
    type Future = Wait;

    fn retry(&mut self, request: &mut Request<B>, result: &mut Result<Response<R>, E>) -> Option<Wait> {
        self.session.sent += 1;
        let verdict = match result {
            Ok(response) => classify::response(response, SystemTime::now()),
            Err(error) => classify::error(error.as_ref()),
        };
        let failed = match verdict {
            Verdict::Final => {
                self.config.purse.give(self.session.spent);
                return None;
            }
            Verdict::Fatal => return None,
            Verdict::Failed(failed) => failed,
        };
        let now = Instant::now();
        let attempts = self.session.sent;
        let status = result.as_ref().ok().map(|response| response.status().as_u16());
        let error = result.as_ref().err().map(|error| field::display(error.as_ref()));
        match self.plan(request, failed, now) {
            Ok(at) => {
                let wait = at.saturating_duration_since(now);
                let replay = matches!(failed, Failed::Unauthorized { .. });
                let counters = &self.config.counters;
                count(if replay { &counters.replays } else { &counters.retries });
                self.session.replayed |= replay;
                debug!(status, error, replay, attempt = attempts, ?wait, "retrying");
                Some(Wait::until(at, now))
            }
            Err(stopped) => {
                count(&self.config.counters.given_up);
                let elapsed = now.saturating_duration_since(self.session.started.unwrap_or(now));
                // Where nothing was tried, it is an answer like any other.
                let untried = matches!(stopped, Stopped::NotRepeatable | Stopped::Unauthorized) && attempts == 1;
                if untried {
                    debug!(status, error, attempts, ?elapsed, ?stopped, "giving up");
                } else {
                    warn!(status, error, attempts, ?elapsed, ?stopped, "giving up");
                }
                if let Ok(response) = result {
                    response.extensions_mut().insert(RetryOutcome { attempts, elapsed, stopped });
                }
                None
            }
        }
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        // NOTE: `Retry` calls this for the first time on the policy that all requests share: it may overwrite, as it does
        // here, and must not count.
        if self.session.sent == 0 {
            self.session.started = Some(Instant::now());
        }
        Some(request.clone())
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("max_attempts", &self.config.max_attempts)
            .field("max_retry_after", &self.config.max_retry_after)
            .field("deadline", &self.config.deadline)
            .field("budget", &self.config.purse)
            .finish_non_exhaustive()
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
