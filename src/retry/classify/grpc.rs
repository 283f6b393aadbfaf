//! What the head of a gRPC response says.

use std::error::Error as StdError;

use http::{HeaderName, Response, StatusCode};

use super::{Classify, HttpClassifier, Verdict};

/// [`HttpClassifier`] for gRPC, which says what failed in `grpc-status`.
///
/// | status | as |
/// |---|---|
/// | `UNAUTHENTICATED` (16) | 401; tell [`OAuthLayer::grpc`](crate::OAuthLayer::grpc) too, or no token is renewed |
/// | `UNAVAILABLE` (14) | 503 |
/// | `RESOURCE_EXHAUSTED` (8) | 429 |
/// | `UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `DATA_LOSS`, anything unknown | returned |
/// | all others | an answer |
///
/// `grpc-retry-pushback-ms` says when to come back; if it is negative or not a number, the request is not sent again.
/// A status of HTTP other than 200 counts as ever.
///
/// Only the head of a response is seen: a server that fails at once sends its status there ("trailers-only"). One that has
/// begun to answer sends it after the messages, where it is for whoever reads them.
///
/// Every call of gRPC is a POST. Those that may be done twice have to be named, by
/// [`repeatable_when`](crate::retry::RetryPolicy::repeatable_when) or [`Repeat`](crate::retry::Repeat), or `UNAVAILABLE` is
/// not tried again. A server that cannot be reached, by its name or its address, has not been asked: any call is tried again
/// then.
///
/// ```
/// use tower_oauth2::retry::{GrpcClassifier, RetryPolicy};
///
/// let policy = RetryPolicy::new()
///     .classifier(GrpcClassifier::new())
///     .repeatable_when(|_, uri| uri.path() == "/inventory.v1.Items/Get");
/// ```
#[derive(Clone, Debug)]
#[must_use = "a classifier does nothing until a policy has it"]
pub struct GrpcClassifier {
    http: HttpClassifier,
}

// === impl GrpcClassifier ===

impl GrpcClassifier {
    /// With an [`HttpClassifier`] that reads `Retry-After` and `grpc-retry-pushback-ms`.
    pub fn new() -> Self {
        Self::with(HttpClassifier::new())
    }

    /// With this for everything that gRPC says nothing about, and for where else a response says when to come back. Its
    /// [`too_many_requests`](HttpClassifier::too_many_requests) is for `RESOURCE_EXHAUSTED` as well, which some servers say only
    /// after they have begun: with [`Processed::Maybe`](super::Processed::Maybe) only repeatable calls are sent again then.
    pub fn with(http: HttpClassifier) -> Self {
        Self { http: http.grpc() }
    }

    /// What the head of a response says.
    pub fn response<R>(&self, response: &Response<R>) -> Verdict {
        if response.status() != StatusCode::OK {
            return self.http.response(response);
        }
        let Some(status) = response.headers().get(GRPC_STATUS) else { return Verdict::Done };
        match status.as_bytes() {
            b"16" => self.http.status(401, response),
            b"14" => self.http.status(503, response),
            b"8" => self.http.status(429, response),
            b"0" | b"1" | b"3" | b"5" | b"6" | b"7" | b"9" | b"10" | b"11" => Verdict::Done,
            _ => Verdict::Fatal,
        }
    }

    /// As [`HttpClassifier::error`].
    pub fn error(&self, error: &(dyn StdError + 'static)) -> Verdict {
        self.http.error(error)
    }
}

impl Default for GrpcClassifier {
    fn default() -> Self {
        Self::new()
    }
}

impl<R, E> Classify<R, E> for GrpcClassifier
where
    E: AsRef<dyn StdError + Send + Sync>,
{
    fn classify(&self, result: Result<&Response<R>, &E>) -> Verdict {
        match result {
            Ok(response) => self.response(response),
            Err(error) => self.error(error.as_ref()),
        }
    }

    fn loggable<'a>(&self, error: &'a E) -> Option<&'a (dyn StdError + 'static)> {
        Some(error.as_ref())
    }
}

pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
