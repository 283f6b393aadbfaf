//! What the head of a response says.

use std::{
    error::Error as StdError,
    time::{Duration, SystemTime},
};

use http::Response;

use super::{Classify, Failure, Processed, Verdict, error};
use crate::{
    retry::hints::{RetryHints, is_spent},
    token::TokenRejected,
};

/// The table of the [module](crate::retry), and what of it can be chosen.
///
/// As a [`Classify`] it takes errors that are a [`BoxError`](tower::BoxError); [`TypedErrors`](super::TypedErrors) takes all
/// others. [`response`](Self::response) and [`error`](Self::error) are there for classifiers of your own.
///
/// ```
/// use tower_oauth2::retry::{HttpClassifier, Processed, RetryHints, RetryPolicy};
///
/// let careful = HttpClassifier::new().too_many_requests(Processed::Maybe);
/// let policy = RetryPolicy::new().classifier(careful.hints(RetryHints::new().retry_after_ms()));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a classifier does nothing until a policy has it"]
pub struct HttpClassifier {
    hints: RetryHints,
    too_many_requests: Processed,
    busy: Processed,
    limited_403: bool,
    grpc: bool,
}

// === impl HttpClassifier ===

impl HttpClassifier {
    /// As the table says.
    pub fn new() -> Self {
        let hints = RetryHints::new();
        Self { hints, too_many_requests: Processed::No, busy: Processed::Maybe, limited_403: false, grpc: false }
    }

    /// Where a response says when to come back. Defaults to `Retry-After` only.
    pub fn hints(mut self, hints: RetryHints) -> Self {
        self.hints = hints;
        self
    }

    /// Whether a server that says 429 can have acted on the request. With [`Processed::Maybe`] only repeatable requests are
    /// sent again. Defaults to [`Processed::No`].
    pub fn too_many_requests(mut self, processed: Processed) -> Self {
        self.too_many_requests = processed;
        self
    }

    /// Whether a server that says 503 and when to come back can have acted on the request. With [`Processed::No`] any request
    /// is sent again. Defaults to [`Processed::Maybe`].
    pub fn busy(mut self, processed: Processed) -> Self {
        self.busy = processed;
        self
    }

    /// Takes a 403 for a 429 if it says when to come back, or that nothing is left (`X-RateLimit-Remaining: 0`), as GitHub's
    /// do; and reads [`X-RateLimit-Reset`](RetryHints::rate_limit_reset). Off by default: a 403 is an answer.
    pub fn limited_403(mut self) -> Self {
        self.limited_403 = true;
        self
    }

    /// Reads the pushback of gRPC, whatever hints were set or will be.
    pub(super) fn grpc(mut self) -> Self {
        self.grpc = true;
        self
    }

    /// What the head of a response says.
    #[inline]
    pub fn response<R>(&self, response: &Response<R>) -> Verdict {
        self.status(response.status().as_u16(), response)
    }

    /// What an error says. The whole chain of its causes is looked through: what is fatal anywhere is fatal; then, what
    /// proves that nothing was processed counts before what leaves it open.
    pub fn error(&self, error: &(dyn StdError + 'static)) -> Verdict {
        error::classify(error)
    }

    /// As if `response` had that status.
    #[inline]
    pub(super) fn status<R>(&self, status: u16, response: &Response<R>) -> Verdict {
        if status < 400 {
            return Verdict::Done;
        }
        self.unfriendly(status, response)
    }

    #[inline(never)]
    fn unfriendly<R>(&self, status: u16, response: &Response<R>) -> Verdict {
        let hint = || self.hint(response);
        let failure = match status {
            401 => {
                let mark = response.extensions().get::<TokenRejected>();
                return Verdict::Unauthorized { renewable: mark.is_some_and(TokenRejected::renewable) };
            }
            403 if self.limited_403 && (hint().is_some() || is_spent(response.headers())) => {
                Failure::new(Processed::No).throttled(true)
            }
            425 => Failure::new(Processed::No).once(true),
            429 => Failure::new(self.too_many_requests).throttled(true),
            503 if hint().is_some_and(|hint| hint > Duration::ZERO) => Failure::new(self.busy).throttled(true),
            408 | 500 | 502 | 503 | 504 => Failure::new(Processed::Maybe),
            // Of a server that is well, although it may not like the request.
            ..500 => return Verdict::Done,
            _ => return Verdict::Fatal,
        };
        Verdict::Failed(failure.hinted(hint()))
    }

    fn hint<R>(&self, response: &Response<R>) -> Option<Duration> {
        let hints = self.hints.implied(self.limited_403, self.grpc);
        if hints.forbids(response.headers()) {
            return Some(Duration::MAX);
        }
        hints.of(response, SystemTime::now())
    }
}

impl Default for HttpClassifier {
    fn default() -> Self {
        Self::new()
    }
}

impl<R, E> Classify<R, E> for HttpClassifier
where
    E: AsRef<dyn StdError + Send + Sync>,
{
    #[inline]
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
