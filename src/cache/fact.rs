//! The one place that hears of everything: the log, the counters and the events are fed from here.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, field::debug, warn};

use super::{
    Shared,
    decision::Refusal,
    events::{Event, Reason, RejectionOutcome},
    lease::Lease,
};
use crate::error::Error;

/// Something that is worth telling. A hit is not.
#[derive(Debug)]
pub(super) enum Fact<'a> {
    /// A caller has to wait for a token.
    Waited,
    /// The source is asked.
    Departed,
    Refreshed(Flown, &'a Lease),
    Failed(Flown, &'a Error),
    /// The answer of the source is of no use.
    Superseded(Flown),
    /// The token of that number.
    Rejected(u64, Refusal),
    Invalidated,
}

/// A token request that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flown {
    pub(super) reason: Reason,
    pub(super) took: Duration,
    pub(super) waiters: u32,
}

impl Shared {
    /// Not to be called under the lock.
    pub(super) fn tell(&self, fact: &Fact<'_>, now: Instant) {
        self.counters.count(fact);
        // Of what is there now, not of what the fact says: another may have overtaken it.
        self.meter.count(fact, || self.read().state.expires_at(), now);
        fact.log(&self.name, now);
        if let Some(feed) = self.feed.upgrade() {
            feed.send(|| fact.event(now));
        }
    }
}

// === impl Fact ===

impl Fact<'_> {
    fn log(&self, cache: &str, now: Instant) {
        match self {
            Self::Waited | Self::Departed => {}
            Self::Refreshed(Flown { reason, took, waiters }, lease) => {
                let (reason, generation) = (reason.as_str(), lease.generation());
                let expires_in = lease.expires_at().saturating_duration_since(now);
                debug!(cache, reason, generation, ?took, waiters, ?expires_in, "token refreshed");
            }
            Self::Failed(Flown { reason, took, waiters }, error) => {
                let (reason, transient, code) = (reason.as_str(), error.is_transient(), error.oauth_code());
                let wait = error.retry_at().map(|at| debug(at.saturating_duration_since(now)));
                warn!(cache, reason, %error, transient, code, ?took, waiters, wait, "token refresh failed, cooling down");
            }
            Self::Superseded(Flown { reason, took, waiters }) => {
                let reason = reason.as_str();
                debug!(
                    cache,
                    reason,
                    ?took,
                    waiters,
                    "token dropped: rejected, replaced or invalidated while it was under way"
                );
            }
            Self::Rejected(generation, Refusal { outcome, age, .. }) => {
                let age = age.map(debug);
                match outcome {
                    RejectionOutcome::Dropped => debug!(cache, generation, age, "token rejected"),
                    RejectionOutcome::Superseded => {}
                    RejectionOutcome::Kept => {
                        debug!(
                            cache,
                            generation, age, "token rejected, and kept: a new one would not help, or cannot be had now"
                        );
                    }
                }
            }
            Self::Invalidated => debug!(cache, "token invalidated"),
        }
    }

    fn event(&self, now: Instant) -> Option<Event> {
        Some(match *self {
            Self::Refreshed(Flown { reason, took, waiters }, lease) => {
                let expires_in = lease.expires_at().saturating_duration_since(now);
                Event::Refreshed { generation: lease.generation(), reason, took, expires_in, waiters }
            }
            Self::Failed(Flown { reason, took, waiters }, error) => {
                let (error, retry_at) = (error.clone(), error.retry_at());
                Event::RefreshFailed { error, reason, took, waiters, retry_at }
            }
            Self::Rejected(generation, Refusal { outcome, is_news: true, age }) => {
                Event::Rejected { generation, age: age.unwrap_or_default(), outcome }
            }
            Self::Invalidated => Event::Invalidated,
            Self::Waited | Self::Departed | Self::Superseded(_) | Self::Rejected(..) => return None,
        })
    }
}
