//! The crate's error: one opaque, cheaply cloned type that never holds a secret.
//!
//! A failed token request is shared by every caller that waited for it, so [`Error`] is an `Arc` inside. What went
//! wrong is read from its `Display`, what to do about it from a few predicates.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc, time::Duration};

use http::StatusCode;
use tokio::time::Instant;
use tower::BoxError;

use crate::causes::causes;

/// Why there is no token.
///
/// Opaque on purpose: its kinds may grow. `Clone` is cheap. Neither `Display` nor `Debug` shows a secret, a token, or
/// the body of a token response; of what an authorization server says, only the `error` code and a cleaned, shortened
/// `error_description` are kept (RFC 6749 §5.2).
///
/// A service stacked on [`OAuthLayer`](crate::OAuthLayer) has the error type [`BoxError`]; find this one in it with
/// [`Error::find`].
///
/// ```
/// use std::time::Duration;
/// use tower_oauth2::Error;
///
/// // What a `TokenSource` of your own returns when its vault does not answer.
/// let error = Error::transient("vault is sealed").with_retry_after(Duration::from_secs(3));
/// assert!(error.is_transient());
/// assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
/// assert_eq!(error.to_string(), "the token source failed");
/// ```
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
    retry_at: Option<Instant>,
}

struct Inner {
    kind: Kind,
    transient: bool,
    sign_in: bool,
    retry_after: Option<Duration>,
    source: Option<BoxError>,
}

