//! What an outcome says about sending again.

mod error;
mod grpc;
#[cfg(feature = "hyper")]
mod hyper;
mod status;
mod typed;

use std::{error::Error as StdError, time::Duration};

use http::Response;

pub(super) use self::error::is_unprocessed;
pub use self::{grpc::GrpcClassifier, status::HttpClassifier, typed::TypedErrors};

/// Says what an outcome means: what a [`RetryPolicy`](super::RetryPolicy) asks after every attempt, before it looks at its
/// limits.
///
/// [`HttpClassifier`] is the one that a policy has unless it is given another. A closure will do as well, and can leave to
/// that one what it has no opinion about:
///
/// ```
/// use http::{Response, StatusCode};
/// use tower::BoxError;
/// use tower_oauth2::retry::{Failure, HttpClassifier, Processed, RetryPolicy, Verdict};
///
/// let usual = HttpClassifier::new();
/// let policy = RetryPolicy::new().classifier(move |result: Result<&Response<String>, &BoxError>| match result {
///     // This API answers so while it deploys, and has not looked at the request.
///     Ok(response) if response.status() == StatusCode::NOT_FOUND && response.headers().contains_key("x-deploying") => {
///         Verdict::Failed(Failure::new(Processed::No))
///     }
///     Ok(response) => usual.response(response),
///     Err(error) => usual.error(error.as_ref()),
/// });
/// # fn is_policy<P: tower::retry::Policy<http::Request<()>, Response<String>, BoxError>>(_: P) {}
/// # is_policy(policy);
/// ```
pub trait Classify<R, E> {
    /// What the outcome means. Called once for each attempt, on the task that polls the request: it must not block.
    fn classify(&self, result: Result<&Response<R>, &E>) -> Verdict;

    /// The error as the events of the policy show it; by default they do not.
    fn loggable<'a>(&self, error: &'a E) -> Option<&'a (dyn StdError + 'static)> {
        let _not_known = error;
        None
    }
}

/// What an outcome means; from [`Classify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// An answer of a server that is well. It is returned, and refills the budget.
    Done,
    /// Whatever it is, another attempt would not mend it. It is returned.
    Fatal,
    /// A layer underneath has kept the request back: there was no token for it, or a [cool-down](super::CooldownLayer) that is too
    /// long. It is returned, and a retry that ends so has cost nothing.
    Unsent,
    /// The credentials were refused.
    Unauthorized {
        /// Whether the next attempt would carry others: then it is made at once, the first time, and costs nothing.
        renewable: bool,
    },
    /// A failure that another attempt may mend.
    Failed(Failure),
}

/// A failure that another attempt may mend, and what is known about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    processed: Processed,
    throttled: bool,
    once: bool,
    retry_after: Option<Duration>,
}

/// Whether the server can have acted on the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processed {
    /// It has not: any request may be sent again.
    No,
    /// It may have: only a request may be sent again that is [repeatable](super#when).
    Maybe,
}

// === impl Classify ===

impl<F, R, E> Classify<R, E> for F
where
    F: Fn(Result<&Response<R>, &E>) -> Verdict,
{
    fn classify(&self, result: Result<&Response<R>, &E>) -> Verdict {
        self(result)
    }
}

// === impl Failure ===

impl Failure {
    /// One that is not throttled, and with no word about when to come back.
    pub const fn new(processed: Processed) -> Self {
        Self { processed, throttled: false, once: false, retry_after: None }
    }

    /// Whether the server is well and only wants fewer requests: there are
    /// [more attempts](super::RetryPolicy::max_throttled_attempts) for that, longer waits, and a lower price. No by default.
    #[must_use]
    pub const fn throttled(mut self, throttled: bool) -> Self {
        self.throttled = throttled;
        self
    }

    /// Whether a request that is not [repeatable](super#when) is sent again only once after failures of this kind. No by
    /// default.
    #[must_use]
    pub const fn once(mut self, once: bool) -> Self {
        self.once = once;
        self
    }

    /// How long the server asks to be left alone: the least that is waited. [`Duration::MAX`] is for ever.
    #[must_use]
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Whether the server can have acted on the request.
    pub const fn processed(&self) -> Processed {
        self.processed
    }

    /// See [`throttled`](Self::throttled).
    pub const fn is_throttled(&self) -> bool {
        self.throttled
    }

    /// See [`once`](Self::once).
    pub const fn is_once(&self) -> bool {
        self.once
    }

    /// See [`retry_after`](Self::retry_after).
    pub const fn get_retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    fn hinted(mut self, hint: Option<Duration>) -> Self {
        self.retry_after = hint;
        self
    }
}

#[cfg(test)]
mod tests;
