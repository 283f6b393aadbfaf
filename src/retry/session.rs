//! What a policy knows of one request.

use tokio::time::Instant;

use super::budget::Purse;
use crate::clock::Since;

/// Pristine in the policy that a service holds; `Retry` clones it for each request.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) started: Option<Since>,
    /// How often it was sent, replays after a 401 included.
    pub(super) sent: u32,
    pub(super) failed: u32,
    pub(super) throttled: u32,
    /// Whether it was sent again for a failure that allows that once.
    pub(super) once: bool,
    pub(super) replayed: bool,
    /// What the last retry has cost.
    pub(super) spent: u32,
    /// The same, until its outcome is known.
    pub(super) price: Option<Price>,
    /// Of the policy that a service holds: how often it was used.
    pub(super) used: Used,
}

/// Whoever is used again gets a config of its own. A service that is cloned for each request would pay for that in vain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Used {
    #[default]
    Never,
    Once,
    Again,
}

/// What was paid for a retry. If it is dropped before that is sent, because the caller has gone away or the service failed to
/// become ready, the budget has it back.
#[derive(Debug)]
pub(super) struct Price {
    purse: Purse,
    cost: u32,
    sent: bool,
}

// === impl Session ===

impl Session {
    /// When it was sent for the first time. It is `now`.
    pub(super) fn started_at(&self, now: Instant) -> Instant {
        self.started.map_or(now, |started| started.instant(now))
    }

    /// It is on its way to the service underneath.
    pub(super) fn sends(&mut self) {
        if let Some(price) = &mut self.price {
            price.sent = true;
        }
    }
}

/// All but what was paid, which is given back once, and what the other was used.
impl Clone for Session {
    fn clone(&self) -> Self {
        let Self { started, sent, failed, throttled, once, replayed, spent, price: _, used: _ } = *self;
        Self { started, sent, failed, throttled, once, replayed, spent, price: None, used: Used::Never }
    }
}

// === impl Price ===

impl Price {
    pub(super) fn new(purse: Purse, cost: u32) -> Self {
        Self { purse, cost, sent: false }
    }

    /// It was kept back further in.
    pub(super) fn give_back(mut self) {
        self.sent = false;
    }
}

impl Drop for Price {
    fn drop(&mut self) {
        if !self.sent {
            self.purse.refund(self.cost);
        }
    }
}
