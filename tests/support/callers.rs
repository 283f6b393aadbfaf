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
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::time::timeout;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_oauth2::{
    OAuthLayer, Token, TokenCache,
    client::HttpsClient,
    reqwest::ReqwestClient,
    retry::{RetryLayer, RetryPolicy, RetryStats},
    source_fn,
};

pub(crate) struct Caller {
    pub(crate) name: &'static str,
    pub(crate) policy: RetryPolicy,
    stack: BoxCloneSyncService<Request<Full<Bytes>>, Answer, BoxError>,
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

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// One caller for each kind of client that speaks HTTP/1.1.
pub(crate) fn http1_callers(url: &str) -> Vec<Caller> {
    let hyper: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let reqwest = ReqwestClient::build(reqwest::Client::builder().no_proxy()).unwrap();
    vec![
        Caller::new("hyper-util", url, hyper),
        Caller::new("our own", url, HttpsClient::new().unwrap()),
        Caller::new("reqwest", url, reqwest),
    ]
}

/// One caller for each kind of client that speaks HTTP/2 without TLS.
pub(crate) fn http2_callers(url: &str) -> Vec<Caller> {
    let hyper: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let reqwest = ReqwestClient::build(reqwest::Client::builder().no_proxy().http2_prior_knowledge()).unwrap();
    let tonic = tonic::transport::Endpoint::from_shared(url.to_owned()).unwrap().connect_lazy();
    let tonic = ServiceBuilder::new()
        .map_request(|request: Request<Full<Bytes>>| request.map(tonic::body::Body::new))
        .service(tonic);
    vec![Caller::new("hyper-util", url, hyper), Caller::new("reqwest", url, reqwest), Caller::new("tonic", url, tonic)]
}

// === impl Caller ===

impl Caller {
    fn new<C, R>(name: &'static str, url: &str, client: C) -> Self
    where
        C: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + Sync + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        let minted = AtomicUsize::new(0);
        let tokens = TokenCache::builder(source_fn(move |_| {
            let token = format!("t{}", minted.fetch_add(1, Ordering::SeqCst) + 1);
            async { Token::new(token) }
        }));
        let tokens = tokens.min_interval(Duration::from_millis(100)).build();
        let policy = RetryPolicy::new().backoff(Duration::from_millis(1), Duration::from_millis(1));
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(policy.clone()))
            .layer(OAuthLayer::for_origin(url, tokens).unwrap())
            .service(client)
            .map_response(|response: Response<R>| response.map(|body| body.map_err(Into::into).boxed_unsync()));
        Self { name, policy, stack: BoxCloneSyncService::new(stack), url: url.to_owned() }
    }

    /// Sends it, and reads the answer; panics if that takes too long.
    pub(crate) async fn send(&self, method: Method, body: impl Into<Bytes>) -> Outcome {
        let request = Request::builder().method(method).uri(&self.url).body(Full::new(body.into())).unwrap();
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
        let RetryStats { retries, .. } = self.policy.stats();
        retries
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

/// Nothing here takes a tenth of it.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
