//! Whether a request may be done twice.

/// Request extension: says for this one request whether doing it twice is as good as doing it once.
///
/// It goes before everything else that a [`RetryPolicy`](crate::retry::RetryPolicy) would conclude from. A search that
/// is a POST, for example:
///
/// ```
/// use tower_oauth2::retry::Repeat;
///
/// let mut request = http::Request::post("https://api.example.com/search").body("{}")?;
/// request.extensions_mut().insert(Repeat::Always);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Doing it twice is harmless.
    Always,
    /// Doing it twice is not harmless. What the server refused before it looked at it, a 401 or a 429, is sent again all
    /// the same.
    Never,
}
