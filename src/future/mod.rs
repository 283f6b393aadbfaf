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

mod slow;
mod waiting;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::BoxError;
use tower_service::Service;
use tracing::warn;

use self::slow::{Outcome, Slow};
pub(crate) use self::waiting::{Demand, Waiting};
use crate::{
    cache::Carried,
    challenge,
    error::Error,
    stacking::{GivenUp, Observed},
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
            carried: Option<Carried>,
        },
        // Boxed, because it is rare, and much larger than what everybody else would have to carry. Whatever else is rare
        // belongs in there: a third arm could make the future larger.
        Slow { slow: Pin<Box<Slow<S, B>>> },
    }
}

// === impl ResponseFuture ===

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    /// Only what has a deadline pays for it, and only what looks for the status of gRPC.
    pub(crate) fn sending(future: S::Future, carried: Option<Carried>, deadline: Option<Instant>, grpc: bool) -> Self {
        if deadline.is_none() && !grpc {
            return Self { state: State::Sending { future, carried } };
        }
        Self::slow(Slow::sending(future, carried, deadline, grpc))
    }

    pub(crate) fn waiting(waiting: Waiting<S, B>, grpc: bool) -> Self {
        Self::slow(Slow::waiting(waiting, grpc))
    }

    /// Nothing is sent.
    pub(crate) fn refused(error: Error) -> Self {
        Self::slow(Slow::refused(error))
    }

    fn slow(slow: Slow<S, B>) -> Self {
        Self { state: State::Slow { slow: Box::pin(slow) } }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<R>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let StateProj::Sending { future, carried } = self.as_mut().project().state.project() {
            // A response is 144 bytes: moved on at once, it is copied once. By way of a variable it was copied twice.
            return match future.poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
                Poll::Ready(Ok(response)) if response.status() != StatusCode::UNAUTHORIZED => Poll::Ready(Ok(response)),
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(marked(response, *carried))),
            };
        }
        self.poll_slow(cx)
    }
}

impl<S, B, R> ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
{
    #[inline(never)]
    fn poll_slow(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response<R>, BoxError>> {
        if let StateProj::Slow { slow } = self.as_mut().project().state.project() {
            match ready!(slow.as_mut().poll(cx))? {
                Outcome::Response(response) => return Poll::Ready(Ok(response)),
                Outcome::Sent { future, carried } => {
                    self.as_mut().project().state.set(State::Sending { future, carried: Some(carried) });
                }
            }
        }
        self.poll(cx)
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

/// The layer observes and tells; whether to send again is for a retry policy, which cannot see the token, and which
/// tower does not even ask about a body that it could not clone.
fn observe<R>(response: &mut Response<R>, carried: Option<Carried>, grpc: bool) {
    if response.status() == StatusCode::UNAUTHORIZED || (grpc && is_unauthenticated(response.headers())) {
        mark(response, carried);
    }
}

#[cold]
fn marked<R>(mut response: Response<R>, carried: Option<Carried>) -> Response<R> {
    mark(&mut response, carried);
    response
}

#[cold]
fn mark<R>(response: &mut Response<R>, carried: Option<Carried>) {
    let carried = carried.filter(|_| !challenge::says_insufficient_scope(response.headers()));
    let Some(carried) = carried else {
        response.extensions_mut().insert(Observed);
        return;
    };
    if response.extensions().get().is_some_and(GivenUp::is_first) {
        warn!(
            "a 401 came by a RetryLayer before it came to the OAuthLayer, which is outside of it: \
             put the RetryLayer outside, or no request is sent again with a new token"
        );
    }
    response.extensions_mut().insert(TokenRejected::new(carried.reject()));
}

/// In the head of a gRPC response that fails at once.
fn is_unauthenticated(headers: &HeaderMap) -> bool {
    headers.get(GRPC_STATUS).is_some_and(|status| status == "16")
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

#[cfg(test)]
mod tests {
    use tower::util::BoxCloneService;

    use super::*;

    /// What the future was before requests had a deadline.
    #[allow(dead_code, reason = "only its size counts")]
    enum Least<F> {
        Sending { future: F, carried: Option<Carried> },
        Waiting(Box<()>),
    }

    #[test]
    fn what_is_rare_makes_the_future_no_larger() {
        type Boxed = BoxCloneService<Request<()>, Response<()>, BoxError>;
        type Function<F> = tower::util::ServiceFn<fn(Request<()>) -> F>;
        fn assert<F: Future<Output = Result<Response<()>, BoxError>>>() {
            assert_eq!(size_of::<ResponseFuture<Function<F>, ()>>(), size_of::<Least<F>>());
        }
        assert::<std::future::Pending<Result<Response<()>, BoxError>>>();
        assert::<std::future::Ready<Result<Response<()>, BoxError>>>();
        assert::<Pin<Box<dyn Future<Output = Result<Response<()>, BoxError>>>>>();
        assert_eq!(size_of::<ResponseFuture<Boxed, ()>>(), size_of::<Least<<Boxed as Service<Request<()>>>::Future>>());
    }
}
