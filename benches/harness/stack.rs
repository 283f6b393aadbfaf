//! What is measured: a request, a service that does nothing, and layers on it.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service};
use tower_http::auth::{AddAuthorization, AddAuthorizationLayer};
use tower_oauth2::{OAuthLayer, Token, TokenCache, source_fn};

/// The service at the end of each stack: always ready, and answers at once.
#[derive(Clone, Copy, Debug)]
pub struct Inner;

impl Service<Request<Full<Bytes>>> for Inner {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        black_box(request);
        ready(Ok(Response::new(())))
    }
}

/// What all stacks can do.
pub trait Stack: Service<Request<Full<Bytes>>, Response = Response<()>> + Clone {}

impl<S: Service<Request<Full<Bytes>>, Response = Response<()>> + Clone> Stack for S {}

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

/// A token that lives for an hour.
pub fn hour_long() -> Token {
    Token::new(SECRET).expect("a token").with_lifetime(Duration::from_secs(60 * 60))
}

/// With six headers, as a request for a page of conversations has.
pub fn request() -> Request<Full<Bytes>> {
    Request::post("https://api.example.com/api/v2/analytics/conversations/details/query")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip")
        .header("content-type", "application/json")
        .header("user-agent", "bench/1.0")
        .header("x-request-id", "0123456789")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .body(Full::new(Bytes::from_static(b"{}")))
        .expect("a request")
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
