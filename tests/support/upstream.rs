//! An API underneath a stack of layers: it answers from a script and remembers what it was sent.

use std::{
    collections::{HashSet, VecDeque},
    future::{Future, pending},
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tower::{BoxError, Layer, Service, ServiceExt, util::BoxCloneSyncService};
use tower_oauth2::{
    OAuthLayer, TokenCache,
    retry::{RetryLayer, RetryPolicy},
};

use crate::support::Issuer;

pub(crate) const HERE: &str = "https://api.example.com/v1/users";
pub(crate) const ELSEWHERE: &str = "https://files.example.com/1";

pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;
/// Any of the stacks.
pub(crate) type Client = BoxCloneSyncService<Request<Full<Bytes>>, Response<Body>, BoxError>;

pub(crate) type Answer<B> = Result<Response<B>, BoxError>;

/// Insists on being made ready before each call. Clones are the same API.
pub(crate) struct Upstream {
    inner: Arc<Mutex<Inner>>,
    ready: bool,
}

struct Inner {
    start: Instant,
    latency: Duration,
    script: VecDeque<Reply>,
    refused: HashSet<String>,
    sent: Vec<Sent>,
}

#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Status(u16),
    /// A 429 with a `Retry-After` of that many seconds.
    Busy(u64),
    Redirect(&'static str),
    Gzip(u16, Vec<u8>),
    /// A reset of the connection.
    Reset,
    Hang,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Since the API was made.
    pub(crate) at: Duration,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    /// Whether it came with a `Deadline`.
    pub(crate) bounded: bool,
}

// === impl Upstream ===

impl Upstream {
    /// Answers with 200 after the script.
    pub(crate) fn new(script: impl IntoIterator<Item = Reply>) -> Self {
        let inner = Inner {
            start: Instant::now(),
            latency: Duration::ZERO,
            script: script.into_iter().collect(),
            refused: HashSet::new(),
            sent: Vec::new(),
        };
        Self { inner: Arc::new(Mutex::new(inner)), ready: false }
    }

    pub(crate) fn latency(self, latency: Duration) -> Self {
        self.inner.lock().unwrap().latency = latency;
        self
    }

    /// Answers 401 to that token, whatever the script says.
    pub(crate) fn refusing(self, token: &str) -> Self {
        self.inner.lock().unwrap().refused.insert(token.to_owned());
        self
    }

    /// Answers with 200 from now on.
    pub(crate) fn calm(&self) {
        self.inner.lock().unwrap().script.clear();
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.inner.lock().unwrap().sent.clone()
    }

    /// The token of each request, or an empty string.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.sent().iter().map(Sent::token).collect()
    }

    /// Whole seconds from the start to each request.
    pub(crate) fn seconds(&self) -> Vec<u64> {
        self.sent().iter().map(|sent| sent.at.as_secs()).collect()
    }

    /// Since it was made.
    pub(crate) fn elapsed(&self) -> Duration {
        Instant::now() - self.inner.lock().unwrap().start
    }

    pub(crate) fn client(&self) -> Client {
        BoxCloneSyncService::new(self.clone())
    }
}

impl Sent {
    /// There must be one header at the most, and it must be marked sensitive.
    pub(crate) fn token(&self) -> String {
        let values: Vec<_> = self.headers.get_all(AUTHORIZATION).iter().collect();
        assert!(values.len() <= 1, "{self:?}");
        assert!(values.iter().all(|value| value.is_sensitive()), "{self:?}");
        values.first().map_or("", |value| value.to_str().unwrap().trim_start_matches("Bearer ")).to_owned()
    }
}

impl Service<Request<Full<Bytes>>> for Upstream {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been made ready");
        let mut inner = self.inner.lock().unwrap();
        let sent = Sent {
            at: Instant::now() - inner.start,
            uri: request.uri().to_string(),
            headers: request.headers().clone(),
            bounded: request.extensions().get::<tower_oauth2::Deadline>().is_some(),
        };
        let refused = inner.refused.contains(&sent.token());
        inner.sent.push(sent);
        let reply = if refused { Reply::Status(401) } else { inner.script.pop_front().unwrap_or(Reply::Status(200)) };
        let latency = inner.latency;
        Box::pin(async move {
            if !latency.is_zero() {
                sleep(latency).await;
            }
            reply.into_response().await
        })
    }
}

impl Clone for Upstream {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), ready: false }
    }
}

impl Reply {
    async fn into_response(self) -> Result<Response<Body>, BoxError> {
        let response = Response::builder();
        let (response, bytes) = match self {
            Self::Status(status) => (response.status(status), Bytes::from_static(b"the body")),
            Self::Busy(after) => (response.status(429).header("retry-after", after), Bytes::new()),
            Self::Redirect(to) => (response.status(307).header("location", to), Bytes::new()),
            Self::Gzip(status, bytes) => (response.status(status).header("content-encoding", "gzip"), bytes.into()),
            Self::Reset => return Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
            Self::Hang => return pending().await,
        };
        Ok(response.body(body(bytes))?)
    }
}

pub(crate) fn body(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

pub(crate) fn post(uri: &str) -> Request<Full<Bytes>> {
    Request::post(uri).body(Full::default()).unwrap()
}

pub(crate) fn oauth(issuer: &Issuer) -> OAuthLayer {
    OAuthLayer::for_origin(HERE, TokenCache::new(issuer.clone())).unwrap()
}

pub(crate) fn retry() -> RetryLayer<RetryPolicy> {
    RetryLayer::new(RetryPolicy::new().seed(1))
}

pub(crate) fn boxed<S>(layer: impl Layer<Client, Service = S>, client: Client) -> Client
where
    S: Service<Request<Full<Bytes>>, Response = Response<Body>, Error = BoxError, Future: Send>,
    S: Clone + Send + Sync + 'static,
{
    BoxCloneSyncService::new(layer.layer(client))
}

/// In a task of its own, so that it goes on whatever the test does.
pub(crate) fn spawn<S>(client: &S, request: Request<Full<Bytes>>) -> JoinHandle<(Duration, Answer<S::Body>)>
where
    S: Stack + Clone + Send + 'static,
{
    let (client, start) = (client.clone(), Instant::now());
    tokio::spawn(async move {
        let response = client.send(request).await;
        (Instant::now() - start, response)
    })
}

/// A service that a test sends one request with.
pub(crate) trait Stack {
    type Body: Send + 'static;
    fn send(self, request: Request<Full<Bytes>>) -> impl Future<Output = Answer<Self::Body>> + Send;
}

impl<S, B> Stack for S
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Future: Send> + Send,
    S::Error: Into<BoxError> + Send,
    B: Send + 'static,
{
    type Body = B;

    async fn send(self, request: Request<Full<Bytes>>) -> Answer<B> {
        self.oneshot(request).await.map_err(Into::into)
    }
}
