//! What the cache decides, as a pure state machine: every method takes `now`, none waits, none needs a runtime.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

pub(super) use super::decision::{Decision, Departure, Landing, Launch, Refusal};
use super::{
    events::{Reason, RejectionOutcome},
    failure::Failures,
    lease::{Grant, Lease},
    published::{Recent, Refuse},
    rules::Rules,
};
use crate::{error::Error, token::Token};

/// The truth about one token. Guarded by the cache's lock.
#[derive(Debug)]
pub(super) struct State {
    rules: Rules,
    rng: fastrand::Rng,
    current: Option<Arc<Lease>>,
    /// The last token that came, if it was over by then.
    once: Option<Arc<Lease>>,
    recent: Recent,
    /// Why there is no current one, if there is none.
    lack: Reason,
    /// The current one was refused while no other could be had: it serves until one can.
    is_makeshift: bool,
    flight: Option<Flight>,
    next_flight: u64,
    /// Flights before it left before all was invalidated: what they bring says nothing.
    first_valid_flight: u64,
    failures: Failures,
    /// The token refused last: the next fetch must not return it.
    rejected: Option<Token>,
    forced_at: Option<Instant>,
    /// When the last token request was allowed to leave.
    asked_at: Option<Instant>,
}

/// A token request under way.
#[derive(Debug)]
struct Flight {
    id: u64,
    reason: Reason,
    /// By then it has timed out by itself; if it has not, nobody drives it any more.
    dead_at: Instant,
    /// The generation it was told not to return.
    rejected: u64,
    /// What [`State::asked_at`] was before it.
    asked_before: Option<Instant>,
    departed: bool,
    waiters: u32,
}

// === impl State ===

impl State {
    pub(super) fn new(rules: Rules, seed: Option<u64>) -> Self {
        Self {
            rules,
            rng: seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed),
            current: None,
            once: None,
            recent: Recent::new(),
            lack: Reason::First,
            is_makeshift: false,
            flight: None,
            next_flight: 1,
            first_valid_flight: 1,
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
        let recheck_at = if now < lease.refresh_at() && !self.is_makeshift {
            lease.refresh_at()
        } else if let Some(flight) = self.alive(now) {
            flight.dead_at.min(lease.expires_at())
        } else if let Some(failure) = self.failures.cooling(now) {
            failure.until().min(lease.expires_at())
        } else {
            return None;
        };
        Some(Grant { lease: Arc::clone(lease), recheck_at })
    }

