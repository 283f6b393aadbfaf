//! The service: what passes at once, and what waits.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::BoxError;
use tower_service::Service;

use super::{
    config::Config,
    future::ResponseFuture,
    held::Held,
    queue::{Queue, Watch},
};
use crate::readiness;

/// Sends requests when the server wants to hear of them; made by [`CooldownLayer`](super::CooldownLayer). See the
/// [module](super).
///
/// # Behavior
///
/// * `poll_ready` is that of the inner service: it does not know what the request will be.
/// * While nothing is held back and without pacing, a request is passed on at once: nothing is allocated, and no lock taken.
/// * A request that has to wait gives up the readiness of the inner service, so that no permit of it is held meanwhile; then a
///   clone of it is made ready and called.
/// * It looks again after each wait: the time may have been moved on.
///
/// # Cancellation
///
/// Dropping the response future ends the wait, or drops the inner future. Nobody else waits longer for it.
pub struct Cooldown<S> {
    inner: S,
    config: Arc<Config>,
}

// === impl Cooldown ===

impl<S> Cooldown<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    /// The service underneath.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service underneath.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service underneath.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Cooldown<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (watch, request) = Watch::new(&self.config, request);
        if self.config.is_quiet() {
            return ResponseFuture::sending(self.inner.call(request), watch);
        }
        let mut queue = Queue::new(watch, &request);
        match queue.ask() {
            Ok(None) => ResponseFuture::sending(self.inner.call(request), queue.leave()),
            Ok(Some(at)) => ResponseFuture::held(Held::new(readiness::give_up(&mut self.inner), request, queue, at)),
            Err(error) => {
                readiness::give_up(&mut self.inner);
                ResponseFuture::refused(error)
            }
        }
    }
}

impl<S: Clone> Clone for Cooldown<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), config: Arc::clone(&self.config) }
    }
}

impl<S: fmt::Debug> fmt::Debug for Cooldown<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cooldown").field("inner", &self.inner).field("config", &self.config).finish()
    }
}
