//! The order of layers: for each of tower's and tower-http's on which side it belongs, and what happens on the other.
//!
//! # In short
//!
//! From the outside in, that is, in the order in which a [`ServiceBuilder`](tower::ServiceBuilder) takes them:
//!
//! | layer | why there | elsewhere |
//! |---|---|---|
//! | trace, request id, propagate header | they are about what the caller asked for | inside: once for each attempt, an id for each, and one that copies `Authorization` to the response shows the token |
//! | timeout of the whole, or a [`Deadline`] on the request | bounds all waits and attempts together | |
//! | load shed, then a concurrency limit | what waits for a token holds no place further in: this bounds how many wait | inside, load shed: a token that comes sends all who waited for it at the same time, and all but the first are shed |
//! | buffer | its worker waits for no token and no back-off, since readiness does not | inside of [`OAuthLayer`]: tokens grow old in its queue |
//! | follow redirect | each hop is sent again by itself, and gets a token if it goes where the token belongs | inside: the 401 of a stranger counts against the token. Between: the first hop is sent again because of the second |
//! | [`ReplayBodyLayer`] | makes bodies that cannot be cloned such that can | inside of [`RetryLayer`], where nothing is left to do: does not compile |
//! | **[`RetryLayer`]** | what it sends again passes by all that is below, and gets a new token | inside of `OAuthLayer`: a replay would carry the refused token, so that there is none |
//! | [`CooldownLayer`] | sees each 429, also those that the policy mends | outside of `RetryLayer`: hears of the last one only. Inside of `OAuthLayer`: tokens grow old while it waits, and a new token is taken for another client |
//! | **[`OAuthLayer`]** | the token is taken last, and put on once | |
//! | what says which server it is: a balancer's endpoints | outside of `OAuthLayer`, if they change the URI | inside: the token goes to whichever it was |
//! | concurrency limit, rate limit | what waits for a token or backs off holds no place, and takes nothing from a rate | outside: it does; and an issuer behind the same limit is out of reach |
//! | timeout of one attempt | counts from when the request is sent | outside of `OAuthLayer`: waiting for a token times out what was never sent, and a POST is then not sent again |
//! | filter | either side: inside it sees the token, and each attempt | |
//! | decompression | what reads bodies further out can read them | outside of such: it reads gzip |
//! | the client | | |
//!
//! All of it, for a client whose requests have bodies that cannot be cloned:
//!
//! ```no_run
//! use std::time::Duration;
//! use tower::{
//!     ServiceBuilder, buffer::BufferLayer, limit::ConcurrencyLimitLayer, load_shed::LoadShedLayer, timeout::TimeoutLayer,
//! };
//! use tower_http::{
//!     decompression::DecompressionLayer,
//!     follow_redirect::FollowRedirectLayer,
//!     request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
//!     trace::TraceLayer,
//! };
//! use tower_oauth2::{
//!     OAuthLayer, TokenCache,
//!     client::HttpsClient,
//!     grant::{ClientAuth, ClientCredentials},
//!     retry::{CooldownLayer, ReplayBodyLayer, RetryLayer, RetryPolicy},
//! };
//! # use bytes::Bytes;
//! # use http::Request;
//! # use http_body_util::combinators::UnsyncBoxBody;
//! # use tower::{BoxError, ServiceExt};
//! # async fn run(upload: UnsyncBoxBody<Bytes, std::io::Error>) -> Result<(), BoxError> {
//!
//! let http = HttpsClient::new()?;
//! let auth = ClientAuth::basic("id", std::env::var("CLIENT_SECRET")?);
//! let tokens = TokenCache::new(ClientCredentials::new(http.clone(), "https://login.example.com/token", auth)?);
//!
//! let api = ServiceBuilder::new()
//!     // What the caller asked for.
//!     .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
//!     .layer(PropagateRequestIdLayer::x_request_id())
//!     .layer(TraceLayer::new_for_http())
//!     .layer(LoadShedLayer::new())
//!     .layer(ConcurrencyLimitLayer::new(1000))
//!     .layer(BufferLayer::new(64))
//!     .layer(FollowRedirectLayer::new())
//!     // What it takes to get it.
//!     .layer(ReplayBodyLayer::new())
//!     .layer(RetryLayer::new(RetryPolicy::new()))
//!     .layer(CooldownLayer::new())
//!     .layer(OAuthLayer::for_origin("https://api.example.com", tokens)?)
//!     // One attempt.
//!     .layer(ConcurrencyLimitLayer::new(8))
//!     .layer(TimeoutLayer::new(Duration::from_secs(30)))
//!     .layer(DecompressionLayer::new())
//!     .service(http);
//! api.oneshot(Request::put("https://api.example.com/v1/files/1").body(upload)?).await?;
//! # Ok(()) }
//! ```
//!
//! Most need the four in the middle, a timeout and the client. `cargo run --example compose` shows more of them at work.
//!
//! # What decides it
//!
//! **Waits.** Four things wait: a request for its token, one that backs off, one that cools down, and a service that is
//! not ready. The first three give up the readiness of what is inside of them, and hold none of its places; what is
//! outside of them counts the wait as a part of the request.
//!
//! **Attempts.** What is inside of [`RetryLayer`] happens for each attempt, with the request as it came to that layer; what is
//! outside happens once. A replay gets its new token because it passes by [`OAuthLayer`] again.
//!
//! **Marks.** [`OAuthLayer`] tells the retry policy of a refused token by [`TokenRejected`](crate::TokenRejected) in the
//! response's extensions, and the policy tells the caller why it gave up by
//! [`RetryOutcome`](crate::retry::RetryOutcome). All of tower's and tower-http's layers keep them, the timeout of tower-http
//! aside, whose own response has none. A layer between the two that builds responses anew has to take the extensions along:
//! otherwise the cache still hears of a refused token, but the 401 goes to the caller.
//!
//! **Origins.** [`OAuthLayer`] looks at the request's URI as it is then. What makes it absolute or changes its host belongs
//! outside; what changes it inside takes the token along.
//!
//! **Cancellation.** Dropping the response future, as each timeout does, ends the attempt, the wait and the place in the
//! queue. Only a token request under way goes on, for whoever comes next.
//!
//! # Layer by layer
//!
//! ## Concurrency limit
//!
//! Inside it counts requests that are being sent. With the limit outside of [`OAuthLayer`], a slow issuer uses it up: requests
//! to other origins wait as well. If the token requests go through the same limit, one place is held by the request that
//! waits for them, and they get none until [`acquire_timeout`](crate::OAuthLayer::acquire_timeout) has passed. A limit of its own
//! outside, that is larger, bounds the queue.
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
//! ## Rate limit
//!
//! Inside it counts attempts, which is what servers count. Outside, a replay goes out beyond the rate. tower's cannot be cloned,
//! as all layers of this crate need it: put a small buffer around it. A request has its token when it comes to that buffer; if it
//! queues there for long, the token may be over, and the 401 costs a replay.
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
//! ## Buffer
//!
//! Outside of all that waits, so that its queue is bounded by what callers offer, and requests take their token when their turn
//! has come. A buffer around a client that does not become ready holds its requests for as long: put a timeout or a
//! [`Deadline`] outside.
//!
//! ## Load shed
//!
//! Outside, around a concurrency limit that says what is too much. A request that was shed is not sent again: it would only
//! come back sooner.
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
//! ## Balance
//!
//! A balancer's endpoints are services, and each can be a stack. If they are several hosts, each has its own origin: name it
//! first, then put on the token, which the layer gives to those origins only that it is bound to. The retry layer is outside of the
//! balancer, so that a replay may go elsewhere; the balancer cannot be cloned, and needs a buffer.
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
//! One that measures load, such as tower's `PendingRequests`, goes around the endpoint's [`OAuth`](crate::OAuth), and counts who
//! waits for a token. A balancer keeps all its endpoints ready, also those it does not choose, and with them the places that
//! they hold: endpoints that share a limit or a buffer need more places than there are endpoints. With fewer, a request that
//! gave its own place up to wait for a token gets none any more. This is so with everything that comes back to a
//! service, a retry layer included.
//!
//! ## Filter
//!
//! Outside of [`RetryLayer`] it is asked once, and sees no token; inside of [`OAuthLayer`] it is asked for each attempt and sees the
//! request as it is sent. What it turns down is not sent again. tower's `AsyncFilter` holds the readiness of what is inside while
//! it decides: to fetch a token in one costs a place of every limit, which is why `OAuthLayer` is none.
//!
//! ## Timeout
//!
//! tower's, inside, bounds one attempt. It says nothing of what the server did, so that only what can be repeated is sent
//! again. Outside it bounds everything. In between it does neither: an attempt that is waiting for its token is taken for
//! one that may have been processed.
//!
//! A [`Deadline`] bounds everything too, and is known to all: no wait is begun that would end after it, so that the caller has the
//! response at once that a timeout would have taken away. It travels in the request's extensions, which tower-http's redirect
//! layer drops at another origin: a timeout outside holds there as well.
//!
//! tower-http's makes a response instead of an error. Give it 504: that may have been processed, as with tower's. A 429
//! would say that it was not, and have every POST that times out done twice; a 401 would never be replayed, because it
//! has no mark.
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
//! ## Follow redirect
//!
//! Outside of [`RetryLayer`]. Another origin gets no token on either side; back at ours, a hop has one again. tower-http follows
//! a 307 with a body only if its policy can clone that body, and asks bodies to have a `Default`:
//! [`ReplayBodyLayer`] goes inside of it. At another origin it drops the request's extensions: its
//! [`TokenKey`](crate::TokenKey), so that a request that needs one fails there, its [`Deadline`], and its
//! [`Repeat`](crate::retry::Repeat).
//!
//! ## Trace
//!
//! Outside there is one span for a request, and what was mended in between is no failure. Inside there is one for each attempt.
//! It may show headers on either side: the token is marked sensitive.
//!
//! ## Set request id, propagate request id
//!
//! Outside, all attempts have one id: the server's log shows that they are one request. Inside, each has its own. The one that
//! propagates goes inside of the one that sets, and the response has the id of the last attempt.
//!
//! ## Propagate header
//!
//! Either side, but for `Authorization`: inside of [`OAuthLayer`] that is the token, and would be on the response.
//!
//! ## Decompression
//!
//! Either side, as far as the layers of this crate are concerned: it keeps marks, asks for `gzip` once for each attempt, and
//! leaves `Retry-After`. Next to the client, what reads a body further out gets it decompressed. It changes the type of the body.
//!
//! ## `BoxCloneSyncService`
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
//! # Clients
//!
//! Any `Service<Request<_>>` that is `Clone` and whose errors become a [`BoxError`](tower::BoxError). What has to be put
//! between it and the layers:
//!
//! | client | what it needs |
//! |---|---|
//! | [`HttpsClient`](crate::client::HttpsClient) | nothing |
//! | [`reqwest`], by [`ReqwestClient`](crate::reqwest::ReqwestClient) | nothing, with `build`; without redirects and retries of its own |
//! | hyper-util's `legacy::Client` | nothing; timeouts, of which it has none |
//! | a tonic `Channel` | the body of tonic, and absolute URIs outside |
//! | an axum `Router` | the body of axum |
//!
//! Without an [`OAuthLayer`], whose errors are a `BoxError`, `.map_err(BoxError::from)` goes under [`RetryLayer`] for all of them
//! but the first.
//!
//! ```no_run
//! # use tower_oauth2::{OAuthLayer, Token, TokenCache, source_fn};
//! use axum::routing::get;
//! use bytes::Bytes;
//! use http::{Request, Uri};
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower::{BoxError, Layer, ServiceBuilder};
//! use tower_oauth2::{
//!     reqwest::ReqwestClient,
//!     retry::{ReplayBody, ReplayBodyLayer, RetryLayer, RetryPolicy},
//! };
//!
//! # async fn run() -> Result<(), BoxError> {
//! # let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
//! let oauth = OAuthLayer::for_origin("https://api.example.com", tokens)?;
//! let layers = ServiceBuilder::new().layer(RetryLayer::new(RetryPolicy::new())).layer(oauth);
//!
//! // hyper-util, with a connector of your choice.
//! let https = hyper_rustls::HttpsConnectorBuilder::new().with_native_roots()?.https_only().enable_http1().build();
//! let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(https);
//! let api = layers.clone().service(client);
//! # is_service::<Full<Bytes>>(api);
//!
//! // reqwest.
//! let api = layers.clone().service(ReqwestClient::build(reqwest::Client::builder())?);
//! # is_service::<Full<Bytes>>(api);
//!
//! // tonic: its bodies cannot be cloned. Generated clients have `with_origin` too; without it `OAuthLayer` sees a path
//! // only, and adds no token.
//! let channel = tonic::transport::Endpoint::from_static("https://api.example.com").connect_lazy();
//! let to_tonic = |request: Request<ReplayBody<_>>| request.map(tonic::body::Body::new);
//! let api = ReplayBodyLayer::new().layer(layers.clone().map_request(to_tonic).service(channel));
//! # is_service::<tonic::body::Body>(api.clone());
//! let client = tonic::client::Grpc::with_origin(api, Uri::from_static("https://api.example.com"));
//! # fn is_grpc<T: tonic::client::GrpcService<tonic::body::Body>>(_: tonic::client::Grpc<T>) {}
//! # is_grpc(client);
//!
//! // An axum router in the place of the server, for tests.
//! let router = axum::Router::new().route("/v1/users", get(|| async { "[]" }));
//! let to_axum = |request: Request<Full<Bytes>>| request.map(axum::body::Body::new);
//! let api = layers.map_request(to_axum).service(router);
//! # is_service::<Full<Bytes>>(api);
//! # Ok(()) }
//! # fn is_service<B>(_: impl tower::Service<Request<B>>) {}
//! ```
//!
//! # Bodies
//!
//! [`RetryLayer`] wants request bodies that are `Clone`; [`ReplayBodyLayer`] makes any body one. A future with a boxed body
//! whose error is a `BoxError` is taken by rustc not to be `Send`, with the message that an implementation of `From` or of
//! `Service` is not general enough, whatever the client. A body whose error is a type of its own, such as that of axum, of
//! reqwest and of tonic, or a `UnsyncBoxBody<Bytes, std::io::Error>`, has no such trouble.
//!
//! ```
//! # use http::Request;
//! # use tower::{BoxError, ServiceBuilder, ServiceExt};
//! # use tower_oauth2::{
//! #     client::HttpsClient,
//! #     retry::{ReplayBodyLayer, RetryLayer, RetryPolicy},
//! # };
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
//!
//! type Body = UnsyncBoxBody<Bytes, std::io::Error>;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let api = ServiceBuilder::new()
//!     .layer(ReplayBodyLayer::new())
//!     .layer(RetryLayer::new(RetryPolicy::new().max_attempts(1)))
//!     .service(HttpsClient::new()?);
//! let body: Body = Full::from("upload").map_err(|never| match never {}).boxed_unsync();
//! let request = Request::post("https://localhost:1/").body(body)?;
//! let sent = tokio::spawn(async move { api.oneshot(request).await });
//! assert!(sent.await?.is_err()); // nobody listens there
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! [`Deadline`]: crate::Deadline
//! [`OAuthLayer`]: crate::OAuthLayer
//! [`RetryLayer`]: crate::retry::RetryLayer
//! [`ReplayBodyLayer`]: crate::retry::ReplayBodyLayer
//! [`CooldownLayer`]: crate::retry::CooldownLayer
