//! Layer by layer: what each of tower's and tower-http's does on either side of those of this crate.
//!
//! [`composing`](super::composing) has the order of all, and what decides it.
//!
//! # Concurrency limit
//!
//! Inside it counts requests that are being sent. With the limit outside of [`OAuthLayer`], a slow issuer uses it up:
//! requests to other origins wait as well. If the token requests go through the same limit, one place is held by the
//! request that waits for them, and they get none until [`acquire_timeout`](crate::OAuthLayer::acquire_timeout) has
//! passed. A limit of its own outside, that is larger, bounds the queue.
//!
//! ```
//! # use std::time::Duration;
//! # use http::{Request, Response};
//! # use tokio::time::{Instant, sleep};
//! # use tower::{BoxError, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
//! # use tower_oauth2::{OAuthLayer, Token, TokenCache, source_fn};
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
//! let tokens = TokenCache::new(source_fn(|_| async {
//!     sleep(Duration::from_secs(5)).await; // an issuer that takes its time
//!     Token::new("abc")
//! }));
//! let api = ServiceBuilder::new()
//!     .layer(OAuthLayer::for_origin("https://api.example.com", tokens)?)
//!     .layer(ConcurrencyLimitLayer::new(1))
//!     .service(service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) }));
//!
//! let waits = api.clone().oneshot(Request::get("https://api.example.com/").body(())?);
//! let start = Instant::now();
//! let other = async {
//!     api.clone().oneshot(Request::get("https://status.example.com/").body(())?).await?;
//!     Ok::<_, BoxError>(start.elapsed())
//! };
//! let (_, waited) = tokio::try_join!(waits, other)?;
//! assert_eq!(waited, Duration::ZERO); // the one place was free
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! # Rate limit
//!
//! Inside it counts attempts, which is what servers count. Outside, a replay goes out beyond the rate. tower's cannot
//! be cloned, as all layers of this crate need it: put a small buffer around it. A request has its token when it comes
//! to that buffer; if it queues there for long, the token may be over, and the 401 costs a replay.
//!
//! ```
//! # use std::{future::ready, time::Duration};
//! # use http::{Request, Response};
//! # use tower::{BoxError, ServiceBuilder, service_fn};
//! # use tower_oauth2::{OAuthLayer, Token, TokenCache, retry::{RetryLayer, RetryPolicy}, source_fn};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
//! # let client = service_fn(|_: Request<()>| ready(Ok::<_, BoxError>(Response::new(()))));
//! let api = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::new()))
//!     .layer(OAuthLayer::for_origin("https://api.example.com", tokens)?)
//!     .buffer(4)
//!     .rate_limit(300, Duration::from_secs(60))
//!     .service(client);
//! # drop(api);
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! # Buffer
//!
//! Outside of all that waits, so that its queue is bounded by what callers offer, and requests take their token when
//! their turn has come. A buffer around a client that does not become ready holds its requests for as long: put a
//! timeout or a [`Deadline`] outside.
//!
//! # Load shed
//!
//! Outside, around a concurrency limit that says what is too much. A request that was shed is not sent again: it would
//! only come back sooner.
//!
//! ```
//! # use http::{Request, Response};
//! # use tower::{BoxError, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, load_shed::LoadShedLayer, service_fn};
//! # use tower_oauth2::{OAuthLayer, Token, TokenCache, retry::{RetryLayer, RetryPolicy}, source_fn};
//! # let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
//! # let client = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) });
//! let api = ServiceBuilder::new()
//!     .layer(LoadShedLayer::new())
//!     .layer(ConcurrencyLimitLayer::new(100)) // who is in here, and may be waiting
//!     .layer(RetryLayer::new(RetryPolicy::new()))
//!     .layer(OAuthLayer::for_origin("https://api.example.com", tokens)?)
//!     .layer(ConcurrencyLimitLayer::new(8)) // what is being sent
//!     .service(client);
//! # drop(api.oneshot(Request::new(())));
//! # Ok::<(), BoxError>(())
//! ```
//!
//! # Balance
//!
//! A balancer's endpoints are services, and each can be a stack. If they are several hosts, each has its own origin:
//! name it first, then put on the token, which the layer gives to those origins only that it is bound to. The retry
//! layer is outside of the balancer, so that a replay may go elsewhere; the balancer cannot be cloned, and needs a
//! buffer.
//!
//! ```
//! # use http::{Request, Response, Uri};
//! # use tower::{
//! #     BoxError, ServiceBuilder, ServiceExt, load::Constant, service_fn,
//! # };
//! # use tower_oauth2::{OAuthLayer, Token, TokenCache, retry::{RetryLayer, RetryPolicy}, source_fn};
//! use futures_util::stream;
//! use tower::{balance::p2c::Balance, discover::Change};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
//! # let client = service_fn(|request: Request<()>| async move {
//! #     assert!(request.headers().contains_key("authorization"));
//! #     Ok::<_, BoxError>(Response::new(()))
//! # });
//! let hosts = ["https://eu.api.example.com", "https://us.api.example.com"];
//! let oauth = OAuthLayer::for_origins(hosts, tokens)?;
//! let endpoints = hosts.map(|host| {
//!     let to_host = move |mut request: Request<()>| {
//!         let path = request.uri().path();
//!         *request.uri_mut() = Uri::try_from(format!("{host}{path}")).unwrap_or_default();
//!         request
//!     };
//!     let endpoint = ServiceBuilder::new().map_request(to_host).layer(oauth.clone()).service(client.clone());
//!     Ok::<_, BoxError>(Change::Insert(host, Constant::new(endpoint, 1)))
//! });
//! let api = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::new()))
//!     .buffer(64)
//!     .service(Balance::new(stream::iter(endpoints)));
//! # api.oneshot(Request::new(())).await?;
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! One that measures load, such as tower's `PendingRequests`, goes around the endpoint's [`OAuth`](crate::OAuth), and
//! counts who waits for a token. A balancer keeps all its endpoints ready, also those it does not choose, and with them
//! the places that they hold: endpoints that share a limit or a buffer need more places than there are endpoints. With
//! fewer, a request that gave its own place up to wait for a token gets none any more. This is so with everything that
//! comes back to a service, a retry layer included.
//!
//! # Filter
//!
//! Outside of [`RetryLayer`] it is asked once, and sees no token; inside of [`OAuthLayer`] it is asked for each attempt
//! and sees the request as it is sent. What it turns down is not sent again. tower's `AsyncFilter` holds the readiness
//! of what is inside while it decides: to fetch a token in one costs a place of every limit, which is why `OAuthLayer`
//! is none.
//!
//! ```
//! # use tower_oauth2::{OAuthLayer, Token, TokenCache, retry::{RetryLayer, RetryPolicy}, source_fn};
//! # use http::{Method, Request, Response};
//! # use tower::{BoxError, ServiceExt, service_fn};
//! use tower::{ServiceBuilder, filter::FilterLayer};
//!
//! # let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
//! # let client = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) });
//! let read_only = FilterLayer::new(|request: Request<()>| {
//!     if request.method() == Method::GET { Ok(request) } else { Err(BoxError::from("this client only reads")) }
//! });
//! let api = ServiceBuilder::new()
//!     .layer(read_only)
//!     .layer(RetryLayer::new(RetryPolicy::new()))
//!     .layer(OAuthLayer::for_origin("https://api.example.com", tokens)?)
//!     .service(client);
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! assert!(api.clone().oneshot(Request::delete("https://api.example.com/1").body(())?).await.is_err());
//! assert!(api.oneshot(Request::get("https://api.example.com/1").body(())?).await.is_ok());
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! # Timeout
//!
//! tower's, inside, bounds one attempt. It says nothing of what the server did, so that only what can be repeated is
//! sent again. Outside it bounds everything. In between it does neither: an attempt that is waiting for its token is
//! taken for one that may have been processed.
//!
//! A [`Deadline`] bounds everything too, and is known to all: no wait is begun that would end after it, so that the
//! caller has the response at once that a timeout would have taken away. It travels in the request's extensions, which
//! tower-http's redirect layer drops at another origin: a timeout outside holds there as well.
//!
//! tower-http's makes a response instead of an error. Give it 504: that may have been processed, as with tower's. A 429
//! would say that it was not, and have every POST that times out done twice.
//!
//! ```
//! # use std::time::Duration;
//! # use http::{Request, Response};
//! # use tokio::time::{Instant, sleep};
//! # use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//! # use tower_oauth2::{OAuthLayer, Token, TokenCache, retry::{RetryLayer, RetryPolicy}, source_fn};
//! use http::StatusCode;
//! use tower_http::timeout::TimeoutLayer;
//! use tower_oauth2::{
//!     Deadline,
//!     retry::{RetryOutcome, Stopped},
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
//! # let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
//! # let client = service_fn(|_: Request<()>| async {
//! #     sleep(Duration::from_secs(60)).await;
//! #     Ok::<_, BoxError>(Response::new(String::new()))
//! # });
//! let api = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::new()))
//!     .layer(OAuthLayer::for_origin("https://api.example.com", tokens)?)
//!     .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(10)))
//!     .service(client); // that never answers
//!
//! // Each attempt takes 10 s, and four are made; but not beyond the deadline.
//! let mut request = Request::get("https://api.example.com/").body(())?;
//! request.extensions_mut().insert(Deadline::within(Duration::from_secs(15)));
//! let start = Instant::now();
//! assert!(api.clone().oneshot(request).await.is_err());
//! assert_eq!(start.elapsed(), Duration::from_secs(15));
//!
//! // Who knows what became of the first.
//! let response = api.oneshot(Request::post("https://api.example.com/").body(())?).await?;
//! assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
//! assert_eq!(response.extensions().get::<RetryOutcome>().map(|it| it.stopped), Some(Stopped::NotRepeatable));
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! # Follow redirect
//!
//! Outside of [`RetryLayer`]. Another origin gets no token on either side; back at ours, a hop has one again.
//! tower-http follows a 307 with a body only if its policy can clone that body, and asks bodies to have a `Default`:
//! [`ReplayBodyLayer`] goes inside of it. At another origin it drops the request's extensions: the [`Deadline`], the
//! [`Repeat`](crate::retry::Repeat), and the [`TokenKey`](crate::TokenKey), so that the hop fails if that origin needs
//! one.
//!
//! # Trace
//!
//! Outside there is one span for a request, and what was mended in between is no failure. Inside there is one for each
//! attempt. It may show headers on either side: the token is marked sensitive.
//!
//! # Set request id, propagate request id
//!
//! Outside, all attempts have one id: the server's log shows that they are one request. Inside, each has its own. The
//! one that propagates goes inside of the one that sets, and the response has the id of the last attempt.
//!
//! # Propagate header
//!
//! Either side, but for `Authorization`: inside of [`OAuthLayer`] that is the token, and would be on the response.
//!
//! ```
//! # use tower_oauth2::{OAuthLayer, Token, TokenCache, retry::{RetryLayer, RetryPolicy}, source_fn};
//! # use http::{HeaderName, Request, Response};
//! # use tower::{BoxError, ServiceExt, service_fn};
//! use tower::ServiceBuilder;
//! use tower_http::propagate_header::PropagateHeaderLayer;
//!
//! # let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
//! # let client = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) });
//! let api = ServiceBuilder::new()
//!     .layer(PropagateHeaderLayer::new(HeaderName::from_static("x-batch")))
//!     .layer(RetryLayer::new(RetryPolicy::new()))
//!     .layer(OAuthLayer::for_origin("https://api.example.com", tokens)?)
//!     .service(client);
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let request = Request::get("https://api.example.com/1").header("x-batch", "7").body(())?;
//! assert_eq!(api.oneshot(request).await?.headers()["x-batch"], "7");
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! # Decompression
//!
//! Either side, as far as the layers of this crate are concerned: it keeps marks, asks for `gzip` once for each
//! attempt, and leaves `Retry-After`. Next to the client, what reads a body further out gets it decompressed. It
//! changes the type of the body.
//!
//! # `BoxCloneSyncService`
//!
//! Anywhere: it keeps readiness, marks and cancellation. Around the whole it gives a client a name that can be stored:
//!
//! ```
//! # use tower_oauth2::{OAuthLayer, Token, TokenCache, retry::{RetryLayer, RetryPolicy}, source_fn};
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use hyper::body::Incoming;
//! use tower::{BoxError, ServiceBuilder, util::BoxCloneSyncService};
//! use tower_oauth2::client::HttpsClient;
//!
//! type Api = BoxCloneSyncService<Request<Full<Bytes>>, Response<Incoming>, BoxError>;
//!
//! # fn new(tokens: TokenCache, with_retries: bool) -> Result<Api, BoxError> {
//! let api: Api = ServiceBuilder::new()
//!     .layer(BoxCloneSyncService::layer())
//!     .option_layer(with_retries.then(|| RetryLayer::new(RetryPolicy::new())))
//!     .layer(OAuthLayer::for_origin("https://api.example.com", tokens)?)
//!     .service(HttpsClient::new()?);
//! # Ok(api) }
//! # new(TokenCache::new(source_fn(|_| async { Token::new("abc") })), true)?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! [`Deadline`]: crate::Deadline
//! [`OAuthLayer`]: crate::OAuthLayer
//! [`RetryLayer`]: crate::retry::RetryLayer
//! [`ReplayBodyLayer`]: crate::retry::ReplayBodyLayer
//! [`CooldownLayer`]: crate::retry::CooldownLayer
