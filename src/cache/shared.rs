//! The state machine behind its lock, with what it needs of the world: the source, a runtime, and who hears of it.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, PoisonError, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::{
    events::{Feed, RejectionOutcome},
    fact::{Fact, Flown},
    flight, landing,
    lease::{Grant, Lease},
    metrics::Meter,
    published::Refuse,
    rules::Rules,
    state::{Decision, Departure, Landing, Launch, State},
    stats::{Counters, Stats},
    sync::{AtomicU64, RwLock, RwLockReadGuard},
};
use crate::{clock::Until, error::Error, source::ErasedSource, token::Token};

/// What the clones of a cache share.
pub(crate) struct Shared {
    source: Arc<dyn ErasedSource>,
    fetch_timeout: Duration,
    /// Never held across an await.
    locked: RwLock<Locked>,
    /// Moves with every change behind the lock, so that a service clone can tell that its snapshot still holds.
    epoch: AtomicU64,
    pub(super) counters: Counters,
    pub(super) meter: Meter,
    pub(super) name: Cow<'static, str>,
    pub(super) feed: Weak<Feed>,
}

pub(super) struct Locked {
    pub(super) state: State,
    landings: landing::Receiver<Landing>,
    quick: Option<Quick>,
}

/// What the state would say until then, to those who ask for nothing but a token.
struct Quick {
    lease: Arc<Lease>,
    until: Until,
}

/// What a caller is to do, once the flight that it takes is under way.
pub(super) enum Step {
    Use(Grant),
    Wait(Waiter),
    Fail(Error),
}

/// Hears of a landing.
pub(super) struct Waiter {
    landings: landing::Receiver<Landing>,
    /// By then nobody drives the flight any more.
    dead_at: Instant,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(
        source: Arc<dyn ErasedSource>,
        rules: Rules,
        seed: Option<u64>,
        name: Cow<'static, str>,
        feed: Weak<Feed>,
        meter: Meter,
    ) -> Self {
        let locked = Locked { state: State::new(rules, seed), landings: landing::channel().1, quick: None };
        Self {
            source,
            fetch_timeout: rules.fetch_timeout,
            locked: RwLock::new(locked),
            epoch: AtomicU64::new(0),
            counters: Counters::default(),
            meter,
            name,
            feed,
        }
    }

    pub(super) fn source(&self) -> &Arc<dyn ErasedSource> {
        &self.source
    }

    pub(super) fn fetch_timeout(&self) -> Duration {
        self.fetch_timeout
    }

