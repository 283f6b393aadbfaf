//! What ours is measured beside.

use std::{
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use http_body_util::Full;
use tower::{
    BoxError, Layer, Service, ServiceBuilder,
    retry::{Policy, RetryLayer},
};
use tower_oauth2::retry::RetryPolicy;

use crate::stack::{Answer, Inner, SECRET, Stack, fixed, layer};

/// The header behind a lock, and nothing else: what a hit must never be slower than.
#[derive(Clone, Debug)]
pub struct Locked {
    inner: Inner,
    header: Arc<RwLock<Arc<HeaderValue>>>,
}

/// Clones the service for each request.
#[derive(Clone, Debug)]
pub struct Clonable<S>(pub S);

/// Never sends again. tower clones each request for it all the same.
#[derive(Clone, Copy, Debug)]
pub struct NoPolicy;

/// What a retry policy is compared with: tower's `Retry` with a policy that does nothing.
pub fn empty() -> impl Stack {
    ServiceBuilder::new().layer(RetryLayer::new(NoPolicy)).service(Inner)
}

/// All of them.
pub const NAMES: [&str; 8] = [
    "bare",
    "static header",
    "plain RwLock",
    "oauth",
    "oauth, cloned",
    "oauth, 3.4 kB",
    "empty policy",
    "retry policy",
];

/// Shows the contestant `name` to `visitor`.
///
/// # Panics
///
/// If there is none by that name.
pub fn visit(name: &str, visitor: &mut impl Visitor) {
    match name {
        "bare" => visitor.visit(Inner),
        "static header" => visitor.visit(fixed()),
        "plain RwLock" => visitor.visit(Locked::new()),
        "oauth" => visitor.visit(layer(SECRET).layer(Inner)),
        "oauth, cloned" => visitor.visit(Clonable(layer(SECRET).layer(Inner))),
        "oauth, 3.4 kB" => visitor.visit(layer(&SECRET.repeat(40)).layer(Inner)),
        "empty policy" => visitor.visit(empty()),
        "retry policy" => {
            visitor.visit(ServiceBuilder::new().layer(RetryLayer::new(RetryPolicy::new())).service(Inner));
        }
        unknown => panic!("no contestant {unknown}"),
    }
}

/// Who looks at a stack, whatever its type.
pub trait Visitor {
    /// The stack in question.
    fn visit<S: Stack>(&mut self, service: S);
}

// === impl Locked ===

impl Locked {
    /// With the usual token.
    #[expect(clippy::new_without_default, reason = "a contestant, not a value")]
    pub fn new() -> Self {
        let header = HeaderValue::try_from(format!("Bearer {SECRET}")).expect("a header");
        Self { inner: Inner, header: Arc::new(RwLock::new(Arc::new(header))) }
    }
}

impl Service<Request<Full<Bytes>>> for Locked {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> Self::Future {
        let header = Arc::clone(&self.header.read().unwrap_or_else(PoisonError::into_inner));
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::clone(&header));
        self.inner.call(request)
    }
}

// === impl Clonable ===

impl<S: Stack> Service<Request<Full<Bytes>>> for Clonable<S> {
    type Response = Response<()>;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    /// As `service.clone().oneshot(request)` does.
    fn call(&mut self, request: Request<Full<Bytes>>) -> S::Future {
        let mut service = self.0.clone();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))), "the stacks are always ready");
        service.call(request)
    }
}

// === impl NoPolicy ===

impl<Q: Clone, R, E> Policy<Q, R, E> for NoPolicy {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut Q, _: &mut Result<R, E>) -> Option<Self::Future> {
        None
    }

    fn clone_request(&mut self, request: &Q) -> Option<Q> {
        Some(request.clone())
    }
}
