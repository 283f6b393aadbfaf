//! What the state machine says, and what it is told.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    events::{Reason, RejectionOutcome},
    lease::Grant,
};
use crate::{error::Error, token::Token};

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
}

/// A token request that leaves.
#[derive(Clone, Debug)]
pub(super) struct Departure {
    pub(super) at: Instant,
    pub(super) reason: Reason,
    /// What it must not return.
    pub(super) rejected: Option<Token>,
}

/// What has become of a token request.
#[derive(Clone, Debug)]
pub(super) enum Landing {
    Token(Grant),
    Failed(Error),
    /// It brought the very token that was refused while it was under way, or an older one than is there by now, or it
    /// left before all was invalidated.
    Superseded,
}

/// What has become of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) outcome: RejectionOutcome,
    /// Whether the first to tell: what others know of the token may no longer hold.
    pub(super) is_news: bool,
    /// How long ago the token was asked for, if it is one of those that came last.
    pub(super) age: Option<Duration>,
}
