//! What is measured: a request, a service that does nothing, and layers on it.

use std::{
    cell::Cell,
    future::{Future, ready},
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use tower::{BoxError, Layer, Service};
use tower_http::auth::{AddAuthorization, AddAuthorizationLayer};
use tower_oauth2::{OAuthLayer, Token, TokenCache, source_fn};

/// The service at the end of each stack: always ready, and answers at once. It fails with a `BoxError`, if it ever would, as
/// nearly everything does that has a layer of tower's on it.
#[derive(Clone, Copy, Debug)]
pub struct Inner;

impl Service<Request<Full<Bytes>>> for Inner {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        LAST.set(Some(request));
        Answer(black_box(&[0]))
    }
}

/// The future of [`Inner`]: 16 bytes, as hyper-util's client has it, and as a box is. One that has the response in it would be
/// moved with it by each layer.
#[derive(Debug)]
pub struct Answer(&'static [u8]);

impl Future for Answer {
    type Output = Result<Response<()>, BoxError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        black_box(self.0);
        Poll::Ready(Ok(Response::new(())))
    }
}

/// What all stacks can do.
pub trait Stack: Service<Request<Full<Bytes>>, Response = Response<()>, Error = BoxError> + Clone {}

impl<S: Service<Request<Full<Bytes>>, Response = Response<()>, Error = BoxError> + Clone> Stack for S {}

thread_local! {
    static LAST: Cell<Option<Request<Full<Bytes>>>> = const { Cell::new(None) };
}

/// The request that came to the end of the last stack, which holds it until then: what it takes to free depends on what was
/// freed before.
pub fn last() -> Option<Request<Full<Bytes>>> {
    LAST.take()
}

/// The stack of tower-http's layer.
pub type StaticHeader = AddAuthorization<Inner>;

/// What all others are compared with: tower-http's layer that puts the same header on every request.
pub fn fixed() -> StaticHeader {
    AddAuthorizationLayer::bearer(SECRET).layer(Inner)
}

/// A layer for the origin of [`request`], of a cache that has a token.
pub fn layer(secret: &str) -> OAuthLayer {
    OAuthLayer::for_origin(ORIGIN, cached(secret)).expect("an origin")
}

/// A cache that has a token, which lives for a day.
pub fn cached(secret: &str) -> TokenCache {
    let secret = secret.to_owned();
    let source = source_fn(move |_| {
        let token = Token::new(&secret).map(|token| token.with_lifetime(Duration::from_secs(24 * 60 * 60)));
        ready(token)
    });
    let tokens = TokenCache::new(source);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(tokens.warm_up()).expect("a token");
    tokens
}

/// With six headers, as a request for a page of conversations has, and room for more: that a header map grows for its
/// seventh is the map's price, not a layer's. Nor is that of freeing what is in it, so that nothing is but the map itself.
pub fn request() -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from_static(b"{}")));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("https://api.example.com/api/v2/analytics/conversations/details/query");
    let headers = request.headers_mut();
    headers.reserve(12);
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    request
}

/// Sends through a stack that neither waits to be ready nor to answer.
///
/// # Panics
///
/// If it waits.
pub fn send<S: Stack>(service: &mut S, request: Request<Full<Bytes>>) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let mut response = pin!(service.call(request));
    assert!(black_box(response.as_mut().poll(&mut cx)).is_ready());
}

/// 86 characters, as opaque tokens have.
pub const SECRET: &str = "Zx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2h12";
const ORIGIN: &str = "https://api.example.com";
const HEADERS: [(&str, &str); 6] = [
    ("accept", "application/json"),
    ("accept-encoding", "gzip"),
    ("content-type", "application/json"),
    ("user-agent", "bench/1.0"),
    ("x-request-id", "0123456789"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
];
