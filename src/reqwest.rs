//! reqwest under the layers: a [`reqwest::Client`] as a `tower::Service` for [`http::Request`].
//!
//! ```no_run
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_oauth2::{
//!     OAuthLayer, TokenCache,
//!     grant::{ClientAuth, ClientCredentials},
//!     reqwest::ReqwestClient,
//!     retry::{RetryLayer, RetryPolicy},
//! };
//! # use bytes::Bytes;
//! # use http_body_util::Full;
//! # async fn run() -> Result<(), tower::BoxError> {
//!
//! let http = ReqwestClient::build(reqwest::Client::builder().connect_timeout(Duration::from_secs(5)))?;
//! let auth = ClientAuth::basic("id", std::env::var("CLIENT_SECRET")?);
//! let grant = ClientCredentials::new(http.clone(), "https://login.example.com/oauth/token", auth)?;
//! let api = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::default()))
//!     .layer(OAuthLayer::for_origin("https://api.example.com", TokenCache::new(grant))?)
//!     .service(http);
//! let response = api.oneshot(http::Request::get("https://api.example.com/").body(Full::<Bytes>::default())?).await?;
//! let response = reqwest::Response::from(response); // with its conveniences, if you want them
//! # Ok(()) }
//! ```
//!
//! The crate brings reqwest without any of reqwest's features: name `reqwest` in your own `Cargo.toml`, with those that you
//! want, `rustls` and `http2` for example.
//!
//! # What reqwest does by itself
//!
//! **Redirects.** It follows ten, and the layers see the last answer only: a 401 of wherever that came from counts against
//! the token. It takes the token along to the same scheme, host and port, and drops it elsewhere; it cannot send a body
//! again, so that a 307 is followed without a body only. A token request must not be redirected at all.
//! [`ReqwestClient::build`] switches that off: put a redirect layer outside of [`OAuthLayer`](crate::OAuthLayer).
//!
//! **Retries.** `build` switches them off: [`retry`](crate::retry) counts every attempt.
//!
//! **Timeouts.** `connect_timeout`, `read_timeout` and `timeout` hold for each attempt, the token request included.
//! `timeout` goes on while the body of the answer is read. reqwest has none unless you set it. A connection that was not made
//! in time was never used, and any request is sent again; after the others, those that may be repeated.
//!
//! **Proxies.** With its feature `system-proxy`, which is one of its defaults, reqwest reads `HTTP_PROXY` and its like, and
//! does so for loopback as well. What goes to an `http` URL through a proxy, token and all, the proxy can read. That is no
//! danger to `https`.
//!
//! **`http` URLs.** It asks them too, if they are not loopback, as long as `https_only` is not set. `OAuthLayer` puts no token
//! on those.
//!
//! **URLs.** They are normalised: `/a/../b` becomes `/b`. A URL with no scheme and host is an error.
//!
//! **Default headers, cookies, decompression.** As the client is set up, and for token requests too.
//!
//! # Which errors are sent again
//!
//! As the table in [`retry`](crate::retry) says. A certificate that does not fit is told by rustls; to another TLS library it
//! is a failure to connect, and is tried again in vain.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use reqwest::{Client, ClientBuilder, redirect, retry};
use tower::BoxError;
use tower_service::Service;

/// A [`reqwest::Client`] as a service; see the [module](self).
///
/// Takes any body that is `Send`, and always as a stream. It is always ready: what has to wait for a connection does so in
/// its future.
///
/// Of the request's extensions reqwest knows its own, such as the timeout of a [`reqwest::Request`] that was made into an
/// [`http::Request`]. It passes none on. The version says nothing, since the connection decides, except HTTP/3, by which
/// reqwest chooses it. The response has the extensions that hyper gave it.
///
/// # Clone
///
/// Clones share the pool. Cheap.
///
/// # Errors
///
/// A [`reqwest::Error`] without its URL, whose query may hold a secret.
///
/// # Cancellation
///
/// Nothing is sent before the future is polled. Dropping it closes the connection on HTTP/1.1, and resets the stream on
/// HTTP/2.
///
/// ```
/// # use bytes::Bytes;
/// # use http::Request;
/// # use http_body_util::Full;
/// # use tower::{BoxError, ServiceExt};
/// # use tower_oauth2::testing::{Analytics, Issuer};
/// use tower_oauth2::reqwest::ReqwestClient;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let server = Analytics::new(&Issuer::new()).serve().await?;
/// # let url = server.url("/echo");
/// let client = ReqwestClient::build(reqwest::Client::builder().no_proxy())?;
/// let response = client.oneshot(Request::get(url).body(Full::<Bytes>::default())?).await?;
/// assert_eq!(response.status(), 401); // nobody put a token on it
/// # Ok::<(), BoxError>(()) })?;
/// # Ok::<(), BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReqwestClient {
    client: Client,
}

/// Future of [`ReqwestClient`].
pub struct ResponseFuture {
    response: Pin<Box<dyn Future<Output = Result<Response<reqwest::Body>, reqwest::Error>> + Send>>,
}

/// A body for reqwest, which wants to share it among threads. It never does, so that nobody waits for the lock.
struct SharedBody<B>(Mutex<Pin<Box<B>>>);

// === impl ReqwestClient ===

impl ReqwestClient {
    /// The client as the builder has it, but without redirects and without retries of its own.
    ///
    /// # Errors
    ///
    /// As [`reqwest::ClientBuilder::build`].
    pub fn build(builder: ClientBuilder) -> Result<Self, reqwest::Error> {
        let client = builder.redirect(redirect::Policy::none()).retry(retry::never()).build()?;
        Ok(Self { client })
    }

    /// A client that exists, for its pool. If it follows redirects, what the [module](self) says about them happens, and no
    /// grant should be given it.
    pub fn danger_as_is(client: Client) -> Self {
        Self { client }
    }
}

impl<B> Service<Request<B>> for ReqwestClient
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<reqwest::Body>;
    type Error = reqwest::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), reqwest::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let mut request = request.map(|body| reqwest::Body::wrap(SharedBody::new(body)));
        // Left to hyper it would fail on a connection that is HTTP/1.1.
        if request.version() == Version::HTTP_2 {
            *request.version_mut() = Version::HTTP_11;
        }
        let request = reqwest::Request::try_from(request);
        let client = self.client.clone();
        // Not before it is polled: a service may be called outside of a runtime, where reqwest can make no timer.
        let response = async move { client.execute(request?).await };
        let response = async { response.await.map(Response::from).map_err(reqwest::Error::without_url) };
        ResponseFuture { response: Box::pin(response) }
    }
}

// === impl ResponseFuture ===

impl Future for ResponseFuture {
    type Output = Result<Response<reqwest::Body>, reqwest::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.response.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

// === impl SharedBody ===

impl<B> SharedBody<B> {
    fn new(body: B) -> Self {
        Self(Mutex::new(Box::pin(body)))
    }

    fn lock(&self) -> MutexGuard<'_, Pin<Box<B>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Body> Body for SharedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}
