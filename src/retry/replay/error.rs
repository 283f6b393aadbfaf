//! Why a copy of a body has no more to give.

use std::{error::Error as StdError, fmt};

/// A copy of a [`ReplayBody`](super::ReplayBody) cannot be read; the error of the body itself is passed on as it is.
///
/// Found within the error of a client by downcast. A policy does not retry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayError {
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Early,
    Failed,
    Superseded,
    TooLarge,
}

// === impl ReplayError ===

impl ReplayError {
    pub(super) const EARLY: Self = Self { kind: Kind::Early };
    pub(super) const FAILED: Self = Self { kind: Kind::Failed };
    pub(super) const SUPERSEDED: Self = Self { kind: Kind::Superseded };
    pub(super) const TOO_LARGE: Self = Self { kind: Kind::TooLarge };

    /// Whether another copy was still being read, and nobody had said that this one takes its place.
    pub fn is_early(&self) -> bool {
        self.kind == Kind::Early
    }

    /// Whether the request is being sent again, before this copy of its body was read to its end.
    pub fn is_superseded(&self) -> bool {
        self.kind == Kind::Superseded
    }

    /// Whether the body turned out to be longer than what is kept for a replay.
    pub fn is_too_large(&self) -> bool {
        self.kind == Kind::TooLarge
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Early => "another copy of the request body is being sent; send this one when that has ended",
            Kind::Failed => "the request body has failed and cannot be sent again",
            Kind::Superseded => "the request is being sent again, this copy of its body is no longer needed",
            Kind::TooLarge => "the request body is too large to be sent again; raise the limit of `ReplayBodyLayer`",
        })
    }
}

impl StdError for ReplayError {}
