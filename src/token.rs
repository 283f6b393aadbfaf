//! An access token, ready to be sent.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderValue;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::error::{Error, Kind};

/// A bearer token (RFC 6750) with its finished `Authorization` header, built once.
///
/// `Clone` is cheap. `Debug` never shows the token and there is no `Display`. The bytes are wiped when the last clone
/// is gone; the copies that an HTTP client writes to its buffers are out of this crate's hands.
///
/// ```
/// use std::time::Duration;
/// use tower_oauth2::Token;
///
/// let token = Token::new("2YotnFZFEjr1zCsicMWpAA")?.with_lifetime(Duration::from_secs(3600));
/// assert_eq!(token.header(), "Bearer 2YotnFZFEjr1zCsicMWpAA");
/// assert!(token.header().is_sensitive());
/// assert!(!format!("{token:?}").contains("2Yotn"));
/// # Ok::<(), tower_oauth2::Error>(())
/// ```
#[derive(Clone)]
pub struct Token {
    inner: Arc<Inner>,
    generation: u64,
}

struct Inner {
    header: HeaderValue,
    issued_at: Instant,
    lifetime: Option<Duration>,
    response: Option<Zeroizing<Vec<u8>>>,
}

/// Mark on the extensions of a 401 response whose request carried a token of ours; or, if
/// [the layer was told to](crate::OAuthLayer::grpc), of one with `grpc-status: 16`.
///
/// [`OAuth`](crate::OAuth) sets it after it has told the cache; [`RetryPolicy`](crate::retry::RetryPolicy) reads it.
/// Another authentication layer may set it too, to have its 401 replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRejected {
    renewable: bool,
}

// === impl Token ===

impl Token {
    /// A token as the issuer spelled it. Its lifetime is unknown until [`with_lifetime`](Self::with_lifetime) says it.
    ///
    /// # Errors
    ///
    /// If it is not a `b64token` (RFC 6750 §2.1), is empty, or is longer than 16 KiB. The message never shows it.
    pub fn new(access_token: impl AsRef<str>) -> Result<Self, Error> {
        let header = bearer(access_token.as_ref().as_bytes())?;
        let inner = Inner { header, issued_at: Instant::now(), lifetime: None, response: None };
        Ok(Self { inner: Arc::new(inner), generation: 0 })
    }

