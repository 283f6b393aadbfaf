//! The policy: what an outcome means, then the limits.

use std::{
    fmt, mem,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use http::{Method, Request, Response, Uri, header::AUTHORIZATION};
use tokio::time::Instant;
use tower::retry::{Policy, budget::Budget};
use tracing::{debug, field, warn};

use super::{
    backoff::Curve,
    budget::Purse,
    classify::{Classify, HttpClassifier, Verdict, is_unsent},
    limits::{Limits, Session},
    outcome::RetryOutcome,
    stats::{Counters, RetryStats, count},
    wait::Wait,
};
use crate::{
    stacking::{GivenUp, Observed},
    token::TokenRejected,
};

/// Replays a 401 once with a fresh token, and sends again after failures that pass; see the [module](super).
///
/// Give it to a [`RetryLayer`](super::RetryLayer) *outside* of [`OAuthLayer`](crate::OAuthLayer). It looks into errors that
/// are a [`BoxError`](tower::BoxError), as those of `OAuthLayer` and of tower's layers are; a client with an error type of
/// its own needs one line under it, or [`TypedErrors`](super::TypedErrors):
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
/// # Panics
///
/// Where there is something to wait for: outside of a tokio runtime with its timer on.
///
/// # Cancellation
///
/// Dropping the response future ends the wait, or the attempt under way.
#[must_use = "a policy does nothing until it is given to a `RetryLayer`"]
pub struct RetryPolicy<C = HttpClassifier> {
    config: Arc<Config<C>>,
    session: Session,
}

struct Config<C> {
    classifier: Arc<C>,
    limits: Limits,
    counters: Arc<Counters>,
    /// Whether it was told that the stack is not as it should be.
    told: Arc<AtomicBool>,
}

// === impl RetryPolicy ===

impl RetryPolicy {
    /// With every limit at its default.
    pub fn new() -> Self {
        let config = Config {
            classifier: Arc::new(HttpClassifier::new()),
            limits: Limits::new(),
            counters: Arc::default(),
            told: Arc::default(),
        };
        Self { config: Arc::new(config), session: Session::default() }
    }
}

impl<C> RetryPolicy<C> {
    /// Another judge of outcomes. Defaults to [`HttpClassifier`].
    pub fn classifier<D>(self, classifier: D) -> RetryPolicy<D> {
        let Config { classifier: _, limits, counters, told } = Config::clone(&self.config);
        let config = Config { classifier: Arc::new(classifier), limits, counters, told };
        RetryPolicy { config: Arc::new(config), session: Session::default() }
    }

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

    /// How long after a request was first sent it may be sent again: a wait that ends later is not begun. Its
    /// [`Deadline`](crate::Deadline) counts if it is sooner, and bounds what the layers underneath wait for as well, which this
    /// does not. Defaults to 300 s; 30 days at the most.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.change(|limits| limits.deadline = deadline.min(30 * DAY))
    }

    /// How many retries the requests of this policy may make in a row while nothing succeeds: `capacity` / 14, or
    /// `capacity` / 5 of those that are throttled. Every answer that is no failure gives back one, or what its last retry had
    /// cost; a retry that is not sent after all, because the caller has gone away or a layer underneath keeps it back, costs
    /// nothing. Defaults to 500.
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

    /// Makes the jitter repeatable. Defaults to a seed of the system's.
    pub fn seed(self, seed: u64) -> Self {
        self.change(|limits| limits.backoff.seed(seed))
    }

    /// What this policy and its clones have done so far.
    pub fn stats(&self) -> RetryStats {
        self.config.counters.read()
    }

    fn change(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut Arc::make_mut(&mut self.config).limits);
        self
    }

    /// Tells once that a 401 came by that no layer has seen which could renew its token.
    fn tell_of_unmarked<B, R>(&self, request: &Request<B>, response: &mut Response<R>) {
        let marks = response.extensions();
        if marks.get::<TokenRejected>().is_some() || marks.get::<Observed>().is_some() {
            return;
        }
        let mark = GivenUp::new(Arc::clone(&self.config.told));
        // Who has credentials of its own needs no layer; or it is the layer that put them there, and will see the mark.
        if !request.headers().contains_key(AUTHORIZATION) && mark.is_first() {
            warn!(
                "a request without credentials was answered with a 401, and no OAuthLayer has seen it: if it should have had a \
                 token, put one inside of the RetryLayer, with nothing in between that drops the extensions of responses; \
                 and if it is gRPC, set OAuthLayer::grpc"
            );
        }
        response.extensions_mut().insert(mark);
    }
}

impl<C> Clone for RetryPolicy<C> {
    fn clone(&self) -> Self {
        Self { config: Arc::clone(&self.config), session: self.session.clone() }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl<C, B, R, E> Policy<Request<B>, Response<R>, E> for RetryPolicy<C>
where
    C: Classify<R, E>,
    B: Clone,
{
    type Future = Wait;

    fn retry(&mut self, request: &mut Request<B>, result: &mut Result<Response<R>, E>) -> Option<Wait> {
        self.session.sent += 1;
        let unsent = mem::take(&mut self.session.unsent);
        let Config { classifier, limits, counters, .. } = &*self.config;
        let verdict = classifier.classify(result.as_ref());
        let now = Instant::now();
        let plan = match verdict {
            Verdict::Done => {
                limits.purse.give(self.session.spent);
                return None;
            }
            Verdict::Fatal => {
                let error = result.as_ref().err().and_then(|error| classifier.loggable(error));
                if error.is_some_and(is_unsent) {
                    limits.purse.refund(unsent);
                }
                return None;
            }
            Verdict::Unauthorized { renewable } => limits.replay(&mut self.session, request, renewable, now),
            Verdict::Failed(failure) => limits.retry(&mut self.session, request, failure, now),
        };
        let replay = matches!(verdict, Verdict::Unauthorized { .. });
        let attempts = self.session.sent;
        let status = result.as_ref().ok().map(|response| response.status().as_u16());
        let error = result.as_ref().err().and_then(|error| classifier.loggable(error)).map(field::display);
        match plan {
            Ok(at) => {
                let wait = at.saturating_duration_since(now);
                count(if replay { &counters.replays } else { &counters.retries });
                debug!(status, error, replay, attempt = attempts, ?wait, "retrying");
                Some(Wait::until(at, now, &limits.purse, self.session.unsent))
            }
            Err(stopped) => {
                count(&counters.given_up);
                let elapsed = now.saturating_duration_since(self.session.started.unwrap_or(now));
                // Where nothing was tried, it is an answer like any other.
                if attempts == 1 {
                    debug!(status, error, attempts, ?elapsed, ?stopped, "giving up");
                } else {
                    warn!(status, error, attempts, ?elapsed, ?stopped, "giving up");
                }
                if let Ok(response) = result {
                    response.extensions_mut().insert(RetryOutcome { attempts, elapsed, stopped });
                    if replay {
                        self.tell_of_unmarked(request, response);
                    }
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

impl<C> fmt::Debug for RetryPolicy<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = &self.config.limits;
        f.debug_struct("RetryPolicy")
            .field("max_attempts", &limits.max_attempts())
            .field("max_throttled_attempts", &limits.max_throttled())
            .field("max_retry_after", &limits.max_retry_after)
            .field("deadline", &limits.deadline)
            .field("budget", &limits.purse)
            .finish_non_exhaustive()
    }
}

// === impl Config ===

impl<C> Clone for Config<C> {
    fn clone(&self) -> Self {
        Self {
            classifier: Arc::clone(&self.classifier),
            limits: self.limits.clone(),
            counters: Arc::clone(&self.counters),
            told: Arc::clone(&self.told),
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
