//! What bounds retries: the decision for one request, after the outcome of an attempt is known.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method, Request, Uri};
use tokio::time::Instant;

use super::{
    backoff::Backoff,
    budget::{DEFAULT_CAPACITY, Purse, RETRY_COST, THROTTLED_COST},
    classify::{Failure, Processed},
    outcome::Stopped,
    repeatable::is_repeatable,
    replay,
    session::{Price, Session},
};
use crate::deadline::Deadline;

#[derive(Clone)]
pub(super) struct Limits {
    pub(super) max_attempts: Option<u32>,
    pub(super) max_throttled: Option<u32>,
    pub(super) max_retry_after: Duration,
    pub(super) deadline: Duration,
    pub(super) backoff: Backoff,
    pub(super) purse: Purse,
    pub(super) repeatable: Option<Arc<Route>>,
    pub(super) attempt_header: Option<HeaderName>,
}

pub(super) type Route = dyn Fn(&Method, &Uri) -> bool + Send + Sync;

// === impl Limits ===

impl Limits {
    pub(super) fn new() -> Self {
        Self {
            max_attempts: None,
            max_throttled: None,
            max_retry_after: Duration::from_secs(120),
            deadline: Duration::from_secs(300),
            backoff: Backoff::new(),
            purse: Purse::bucket(DEFAULT_CAPACITY),
            repeatable: None,
            attempt_header: None,
        }
    }

    pub(super) fn max_attempts(&self) -> u32 {
        self.max_attempts.unwrap_or(4)
    }

    pub(super) fn max_throttled(&self) -> u32 {
        self.max_throttled.or(self.max_attempts).unwrap_or(6)
    }

    /// Whether a 401 is sent again now, or why not.
    pub(super) fn replay<B>(
        &self,
        session: &mut Session,
        request: &Request<B>,
        renewable: bool,
        now: Instant,
    ) -> Result<Instant, Stopped> {
        if !renewable || session.replayed {
            return Err(Stopped::Unauthorized);
        }
        if now >= self.give_up_at(session, request, now) {
            return Err(Stopped::Deadline);
        }
        replay::claim(request.extensions())?;
        session.replayed = true;
        Ok(now)
    }

    /// When to send again after a failure, or why not to.
    pub(super) fn retry<B>(
        &self,
        session: &mut Session,
        request: &Request<B>,
        failure: Failure,
        now: Instant,
    ) -> Result<Instant, Stopped> {
        let throttled = failure.is_throttled();
        let failures = if throttled { &mut session.throttled } else { &mut session.failed };
        *failures += 1;
        let failures = *failures;
        let unprocessed = failure.processed() == Processed::No && !(failure.is_once() && session.once);
        if !unprocessed && !self.is_repeatable(request) {
            return Err(Stopped::NotRepeatable);
        }
        if self.is_exhausted(session) {
            return Err(Stopped::Exhausted);
        }
        let hint = failure.get_retry_after();
        if let Some(hint) = hint.filter(|hint| *hint > self.max_retry_after) {
            return Err(Stopped::HintTooLong(hint));
        }
        let wait = self.backoff.wait(throttled, failures, hint);
        let at = now + wait;
        if at >= self.give_up_at(session, request, now) {
            return Err(Stopped::Deadline);
        }
        replay::check(request.extensions())?;
        let cost = if throttled { THROTTLED_COST } else { RETRY_COST };
        if !self.purse.take(cost) {
            return Err(Stopped::Budget);
        }
        // An upload that still runs may have outgrown what is kept since then.
        let price = Price::new(self.purse.clone(), cost);
        replay::claim(request.extensions())?;
        session.spent = cost;
        session.price = Some(price);
        session.once |= failure.is_once();
        Ok(at)
    }

    fn is_repeatable<B>(&self, request: &Request<B>) -> bool {
        is_repeatable(request, |request| {
            self.repeatable.as_ref().is_some_and(|route| route(request.method(), request.uri()))
        })
    }

    /// Each kind of failure has its limit, and the larger one holds for all attempts. Replays are none.
    fn is_exhausted(&self, session: &Session) -> bool {
        let (attempts, throttled) = (self.max_attempts(), self.max_throttled());
        session.failed >= attempts
            || session.throttled >= throttled
            || session.failed + session.throttled >= attempts.max(throttled)
    }

    /// Nothing is sent again then or later.
    pub(super) fn give_up_at<B>(&self, session: &Session, request: &Request<B>, now: Instant) -> Instant {
        let at = session.started_at(now) + self.deadline;
        request.extensions().get::<Deadline>().map_or(at, |deadline| deadline.instant().min(at))
    }
}