    /// How long it lives, counted from when it was made. More than 30 days is taken as 30 days; zero means that it
    /// serves whoever waits for it and is not kept.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        self.rebuild(|inner| inner.lifetime = Some(lifetime.min(MAX_LIFETIME)))
    }

    /// Counts the lifetime from `sent`, the moment the token request left: the answer was under way for a while.
    #[must_use]
    pub fn issued_at(self, sent: Instant) -> Self {
        self.rebuild(|inner| inner.issued_at = sent)
    }

    /// The finished header value, `Bearer …`, marked sensitive.
    pub fn header(&self) -> &HeaderValue {
        &self.inner.header
    }

    /// The token itself. A secret: for protocols that carry it elsewhere than in a header.
    pub fn secret(&self) -> &str {
        let bytes = self.inner.header.as_bytes().get(SCHEME.len()..).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// When it expires, or `None` if the issuer did not say.
    pub fn expires_at(&self) -> Option<Instant> {
        self.inner.lifetime.map(|lifetime| self.inner.issued_at + lifetime)
    }

    /// How long it was said to live in all, or `None` if the issuer did not say.
    pub fn lifetime(&self) -> Option<Duration> {
        self.inner.lifetime
    }

    /// The number under which a [`TokenCache`](crate::TokenCache) published it, unique in this process; 0 before.
    ///
    /// Safe to log, and how two tokens are told apart: an issuer may mint the same string twice.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// A member of the token response, such as `scope`, or the `resource_server_base_uri` of NICE CXone.
    ///
    /// `None` if there is none by that name or it is not a `T`. Some members (`refresh_token`, `id_token`) are secrets.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        crate::json::member(self.inner.response.as_deref()?, name)
    }

    pub(crate) fn sent_at(&self) -> Instant {
        self.inner.issued_at
    }

    /// All of the token response.
    pub(crate) fn response(&self) -> Option<&[u8]> {
        self.inner.response.as_ref().map(|response| response.as_slice())
    }

    pub(crate) fn with_response(self, response: Zeroizing<Vec<u8>>) -> Self {
        self.rebuild(|inner| inner.response = Some(response))
    }

    pub(crate) fn with_generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// The header with bytes of its own, so that its reference count is on no other thread's cache line.
    pub(crate) fn detached_header(&self) -> HeaderValue {
        sensitive(self.inner.header.as_bytes().to_vec()).unwrap_or_else(|| self.inner.header.clone())
    }

    /// Whether the issuer spelled both alike.
    pub(crate) fn same_secret(&self, other: &Self) -> bool {
        self.inner.header.as_bytes() == other.inner.header.as_bytes()
    }

    fn rebuild(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        match Arc::get_mut(&mut self.inner) {
            Some(inner) => change(inner),
            None => {
                let mut inner = Inner {
                    header: self.inner.header.clone(),
                    issued_at: self.inner.issued_at,
                    lifetime: self.inner.lifetime,
                    response: self.inner.response.clone(),
                };
                change(&mut inner);
                self.inner = Arc::new(inner);
            }
        }
        self
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("generation", &self.generation)
            .field("lifetime", &self.inner.lifetime)
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

// === impl TokenRejected ===

impl TokenRejected {
    /// `renewable` says whether a replay can differ: a newer token is there, or one can be had.
    pub const fn new(renewable: bool) -> Self {
        Self { renewable }
    }

    /// Whether a replay would carry another token.
    pub const fn renewable(&self) -> bool {
        self.renewable
    }
}

/// `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`, RFC 6750 §2.1.
fn bearer(token: &[u8]) -> Result<HeaderValue, Error> {
    let invalid = |problem| Err(Error::new(Kind::Token(problem)));
    if token.len() > MAX_BYTES {
        return invalid("the access token is longer than 16 KiB".into());
    }
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let Some(body) = token.get(..token.len() - padding).filter(|body| !body.is_empty()) else {
        return invalid("the access token is empty".into());
    };
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    if !body.iter().all(allowed) {
        return invalid("the access token has a character that RFC 6750 does not allow in a header".into());
    }
    let bytes = [SCHEME.as_bytes(), token].concat();
    sensitive(bytes).map_or_else(|| invalid("the access token cannot be a header".into()), Ok)
}

/// A header value that is wiped when its last clone is gone.
pub(crate) fn sensitive(bytes: Vec<u8>) -> Option<HeaderValue> {
    let owned = Bytes::from_owner(Zeroizing::new(bytes));
    let mut header = HeaderValue::from_maybe_shared(owned).ok()?;
    // HPACK never indexes it, and `Debug` of a header map does not show it.
    header.set_sensitive(true);
    Some(header)
}

const SCHEME: &str = "Bearer ";
const MAX_BYTES: usize = 16 * 1024;
/// A clock plus a lifetime without bound panics.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_b64token_grammar_is_enforced() {
        for good in ["a", "A-._~+/9", "abc=", "abc==", "a".repeat(MAX_BYTES).as_str()] {
            assert!(Token::new(good).is_ok(), "{}", good.len());
        }
        for bad in ["", "=", "==", "a b", "a=b", "a\r\nb", "é", "\"a\"", "a,b", "a".repeat(MAX_BYTES + 1).as_str()] {
            let error = Token::new(bad).unwrap_err();
            assert!(bad.len() < 3 || !error.to_string().contains(bad), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = Token::new("canary-secret")
            .unwrap()
            .with_response(Zeroizing::new(br#"{"refresh_token":"canary"}"#.to_vec()));
        assert!(!format!("{token:?} {:#?} {:?}", token, token.header()).contains("canary"));
        assert_eq!(token.secret(), "canary-secret");
        assert_eq!(token.field::<String>("refresh_token").as_deref(), Some("canary"));
        assert_eq!(token.field::<u32>("refresh_token"), None);
    }

    #[test]
    fn a_lifetime_cannot_overflow_the_clock() {
        let token = Token::new("a").unwrap().with_lifetime(Duration::MAX);
        assert_eq!(token.lifetime(), Some(MAX_LIFETIME));
        assert!(token.expires_at().is_some());
    }

    #[test]
    fn a_detached_header_has_bytes_of_its_own() {
        let token = Token::new("abc").unwrap();
        let copy = token.detached_header();
        assert_eq!(copy, token.header());
        assert!(copy.is_sensitive());
        assert_ne!(copy.as_bytes().as_ptr(), token.header().as_bytes().as_ptr());
    }

    #[test]
    fn a_shared_token_is_copied_when_changed() {
        let first = Token::new("abc").unwrap();
        let second = first.clone().with_lifetime(Duration::from_secs(5));
        assert_eq!(first.lifetime(), None);
        assert_eq!(second.lifetime(), Some(Duration::from_secs(5)));
    }
}
