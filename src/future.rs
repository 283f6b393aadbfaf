//! The future of [`OAuth`](crate::OAuth), for those who have to name it.
//!
//! ```
//! use tower::{BoxError, Service};
//! use tower_oauth2::{OAuth, future::ResponseFuture};
//! use http::{Request, Response};
//!
//! /// Sends to one path only.
//! fn ping<S>(api: &mut OAuth<S>) -> Result<ResponseFuture<S, String>, BoxError>
//! where
//!     S: Service<Request<String>, Response = Response<String>> + Clone,
//!     S::Error: Into<BoxError>,
//! {
//!     Ok(api.call(Request::get("https://api.example.com/ping").body(String::new())?))
//! }
//! ```

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use pin_project_lite::pin_project;
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};
use tower::BoxError;
use tower_service::Service;

use crate::{
    cache::{Grant, Lease, TokenCache},
    challenge,
    error::{Error, Kind},
    token::TokenRejected,
};

pin_project! {
    /// Response future of [`OAuth`](crate::OAuth).
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Service<Request<B>>,
    {
        Sending {
            #[pin]
            future: S::Future,
            // The token that the request carries, if it is one of ours.
            lease: Option<Arc<Lease>>,
        },
        // Boxed, because it is rare, and much larger than what everybody else would have to carry.
        Waiting { waiting: Box<Waiting<S, B>> },
    }
}

/// A request that waits for a token, then for its service.
struct Waiting<S, B> {
    tokens: TokenCache,
    token: Acquire,
    lease: Option<Arc<Lease>>,
    service: S,
    request: Option<Request<B>>,
}

type Acquire = Pin<Box<dyn Future<Output = Result<Grant, Error>> + Send>>;

// === impl ResponseFuture ===

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(crate) fn sending(future: S::Future, lease: Option<Arc<Lease>>) -> Self {
        Self { state: State::Sending { future, lease } }
    }

    pub(crate) fn waiting(tokens: TokenCache, service: S, request: Request<B>, now: Instant, until: Instant) -> Self {
        let cache = tokens.clone();
        let token: Acquire = Box::pin(async move {
            if Handle::try_current().is_err() {
                // The cache says so; a timer would panic.
                return tokens.acquire().await;
            }
            timeout_at(until, tokens.acquire()).await.unwrap_or_else(|_| {
                let after = until.saturating_duration_since(now);
                Err(Error::new(Kind::Timeout { what: "waiting for a token", after }).with_transient(true))
            })
        });
        let waiting = Waiting { tokens: cache, token, lease: None, service, request: Some(request) };
        Self { state: State::Waiting { waiting: Box::new(waiting) } }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<R>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Sending { future, lease } => {
                    let mut response = ready!(future.poll(cx)).map_err(Into::into)?;
                    if let Some(lease) = lease.as_ref().filter(|_| response.status() == StatusCode::UNAUTHORIZED) {
                        observe(&mut response, lease);
                    }
                    return Poll::Ready(Ok(response));
                }
                StateProj::Waiting { waiting } => {
                    let (future, lease) = ready!(waiting.poll_sent(cx))?;
                    this.state.set(State::Sending { future, lease: Some(lease) });
                }
            }
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

// === impl Waiting ===

impl<S, B> Waiting<S, B>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    #[allow(clippy::type_complexity, reason = "the two parts of the next state")]
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(S::Future, Arc<Lease>), BoxError>> {
        let lease = match &self.lease {
            Some(lease) => Arc::clone(lease),
            None => Arc::clone(self.lease.insert(ready!(self.token.as_mut().poll(cx))?.lease)),
        };
        ready!(self.service.poll_ready(cx)).map_err(Into::into)?;
        // That may have taken a while: a token which was replaced meanwhile would only be refused.
        let lease = self.tokens.peek(Instant::now()).map_or(lease, |(grant, _)| grant.lease);
        let Some(mut request) = self.request.take() else {
            return Poll::Ready(Err("the response future was polled after completion".into()));
        };
        request.headers_mut().insert(AUTHORIZATION, lease.header().clone());
        Poll::Ready(Ok((self.service.call(request), lease)))
    }
}

/// The layer observes and tells; whether to send again is for a retry policy, which cannot see the token, and which
/// tower does not even ask about a body that it could not clone.
fn observe<R>(response: &mut Response<R>, lease: &Lease) {
    if !challenge::says_insufficient_scope(response.headers()) {
        let renewable = lease.reject();
        response.extensions_mut().insert(TokenRejected::new(renewable));
    }
}
