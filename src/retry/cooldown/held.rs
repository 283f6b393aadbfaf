//! A request that waits: for its time, then for its service.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Request;
use pin_project_lite::pin_project;
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep_until},
};
use tower::BoxError;
use tower_service::Service;

use super::queue::{Queue, Watch};
use crate::error::Error;

pin_project! {
    pub(super) struct Held<S, B> {
        service: S,
        request: Option<Request<B>>,
        queue: Queue,
        // When to ask again.
        release: Option<Instant>,
        // Whether the service may hold a place for us.
        polled: bool,
        // Made by the first poll that has to wait: a service may be called outside of a runtime, where no timer can be made.
        #[pin]
        timer: Option<Sleep>,
    }
}

// === impl Held ===

impl<S, B> Held<S, B> {
    pub(super) fn new(service: S, request: Request<B>, queue: Queue, release: Instant) -> Self {
        Self { service, request: Some(request), queue, release: Some(release), polled: false, timer: None }
    }
}

impl<S, B> Held<S, B>
where
    S: Service<Request<B>> + Clone,
    S::Error: Into<BoxError>,
{
    #[allow(clippy::type_complexity, reason = "the two parts of the next state")]
    pub(super) fn poll_sent(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(S::Future, Watch), BoxError>> {
        loop {
            if let Some(release) = self.release {
                ready!(self.as_mut().poll_timer(release, cx))?;
            }
            let this = self.as_mut().project();
            if this.request.is_none() {
                return Poll::Ready(Err("the response future was polled after completion".into()));
            }
            // Asked in every poll: also becoming ready may have taken a while.
            *this.release = this.queue.ask()?;
            if this.release.is_some() {
                if *this.polled {
                    *this.service = this.service.clone();
                    *this.polled = false;
                }
                continue;
            }
            *this.polled = true;
            if let Poll::Ready(ready) = this.service.poll_ready(cx) {
                ready.map_err(Into::into)?;
                if let Some(request) = this.request.take() {
                    return Poll::Ready(Ok((this.service.call(request), this.queue.leave())));
                }
            } else {
                let Some(deadline) = this.queue.deadline() else { return Poll::Pending };
                ready!(self.as_mut().poll_timer(deadline, cx))?;
                return Poll::Ready(Err(Error::deadline(false).into()));
            }
        }
    }

    fn poll_timer(self: Pin<&mut Self>, at: Instant, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let mut this = self.project();
        if this.timer.as_ref().as_pin_ref().is_none_or(|timer| timer.deadline() != at) {
            if Handle::try_current().is_err() {
                return Poll::Ready(Err(this.queue.no_timer()));
            }
            this.timer.set(Some(sleep_until(at)));
        }
        match this.timer.as_pin_mut() {
            Some(timer) => timer.poll(cx).map(Ok),
            None => Poll::Ready(Ok(())),
        }
    }
}
