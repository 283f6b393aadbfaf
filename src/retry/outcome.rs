//! What became of a request that was given up.

use std::time::Duration;

/// Response extension: the request failed in a way that another attempt, or another token, might mend, and was not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryOutcome {
    /// How often the request was sent, replays after a 401 included.
    pub attempts: u32,
    /// From the first time it was sent until it was given up.
    pub elapsed: Duration,
    /// Why it was not sent again.
    pub stopped: Stopped,
}

/// Why a request was not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// The budget that all requests of the policy share is used up.
    Budget,
    /// The wait would have ended after the deadline.
    Deadline,
    /// All attempts were made.
    Exhausted,
    /// The server asked for a longer wait than the policy allows: this long.
    HintTooLong(Duration),
    /// The body of the request is longer than what [`ReplayBody`](super::ReplayBody) keeps, or has failed.
    NotReplayable,
    /// The server may have acted on it, and doing it twice is not harmless.
    NotRepeatable,
    /// A 401 that a new token did not cure, or cannot.
    Unauthorized,
}

// === impl Stopped ===

impl Stopped {
    #[cfg(feature = "metrics")]
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Deadline => "deadline",
            Self::Exhausted => "exhausted",
            Self::HintTooLong(_) => "hint_too_long",
            Self::NotReplayable => "not_replayable",
            Self::NotRepeatable => "not_repeatable",
            Self::Unauthorized => "unauthorized",
        }
    }
}
