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
//! | load shed, then a concurrency limit | what waits for a token holds no place further in: this bounds how many wait | load shed inside: a token sends all who waited for it at the same time, and sheds those that are too many |
//! | buffer, if the rest cannot be cloned | its worker waits for no token and no back-off, since readiness does not | inside of [`OAuthLayer`]: tokens grow old in its queue. Inside of load shed: more at once than it has places for are shed |
//! | follow redirect | each hop is sent again by itself, and gets a token if it goes where the token belongs | inside: the 401 of a stranger counts against the token. Between: the first hop is sent again because of the second |
//! | [`ReplayBodyLayer`] | makes bodies that cannot be cloned such that can | inside of [`RetryLayer`]: that has no body it could clone, which does not compile |
//! | **[`RetryLayer`]** | what it sends again passes by all that is below, and gets a new token | inside of `OAuthLayer`: a replay would carry the refused token, so that there is none, and a warning says so once |
//! | [`CooldownLayer`] | sees each 429, also those that the policy mends | outside of `RetryLayer`: hears of the last one only. Inside of `OAuthLayer`: tokens grow old while it waits, and a new token is taken for another client |
//! | **[`OAuthLayer`]** | the token is taken last, and put on once | |
//! | what says which server it is: a balancer's endpoints | outside of `OAuthLayer`, if they change the URI | inside: the token goes to whichever it was |
//! | concurrency limit, rate limit | what waits for a token or backs off holds no place, and takes nothing from a rate | outside: it does; and an issuer behind the same limit is out of reach |
//! | timeout of one attempt | counts from when the request is sent | outside of `OAuthLayer`: waiting for a token times out what was never sent, and a POST is then not sent again |
//! | filter | either side: inside it sees the token, and each attempt | |
//! | [`RetryHintLayer`](crate::genesys::RetryHintLayer) | the policy and the cool-down hear what it has found in a body, and a [`Deadline`] ends its reading | outside of either: they do not hear of it. Inside of decompression: it reads gzip |
//! | decompression | what reads bodies further out can read them | outside of such: it reads gzip |
//! | the client | | |
//!
//! All of it, for a client whose requests have bodies that cannot be cloned:
//!
//! ```no_run
//! use std::time::Duration;
//! use tower::{
//!     ServiceBuilder, limit::ConcurrencyLimitLayer, load_shed::LoadShedLayer, timeout::TimeoutLayer,
//! };
//! use tower_http::{
//!     decompression::DecompressionLayer,
//!     follow_redirect::FollowRedirectLayer,
//!     propagate_header::PropagateHeaderLayer,
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
//! # use http::{HeaderName, Request};
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
//!     .layer(PropagateHeaderLayer::new(HeaderName::from_static("x-batch")))
//!     .layer(TraceLayer::new_for_http())
//!     .layer(LoadShedLayer::new())
//!     .layer(ConcurrencyLimitLayer::new(1000))
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
//! Most need the four in the middle, a timeout and the client. [`layers`](super::layers) says more of each, and the
//! example `compose` has them at work.
//!
//! # What decides it
//!
//! **Waits.** Four things wait: a request for its token, one that backs off, one that cools down, and a service that is
//! not ready. The first three give up the readiness of what is inside of them, and hold none of its places; what is
//! outside of them counts the wait as a part of the request.
//!
//! **Attempts.** What is inside of [`RetryLayer`] happens for each attempt, with the request as it came to that layer;
//! what is outside happens once. A replay gets its new token because it passes by [`OAuthLayer`] again.
//!
//! **Marks.** [`OAuthLayer`] tells the retry policy of a refused token by [`TokenRejected`](crate::TokenRejected) in
//! the response's extensions, and the policy tells the caller why it gave up by
//! [`RetryOutcome`](crate::retry::RetryOutcome). All layers here keep them; the response that tower-http's timeout
//! makes has none. A layer between the two that builds responses anew has to take the extensions along: otherwise the
//! cache still hears of a refused token, but the 401 goes to the caller.
//!
//! **Origins.** [`OAuthLayer`] looks at the request's URI as it is then. What makes it absolute or changes its host
//! belongs outside; what changes it inside takes the token along.
//!
//! **Cancellation.** Dropping the response future, as each timeout does, ends the attempt, the wait and the place in
//! the queue. Only a token request under way goes on, for whoever comes next.
//!
//! # Clients
//!
//! Any `Service<Request<_>>` that is `Clone` and whose errors become a [`BoxError`](tower::BoxError). What has to be
//! put between it and the layers:
//!
//! | client | what it needs |
//! |---|---|
//! | [`HttpsClient`](crate::client::HttpsClient) | nothing |
//! | [`reqwest`], by [`ReqwestClient`](crate::reqwest::ReqwestClient) | nothing, with `build`; without redirects and retries of its own |
//! | hyper-util's `legacy::Client` | nothing; timeouts, of which it has none |
//! | a tonic `Channel` | the body of tonic, absolute URIs outside, [`OAuthLayer::grpc`](crate::OAuthLayer::grpc) and a [`GrpcClassifier`](crate::retry::GrpcClassifier) |
//! | an axum `Router` | the body of axum |
//!
//! [`OAuthLayer`]'s errors are a `BoxError`, whatever those of the client are. Without one, a policy for a client whose
//! errors are of a type of their own needs [`TypedErrors`](crate::retry::TypedErrors); all but the first have such.
//!
//! ```no_run
//! # use tower_oauth2::{OAuthLayer, Token, TokenCache, source_fn};
//! use axum::routing::get;
//! use bytes::Bytes;
//! use http::{Request, Uri};
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower::{BoxError, ServiceBuilder};
//! use tower_oauth2::{
//!     reqwest::ReqwestClient,
//!     retry::{GrpcClassifier, ReplayBody, ReplayBodyLayer, RetryLayer, RetryPolicy},
//! };
//!
//! # async fn run() -> Result<(), BoxError> {
//! # let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
//! let oauth = OAuthLayer::for_origin("https://api.example.com", tokens)?;
//! let layers = ServiceBuilder::new().layer(RetryLayer::new(RetryPolicy::new())).layer(oauth.clone());
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
//! // tonic: its bodies cannot be cloned, and what failed is in `grpc-status`. Generated clients have `with_origin` too;
//! // without it `OAuthLayer` sees a path only, and adds no token.
//! let channel = tonic::transport::Endpoint::from_static("https://api.example.com").connect_lazy();
//! let api = ServiceBuilder::new()
//!     .layer(ReplayBodyLayer::new())
//!     .layer(RetryLayer::new(RetryPolicy::new().classifier(GrpcClassifier::new())))
//!     .layer(oauth.clone().grpc())
//!     .map_request(|request: Request<ReplayBody<_>>| request.map(tonic::body::Body::new))
//!     .service(channel);
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
//! [`RetryLayer`] wants request bodies that are `Clone`; [`ReplayBodyLayer`] makes any body one. A future with a boxed
//! body whose error is a `BoxError` is taken by rustc not to be `Send`, with the message that an implementation of
//! `From` or of `Service` is not general enough, whatever the client. A body whose error is a type of its own, such as
//! that of axum, of reqwest and of tonic, or a `UnsyncBoxBody<Bytes, std::io::Error>`, has no such trouble.
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
