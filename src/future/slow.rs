//! What few requests are: one that waits for its token, one that has a deadline, and one that is not sent.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep_until},
};
use tower::BoxError;
use tower_service::Service;

use super::{observe, waiting::Waiting};
use crate::{
    cache::Carried,
    error::{Error, Kind},
};

pin_project! {
    /// A request that is not simply sent.
    pub(super) struct Slow<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        phase: Phase<S, B>,
        deadline: Option<Instant>,
        // Whether the status of gRPC counts.
        grpc: bool,
        // Made by the first poll that has to wait: a service may be called outside of a runtime, where no timer can be made.
        #[pin]
        timer: Option<Sleep>,
    }
}

pin_project! {
    #[project = PhaseProj]
    enum Phase<S, B>
    where
        S: Service<Request<B>>,
    {
        Waiting { waiting: Waiting<S, B> },
        // With a deadline or gRPC only; all others go on without this box.
        Sending {
            #[pin]
            future: S::Future,
            carried: Option<Carried>,
        },
        // The error until it was told.
        Over { error: Option<Error> },
    }
}

/// What has become of it.
pub(super) enum Outcome<F, R> {
    /// It is on its way, and nothing bounds that.
    Sent {
        future: F,
        carried: Carried,
    },
    Response(Response<R>),
}

// === impl Slow ===

impl<S, B> Slow<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn waiting(waiting: Waiting<S, B>, grpc: bool) -> Self {
        let deadline = waiting.deadline();
        Self { phase: Phase::Waiting { waiting }, deadline, grpc, timer: None }
    }

    pub(super) fn sending(future: S::Future, carried: Option<Carried>, deadline: Option<Instant>, grpc: bool) -> Self {
        Self { phase: Phase::Sending { future, carried }, deadline, grpc, timer: None }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self { phase: Phase::Over { error: Some(error) }, deadline: None, grpc: false, timer: None }
    }
}

impl<S, B, R> Slow<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
{
    pub(super) fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Outcome<S::Future, R>, BoxError>> {
        loop {
            let mut this = self.as_mut().project();
            match this.phase.as_mut().project() {
                PhaseProj::Waiting { waiting } => match waiting.poll_sent(cx) {
                    Poll::Ready(Ok((future, carried))) if this.deadline.is_some() || *this.grpc => {
                        this.phase.set(Phase::Sending { future, carried: Some(carried) });
                    }
                    Poll::Ready(sent) => {
                        return Poll::Ready(sent.map(|(future, carried)| Outcome::Sent { future, carried }));
                    }
                    Poll::Pending => return self.poll_deadline(cx, false),
                },
                PhaseProj::Sending { future, carried } => match future.poll(cx) {
                    Poll::Ready(Ok(mut response)) => {
                        observe(&mut response, *carried, *this.grpc);
                        return Poll::Ready(Ok(Outcome::Response(response)));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                    Poll::Pending => return self.poll_deadline(cx, true),
                },
                PhaseProj::Over { error } => {
                    let polled_again = "the response future was polled after completion";
                    return Poll::Ready(Err(error.take().map_or_else(|| polled_again.into(), BoxError::from)));
                }
            }
        }
    }

    /// Ends what is still pending at the deadline.
    fn poll_deadline<T>(self: Pin<&mut Self>, cx: &mut Context<'_>, sent: bool) -> Poll<Result<T, BoxError>> {
        let mut this = self.project();
        let Some(deadline) = *this.deadline else { return Poll::Pending };
        let error = if is_over(deadline) {
            Error::deadline(sent)
        } else if this.timer.is_some() || Handle::try_current().is_ok() {
            if this.timer.is_none() {
                this.timer.set(Some(sleep_until(deadline)));
            }
            if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                ready!(timer.poll(cx));
            }
            Error::deadline(sent)
        } else {
            // Nobody would wake it in time: better no answer than a bound that does not hold.
            Error::new(Kind::NoTimer)
        };
        // What is pending ends now, and not when the caller gets round to dropping this future.
        this.phase.set(Phase::Over { error: None });
        Poll::Ready(Err(error.into()))
    }
}

/// Whether nothing is to be sent any more.
pub(super) fn is_over(deadline: Instant) -> bool {
    Instant::now() >= deadline
}
