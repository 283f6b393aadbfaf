//! When a request is no longer worth answering.

use std::time::Duration;

use tokio::time::Instant;

/// Request extension: bounds the wait for a token and every wait of the retry policy.
///
/// A wait that would end after it is not begun. It does not cut off a request that is under way; stack
/// [`tower::timeout`](https://docs.rs/tower/latest/tower/timeout/) for that.
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
