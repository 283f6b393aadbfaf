//! What can be seen of a cache from outside, in the order in which it happened.

use std::{error::Error as _, time::Duration};

use tokio::time::Instant;
use tower_oauth2::{Error, Token};

/// Since shortly before the sequence began, and the same on the clocks of all runtimes.
pub(crate) type At = Duration;

#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The source is asked, and told which generation was refused.
    Asked {
        ask: u64,
        at: At,
        told: Option<u64>,
    },
    /// The source has answered.
    Answered {
        ask: u64,
        at: At,
        reply: Reply,
    },
    /// The cache has stopped waiting for the source.
    GivenUp {
        ask: u64,
        at: At,
    },
    /// The first poll of `token()`; followed by `Got` or `Waits` of the same caller.
    #[allow(dead_code, reason = "to be read by whoever reads a failure")]
    Called {
        caller: u64,
        at: At,
        min_ttl: Duration,
    },
    Waits {
        caller: u64,
    },
    Got {
        caller: u64,
        at: At,
        outcome: Outcome,
    },
    Cancelled {
        caller: u64,
    },
    /// `reject` returned.
    Rejected {
        generation: u64,
        at: At,
        renewable: bool,
        /// Whether it is gone, which tells one that is about to be replaced from one that is.
        dropped: bool,
    },
    Invalidated,
    RuntimeEnded {
        at: At,
    },
    /// Time went by while nothing ran.
    Slept {
        at: At,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Token { secret: String, sent: At, lifetime: Option<Duration> },
    Failed { fault: Fault, transient: bool, retry_after: Option<Duration> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Token { generation: u64, secret: String, expires: Option<At> },
    Failed { fault: Fault, transient: bool, retry_at: Option<At> },
}

/// Which failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The one that the source was told to answer this request with.
    Told(u64),
    Panicked,
    TimedOut,
    /// Flight after flight was lost.
    Abandoned,
}

// === impl Reply ===

impl Reply {
    pub(crate) const PANIC: Self = Self::Failed { fault: Fault::Panicked, transient: true, retry_after: None };
    pub(crate) const TIMEOUT: Self = Self::Failed { fault: Fault::TimedOut, transient: true, retry_after: None };
}

// === impl Outcome ===

impl Outcome {
    pub(crate) fn of(result: &Result<Token, Error>, start: Instant) -> Self {
        match result {
            Ok(token) => Self::Token {
                generation: token.generation(),
                secret: token.secret().to_owned(),
                expires: token.expires_at().map(|at| at - start),
            },
            Err(error) => {
                let (transient, retry_at) = (error.is_transient(), error.retry_at().map(|at| at - start));
                Self::Failed { fault: Fault::of(error), transient, retry_at }
            }
        }
    }
}

// === impl Fault ===

impl Fault {
    fn of(error: &Error) -> Self {
        let told = error.source().and_then(|source| source.to_string().strip_prefix("failure ")?.parse().ok());
        match (told, error.to_string().as_str()) {
            (Some(ask), _) => Self::Told(ask),
            (None, "the token source panicked") => Self::Panicked,
            (None, _) if error.is_timeout() => Self::TimedOut,
            (None, text) if text.contains("given up, again and again") => Self::Abandoned,
            (None, text) => panic!("an error nobody caused: {text}"),
        }
    }
}
