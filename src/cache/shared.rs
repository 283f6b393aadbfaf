//! The state machine behind its lock, with what it needs of the world: the source, a runtime, counters and events.

use std::{
    fmt,
    sync::{Arc, PoisonError, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use super::{
    flight::{self, Landings},
    lease::{Grant, Refuse},
    rules::Rules,
    state::{Decision, Landing, Launch, Rejection, State},
    stats::{Counters, Stats},
    sync::{AtomicU64, RwLock, RwLockReadGuard, watch},
};
use crate::{error::Error, source::ErasedSource, token::Token};

/// What the clones of a cache share.
pub(crate) struct Shared {
    source: Arc<dyn ErasedSource>,
    fetch_timeout: Duration,
    /// Never held across an await.
    locked: RwLock<Locked>,
    /// Moves with every change behind the lock, so that a service clone can tell that its snapshot still holds.
    epoch: AtomicU64,
    counters: Counters,
}

pub(super) struct Locked {
    pub(super) state: State,
    landings: Landings,
}

/// What a caller is to do, once the flight that it takes is under way.
pub(super) enum Step {
    Use(Grant),
    Wait(Waiter),
    Fail(Error),
}

/// Hears of a landing.
pub(super) struct Waiter {
    landings: Landings,
    /// By then nobody drives the flight any more.
    dead_at: Instant,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(source: Arc<dyn ErasedSource>, rules: Rules, seed: Option<u64>) -> Self {
        let locked = Locked { state: State::new(rules, seed), landings: watch::channel(None).1 };
        Self {
            source,
            fetch_timeout: rules.fetch_timeout,
            locked: RwLock::new(locked),
            epoch: AtomicU64::new(0),
            counters: Counters::default(),
        }
    }

    pub(super) fn source(&self) -> &Arc<dyn ErasedSource> {
        &self.source
    }

    pub(super) fn fetch_timeout(&self) -> Duration {
        self.fetch_timeout
    }

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
    pub(super) fn step(self: &Arc<Self>, now: Instant) -> Step {
        let (step, departure) = self.update(|locked| match locked.state.decide(now) {
            Decision::Fresh(grant) => (Step::Use(grant), None),
            Decision::Stale(grant, orders) => (Step::Use(grant), Some(locked.open(orders))),
            Decision::Fail(error) => (Step::Fail(error), None),
            Decision::Join(dead_at) => (Step::Wait(locked.waiter(dead_at)), None),
            Decision::Launch(orders) => {
                let dead_at = orders.dead_at;
                let departure = locked.open(orders);
                (Step::Wait(locked.waiter(dead_at)), Some(departure))
            }
        });
        let Some((orders, landings)) = departure else { return step };
        match (flight::launch(self, orders, landings), step) {
            // Without a runtime a valid token is still a valid token.
            (Err(error), Step::Wait(_)) => Step::Fail(error),
            (_, step) => step,
        }
    }

    /// Whether the token request is to be made.
    pub(super) fn depart(&self, flight: u64) -> bool {
        let departs = self.update(|locked| locked.state.depart(flight, Instant::now()));
        if departs {
            self.counters.request();
        }
        departs
    }

    pub(super) fn land(self: &Arc<Self>, flight: u64, reason: &str, result: Result<Token, Error>) -> Landing {
        let now = Instant::now();
        let itself = Arc::downgrade(self);
        let cache: Weak<dyn Refuse> = itself;
        let landing = self.update(|locked| locked.state.land(flight, result, now, &cache));
        match &landing {
            Landing::Token(Grant { lease, .. }) => {
                self.counters.mint();
                let expires_in = lease.expires_at().saturating_duration_since(now);
                debug!(reason, generation = lease.generation(), ?expires_in, "token refreshed");
            }
            Landing::Failed(error) => {
                self.counters.fail();
                let wait = error.retry_at().map(|at| at.saturating_duration_since(now));
                warn!(reason, %error, transient = error.is_transient(), code = error.oauth_code(), ?wait, "token refresh failed, cooling down");
            }
            Landing::Superseded => debug!("token dropped: rejected or replaced by a newer one while it was under way"),
        }
        landing
    }

    pub(super) fn abandon(&self, flight: u64) {
        self.update(|locked| locked.state.abandon(flight));
    }

    fn update<T>(&self, change: impl FnOnce(&mut Locked) -> T) -> T {
        let mut locked = self.locked.write().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut locked);
        self.epoch.fetch_add(1, Ordering::Release);
        result
    }
}

impl Refuse for Shared {
    fn refuse(&self, token: &Token, now: Instant) -> bool {
        let generation = token.generation();
        let rejection = {
            let mut locked = self.locked.write().unwrap_or_else(PoisonError::into_inner);
            let rejection = locked.state.reject(token, now);
            // A late 401, of which there may be thousands, is no reason for every service clone to look again.
            if rejection == Rejection::Dropped {
                self.epoch.fetch_add(1, Ordering::Release);
            }
            rejection
        };
        match rejection {
            Rejection::Dropped => {
                self.counters.reject();
                let age = now.saturating_duration_since(token.sent_at());
                debug!(generation, ?age, "token rejected");
                true
            }
            Rejection::Superseded => true,
            Rejection::Kept => {
                debug!(generation, "token rejected, and kept: a new one would not help, or cannot be had now");
                false
            }
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("epoch", &self.epoch()).finish_non_exhaustive()
    }
}

// === impl Waiter ===

impl Waiter {
    /// `None` if there was none, and somebody has to start anew.
    pub(super) async fn landing(mut self) -> Option<Landing> {
        let landed = timeout_at(self.dead_at, self.landings.wait_for(Option::is_some)).await.ok()?.ok()?;
        landed.clone()
    }
}

// === impl Locked ===

impl Locked {
    fn waiter(&self, dead_at: Instant) -> Waiter {
        Waiter { landings: self.landings.clone(), dead_at }
    }

    /// Makes the channel of a flight, before anybody can join it.
    fn open(&mut self, orders: Launch) -> (Launch, watch::Sender<Option<Landing>>) {
        let (sender, landings) = watch::channel(None);
        self.landings = landings;
        (orders, sender)
    }
}
