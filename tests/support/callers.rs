//! The whole stack on several clients, with tokens `t1`, `t2`, …, to be led to servers that misbehave.
#![allow(dead_code, reason = "each test uses its own part")]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper_util::{client::legacy, rt::TokioExecutor};
use tokio::time::timeout;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_oauth2::{
    OAuthLayer, Token, TokenCache,
    client::HttpsClient,
    reqwest::ReqwestClient,
    retry::{ReplayBody, ReplayBodyLayer, RetryLayer, RetryPolicy},
    source_fn,
};

/// Takes requests with a body that can be cloned, or one that is kept for the replay.
pub(crate) struct Caller<B = Full<Bytes>> {
    pub(crate) name: &'static str,
    pub(crate) policy: RetryPolicy,
    stack: Client<B>,
    url: String,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer(StatusCode, String),
    /// The head came, and the body broke off.
    Broken(StatusCode, BoxError),
    Error(BoxError),
}

/// A body that cannot be cloned.
pub(crate) type Streamed = UnsyncBoxBody<Bytes, BoxError>;
type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;
type Client<B> = BoxCloneSyncService<Request<B>, Answer, BoxError>;

/// One caller for each kind of client that speaks HTTP/1.1.
pub(crate) fn http1_callers(url: &str) -> Vec<Caller> {
    http1_clients().into_iter().map(|(name, client)| Caller::cloning(name, url, client)).collect()
}

/// One caller for each kind of client that speaks HTTP/2 without TLS.
pub(crate) fn http2_callers(url: &str) -> Vec<Caller> {
    http2_clients(url).into_iter().map(|(name, client)| Caller::cloning(name, url, client)).collect()
}

pub(crate) fn http1_streamers(url: &str) -> Vec<Caller<Streamed>> {
    http1_clients().into_iter().map(|(name, client)| Caller::keeping(name, url, client)).collect()
}

pub(crate) fn http2_streamers(url: &str) -> Vec<Caller<Streamed>> {
    http2_clients(url).into_iter().map(|(name, client)| Caller::keeping(name, url, client)).collect()
}

fn http1_clients<B>() -> Vec<(&'static str, Client<B>)>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let hyper: legacy::Client<_, B> = legacy::Client::builder(TokioExecutor::new()).build_http();
    let reqwest = ReqwestClient::build(reqwest::Client::builder().no_proxy()).unwrap();
    let own = HttpsClient::new().unwrap();
    vec![("hyper-util", boxed(hyper)), ("our own", boxed(own)), ("reqwest", boxed(reqwest))]
}

fn http2_clients<B>(url: &str) -> Vec<(&'static str, Client<B>)>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let hyper: legacy::Client<_, B> = legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let reqwest = ReqwestClient::build(reqwest::Client::builder().no_proxy().http2_prior_knowledge()).unwrap();
    let tonic = tonic::transport::Endpoint::from_shared(url.to_owned()).unwrap().connect_lazy();
    let tonic =
        ServiceBuilder::new().map_request(|request: Request<B>| request.map(tonic::body::Body::new)).service(tonic);
    vec![("hyper-util", boxed(hyper)), ("reqwest", boxed(reqwest)), ("tonic", boxed(tonic))]
}

fn boxed<C, B, R>(client: C) -> Client<B>
where
    C: Service<Request<B>, Response = Response<R>, Error: Into<BoxError>, Future: Send> + Clone + Send + Sync + 'static,
    B: 'static,
    R: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let same = |response: Response<R>| response.map(|body| body.map_err(Into::into).boxed_unsync());
    BoxCloneSyncService::new(client.map_response(same).map_err(Into::into))
}

// === impl Caller ===

impl Caller {
    fn cloning(name: &'static str, url: &str, client: Client<Full<Bytes>>) -> Self {
        let policy = policy();
        let stack = ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).layer(oauth(url)).service(client);
        Self { name, policy, stack: BoxCloneSyncService::new(stack), url: url.to_owned() }
    }

    /// Sends it, and reads the answer; panics if that takes too long.
    pub(crate) async fn send(&self, method: Method, body: impl Into<Bytes>) -> Outcome {
        self.ask(method, Full::new(body.into())).await
    }
}

impl Caller<Streamed> {
    fn keeping(name: &'static str, url: &str, client: Client<ReplayBody<Streamed>>) -> Self {
        let policy = policy();
        let stack = ServiceBuilder::new()
            .layer(ReplayBodyLayer::new())
            .layer(RetryLayer::new(policy.clone()))
            .layer(oauth(url))
            .service(client);
        Self { name, policy, stack: BoxCloneSyncService::new(stack), url: url.to_owned() }
    }
}

impl<B> Caller<B> {
    /// Sends it, and reads the answer; panics if that takes too long.
    pub(crate) async fn ask(&self, method: Method, body: B) -> Outcome {
        let request = Request::builder().method(method).uri(&self.url).body(body).unwrap();
        let sent = async {
            let response = match self.stack.clone().oneshot(request).await {
                Ok(response) => response,
                Err(error) => return Outcome::Error(error),
            };
            let status = response.status();
            match response.into_body().collect().await {
                Ok(body) => Outcome::Answer(status, String::from_utf8(body.to_bytes().to_vec()).unwrap()),
                Err(error) => Outcome::Broken(status, error),
            }
        };
        timeout(LIMIT, sent).await.unwrap_or_else(|_| panic!("{} hangs", self.name))
    }

    pub(crate) fn retries(&self) -> u64 {
        self.policy.stats().retries
    }
}

// === impl Outcome ===

impl Outcome {
    /// Of an answer that came whole.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Answer(status, _) => Some(status.as_u16()),
            Self::Broken(..) | Self::Error(_) => None,
        }
    }

    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }
}

fn policy() -> RetryPolicy {
    RetryPolicy::new().backoff(Duration::from_millis(1), Duration::from_millis(1))
}

fn oauth(url: &str) -> OAuthLayer {
    let minted = AtomicUsize::new(0);
    let tokens = TokenCache::builder(source_fn(move |_| {
        let token = format!("t{}", minted.fetch_add(1, Ordering::SeqCst) + 1);
        async { Token::new(token) }
    }));
    OAuthLayer::for_origin(url, tokens.min_interval(Duration::from_millis(100)).build()).unwrap()
}

/// Nothing here takes a tenth of it.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
