//! An HTTP client to stack the layers on: hyper-util's pool over rustls.
//!
//! ```no_run
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_oauth2::{OAuthLayer, TokenCache, client::HttpsClient, grant::{ClientAuth, ClientCredentials}};
//! # use bytes::Bytes;
//! # use http_body_util::Full;
//! # async fn run() -> Result<(), tower::BoxError> {
//!
//! let http = HttpsClient::builder().connect_timeout(Duration::from_secs(2)).build()?;
//! let auth = ClientAuth::basic("id", std::env::var("CLIENT_SECRET")?);
//! let grant = ClientCredentials::new(http.clone(), "https://login.example.com/oauth/token", auth)?;
//! let api = ServiceBuilder::new()
//!     .layer(OAuthLayer::for_origin("https://api.example.com", TokenCache::new(grant))?)
//!     .service(http);
//! let response = api.oneshot(http::Request::get("https://api.example.com/").body(Full::<Bytes>::default())?).await?;
//! # Ok(()) }
//! ```

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use pin_project_lite::pin_project;
use rustls::{ClientConfig, crypto::ring};
use tokio::time::{Sleep, sleep, timeout};
use tower::{BoxError, timeout::error::Elapsed};
use tower_service::Service;

use crate::{error::Error, origin::is_trustworthy};

/// An HTTP client with a connection pool, for HTTP/1.1 and HTTP/2 over TLS.
///
/// Takes any body, so that one client serves the token endpoint and the API at once. Follows no redirect, reads no proxy
/// from the environment and unpacks nothing: each is a layer. Speaks http to loopback only. The trust anchors are those
/// of the system, TLS is 1.2 or 1.3. Connecting and waiting for an answer to begin are bounded.
///
/// # Clone
///
/// Clones share the pool. Cheap.
#[derive(Clone)]
pub struct HttpsClient {
    client: Client<Connector, UnsyncBoxBody<Bytes, BoxError>>,
    response_timeout: Option<Duration>,
    plain_http: bool,
}

/// Sets the limits of an [`HttpsClient`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    connect_timeout: Duration,
    response_timeout: Option<Duration>,
    pool_idle_timeout: Duration,
    tls: Option<ClientConfig>,
    plain_http: bool,
}

/// Connects in time: the connectors themselves bound no handshake.
#[derive(Clone)]
struct Connector {
    inner: HttpsConnector<HttpConnector>,
    timeout: Duration,
}

pin_project! {
    /// Future of [`HttpsClient`].
    pub struct ResponseFuture {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProj]
    enum State {
        Sent {
            #[pin]
            response: legacy::ResponseFuture,
            limit: Option<Duration>,
            // Made by the first poll: a service may be called outside of a runtime, where no timer can be made.
            timer: Option<Pin<Box<Sleep>>>,
        },
        Refused { error: Option<Error> },
    }
}

// === impl HttpsClient ===

impl HttpsClient {
    /// With every limit at its default.
    ///
    /// # Errors
    ///
    /// If the system has no trust anchors, as in a container without a `ca-certificates` package.
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// To set the limits.
    pub fn builder() -> Builder {
        Builder {
            connect_timeout: Duration::from_secs(5),
            response_timeout: Some(Duration::from_secs(60)),
            pool_idle_timeout: Duration::from_secs(90),
            tls: None,
            plain_http: false,
        }
    }
}

impl<B> Service<Request<B>> for HttpsClient
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        if !self.plain_http && !is_trustworthy(request.uri()) {
            let problem = "only absolute https URLs are asked for, and http on loopback";
            return ResponseFuture { state: State::Refused { error: Some(Error::config(problem)) } };
        }
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        let response = self.client.request(request);
        ResponseFuture { state: State::Sent { response, limit: self.response_timeout, timer: None } }
    }
}

impl fmt::Debug for HttpsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsClient").finish_non_exhaustive()
    }
}

// === impl Builder ===

impl Builder {
    /// How long connecting may take: name resolution, TCP and TLS. Defaults to 5 s; one hour at the most.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout.min(HOUR);
        self
    }

    /// How long an answer may take to begin; connecting and sending the request's body are part of it, so that a long upload
    /// needs more. Defaults to 60 s; one day at the most. How long the answer's body may take is for whoever reads it.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = Some(timeout.min(24 * HOUR));
        self
    }

    /// Waits for ever for an answer to begin: for requests that are answered when something happens.
    pub fn no_response_timeout(mut self) -> Self {
        self.response_timeout = None;
        self
    }

    /// How long an unused connection is kept. Defaults to 90 s; one hour at the most.
    pub fn pool_idle_timeout(mut self, timeout: Duration) -> Self {
        self.pool_idle_timeout = timeout.min(HOUR);
        self
    }

    /// Your own trust anchors, client certificate or crypto provider, instead of the system's trust anchors and ring.
    /// ALPN is set by the client.
    pub fn tls(mut self, config: ClientConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// Speaks http to any host: everybody on the way can read and change what is sent and answered.
    pub fn danger_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// The client. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// If the system has no trust anchors and none were given.
    pub fn build(self) -> Result<HttpsClient, Error> {
        let connector = HttpsConnectorBuilder::new();
        let connector = match self.tls {
            Some(mut config) => {
                config.alpn_protocols.clear();
                connector.with_tls_config(config)
            }
            None => connector.with_provider_and_native_roots(ring::default_provider()).map_err(|error| {
                Error::config("the system has no trust anchors: install its ca-certificates, or give some with `tls`")
                    .with_source(error)
            })?,
        };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(KEEPALIVE));
        let connector = connector.https_or_http().enable_all_versions().wrap_connector(http);
        let connector = Connector { inner: connector, timeout: self.connect_timeout };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(self.pool_idle_timeout)
            .http2_keep_alive_interval(KEEPALIVE)
            .build(connector);
        Ok(HttpsClient { client, response_timeout: self.response_timeout, plain_http: self.plain_http })
    }
}

// === impl ResponseFuture ===

impl Future for ResponseFuture {
    type Output = Result<Response<Incoming>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Sent { response, limit, timer } => {
                if let Poll::Ready(response) = response.poll(cx) {
                    return Poll::Ready(response.map_err(Into::into));
                }
                let Some(limit) = *limit else { return Poll::Pending };
                ready!(timer.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx));
                Poll::Ready(Err(Elapsed::new().into()))
            }
            StateProj::Refused { error } => {
                let error = error.take().map_or_else(|| "polled after completion".into(), BoxError::from);
                Poll::Ready(Err(error))
            }
        }
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

// === impl Connector ===

impl Service<Uri> for Connector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = timeout(self.timeout, self.inner.call(uri));
        Box::pin(async move { connecting.await? })
    }
}

/// Finds out that the other side is gone, which no read timeout of a pooled connection would.
const KEEPALIVE: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(60 * 60);
