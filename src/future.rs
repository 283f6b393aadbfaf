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
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
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
    /// In a `Mutex` that is never locked: what is inside need not be `Sync`, and the future is.
    token: Mutex<Acquire>,
    lease: Option<Arc<Lease>>,
    service: S,
    request: Option<Request<B>>,
    patience: Patience,
    waits_since: Instant,
    started_over: u8,
}

/// How long to wait for a token, over all times that a request does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) left: Duration,
    pub(crate) deadline: Option<Instant>,
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

    pub(crate) fn waiting(tokens: TokenCache, service: S, request: Request<B>, patience: Patience) -> Self {
        let waits_since = Instant::now();
        let token = Mutex::new(acquire(tokens.clone(), patience, waits_since));
        let request = Some(request);
        let waiting = Waiting { tokens, token, lease: None, service, request, patience, waits_since, started_over: 0 };
        Self { state: State::Waiting { waiting: Box::new(waiting) } }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
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
    S: Service<Request<B>> + Clone,
    S::Error: Into<BoxError>,
{
    #[allow(clippy::type_complexity, reason = "the two parts of the next state")]
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(S::Future, Arc<Lease>), BoxError>> {
        loop {
            let lease = match &self.lease {
                Some(lease) => Arc::clone(lease),
                None => {
                    let token = self.token.get_mut().unwrap_or_else(PoisonError::into_inner);
                    let grant = ready!(token.as_mut().poll(cx))?;
                    let waited = Instant::now().saturating_duration_since(self.waits_since);
                    self.patience.left = self.patience.left.saturating_sub(waited);
                    Arc::clone(self.lease.insert(grant.lease))
                }
            };
            ready!(self.service.poll_ready(cx)).map_err(Into::into)?;
            let Some(lease) = self.still_good(lease) else {
                self.start_over();
                continue;
            };
            let Some(mut request) = self.request.take() else {
                return Poll::Ready(Err("the response future was polled after completion".into()));
            };
            request.headers_mut().insert(AUTHORIZATION, lease.header().clone());
            return Poll::Ready(Ok((self.service.call(request), lease)));
        }
    }

    /// Becoming ready may have taken a while: a token that was replaced, refused or outlived meanwhile is not sent. A service
    /// that takes longer each time than tokens live gets one all the same in the end: its 401 says more than a wait
    /// without end.
    fn still_good(&self, lease: Arc<Lease>) -> Option<Arc<Lease>> {
        match self.tokens.try_acquire(Instant::now(), Duration::ZERO) {
            Some((grant, _)) => Some(grant.lease),
            None => (lease.is_for_once() || self.started_over >= MAX_START_OVERS).then_some(lease),
        }
    }

    /// Waits for a token again, and gives readiness up again meanwhile.
    fn start_over(&mut self) {
        self.service = self.service.clone();
        self.lease = None;
        self.started_over += 1;
        self.waits_since = Instant::now();
        self.token = Mutex::new(acquire(self.tokens.clone(), self.patience, self.waits_since));
    }
}

fn acquire(tokens: TokenCache, patience: Patience, since: Instant) -> Acquire {
    let until = since + patience.left;
    let until = patience.deadline.map_or(until, |deadline| deadline.min(until));
    Box::pin(async move {
        // A hit or a stored error needs no timer, which there is none of outside of a runtime.
        let acquire = tokens.acquire(Duration::ZERO);
        if Handle::try_current().is_err() {
            return acquire.await;
        }
        timeout_at(until, acquire).await.unwrap_or_else(|_| {
            let after = until.saturating_duration_since(since);
            Err(Error::new(Kind::Timeout { what: "waiting for a token", after }).with_transient(true))
        })
    })
}

/// The layer observes and tells; whether to send again is for a retry policy, which cannot see the token, and which
/// tower does not even ask about a body that it could not clone.
fn observe<R>(response: &mut Response<R>, lease: &Lease) {
    if !challenge::says_insufficient_scope(response.headers()) {
        let renewable = lease.reject();
        response.extensions_mut().insert(TokenRejected::new(renewable));
    }
}

const MAX_START_OVERS: u8 = 3;