    #[inline]
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn stats(&self) -> Stats {
        self.counters.read()
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Locked> {
        // Nothing that runs under the lock calls foreign code, so that a poisoned state is a whole one.
        self.locked.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides for one caller, and starts the flight if that falls to it.
    pub(super) fn step(self: &Arc<Self>, now: Instant, min_ttl: Duration) -> Step {
        let (step, departure) = {
            let mut locked = self.locked.write().unwrap_or_else(PoisonError::into_inner);
            let decided = match locked.state.decide(now, min_ttl) {
                Decision::Fresh(grant) => (Step::Use(grant), None),
                Decision::Stale(grant, orders) => (Step::Use(grant), Some(locked.open(orders))),
                Decision::Fail(error) => (Step::Fail(error), None),
                Decision::Join(dead_at) => (Step::Wait(locked.waiter(dead_at)), None),
                Decision::Launch(orders) => {
                    let dead_at = orders.dead_at;
                    let departure = locked.open(orders);
                    (Step::Wait(locked.waiter(dead_at)), Some(departure))
                }
            };
            // Nothing else of it is news to those who have a token, and not even this to those who have a quick one.
            if decided.1.is_some() {
                self.epoch.fetch_add(1, Ordering::Release);
            }
            decided
        };
        let Some((orders, landings)) = departure else { return step };
        match (flight::launch(self, &orders, landings), step) {
            // Without a runtime a valid token is still a valid token.
            (Err(error), Step::Wait(_)) => Step::Fail(error),
            (_, step) => step,
        }
    }

    /// Says that a caller has to wait.
    pub(super) fn wait(&self, now: Instant) {
        self.tell(&Fact::Waited, now);
    }

    /// `None` if the token request is not to be made.
    pub(super) fn depart(&self, flight: u64) -> Option<Departure> {
        let now = Instant::now();
        let departure = self.update(now, |locked| locked.state.depart(flight, now))?;
        self.tell(&Fact::Departed, now);
        Some(departure)
    }

    pub(super) fn land(self: &Arc<Self>, flight: u64, departure: &Departure, result: Result<Token, Error>) -> Landing {
        let now = Instant::now();
        let itself = Arc::downgrade(self);
        let cache: Weak<dyn Refuse> = itself;
        let (waiters, landing) = self.update(now, |locked| {
            let waiters = locked.state.waiters(flight);
            (waiters, locked.state.land(flight, result, now, &cache))
        });
        let took = now.saturating_duration_since(departure.at);
        let flown = Flown { reason: departure.reason, took, waiters };
        let fact = match &landing {
            Landing::Token(Grant { lease, .. }) => Fact::Refreshed(flown, lease),
            Landing::Failed(error) => Fact::Failed(flown, error),
            Landing::Superseded => Fact::Superseded(flown),
        };
        self.tell(&fact, now);
        landing
    }

    pub(super) fn invalidate(&self, now: Instant) {
        self.update(now, |locked| locked.state.invalidate());
        self.tell(&Fact::Invalidated, now);
    }

    pub(super) fn abandon(&self, flight: u64) {
        self.update(Instant::now(), |locked| locked.state.abandon(flight));
    }

    fn update<T>(&self, now: Instant, change: impl FnOnce(&mut Locked) -> T) -> T {
        let mut locked = self.locked.write().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut locked);
        locked.settle(now);
        self.epoch.fetch_add(1, Ordering::Release);
        result
    }
}

impl Refuse for Shared {
    fn refuse(&self, generation: u64, now: Instant) -> bool {
        let refusal = {
            let mut locked = self.locked.write().unwrap_or_else(PoisonError::into_inner);
            let refusal = locked.state.reject(generation, now);
            locked.settle(now);
            // A late 401, of which there may be thousands, is no reason for every service clone to look again.
            if refusal.is_news {
                self.epoch.fetch_add(1, Ordering::Release);
            }
            refusal
        };
        self.tell(&Fact::Rejected(generation, refusal), now);
        refusal.outcome != RejectionOutcome::Kept
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).field("epoch", &self.epoch()).finish_non_exhaustive()
    }
}

// === impl Waiter ===

impl Waiter {
    /// `None` if there was none `by` then, or at all, and somebody has to start anew.
    pub(super) async fn landing(self, by: Option<Instant>) -> Option<Landing> {
        let until = by.map_or(self.dead_at, |by| by.min(self.dead_at));
        timeout_at(until, self.landings.landing()).await.ok()?
    }
}

// === impl Locked ===

impl Locked {
    fn waiter(&self, dead_at: Instant) -> Waiter {
        Waiter { landings: self.landings.clone(), dead_at }
    }

    /// The token that nothing is to be decided about, if there is one by now.
    #[inline]
    pub(super) fn quick(&self) -> Option<&Lease> {
        self.quick.as_ref().filter(|quick| quick.until.holds()).map(|quick| &*quick.lease)
    }

    /// After each change of what is served: a flight that begins changes nothing for who has a quick one.
    fn settle(&mut self, now: Instant) {
        let grant = self.state.peek(now, Duration::ZERO).filter(|grant| !grant.lease.is_due(now));
        self.quick = grant.map(|Grant { lease, recheck_at }| {
            let until = Until::new(recheck_at.min(lease.refresh_at()), now);
            Quick { lease, until }
        });
    }

    /// Makes the channel of a flight, before anybody can join it.
    fn open(&mut self, orders: Launch) -> (Launch, landing::Sender<Landing>) {
        let (sender, landings) = landing::channel();
        self.landings = landings;
        (orders, sender)
    }
}
