//! What the API does instead of its work.

use std::time::Duration;

/// What an [`Analytics`](crate::testing::Analytics) does to a request instead of answering it as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// 500, 502, 503 and 504 in turn; every other 503 says `Retry-After: 1`.
    ServerError,
    /// The connection is reset before the head of the response. On HTTP/2 it is the stream.
    Reset,
    /// The body breaks off in the middle.
    Truncate,
    /// The body stops in the middle and never ends.
    Stall,
    /// No response, ever.
    Hang,
    /// 200 with an HTML page.
    Html,
    /// 200 with an empty body.
    Empty,
    /// 401, whatever the token.
    Unauthorized,
    /// This status with an error body.
    Status(u16),
    /// This status with an error body and `Retry-After`, in whole seconds, rounded up, at least 1.
    RetryAfter(u16, Duration),
}

/// How often each [`Fault`] befalls a request: probabilities from 0.0 to 1.0, all 0.0 by default.
///
/// The faults exclude each other. If the sum is larger than 1.0, those that stand first here win.
///
/// ```
/// use tower_oauth2::testing::Faults;
///
/// let rough = Faults::new().server_error(0.1).reset(0.02).revoke_every(50);
/// # let _ = rough;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use]
pub struct Faults {
    server_error: f64,
    reset: f64,
    truncate: f64,
    stall: f64,
    html: f64,
    empty: f64,
    unauthorized: f64,
    pub(super) revoke_every: u64,
}

// === impl Faults ===

impl Faults {
    /// No faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The probability of [`Fault::ServerError`].
    pub fn server_error(mut self, probability: f64) -> Self {
        self.server_error = probability;
        self
    }

    /// The probability of [`Fault::Reset`].
    pub fn reset(mut self, probability: f64) -> Self {
        self.reset = probability;
        self
    }

    /// The probability of [`Fault::Truncate`].
    pub fn truncate(mut self, probability: f64) -> Self {
        self.truncate = probability;
        self
    }

    /// The probability of [`Fault::Stall`].
    pub fn stall(mut self, probability: f64) -> Self {
        self.stall = probability;
        self
    }

    /// The probability of [`Fault::Html`].
    pub fn html(mut self, probability: f64) -> Self {
        self.html = probability;
        self
    }

    /// The probability of [`Fault::Empty`].
    pub fn empty(mut self, probability: f64) -> Self {
        self.empty = probability;
        self
    }

    /// The probability of [`Fault::Unauthorized`].
    pub fn unauthorized(mut self, probability: f64) -> Self {
        self.unauthorized = probability;
        self
    }

    /// Revokes all live tokens after every so many pages of conversations (0: never).
    pub fn revoke_every(mut self, pages: u64) -> Self {
        self.revoke_every = pages;
        self
    }

    /// The fault at `draw`, a number from 0.0 to 1.0. One draw decides, so that a run can be repeated.
    pub(super) fn at(&self, mut draw: f64) -> Option<Fault> {
        let all = [
            (self.server_error, Fault::ServerError),
            (self.reset, Fault::Reset),
            (self.truncate, Fault::Truncate),
            (self.stall, Fault::Stall),
            (self.html, Fault::Html),
            (self.empty, Fault::Empty),
            (self.unauthorized, Fault::Unauthorized),
        ];
        for (probability, fault) in all {
            if draw < probability {
                return Some(fault);
            }
            draw -= probability.max(0.0);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_draw_falls_into_one_fault() {
        let faults = Faults::new().server_error(0.25).html(0.5);
        assert_eq!(faults.at(0.0), Some(Fault::ServerError));
        assert_eq!(faults.at(0.25), Some(Fault::Html));
        assert_eq!(faults.at(0.74), Some(Fault::Html));
        assert_eq!(faults.at(0.75), None);
        assert_eq!(Faults::new().at(0.0), None);
        assert_eq!(Faults::new().reset(1.0).at(0.999), Some(Fault::Reset));
    }
}
