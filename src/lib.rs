//! OAuth 2.0 bearer tokens, retries and paging for tower HTTP clients.
//!
//! [`OAuthLayer`] puts a token from a shared [`TokenCache`] on every request that goes to the origins it is bound to. The
//! cache replaces the token ahead of its expiry, with one token request at a time, whatever callers do. A separate
//! [`RetryPolicy`](retry::RetryPolicy) replays a request once with a new token after a 401, and backs off on 429 and 5xx.
//! On top stands a [`Pager`](pager::Pager). All of it is generic over `tower::Service<http::Request<_>>`: no HTTP client is
//! built in, and one is provided.
//!
//! ```
//! use futures_util::TryStreamExt;
//! use serde_json::Value;
//! use tower::ServiceBuilder;
//! use tower_oauth2::{
//!     OAuthLayer, TokenCache,
//!     client::HttpsClient,
//!     genesys::{ConversationDetails, Region},
//!     grant::{ClientAuth, ClientCredentials},
//!     pager::Pager,
//!     retry::{RetryLayer, RetryPolicy},
//! };
//!
//! # async fn run(id: String, secret: String) -> Result<(), tower::BoxError> {
//! let region: Region = "mypurecloud.ie".parse()?;
//! let http = HttpsClient::new()?;
//! let auth = ClientAuth::basic(id, secret);
//! let tokens = TokenCache::new(ClientCredentials::new(http.clone(), region.token_url(), auth)?);
//! let api = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::default())) // outside of the token: a replay gets a new one
//!     .layer(OAuthLayer::for_origin(region.api_url(), tokens)?)
//!     .service(http);
//!
//! let query = ConversationDetails::query(region.api_url(), "2026-03-01T00:00:00Z/2026-03-08T00:00:00Z").build()?;
//! let mut rows = Pager::new(api, query).items::<Value>();
//! while let Some(row) = rows.try_next().await? {
//!     println!("{row}");
//! }
//! # Ok(()) }
//! ```
//!
//! # Behavior
//!
//! **When a token is asked for.** By the first request that needs one. From a fifth of its life before its expiry, five
//! minutes at the most, a new one is asked for while requests go on with the old one; until it has expired nobody waits.
//! There is one token request at a time, in a task of its own: dropping any or all requests that wait for it neither
//! cancels it nor loses its result. No task runs while nobody asks for anything.
//!
//! **When the authorization server fails.** All who wait get the same [`Error`]. A token that has not expired stays in
//! use. The server is asked again after a back-off. Where the failure may pass: random up to 2 s, then 8 s, then 30 s,
//! and from then on every 28.5 to 30 s, or as long as its `Retry-After` says; so that an outage costs the source at
//! most 25 requests in ten minutes, whatever the load, and its end is noticed within 30 s. Where it will not pass, as
//! with a wrong secret: 60 s doubling to 15 min. Until then those without a token get the stored error at once, with
//! [`Error::retry_at`].
//!
//! **When the API refuses the token.** A 401 makes the cache drop *that* token: a late 401 for an older one harms nothing,
//! and a thousand of them cost one token request. A challenge that says `insufficient_scope` does not. A token that is
//! refused again within 10 s stays, and the 401 goes to the caller: what refuses fresh tokens does not want a fresh
//! token. One that is refused while the authorization server fails serves until that can be asked again.
//!
//! **What is sent again.** A 401 once, with the new token, whatever the method. Anything else as the table in [`retry`]
//! says: what the server cannot have acted on, and what may be done twice; four times in all, six if the server asks for
//! less, with jitter, within 300 s and a budget; after `Retry-After`, never before it. The last response comes back as it
//! was.
//!
//! **Whose token it is.** That of the one cache; or, with [`TokenCaches`], that of the cache that the [`TokenKey`] of the
//! request names. A request that does not name one is not sent. (A redirect layer that drops extensions at another origin
//! drops the key.)
//!
//! **How long it all may take.** As long as the [`Deadline`] of a request says, which bounds all of this together until the
//! response begins; without one, each part has its own limit, and sending has that of the client underneath.
//!
//! **Where a token goes.** To the origins it is bound to (scheme, host and port), over https or loopback, in exactly one
//! `Authorization` header that is marked sensitive; a request that has one already keeps its own. A redirect or a `next`
//! link to elsewhere gets none. Without a token nothing is sent.
//!
//! **What is never shown.** Tokens, secrets, and what a token endpoint answered are in no error, no `Debug` and no log.
//!
//! # The order of layers
//!
//! From the outside in: what is about the request as the caller made it (trace, request id, buffer, redirects); then
//! [`RetryLayer`](retry::RetryLayer), [`CooldownLayer`](retry::CooldownLayer) and [`OAuthLayer`], in this order; then what is
//! about one attempt (limits, timeout, decompression) and the client. [`docs::composing`] has them all, with what goes
//! wrong in another order, on clients of all kinds; [`docs::exporting`] goes from there to an export that is scheduled, and
//! [`docs::exporter`] is how to use the one that is ready.
//!
//! # Features
//!
//! All are off by default, and only add API.
//!
//! | feature | what it adds |
//! |---|---|
//! | `client` | [`client::HttpsClient`], on hyper-util and rustls; brings `hyper` and `coarse-clock` |
//! | `coarse-clock` | on Linux, whether a token still holds is asked of the kernel's coarse clock, which costs a hit less; adds no API |
//! | `hyper` | [`retry`] knows the errors of hyper, of the client in hyper-util, and of h2; brings no TLS |
//! | `jwt` | [`grant::assertion`]: clients that sign who they are, with a private key or with their secret |
//! | `metrics` | counters, histograms and gauges of every cache, and of [`retry`]; see [below](#metrics) |
//! | `reqwest` | [`ReqwestClient`](mod@reqwest): reqwest under the layers; [`retry`] knows its errors |
//! | `testing` | [`testing`]: an authorization server and an analytics API, in process, to test clients with |
//!
//! # Events
//!
//! [`TokenCache::events`] has what happens to the token, to act on.
//!
//! With [`tracing`](https://docs.rs/tracing), at `debug`: `token refreshed`, `token rejected`, `token invalidated`,
//! `retrying`, `cooling down`, `retrying the token request`; at `warn`: `token refresh failed, cooling down`, `giving up`
//! (at `debug`, where nothing was tried), `asking for the page again`, and once what is wrong with a stack whose 401s
//! nobody can cure. Their fields are numbers, names and errors, never a secret.
//!
//! # Metrics
//!
//! With the feature `metrics`, on the [`metrics`](https://docs.rs/metrics) facade. `cache` is the cache's
//! [name](cache::Builder::name); the other labels have the values that are listed. Times are in seconds. Install the
//! recorder before the first request. Caches of one name share their numbers, and the gauge is the last one's; those of
//! [`retry`] are of all policies and all cool-downs of the process.
//!
//! | name | kind | labels | what it tells |
//! |---|---|---|---|
//! | `tower_oauth2_requests_total` | counter | `cache`, `outcome`: `hit`, `stale`, `waited`, `failed`, `gave_up` | waits for a token or their absence, of requests and of calls of [`TokenCache::token`], by how they came by it: at once, at once while it is being replaced, after a wait, not at all, or dropped while they waited |
//! | `tower_oauth2_wait_seconds` | histogram | `cache`, `outcome`: `waited`, `failed`, `gave_up` | how long they waited |
//! | `tower_oauth2_refreshes_total` | counter | `cache`, `reason`: as [`Reason`](cache::Reason), `outcome`: `refreshed`, `transient`, `permanent`, `superseded` | token requests |
//! | `tower_oauth2_refresh_seconds` | histogram | `cache`, `outcome` | how long the source took |
//! | `tower_oauth2_refresh_waiters` | histogram | `cache` | how many waited for one token request |
//! | `tower_oauth2_rejections_total` | counter | `cache`, `outcome`: as [`RejectionOutcome`](cache::RejectionOutcome) | tokens that a resource server refused |
//! | `tower_oauth2_rejected_token_age_seconds` | histogram | `cache` | how old they were, of the last eight that came |
//! | `tower_oauth2_token_expires_at_seconds` | gauge | `cache` | when the token expires, since 1970: subtract the time of now to have what is left |
//! | `tower_oauth2_retries_total` | counter | `reason`: `failed`, `throttled`, `unauthorized` | retries and replays, when their wait begins |
//! | `tower_oauth2_retry_wait_seconds` | histogram | `reason` | how long that is |
//! | `tower_oauth2_given_up_total` | counter | `stopped`: as [`Stopped`](retry::Stopped) | requests that might have been mended, and were not sent again |
//! | `tower_oauth2_cooldowns_total` | counter | | cool-downs that were set, or became notably longer |
//! | `tower_oauth2_cooldown_seconds` | histogram | | how long they are |
//! | `tower_oauth2_held_back_total` | counter | `outcome`: `waited`, `refused` | requests that a cool-down or pacing held back, and those that failed for it |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(missing_docs)]

