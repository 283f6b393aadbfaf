//! Why there is no next page.

use std::{error::Error as StdError, fmt};

use http::{HeaderMap, StatusCode};
use tower::BoxError;

use super::bare::bare;
use crate::{json, origin::Origin, text::clean};

/// Why a pager stopped before the end. It never holds a secret, nor a page, nor the query of a URL.
///
/// The [`source`](StdError::source) of [`Decode`](ErrorKind::Decode) and [`Body`](ErrorKind::Body) may be serde's own
/// error, which may quote a value of the page.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    page: Option<u64>,
    correlation_id: Option<Box<str>>,
    refusal: Option<Box<(StatusCode, ApiError)>>,
    source: Option<BoxError>,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A page broke off, stalled, or was no page, as often as it was asked for.
    Body,
    /// The query, or the continuation, cannot work. Nothing was sent, unless the first page was to
    /// [say](super::Query::auto_get) what it looks like.
    Config,
    /// An item is not of the type that was asked for.
    Decode,
    /// Page after page was empty.
    EmptyPages,
    /// The answers end before the total that they name, or the only page says that there are more. The page that would have
    /// been the last was not handed out.
    Incomplete,
    /// A job failed, was cancelled, has expired, or is gone.
    JobFailed,
    /// A job had [no data](super::Job::complete_to) for all that it was asked for. Its pages were handed out.
    JobIncomplete,
    /// A job was not done in the time that it had.
    JobTimeout,
    /// The next page is one that was there before.
    Loop,
    /// There are more pages than allowed.
    MaxPages,
    /// The next page is of another origin, or is no URL. Nothing was sent there.
    Origin,
    /// The request did not get an answer; see [`source`](StdError::source).
    Send,
    /// The API refused; see [`Error::status`] and [`Error::api`].
    Status,
    /// A page is longer than allowed.
    TooLarge,
}

/// What the API says about an error of its own. Cleaned of what would steer a terminal, and shortened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiError {
    /// A short name of it, such as `missing.permissions`.
    pub code: Option<String>,
    /// A sentence.
    pub message: Option<String>,
    /// What the support of the API finds the request by.
    pub correlation_id: Option<String>,
}

// === impl Error ===

impl Error {
    /// What kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The page that failed, counted from 1 over all that a continuation has seen; `None` if nothing was asked for.
    pub fn page(&self) -> Option<u64> {
        self.page
    }

    /// The status that the API refused with.
    pub fn status(&self) -> Option<StatusCode> {
        self.refusal.as_ref().map(|refusal| refusal.0)
    }

    /// What the API said about its refusal.
    pub fn api(&self) -> Option<&ApiError> {
        self.refusal.as_ref().map(|refusal| &refusal.1)
    }

    /// What the support of the API finds the request by, of whatever answer came: a refusal, a page that is broken, too
    /// large or not complete, or what a job failed with.
    pub fn correlation_id(&self) -> Option<&str> {
        self.correlation_id.as_deref()
    }

    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), page: None, correlation_id: None, refusal: None, source: None }
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(super) fn incomplete(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Incomplete, message)
    }

    pub(super) fn foreign_url(url: &str, origin: &Origin) -> Self {
        let message = match bare(url) {
            Some(url) => format!("the next page is said to be at {url:?}, which is not a URL of {origin}"),
            None => format!("what names the next page is not a URL of {origin}, nor any absolute one"),
        };
        Self::new(ErrorKind::Origin, message)
    }

    pub(super) fn status_of(status: StatusCode, api: ApiError) -> Self {
        let mut message = format!("the API answered {status}");
        let said = [&api.code, &api.message].into_iter().flatten();
        message.extend(said.map(|said| format!(": {said}")));
        let id = api.correlation_id.clone();
        let error = Self { refusal: Some(Box::new((status, api))), ..Self::new(ErrorKind::Status, message) };
        error.with_correlation_id(id)
    }

    pub(super) fn with_correlation_id(mut self, id: Option<String>) -> Self {
        self.correlation_id = id.map(|id| clean(&id, 100)).filter(|id| !id.is_empty()).map(Into::into);
        self
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Where another error tells why: its page and its correlation id are this one's as well.
    pub(super) fn because(mut self, error: Self) -> Self {
        self.page = self.page.or(error.page);
        self.correlation_id = self.correlation_id.or_else(|| error.correlation_id.clone());
        self.with_source(error)
    }

    pub(super) fn on_page(mut self, page: u64) -> Self {
        self.page = Some(page);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.page {
            Some(page) => write!(f, "page {page}: {}", self.message)?,
            None => f.write_str(&self.message)?,
        }
        self.correlation_id.iter().try_for_each(|id| write!(f, " (correlation id {id})"))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

// === impl ApiError ===

impl ApiError {
    /// Reads these members of a JSON error body, and these headers, each from the first that says something.
    pub(crate) fn read(headers: &HeaderMap, body: &[u8], codes: &[&str], messages: &[&str], ids: &[&str]) -> Self {
        let said = |text: &str, max| Some(clean(text, max)).filter(|text| !text.is_empty());
        let member =
            |names: &[&str], max| names.iter().find_map(|name| said(&json::member::<String>(body, name)?, max));
        let id = ids.iter().find_map(|name| said(headers.get(*name)?.to_str().ok()?, 100));
        Self { code: member(codes, 100), message: member(messages, 400), correlation_id: id }
    }

    pub(super) fn guess(headers: &HeaderMap, body: &[u8]) -> Self {
        let messages = ["message", "error_description", "detail", "title"];
        Self::read(headers, body, &["code", "error"], &messages, &["x-correlation-id", "x-request-id"])
    }
}
