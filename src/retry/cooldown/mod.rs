//! One 429 makes every clone of a client wait, instead of each knocking on its own.
//!
//! A [`RetryPolicy`](super::RetryPolicy) makes the request wait that was told to. The others know nothing of it: each of a
//! thousand tasks gets a 429 of its own, which costs the server, and often moves the time on at which it will listen again.
//! [`CooldownLayer`] is what they have in common. It stands between the two:
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_oauth2::{
//!     OAuthLayer,
//!     retry::{CooldownError, CooldownLayer, RetryLayer, RetryPolicy},
//! };
//! # use std::sync::atomic::{AtomicU32, Ordering};
//! # use tower::{BoxError, ServiceExt, service_fn};
//! # use tower_oauth2::{Token, TokenCache, source_fn};
//! # use http::{Request, Response};
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
//! # let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
//! # static SENT: AtomicU32 = AtomicU32::new(0);
//! # let client = service_fn(|_: Request<()>| async {
//! #     let busy = SENT.fetch_add(1, Ordering::Relaxed) == 0;
//! #     let response = Response::builder().status(if busy { 429 } else { 200 }).header("retry-after", "600");
//! #     response.body(()).map_err(BoxError::from)
//! # });
//!
//! let cooldown = CooldownLayer::new();
//! let api = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::new()))
//!     .layer(cooldown.clone())
//!     .layer(OAuthLayer::for_origin("https://api.example.com", tokens)?) // the token is taken after the wait
//!     .service(client);
//!
//! // This one is told to come back in ten minutes, which is too long for it.
//! let response = api.clone().oneshot(Request::get("https://api.example.com/1").body(())?).await?;
//! assert_eq!(response.status(), 429);
//! // This one, of any clone and any task, is not even sent.
//! let error = api.oneshot(Request::get("https://api.example.com/2").body(())?).await.unwrap_err();
//! assert!(CooldownError::find(error.as_ref()).unwrap().wait().as_secs() > 590);
//! assert_eq!((cooldown.stats().set, cooldown.stats().refused), (1, 1));
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! # What sets it
//!
//! Every 429 that comes by, also one to a request that is not sent again; and a 503 with a `Retry-After`. For how long says
//! `Retry-After`, or what else [`hints`](CooldownLayer::hints) names; without one a 429 holds for 1 s ([`unhinted`](CooldownLayer::unhinted)). The longest that was asked for
//! counts; nothing ends it sooner, but for [`clear`](CooldownLayer::clear).
//!
//! # Who waits
//!
//! Every request to the same origin (scheme, host, port) with the same credential, first attempts too. What the credential
//! is says, in this order, [`CooldownLayer::credential`], the `Authorization` header of the caller, and the
//! [`TokenKey`](crate::TokenKey) of the request; requests with none of them share one, whatever token a layer further in
//! gives them: stacks that have different tokens for one origin want a layer each, not a clone. Neither is kept, only a
//! hash with a random key. Requests with a relative URI are taken to go to one server.
//!
//! # For how long
//!
//! Until the time that was asked for, never less; then those who waited are released over a tenth of the cool-down, 5 s at the
//! most. Times are absolute: the wait of a policy outside and the one here end together, and do not add up. A request that comes when
//! the time is over is sent at once.
//!
//! One that would have to wait for more than [`max_wait`](CooldownLayer::max_wait), or to its [`Deadline`](crate::Deadline)
//! or, if it is a retry, to the [deadline](super::RetryPolicy::deadline) of its policy, or beyond, fails at once with a
//! [`CooldownError`] that says when to come back. Nothing is sent early instead.
//!
//! # How many
//!
//! Whoever waits holds its request and a timer, and nothing else: no permit, connection or task of this crate's. There are as many
//! as there are callers; if these can be any number, bound them outside of the whole stack, where a caller who has to wait
//! is the one who is refused:
//!
//! ```
//! use tower::{ServiceBuilder, limit::ConcurrencyLimitLayer, load_shed::LoadShedLayer};
//! use tower_oauth2::retry::{CooldownLayer, RetryLayer, RetryPolicy};
//! # let client = tower::service_fn(|_: http::Request<()>| async { Ok::<_, tower::BoxError>(http::Response::new(())) });
//!
//! let api = ServiceBuilder::new()
//!     .layer(LoadShedLayer::new())
//!     .layer(ConcurrencyLimitLayer::new(1000))
//!     .layer(RetryLayer::new(RetryPolicy::new()))
//!     .layer(CooldownLayer::new())
//!     .service(client);
//! # fn is_service(_: impl tower::Service<http::Request<()>>) {}
//! # is_service(api);
//! ```
//!
//! # Pacing
//!
//! [`CooldownLayer::pace`] goes further: where the server tells with each answer what is left of its limit, requests are spread so
//! that there is no 429 to begin with. [`Pacing`] has the arithmetic.
//!
//! ```
//! use std::time::Duration;
//! use tower_oauth2::retry::cooldown::{CooldownLayer, Pacing};
//!
//! // A batch has time: it may wait for a window or two.
//! let layer = CooldownLayer::new().pace(Pacing::genesys()).max_wait(Duration::from_secs(600));
//! ```
//!
//! # Events
//!
//! With `tracing`, at `debug`: `cooling down`, with `origin`, `wait` and `status`; once for each cool-down, and again when it
//! becomes notably longer, however many answers say so and however many requests wait.

mod config;
mod error;
mod expiring;
mod future;
mod held;
mod key;
mod layer;
mod pacing;
mod queue;
mod service;
mod state;
mod stats;
mod window;

pub use self::{
    error::CooldownError, future::ResponseFuture, layer::CooldownLayer, pacing::Pacing, service::Cooldown,
    stats::CooldownStats,
};
