//! When a request is no longer worth answering.

use std::time::Duration;

use tokio::time::Instant;

/// Request extension: by then the response has begun, or the request fails.
///
/// It bounds all of it together: the wait for a token, for a service that is ready again, and for the response, each time
/// that the request is sent, and every wait of a [`RetryPolicy`](crate::retry::RetryPolicy).
///
/// * [`OAuth`](crate::OAuth) ends what is pending then, wherever the request goes and whoever put a token on it: the
///   future of the service underneath is dropped, and an [`Error`](crate::Error) that
///   [is a timeout](crate::Error::is_timeout) is returned. A `RetryPolicy` hands it on.
/// * A request that comes by after its deadline is not sent. Neither is one whose token comes after it.
/// * A `RetryPolicy` begins no wait that would end after it, and returns the last response instead.
/// * The token request goes on, and serves whoever comes next.
///
/// What it does not bound: the body of the response, which is for whoever reads it; what happens before a request comes
/// by, such as the wait for a service to become ready that is called only then; and a hop to another origin by the
/// redirect layer of tower-http, which drops the extensions of a request there.
///
/// It needs a timer of tokio's as soon as something is waited for: outside of a runtime such a request fails.
///
/// ```
/// use std::time::Duration;
/// use tower_oauth2::Deadline;
///
/// let mut request = http::Request::get("https://api.example.com/").body(())?;
/// request.extensions_mut().insert(Deadline::within(Duration::from_secs(20)));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// At that instant.
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// That long from now; thirty years at the most.
    pub fn within(duration: Duration) -> Self {
        Self(Instant::now() + duration.min(THIRTY_YEARS))
    }

    /// The instant.
    pub const fn instant(&self) -> Instant {
        self.0
    }
}

/// As far as tokio's own timer reaches.
const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_would_overflow_a_clock_is_thirty_years_away() {
        let away = |within| Deadline::within(within).instant() - Instant::now();
        assert_eq!(away(Duration::from_secs(5)), Duration::from_secs(5));
        assert_eq!(away(Duration::MAX), Duration::from_secs(946_080_000));
    }
}