pub mod cache;
pub mod caches;
mod causes;
pub mod challenge;
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub mod client;
#[cfg_attr(
    not(all(feature = "coarse-clock", any(target_os = "linux", target_os = "android"))),
    path = "exact_clock.rs"
)]
mod clock;
pub mod cxone;
mod deadline;
mod decimal;
// Nothing but documentation: `cargo doc` makes pages of it, and `cargo test --doc` runs it.
#[cfg(doc)]
pub mod docs;
mod encode;
mod error;
pub mod future;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod genesys;
pub mod grant;
mod json;
mod layer;
mod min_ttl;
mod origin;
pub mod pager;
mod readiness;
mod repeat;
#[cfg(feature = "reqwest")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
pub mod reqwest;
pub mod retry;
mod retry_after;
mod service;
mod snapshot;
mod source;
mod stacking;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
mod text;
mod token;
mod token_key;

pub use self::{
    cache::TokenCache,
    caches::{TokenCaches, TokenKey},
    deadline::Deadline,
    error::Error,
    layer::OAuthLayer,
    min_ttl::MinTtl,
    service::OAuth,
    source::{SourceFn, TokenSource, source_fn},
    token::{Token, TokenRejected},
};

/// The README's code, so that it stays true.
#[cfg(all(doctest, feature = "client", feature = "testing"))]
#[doc = include_str!("../README.md")]
struct Readme;
