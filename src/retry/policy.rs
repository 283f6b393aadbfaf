//! The policy: what an outcome means, then the limits.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

use http::{Request, Response, header::AUTHORIZATION};
use tokio::time::Instant;
use tower::retry::Policy;
use tracing::{debug, field, warn};

use super::{
    classify::{Classify, HttpClassifier, Verdict},
    limits::Limits,
    metrics,
    outcome::RetryOutcome,
    retry_by::RetryBy,
    session::{Session, Used},
    stats::{Counters, RetryStats, count},
    wait::Wait,
};
use crate::{
    clock::Since,
    stacking::{GivenUp, Observed},
    text::Loggable,
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
    pub(super) config: Arc<Config<C>>,
    session: Session,
}

pub(super) struct Config<C> {
    classifier: Arc<C>,
    pub(super) limits: Limits,
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

    /// What this policy and its clones have done so far.
    pub fn stats(&self) -> RetryStats {
        self.config.counters.read()
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
        let verdict = self.config.classifier.classify(result.as_ref());
        // What most requests come to, and all that it costs them.
        if verdict == Verdict::Done {
            // A retry that led to it was sent.
            drop(self.session.price.take());
            self.config.limits.purse.give(self.session.spent);
            return None;
        }
        self.retry_failed(verdict, request, result)
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        // NOTE: `Retry` calls this for the first time on the policy that all requests share: it may overwrite, as it does
        // here, and must not count.
        if self.session.sent == 0 {
            self.session.started = Some(Since::now());
            match self.session.used {
                Used::Never => self.session.used = Used::Once,
                Used::Once => self.detach(),
                Used::Again => {}
            }
        }
        self.session.sends();
        Some(request.clone())
    }
}

impl<C> RetryPolicy<C> {
    /// `Retry` clones the policy for each request: what costs then is a count that all services share.
    #[cold]
    fn detach(&mut self) {
        self.config = Arc::new(Config::clone(&self.config));
        self.session.used = Used::Again;
    }

    #[inline(never)]
    fn retry_failed<B, R, E>(
        &mut self,
        verdict: Verdict,
        request: &mut Request<B>,
        result: &mut Result<Response<R>, E>,
    ) -> Option<Wait>
    where
        C: Classify<R, E>,
    {
        let price = self.session.price.take();
        let Config { classifier, limits, counters, .. } = &*self.config;
        let now = Instant::now();
        let plan = match verdict {
            Verdict::Unsent => {
                if let Some(price) = price {
                    price.give_back();
                }
                return None;
            }
            Verdict::Done | Verdict::Fatal => return None,
            Verdict::Unauthorized { renewable } => limits.replay(&mut self.session, request, renewable, now),
            Verdict::Failed(failure) => limits.retry(&mut self.session, request, failure, now),
        };
        let replay = matches!(verdict, Verdict::Unauthorized { .. });
        let attempts = self.session.sent;
        let status = result.as_ref().ok().map(|response| response.status().as_u16());
        let error = result.as_ref().err().and_then(|error| classifier.loggable(error));
        let error = error.map(|error| field::display(Loggable(error)));
        match plan {
            Ok(at) => {
                let wait = at.saturating_duration_since(now);
                count(if replay { &counters.replays } else { &counters.retries });
                metrics::retrying(reason(verdict), wait);
                debug!(status, error, replay, attempt = attempts, ?wait, "retrying");
                let retry_by = limits.give_up_at(&self.session, request, now);
                RetryBy::at(retry_by).tell(request.extensions_mut());
                if let Some(name) = &limits.attempt_header {
                    request.headers_mut().insert(name, attempts.into());
                }
                Some(Wait::until(at, now))
            }
            Err(stopped) => {
                count(&counters.given_up);
                metrics::gave_up(stopped);
                if replay {
                    // The server is well, and what was spent to hear that is not held against it.
                    limits.purse.give(self.session.spent);
                }
                let elapsed = now.saturating_duration_since(self.session.started_at(now));
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

/// Why it is sent again.
fn reason(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unauthorized { .. } => "unauthorized",
        Verdict::Failed(failure) if failure.is_throttled() => "throttled",
        _ => "failed",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_is_used_again_shares_no_count_with_the_others() {
        let policy = RetryPolicy::new();
        let mut held = policy.clone();
        let mut is_shared = || {
            let request = Request::new(());
            let _copy = Policy::<_, Response<()>, tower::BoxError>::clone_request(&mut held, &request);
            Arc::ptr_eq(&held.config, &policy.config)
        };
        assert_eq!([is_shared(), is_shared(), is_shared()], [true, false, false]);
        let own = Arc::clone(&held.config);
        let mut session = held.clone();
        let _copy = Policy::<_, Response<()>, tower::BoxError>::clone_request(&mut session, &Request::new(()));
        assert!(Arc::ptr_eq(&own, &session.config), "a request is no service");
        assert!(Arc::ptr_eq(&held.config.counters, &policy.config.counters), "they are counted together");
    }
}