    /// When the token that is there expires.
    #[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "for the gauge"))]
    pub(super) fn expires_at(&self) -> Option<Instant> {
        self.current.as_ref().map(|lease| lease.expires_at())
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
            let orders = self.launch(Reason::Early, 0, now);
            let recheck_at = lease.expires_at();
            return Decision::Stale(Grant { lease, recheck_at }, orders);
        }
        if let Some(flight) = self.flight.as_mut().filter(|flight| now < flight.dead_at) {
            flight.waiters = flight.waiters.saturating_add(1);
            return Decision::Join(flight.dead_at);
        }
        if let Some(failure) = self.failures.cooling(now) {
            return Decision::Fail(failure.error());
        }
        let reason = match &self.current {
            None => self.lack,
            Some(lease) if now >= lease.expires_at() => Reason::Expired,
            Some(lease) if self.is_makeshift => {
                self.forced_at = if now < lease.refresh_at() { Some(now) } else { self.forced_at };
                Reason::Rejected
            }
            Some(_) => Reason::MinTtl,
        };
        Decision::Launch(self.launch(reason, 1, now))
    }

    /// The token request leaves now, which may be late. `None` if it must not: it was given up for dead, and somebody
    /// else asks by now.
    pub(super) fn depart(&mut self, flight: u64, now: Instant) -> Option<Departure> {
        let current = self.flight.as_mut().filter(|current| current.id == flight)?;
        current.departed = true;
        current.dead_at = now + self.rules.fetch_timeout * 2;
        // It may have waited for its time, and heard nothing of what was refused meanwhile.
        current.rejected = self.rejected.as_ref().map_or(0, Token::generation);
        self.asked_at = Some(now);
        Some(Departure { at: now, reason: current.reason, rejected: self.rejected.clone() })
    }

    /// How many callers have waited for that flight so far. None, if it was given up for dead.
    pub(super) fn waiters(&self, flight: u64) -> u32 {
        self.flight.as_ref().filter(|current| current.id == flight).map_or(0, |flight| flight.waiters)
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
        if flight < self.first_valid_flight {
            return Landing::Superseded;
        }
        match result {
            Ok(token) => self.publish(token, known.as_ref(), now, cache),
            // Given up for dead before: somebody else asks by now, and who still waited for this one waits for them.
            Err(_) if known.is_none() => Landing::Superseded,
            Err(error) => {
                let departed = self.asked_at.unwrap_or(now);
                Landing::Failed(self.failures.add(error, departed, now, &self.rules, self.rng.f64()))
            }
        }
    }

    /// Nobody drives the flight any more: whoever comes next starts another.
    pub(super) fn abandon(&mut self, flight: u64) {
        if let Some(unasked) = self.flight.take_if(|current| current.id == flight).filter(|flight| !flight.departed) {
            self.asked_at = unasked.asked_before;
        }
    }

    /// A resource server refused the token of that number: compare and swap.
    pub(super) fn reject(&mut self, generation: u64, now: Instant) -> Refusal {
        let age = self.recent.age(generation, now);
        let refusal = |outcome, is_news| Refusal { outcome, is_news, age };
        // One that is over says nothing about a token that came after it, for those who waited only.
        let counts = |lease: &&Arc<Lease>| now < lease.expires_at() || lease.generation() >= generation;
        let held = self.current.as_ref().filter(counts).map(|lease| lease.generation());
        if held.is_some_and(|held| held != generation) {
            return refusal(RejectionOutcome::Superseded, false);
        }
        // Whatever comes of it, the next fetch must not return it; unless a later one was refused already.
        let last = self.rejected.as_ref().map(Token::generation);
        let is_news = last.is_none_or(|last| last < generation);
        if is_news {
            self.rejected = self.known(generation).cloned().or(self.rejected.take());
        }
        let is_first = is_news || !self.is_makeshift;
        if self.failures.cooling(now).is_some() {
            // The issuer is failing: a replay would turn the API's own answer into an error.
            self.is_makeshift = held.is_some();
            return refusal(RejectionOutcome::Kept, held.is_some() && is_first);
        }
        if held.is_none() {
            return refusal(RejectionOutcome::Superseded, false);
        }
        let lives = self.current.as_ref().is_some_and(|lease| now < lease.expires_at());
        if lives && self.failures.any() && self.alive(now).is_some() {
            // The issuer failed, and is being asked again: if it fails once more, this one has to serve on.
            self.is_makeshift = true;
            return refusal(RejectionOutcome::Superseded, is_first);
        }
        if !self.is_makeshift && self.flaps(now) {
            return refusal(RejectionOutcome::Kept, is_news);
        }
        // Only what would not have been asked for anyway is forced.
        let due = |lease: &Arc<Lease>| if self.is_makeshift { lease.refresh_at() } else { lease.expires_at() };
        if self.current.as_ref().is_some_and(|lease| now < due(lease)) && self.alive(now).is_none() {
            self.forced_at = Some(now);
        }
        self.drop_current(Reason::Rejected);
        refusal(RejectionOutcome::Dropped, true)
    }

    /// Nothing that was heard so far holds any more. What limits how often the issuer is asked does.
    pub(super) fn invalidate(&mut self) {
        if let Some(lease) = &self.current {
            self.rejected = Some(lease.token().clone());
        }
        self.drop_current(Reason::Invalidated);
        self.failures = Failures::default();
        self.first_valid_flight = self.next_flight;
        // One that has yet to leave learns of it when it does.
        if let Some(flight) = self.flight.as_mut().filter(|flight| !flight.departed) {
            self.first_valid_flight = flight.id;
            flight.reason = Reason::Invalidated;
        }
    }

    /// Whether the token is refused right after it came in place of another that was refused. One that lives for seconds
    /// is refused at half its life and later because it is over: clocks differ.
    fn flaps(&self, now: Instant) -> bool {
        let interval = self.rules.flap_interval;
        let young =
            |lease: &Arc<Lease>| now.saturating_duration_since(lease.landed_at()) < interval.min(lease.life() / 2);
        self.forced_at.is_some_and(|at| now < at + interval) && self.current.as_ref().is_some_and(young)
    }

    fn serving(&self, now: Instant, min_ttl: Duration) -> Option<&Arc<Lease>> {
        let lease = self.current.as_ref().filter(|lease| now < lease.expires_at() && lease.satisfies(now, min_ttl))?;
        (!self.is_makeshift || self.failures.cooling(now).is_some()).then_some(lease)
    }

    /// The token of that number, unless another came after it.
    fn known(&self, generation: u64) -> Option<&Token> {
        let mut leases = [&self.current, &self.once].into_iter().flatten();
        leases.find(|lease| lease.generation() == generation).map(|lease| lease.token())
    }

    fn alive(&self, now: Instant) -> Option<&Flight> {
        self.flight.as_ref().filter(|flight| now < flight.dead_at)
    }

    fn launch(&mut self, reason: Reason, waiters: u32, now: Instant) -> Launch {
        let not_before = self.asked_at.map_or(now, |at| now.max(at + self.rules.min_interval));
        let id = self.next_flight;
        self.next_flight += 1;
        let asked_before = self.asked_at.replace(not_before);
        // By `fetch_timeout` it has ended by itself, if its runtime is driven at all.
        let dead_at = not_before + self.rules.fetch_timeout * 2;
        let rejected = self.rejected.as_ref().map_or(0, Token::generation);
        self.flight = Some(Flight { id, reason, dead_at, rejected, asked_before, departed: false, waiters });
        Launch { flight: id, not_before, dead_at }
    }

    fn publish(&mut self, token: Token, flight: Option<&Flight>, now: Instant, cache: &Weak<dyn Refuse>) -> Landing {
        let newer = |held: &Arc<Lease>| now < held.expires_at() && held.token().sent_at() > token.sent_at();
        if flight.is_none() && self.current.as_ref().is_some_and(newer) {
            return Landing::Superseded;
        }
        let unaware = |rejected: &Token| flight.is_none_or(|flight| flight.rejected != rejected.generation());
        if self.rejected.as_ref().is_some_and(|rejected| unaware(rejected) && rejected.same_secret(&token)) {
            return Landing::Superseded;
        }
        let lifetime = token.lifetime().unwrap_or(self.rules.default_lifetime);
        let expires_at = token.sent_at() + lifetime;
        let refresh_at = expires_at - self.rules.margin(lifetime, self.rng.f64());
        let carried = self.recent.publish(token.sent_at(), cache.clone());
        let lease = Arc::new(Lease::new(token, refresh_at, expires_at, now, carried));
        // One that is over by now serves those who wait, and nobody after them.
        let is_for_once = lease.is_for_once();
        self.once = is_for_once.then(|| Arc::clone(&lease));
        if is_for_once {
            self.lack = Reason::Expired;
        } else {
            self.current = Some(Arc::clone(&lease));
            self.is_makeshift = false;
        }
        self.failures = Failures::default();
        Landing::Token(Grant { lease, recheck_at: refresh_at })
    }

    fn drop_current(&mut self, why: Reason) {
        self.current = None;
        self.lack = why;
        self.is_makeshift = false;
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
