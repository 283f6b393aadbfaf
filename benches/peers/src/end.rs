//! Where the requests end: nowhere, or at a server.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use harness::{ANSWER, Inner};
use http::{Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{BoxError, Service};

pub(crate) type Request = http::Request<Full<Bytes>>;

/// The service that a contestant puts its tokens before.
pub(crate) trait End:
    Service<Request, Response = Response<()>, Error = BoxError, Future: Send + Unpin> + Clone + Send + Sync + 'static
{
    /// Whether requests go anywhere.
    const SENDS: bool;

    fn request(&self) -> Request;

    fn origin(&self) -> String {
        let request = self.request();
        let uri = request.uri();
        format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |host| host.as_str()))
    }

    /// Sends what has its token by now.
    fn send(&mut self, request: Request) -> impl Future<Output = Result<(), BoxError>> + Send {
        async {
            poll_fn(|cx| self.poll_ready(cx)).await?;
            self.call(request).await.map(drop)
        }
    }
}

/// hyper-util's client, which takes the whole answer.
#[derive(Clone)]
pub(crate) struct Loopback {
    client: Client<HttpConnector, Full<Bytes>>,
    url: Arc<Uri>,
}

// === impl Inner ===

impl End for Inner {
    const SENDS: bool = false;

    fn request(&self) -> Request {
        harness::request()
    }
}

// === impl Loopback ===

impl Loopback {
    /// Within a runtime.
    pub(crate) fn new(url: &str) -> Self {
        let mut connector = HttpConnector::new();
        // Else the kernel waits for 40 ms before it sends a body.
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, url: Arc::new(url.parse().expect("a URL")) }
    }
}

impl Service<Request> for Loopback {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<()>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.client.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let sent = self.client.call(request);
        Box::pin(async {
            let (head, body) = sent.await?.into_parts();
            let body = body.collect().await?.to_bytes();
            assert_eq!(body.len(), ANSWER);
            Ok(Response::from_parts(head, ()))
        })
    }
}

impl End for Loopback {
    const SENDS: bool = true;

    fn request(&self) -> Request {
        let mut request = harness::request();
        *request.uri_mut() = Uri::clone(&self.url);
        request
    }
}
