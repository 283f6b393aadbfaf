//! One question to an authorization server, over any HTTP client.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header::CONTENT_ENCODING};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, timeout};
use tower::BoxError;
use tower_service::Service;
use zeroize::Zeroizing;

use crate::{
    causes::{causes, is_untrusted},
    error::{Error, Kind},
};

/// What the grants send with: any `tower::Service` that takes `http::Request<Full<Bytes>>`, such as
/// [`HttpsClient`](crate::client::HttpsClient), a client of hyper-util, or a stack of your own.
///
/// For a service that takes another body, map the request with `tower::ServiceExt::map_request`. It must not follow
/// redirects. Implemented for all that fit, and by nothing else.
#[cfg_attr(not(feature = "client"), allow(rustdoc::broken_intra_doc_links, reason = "the link needs the feature"))]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a service that token requests can be sent with",
    note = "it has to be a `tower::Service<http::Request<http_body_util::Full<bytes::Bytes>>>` that is `Clone + Send + 'static`, \
            with a `Send` future, an error that is `Into<BoxError>`, and an `http::Response` with a `Send` body"
)]
pub trait HttpClient: sealed::Sealed {}

/// A client whose type nobody has to know: a token request is rare.
pub(crate) trait Http: Send + Sync {
    fn ask<'a>(&'a self, request: Request<Full<Bytes>>, limit: usize) -> Asking<'a>;
}

pub(crate) type Asking<'a> = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send + 'a>>;

/// What a server answered.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Empty, if it could not be read and the status is not a success: a refusal stays a refusal.
    pub(crate) body: Zeroizing<Vec<u8>>,
    pub(crate) sent_at: Instant,
}

#[allow(unnameable_types, reason = "it is sealed")]
mod sealed {
    use super::{Arc, Http};

    pub trait Sealed {
        #[doc(hidden)]
        fn erase(self) -> Erased;
    }

    #[allow(missing_debug_implementations, reason = "nobody gets to see one")]
    #[derive(Clone)]
    pub struct Erased(pub(crate) Arc<dyn Http>);
}

/// A service, locked to be cloned and for no longer, so that it need not be `Sync`.
struct Client<S>(Mutex<S>);

// === impl HttpClient ===

impl<T: sealed::Sealed> HttpClient for T {}

impl<S, R> sealed::Sealed for S
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    fn erase(self) -> sealed::Erased {
        sealed::Erased(Arc::new(Client(Mutex::new(self))))
    }
}

pub(crate) fn erase(http: impl HttpClient) -> Arc<dyn Http> {
    http.erase().0
}

// === impl Client ===

impl<S, R> Http for Client<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    fn ask<'a>(&'a self, request: Request<Full<Bytes>>, limit: usize) -> Asking<'a> {
        let http = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(ask(http, request, limit))
    }
}

async fn ask<S, R>(mut http: S, request: Request<Full<Bytes>>, limit: usize) -> Result<Reply, Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    let host = host(request.uri());
    let silent = |error: BoxError| {
        // What the client itself refused to send says best why.
        if let Some(refused) = Error::find(error.as_ref()).filter(|own| own.is_config()) {
            return refused.clone();
        }
        let untrusted = causes(error.as_ref()).any(is_untrusted);
        let error = Error::new(Kind::Transport { host: host.clone() }).caused_by(error);
        if untrusted { error.with_transient(false) } else { error }
    };
    std::future::poll_fn(|cx| http.poll_ready(cx)).await.map_err(|error| silent(error.into()))?;
    let sent_at = Instant::now();
    let response = http.call(request).await.map_err(|error| silent(error.into()))?;
    let (head, body) = response.into_parts();
    let body = read(&host, &head.headers, body, limit);
    let body = if head.status.is_success() {
        body.await?
    } else {
        // A refusal stays a refusal, and an outage an outage, whatever page comes with it, or does not come.
        timeout(ERROR_PAGE_TIMEOUT, body).await.ok().and_then(Result::ok).unwrap_or_default()
    };
    Ok(Reply { status: head.status, headers: head.headers, body, sent_at })
}

async fn read<R>(host: &str, headers: &HeaderMap, body: R, limit: usize) -> Result<Zeroizing<Vec<u8>>, Error>
where
    R: Body,
    R::Error: Into<BoxError>,
{
    let unusable = |problem: String| Error::new(Kind::Response { host: host.into(), problem: problem.into() });
    // None was asked for, and unpacking is how a small answer becomes a large one.
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return Err(unusable("has a content encoding that was not asked for".into()));
    }
    let mut body = std::pin::pin!(body);
    // All of it at once, so that no shorter copy is left behind by a reallocation.
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unusable("broke off".into()).with_source(error).with_transient(true))?;
        let Ok(mut data) = frame.into_data() else { continue };
        if bytes.len() + data.remaining() > limit {
            return Err(unusable(format!("is longer than {} KiB", limit / 1024)));
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            bytes.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
    }
    Ok(bytes)
}

pub(crate) fn host(uri: &Uri) -> Box<str> {
    uri.host().unwrap_or_default().into()
}

const ERROR_PAGE_TIMEOUT: Duration = Duration::from_secs(2);
