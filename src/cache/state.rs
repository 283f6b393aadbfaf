//! What the cache decides, as a pure state machine: every method takes `now`, none waits, none needs a runtime.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    lease::{Grant, Lease, Refuse},
    rules::Rules,
};
use crate::{error::Error, token::Token};

/// The truth about one token. Guarded by the cache's lock.
#[derive(Debug)]
pub(super) struct State {
    rules: Rules,
    rng: fastrand::Rng,
    current: Option<Arc<Lease>>,
    flight: Option<Flight>,
    next_flight: u64,
    failure: Option<Failure>,
    failures: Failures,
    /// The token refused last: the next fetch must not return it.
    rejected: Option<Token>,
    forced_at: Option<Instant>,
    /// When the last token request was allowed to leave.
    asked_at: Option<Instant>,
}

/// What a caller is to do.
#[derive(Debug)]
pub(super) enum Decision {
    /// Use the token.
    Fresh(Grant),
    /// Use the token, and start the refresh.
    Stale(Grant, Launch),
    /// Wait for the flight under way, until nobody can be driving it any more.
    Join(Instant),
    /// Start a flight and wait for it.
    Launch(Launch),
    /// The issuer failed a moment ago, and is not asked again yet.
    Fail(Error),
}

/// Orders for a token request.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) flight: u64,
    pub(super) not_before: Instant,
    pub(super) dead_at: Instant,
    pub(super) rejected: Option<Token>,
    /// For the log.
    pub(super) reason: &'static str,
}

/// What has become of a token request.
#[derive(Clone, Debug)]
pub(super) enum Landing {
    Token(Grant),
    Failed(Error),
    /// It brought the very token that was refused while it was under way, or an older one than is there by now.
    Superseded,
}

/// A token request under way.
#[derive(Debug)]
struct Flight {
    id: u64,
    /// By then it has timed out by itself; if it has not, nobody drives it any more.
    dead_at: Instant,
    /// The generation it was told not to return.
    rejected: u64,
    /// What [`State::asked_at`] was before it.
    asked_before: Option<Instant>,
    departed: bool,
}

/// The last token request failed.
#[derive(Debug)]
struct Failure {
    error: Error,
    until: Instant,
}

/// Since the last success. Counted apart, so that a flaky network does not make a wrong secret look new.
#[derive(Debug, Default)]
struct Failures {
    transient: u32,
    permanent: u32,
}

// === impl State ===

