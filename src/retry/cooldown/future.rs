//! The response future.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::BoxError;
use tower_service::Service;

use super::{held::Held, queue::Watch};

pin_project! {
    /// Response future of [`Cooldown`](super::Cooldown).
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
            watch: Watch,
        },
        // Boxed, because it is rare and large.
        Held { held: Pin<Box<Held<S, B>>> },
        // The error until it was told.
        Refused { error: Option<BoxError> },
    }
}

// === impl ResponseFuture ===

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn sending(future: S::Future, watch: Watch) -> Self {
        Self { state: State::Sending { future, watch } }
    }

    pub(super) fn held(held: Held<S, B>) -> Self {
        Self { state: State::Held { held: Box::pin(held) } }
    }

    /// Nothing is sent.
    pub(super) fn refused(error: BoxError) -> Self {
        Self { state: State::Refused { error: Some(error) } }
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
                StateProj::Sending { future, watch } => {
                    let result = ready!(future.poll(cx)).map_err(Into::into);
                    match &result {
                        Ok(response) => watch.heed(response),
                        Err(error) => watch.heed_error(error),
                    }
                    return Poll::Ready(result);
                }
                StateProj::Held { held } => match ready!(held.as_mut().poll_sent(cx)) {
                    Ok((future, watch)) => this.state.set(State::Sending { future, watch }),
                    // What is held ends now, and not when the caller gets round to dropping this future.
                    Err(error) => this.state.set(State::Refused { error: Some(error) }),
                },
                StateProj::Refused { error } => {
                    let polled_again = "the response future was polled after completion";
                    return Poll::Ready(Err(error.take().unwrap_or_else(|| polled_again.into())));
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