/// What went wrong; each arm is one sentence of `Display`.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A setting cannot work: says which, and what would.
    Config(Cow<'static, str>),
    /// The access token itself cannot be used.
    Token(Cow<'static, str>),
    /// The authorization server said no.
    Refused { host: Box<str>, status: StatusCode, code: Option<Box<str>>, description: Option<Box<str>> },
    /// The answer of the authorization server cannot be understood.
    Response { host: Box<str>, problem: Cow<'static, str> },
    /// What the authorization server publishes about itself cannot be used.
    Metadata { host: Box<str>, problem: Cow<'static, str> },
    /// No answer arrived.
    Transport { host: Box<str> },
    /// A secret could not be looked up.
    Secret(Cow<'static, str>),
    /// A new refresh token could not be kept.
    Persist,
    /// A source outside this crate failed.
    Source,
    /// A source panicked.
    Panicked,
    /// Nothing came in time.
    Timeout { what: &'static str, after: Duration },
    /// The deadline of a request came first.
    Deadline { sent: bool },
    /// There is no tokio runtime to run the token request on.
    NoRuntime,
    /// There is no tokio runtime to keep a deadline with.
    NoTimer,
    /// Flight after flight was abandoned, or brought what had been refused.
    Abandoned,
}

// === impl Error ===

impl Error {
    /// A failure of a [`TokenSource`](crate::TokenSource) that may pass: tried again after a back-off of seconds.
    pub fn transient(source: impl Into<BoxError>) -> Self {
        Self::new(Kind::Source).with_transient(true).with_source(source)
    }

    /// A failure of a [`TokenSource`](crate::TokenSource) that will not pass by itself, such as a wrong secret: tried
    /// again after a minute at the earliest.
    pub fn permanent(source: impl Into<BoxError>) -> Self {
        Self::new(Kind::Source).with_source(source)
    }

    /// How long the issuer asked to be left alone. The cache waits at least that long, one hour at the most.
    ///
    /// For an error that was just made: one that somebody else holds a clone of stays as it is.
    #[must_use]
    pub fn with_retry_after(self, after: Duration) -> Self {
        self.rebuild(|inner| inner.retry_after = Some(after))
    }

    /// The error of this crate within `error`, however many layers have wrapped it.
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        causes(error).find_map(|error| error.downcast_ref())
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        self.inner.transient
    }

    /// Whether time ran out, rather than somebody said no.
    pub fn is_timeout(&self) -> bool {
        matches!(self.inner.kind, Kind::Timeout { .. } | Kind::Deadline { .. })
    }

    /// Whether a setting is wrong: nothing has been sent.
    pub fn is_config(&self) -> bool {
        matches!(self.inner.kind, Kind::Config(_))
    }

    /// Whether a refresh token is used up or was revoked, so that the user has to sign in again; see
    /// [`RefreshToken`](crate::grant::RefreshToken).
    pub fn requires_sign_in(&self) -> bool {
        self.inner.sign_in
    }

    /// The `error` code of the token response (RFC 6749 §5.2), such as `invalid_client`.
    pub fn oauth_code(&self) -> Option<&str> {
        match &self.inner.kind {
            Kind::Refused { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// The status of the token response, if it was a refusal.
    pub fn status(&self) -> Option<StatusCode> {
        match &self.inner.kind {
            Kind::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The `Retry-After` of the token response, or what [`with_retry_after`](Self::with_retry_after) was given.
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// When the cache will ask the issuer again. Set on errors that a [`TokenCache`](crate::TokenCache) hands out; until
    /// then every caller without a valid token gets this same error at once.
    pub fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether nobody answered.
    pub(crate) fn is_transport(&self) -> bool {
        matches!(self.inner.kind, Kind::Transport { .. })
    }

    pub(crate) fn new(kind: Kind) -> Self {
        let inner = Inner { kind, transient: false, sign_in: false, retry_after: None, source: None };
        Self { inner: Arc::new(inner), retry_at: None }
    }

    pub(crate) fn config(problem: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Config(problem.into()))
    }

    /// Whether what it is about was on its way already.
    pub(crate) fn is_sent(&self) -> bool {
        matches!(self.inner.kind, Kind::Deadline { sent: true })
    }

    /// `sent` says whether this attempt was.
    pub(crate) fn deadline(sent: bool) -> Self {
        Self::new(Kind::Deadline { sent }).with_transient(true)
    }

    /// Caused by something foreign, which may pass unless it is an error of ours that says otherwise. What such a one means for
    /// asking again stays; its verdict about another request does not become one about this.
    pub(crate) fn caused_by(self, source: impl Into<BoxError>) -> Self {
        let source = source.into();
        let found = Self::find(source.as_ref()).cloned();
        let error = self.with_source(source).with_transient(found.as_ref().is_none_or(Self::is_transient));
        let Some(found) = found else { return error };
        let error = found.retry_after().into_iter().fold(error, Self::with_retry_after);
        if found.requires_sign_in() { error.with_sign_in() } else { error }
    }

    pub(crate) fn with_transient(self, transient: bool) -> Self {
        self.rebuild(|inner| inner.transient = transient)
    }

    pub(crate) fn with_sign_in(self) -> Self {
        self.rebuild(|inner| inner.sign_in = true)
    }

    pub(crate) fn with_source(self, source: impl Into<BoxError>) -> Self {
        let source = source.into();
        self.rebuild(|inner| inner.source = Some(source))
    }

    pub(crate) fn with_retry_at(mut self, at: Instant) -> Self {
        self.retry_at = Some(at);
        self
    }

    /// Changes a fresh error. One that is shared already stays as its other holders know it.
    fn rebuild(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            change(inner);
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner.kind {
            Kind::Config(problem) | Kind::Token(problem) | Kind::Secret(problem) => f.write_str(problem),
            Kind::Refused { host, status, code, description } => {
                write!(f, "{host} refused the token request with {status}")?;
                match (code, description) {
                    (Some(code), Some(description)) => write!(f, " ({code}: {description})"),
                    (Some(only), None) | (None, Some(only)) => write!(f, " ({only})"),
                    (None, None) => Ok(()),
                }?;
                if self.inner.sign_in { f.write_str("; the user has to sign in again") } else { Ok(()) }
            }
            Kind::Response { host, problem } => write!(f, "the answer of {host} {problem}"),
            Kind::Metadata { host, problem } => write!(f, "the metadata of {host} {problem}"),
            Kind::Transport { host } => write!(f, "the request to {host} got no answer"),
            Kind::Persist => f.write_str("the new refresh token could not be kept"),
            Kind::Source => f.write_str("the token source failed"),
            Kind::Panicked => f.write_str("the token source panicked"),
            Kind::Timeout { what, after } => write!(f, "{what} took longer than {after:?}"),
            Kind::Deadline { sent: true } => f.write_str("the deadline of the request passed before its answer came"),
            Kind::Deadline { sent: false } => f.write_str("the deadline of the request passed before it was sent"),
            Kind::NoRuntime => f.write_str("a server is to be asked outside of a tokio runtime"),
            Kind::NoTimer => f.write_str("a request with a deadline waits outside of a tokio runtime"),
            Kind::Abandoned => f.write_str("the token request was given up, again and again, before its answer came"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("transient", &self.inner.transient)
            .field("sign_in", &self.inner.sign_in)
            .field("retry_after", &self.inner.retry_after)
            .field("retry_at", &self.retry_at)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_under_layers_that_wrapped_it() {
        let wrapped: BoxError = std::io::Error::other(Error::config("no")).into();
        assert!(Error::find(wrapped.as_ref()).is_some_and(Error::is_config));
        assert!(Error::find(&Error::permanent("outer")).is_some());
        assert!(Error::find(&std::io::Error::other("nothing of ours")).is_none());
    }

    #[test]
    fn display_does_not_repeat_the_source() {
        let error = Error::transient("because");
        assert_eq!(error.to_string(), "the token source failed");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("because"));
    }

    #[test]
    fn a_shared_error_is_not_changed_behind_its_holders() {
        let first = Error::transient("a");
        let second = first.clone().with_retry_after(Duration::from_secs(1));
        assert_eq!(first.retry_after(), None);
        assert_eq!(second.retry_after(), None);
    }
}
