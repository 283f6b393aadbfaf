//! Why a request was not sent.

use std::{error::Error as StdError, fmt, time::Duration};

use tokio::time::Instant;

use super::state::{Cause, Hold};
use crate::causes::causes;

/// The request was not sent, because it would have had to wait for too long.
///
/// It is inside of the [`BoxError`](tower::BoxError) that [`Cooldown`](super::Cooldown) fails with; find it there with
/// [`CooldownError::find`]. A [`RetryPolicy`](crate::retry::RetryPolicy) never sends again after it.
#[derive(Clone, Debug)]
pub struct CooldownError {
    place: Box<str>,
    hold: Hold,
    wait: Duration,
    reason: Reason,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Reason {
    Deadline,
    MaxWait(Duration),
    NoTimer,
}

// === impl CooldownError ===

impl CooldownError {
    pub(super) fn new(place: &impl fmt::Display, hold: Hold, now: Instant, reason: Reason) -> Self {
        let wait = hold.until.saturating_duration_since(now);
        Self { place: place.to_string().into(), hold, wait, reason }
    }

    /// The error within `error`, however many layers have wrapped it.
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        causes(error).find_map(|error| error.downcast_ref())
    }

    /// When the same request may be sent. It may be longer by then: another answer may have asked for more.
    pub fn until(&self) -> Instant {
        self.hold.until
    }

    /// From the moment of the error to [`until`](Self::until).
    pub fn wait(&self) -> Duration {
        self.wait
    }
}

impl fmt::Display for CooldownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, wait, .. } = self;
        match self.hold.cause {
            Cause::Asked => write!(f, "{place} asked to be left alone for another {wait:?}")?,
            Cause::Paced => write!(f, "the rate limit of {place} has no place for another {wait:?}")?,
        }
        match self.reason {
            Reason::Deadline => f.write_str(
                ", and the deadline of the request or of its retries is before that: \
                     send it again then, or allow for more",
            ),
            Reason::MaxWait(max) => {
                write!(f, ", and a request waits for {max:?} at most: send it again then, or raise `max_wait`")
            }
            Reason::NoTimer => f.write_str(", and nothing can wait outside of a tokio runtime: send it inside of one"),
        }
    }
}

impl StdError for CooldownError {}
