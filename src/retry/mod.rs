//! When to send a request again: a [`tower::retry::Policy`] for HTTP.
//!
//! It is useful with and without OAuth; what ties them is one mark, [`TokenRejected`](crate::TokenRejected), on a 401.
//!
//! ```
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//! use tower_oauth2::retry::{RetryLayer, RetryPolicy};
//! # use tower::{BoxError, ServiceExt, service_fn};
//! # use http::{Request, Response, StatusCode};
//! # let client = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) });
//!
//! let policy = RetryPolicy::new().max_attempts(6).max_retry_after(Duration::from_secs(180));
//! let stats = policy.clone();
//! let api = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(client);
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! api.oneshot(Request::get("https://api.example.com/").body(())?).await?;
//! assert_eq!(stats.stats().retries, 0);
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! # When
//!
//! If the server cannot have acted on the request, or doing it twice is as good as doing it once. The second is told, in
//! this order, by [`Repeat`] on the request's extensions, [`RetryPolicy::repeatable_when`], an `Idempotency-Key` header,
//! and the method (GET, HEAD, OPTIONS, TRACE, PUT, DELETE, QUERY).
//!
//! | outcome | sent again |
//! |---|---|
//! | 401 marked as renewable, the first time | at once, any method; counts as no attempt and costs no budget |
//! | 401 otherwise | no |
//! | 425, 429 | any method |
//! | could not connect, `REFUSED_STREAM`, `GOAWAY` before the request | any method |
//! | 408, 500, 502, 503, 504 | repeatable requests |
//! | reset, closed, timed out | repeatable requests |
//! | a certificate that does not fit, a request body that failed, any other status or error | no |
//! | no token, or a [`Deadline`](crate::Deadline) that passed: an [`Error`](crate::Error) of this crate | no, the token cache has its own back-off |
//!
//! # How long
//!
//! The longer of `Retry-After` and the back-off, plus jitter. A `Retry-After` beyond
//! [`max_retry_after`](RetryPolicy::max_retry_after), and a wait beyond the deadline, is not begun: the response goes to
//! the caller now. Nobody knocks earlier than asked. A [`Deadline`](crate::Deadline) of the request bounds the attempts as
//! well, if an [`OAuthLayer`](crate::OAuthLayer) is under the policy.
//!
//! # Giving up
//!
//! The last response goes to the caller as it came, with a [`RetryOutcome`] in its extensions; the last error as it is.
//!
//! # Bodies
//!
//! The policy takes bodies that are `Clone`. Put a [`ReplayBodyLayer`] outside of the [`RetryLayer`] for all others.
//!
//! # Errors of the inner service
//!
//! The policy looks into errors that are a [`BoxError`](tower::BoxError), as those of [`OAuth`](crate::OAuth) and of all
//! of tower's own middleware are. Put `map_err(BoxError::from)` under it for a client with another error type.

mod backoff;
mod budget;
mod classify;
pub mod cooldown;
mod hints;
mod limits;
mod outcome;
mod policy;
mod repeatable;
mod replay;
mod stats;
mod wait;

pub use tower::retry::RetryLayer;

pub use self::{
    classify::{Classify, Failure, GrpcClassifier, HttpClassifier, Processed, TypedErrors, Verdict},
    cooldown::{Cooldown, CooldownError, CooldownLayer},
    hints::{RetryHint, RetryHints},
    outcome::{RetryOutcome, Stopped},
    policy::RetryPolicy,
    replay::{ReplayBody, ReplayBodyLayer, ReplayBodyService, ReplayError},
    stats::RetryStats,
    wait::Wait,
};
pub use crate::repeat::Repeat;
