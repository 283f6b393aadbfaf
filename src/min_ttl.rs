//! How long a token must live on.

use std::time::Duration;

/// Request extension: the least time that the token of this request must still live, so that an upload of ten minutes
/// does not start with a token of ten seconds.
///
/// A token with less left does not serve this request, which waits for another; requests without such a demand go on
/// with it meanwhile. If no other is to be had the request fails: it must not start with a token that is about to end.
///
/// Of a token that lives shorter than asked for, half of what it had to live when it came is enough: otherwise every
/// request would ask for another, and none would do.
///
/// ```
/// use std::time::Duration;
/// use tower_oauth2::MinTtl;
///
/// let mut request = http::Request::put("https://api.example.com/recordings/7").body(())?;
/// request.extensions_mut().insert(MinTtl::new(Duration::from_secs(600)));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MinTtl(Duration);

impl MinTtl {
    /// That long at the least. Zero is no demand.
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// The least time.
    pub const fn duration(&self) -> Duration {
        self.0
    }
}