impl State {
    pub(super) fn new(rules: Rules, seed: Option<u64>) -> Self {
        Self {
            rules,
            rng: seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed),
            current: None,
            flight: None,
            next_flight: 1,
            failure: None,
            failures: Failures::default(),
            rejected: None,
            forced_at: None,
            asked_at: None,
        }
    }

    /// The token, if there is nothing to decide. Callers in the refresh window are sent on with the valid token as long
    /// as somebody is at it already, or the issuer is not to be asked.
    pub(super) fn peek(&self, now: Instant, min_ttl: Duration) -> Option<Grant> {
        let lease = self.serving(now, min_ttl)?;
        let recheck_at = if now < lease.refresh_at() {
            lease.refresh_at()
        } else if let Some(flight) = self.alive(now) {
            flight.dead_at.min(lease.expires_at())
        } else if let Some(failure) = self.cooling(now) {
            failure.until.min(lease.expires_at())
        } else {
            return None;
        };
        Some(Grant { lease: Arc::clone(lease), recheck_at })
    }

    /// Whether nobody with that demand has to wait.
    pub(super) fn serves(&self, now: Instant, min_ttl: Duration) -> bool {
        self.serving(now, min_ttl).is_some()
    }

    /// For a caller whose token must live on for `min_ttl`; zero for any that is valid.
    pub(super) fn decide(&mut self, now: Instant, min_ttl: Duration) -> Decision {
        if let Some(grant) = self.peek(now, min_ttl) {
            return Decision::Fresh(grant);
        }
        if let Some(lease) = self.serving(now, min_ttl).map(Arc::clone) {
            let launch = self.launch(now);
            let recheck_at = lease.expires_at();
            return Decision::Stale(Grant { lease, recheck_at }, launch);
        }
        if let Some(flight) = self.alive(now) {
            return Decision::Join(flight.dead_at);
        }
        match self.cooling(now) {
            Some(failure) => Decision::Fail(failure.error.clone().with_retry_at(failure.until)),
            None => Decision::Launch(self.launch(now)),
        }
    }

    /// A token request ended.
    pub(super) fn land(
        &mut self,
        flight: u64,
        result: Result<Token, Error>,
        now: Instant,
        cache: &Weak<dyn Refuse>,
    ) -> Landing {
        let known = self.flight.take_if(|current| current.id == flight);
        match result {
            Ok(token) => self.publish(token, known.as_ref(), now, cache),
            Err(error) => {
                // Given up for dead before: somebody else asks by now, and this says nothing about them.
                if known.is_some() { Landing::Failed(self.fail(error, now)) } else { Landing::Failed(error) }
            }
        }
    }

    /// The token request leaves now, which may be late. `false` if it must not: it was given up for dead, and somebody
    /// else asks by now.
    pub(super) fn depart(&mut self, flight: u64, now: Instant) -> bool {
        let Some(current) = self.flight.as_mut().filter(|current| current.id == flight) else { return false };
        current.departed = true;
        current.dead_at = now + self.rules.fetch_timeout * 2;
        self.asked_at = Some(now);
        true
    }

    /// Nobody drives the flight any more: whoever comes next starts another.
    pub(super) fn abandon(&mut self, flight: u64) {
        if let Some(unasked) = self.flight.take_if(|current| current.id == flight).filter(|flight| !flight.departed) {
            self.asked_at = unasked.asked_before;
        }
    }

    /// A resource server refused `token`: compare and swap. Whether a replay can carry another token.
    pub(super) fn reject(&mut self, token: &Token, now: Instant) -> Rejection {
        let held = self.current.as_ref().map(|lease| lease.generation());
        if held.is_some_and(|held| held != token.generation()) {
            return Rejection::Superseded;
        }
        // Whatever comes of it, the next fetch must not return it; unless a later one was refused already.
        if self.rejected.as_ref().is_none_or(|rejected| rejected.generation() <= token.generation()) {
            self.rejected = Some(token.clone());
        }
        if self.cooling(now).is_some() {
            // The issuer is failing: a replay would turn the API's own answer into an error.
            return Rejection::Kept;
        }
        if held.is_none() {
            return Rejection::Superseded;
        }
        if self.flaps(now) {
            return Rejection::Kept;
        }
        // Only what would not have been asked for anyway is forced.
        if self.valid(now).is_some() && self.alive(now).is_none() {
            self.forced_at = Some(now);
        }
        self.current = None;
        Rejection::Dropped
    }

    /// Whether the token is refused right after it came in place of another that was refused. One that lives for seconds
    /// is refused at half its life and later because it is over: clocks differ.
    fn flaps(&self, now: Instant) -> bool {
        let interval = self.rules.flap_interval;
        let young = |lease: &Arc<Lease>| {
            let life = lease.expires_at().saturating_duration_since(lease.landed_at());
            now.saturating_duration_since(lease.landed_at()) < interval.min(life / 2)
        };
        self.forced_at.is_some_and(|at| now < at + interval) && self.current.as_ref().is_some_and(young)
    }

    fn valid(&self, now: Instant) -> Option<&Arc<Lease>> {
        self.current.as_ref().filter(|lease| now < lease.expires_at())
    }

    fn serving(&self, now: Instant, min_ttl: Duration) -> Option<&Arc<Lease>> {
        self.valid(now).filter(|lease| lease.satisfies(now, min_ttl))
    }

    fn alive(&self, now: Instant) -> Option<&Flight> {
        self.flight.as_ref().filter(|flight| now < flight.dead_at)
    }

    fn cooling(&self, now: Instant) -> Option<&Failure> {
        self.failure.as_ref().filter(|failure| now < failure.until)
    }

    fn launch(&mut self, now: Instant) -> Launch {
        let not_before = self.asked_at.map_or(now, |at| now.max(at + self.rules.min_interval));
        let id = self.next_flight;
        self.next_flight += 1;
        let asked_before = self.asked_at.replace(not_before);
        // By `fetch_timeout` it has ended by itself, if its runtime is driven at all.
        let dead_at = not_before + self.rules.fetch_timeout * 2;
        let rejected = self.rejected.as_ref().map_or(0, Token::generation);
        let reason = match &self.current {
            Some(lease) if now < lease.refresh_at() => "min_ttl",
            Some(lease) if now < lease.expires_at() => "early",
            Some(_) => "expired",
            None if self.rejected.is_some() => "rejected",
            None => "first",
        };
        self.flight = Some(Flight { id, dead_at, rejected, asked_before, departed: false });
        Launch { flight: id, not_before, dead_at, rejected: self.rejected.clone(), reason }
    }

    fn publish(&mut self, token: Token, flight: Option<&Flight>, now: Instant, cache: &Weak<dyn Refuse>) -> Landing {
        let newer = |held: &Arc<Lease>| held.token().sent_at() > token.sent_at();
        if flight.is_none() && self.valid(now).is_some_and(newer) {
            return Landing::Superseded;
        }
        let unaware = |rejected: &Token| flight.is_none_or(|flight| flight.rejected != rejected.generation());
        if self.rejected.as_ref().is_some_and(|rejected| unaware(rejected) && rejected.same_secret(&token)) {
            return Landing::Superseded;
        }
        let lifetime = token.lifetime().unwrap_or(self.rules.default_lifetime);
        let expires_at = token.sent_at() + lifetime;
        let refresh_at = expires_at - self.rules.margin(lifetime, self.rng.f64());
        let lease = Arc::new(Lease::new(token, refresh_at, expires_at, now, cache.clone()));
        // One that is over by now serves those who wait, and nobody after them.
        if !lease.is_for_once() {
            self.current = Some(Arc::clone(&lease));
        }
        self.failure = None;
        self.failures = Failures::default();
        Landing::Token(Grant { lease, recheck_at: refresh_at })
    }

    fn fail(&mut self, error: Error, now: Instant) -> Error {
        let backoff = if error.is_transient() {
            self.failures.transient = self.failures.transient.saturating_add(1);
            self.rules.transient_backoff.after(self.failures.transient).mul_f64(self.rng.f64())
        } else {
            self.failures.permanent = self.failures.permanent.saturating_add(1);
            self.rules.permanent_backoff.after(self.failures.permanent)
        };
        let asked = error.retry_after().unwrap_or_default().min(self.rules.max_retry_after);
        let interval = self.asked_at.map_or(now, |at| at + self.rules.min_interval);
        let until = (now + backoff.max(asked)).max(interval);
        self.failure = Some(Failure { error: error.clone(), until });
        error.with_retry_at(until)
    }
}

/// What [`State::reject`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// The token is gone; the next caller asks for another.
    Dropped,
    /// The token was replaced already, or is about to be.
    Superseded,
    /// The token stays: it was replaced a moment ago, or the issuer is failing, so that a replay cannot help.
    Kept,
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
