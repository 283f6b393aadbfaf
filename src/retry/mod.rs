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
//! | outcome | sent again, if repeatable | sent again, if not |
//! |---|---|---|
//! | 401 marked as renewable, the first time | at once; counts as no attempt and costs no budget | the same |
//! | 401 otherwise | no | no |
//! | 429 | throttled | throttled ([choose](HttpClassifier::too_many_requests)) |
//! | 503 that says when to come back | throttled | no ([choose](HttpClassifier::busy)) |
//! | 408, 500, 502, 503, 504 | yes | no |
//! | 425 | yes | once |
//! | 403 that is a limit | no ([choose](HttpClassifier::limited_403)) | no (the same) |
//! | any other status | no | no |
//! | could not connect; never left the queue; `REFUSED_STREAM`; `GOAWAY` before the request, without an error | yes | yes |
//! | reset, aborted, closed, no whole head, timed out; `GOAWAY` otherwise | yes | no |
//! | a certificate that does not fit, a request body that failed, a URI or an answer that is none, shed load, any other error | no | no |
//! | no token, or a [`Deadline`](crate::Deadline) that passed: an [`Error`](crate::Error) of this crate | no: the token cache has its own back-off | no |
//! | a [cool-down](CooldownLayer) that is too long: a [`CooldownError`] | no | no |
//!
//! What a [`ReplayBody`] cannot give back is not sent again at all. Of the errors, those of std, tokio and tower are known;
//! with the feature `hyper`, those of hyper, of the client in hyper-util and of h2; with `client` or `reqwest`, what rustls
//! says of certificates. They are looked for among all the causes of an error.
//!
//! All of the table is in [`HttpClassifier`]. To change it, set up another or write one: see [`Classify`]. For gRPC there is
//! [`GrpcClassifier`].
//!
//! # How often, and how long
//!
//! | | failed | throttled |
//! |---|---|---|
//! | [attempts](RetryPolicy::max_attempts) | 4 | [6](RetryPolicy::max_throttled_attempts), failed ones included |
//! | [back-off](RetryPolicy::backoff) | random from zero to 200 ms, doubling up to 10 s | [random](RetryPolicy::throttled_backoff) from 500 ms to 1 s, doubling up to 5 s to 10 s |
//! | price, of a [budget](RetryPolicy::budget_capacity) of 500 that all requests share | 14 | 5 |
//!
//! The longer of `Retry-After` and the back-off, plus jitter. Where else an API says when to come back, [`RetryHints`] reads it
//! if it is told to. A hint beyond [`max_retry_after`](RetryPolicy::max_retry_after), and a wait beyond the
//! [deadline](RetryPolicy::deadline), is not begun: the response goes to the caller now. Nobody knocks earlier than asked. A
//! [`Deadline`](crate::Deadline) of the request bounds the attempts as well, if an [`OAuthLayer`](crate::OAuthLayer) is under the
//! policy.
//!
//! Every answer below 500 that is none of these failures puts 1 back into the budget, or what the last retry of its request
//! had cost; so does a 401 that is final. What is not sent after all costs nothing: its caller goes away during the
//! back-off or while the service becomes ready, or a layer underneath keeps it back, for lack of a token or in a cool-down.
//! In an outage 35 retries are made in all: 100,000 requests that are all answered 503 make 100,035 sends.
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
//! of tower's own middleware are. Give it [`TypedErrors`] for a client with another error type, or put
//! `map_err(BoxError::from)` under it.
//!
//! # Events
//!
//! With tracing. `retrying`, at `debug`: `status` or `error`, `attempt`, `wait`, and `replay` if it was a 401. `giving up`,
//! at `warn`, or at `debug` where nothing was tried: `status` or `error`, `attempts`, `elapsed`, `stopped`. An `error` is
//! shown in its own words, 400 characters at the most, and without the user, query and fragment of a URL in it. And once
//! for a policy, at `warn`, that a 401 came which no [`OAuthLayer`](crate::OAuthLayer) has seen, or saw only after the
//! policy: how the stack has to be instead.

mod backoff;
mod budget;
mod classify;
pub mod cooldown;
mod hints;
mod limits;
#[cfg_attr(not(feature = "metrics"), path = "no_metrics.rs")]
mod metrics;
mod outcome;
mod policy;
mod repeatable;
mod replay;
mod retry_by;
mod session;
mod settings;
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
