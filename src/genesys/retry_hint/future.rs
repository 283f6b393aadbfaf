//! Reads the body of a 429, and of nothing else.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::SystemTime,
};

use bytes::Bytes;
use http::{Response, StatusCode, response::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::{
    runtime::Handle,
    time::{Sleep, sleep},
};

use super::{
    Limits,
    body::{Read, RetryHintBody},
    hint,
};
use crate::{retry::RetryHint, retry_after::retry_after};

pin_project! {
    /// Future of [`RetryHintService`](super::RetryHintService).
    pub struct RetryHintFuture<F, B>
    where
        B: Body,
    {
        #[pin]
        future: F,
        limits: Limits,
        reading: Option<Box<Reading<B>>>,
    }
}

struct Reading<B: Body> {
    parts: Parts,
    read: Read<B>,
    timer: Pin<Box<Sleep>>,
}

// === impl RetryHintFuture ===

impl<F, B: Body> RetryHintFuture<F, B> {
    pub(super) fn new(future: F, limits: Limits) -> Self {
        Self { future, limits, reading: None }
    }
}

impl<F, B, E> Future for RetryHintFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<RetryHintBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut reading = match this.reading.take() {
            Some(reading) => reading,
            None => {
                let response = ready!(this.future.poll(cx))?;
                if !is_silent(&response) {
                    return Poll::Ready(Ok(response.map(RetryHintBody::untouched)));
                }
                let (parts, body) = response.into_parts();
                Box::new(Reading { parts, read: Read::new(body), timer: Box::pin(sleep(this.limits.timeout)) })
            }
        };
        let found = match reading.read.poll_all(this.limits.max_body, cx) {
            Poll::Ready(all) => all.and_then(|all| hint(&all)),
            Poll::Pending if reading.timer.as_mut().poll(cx).is_ready() => None,
            Poll::Pending => {
                *this.reading = Some(reading);
                return Poll::Pending;
            }
        };
        let Reading { mut parts, read, .. } = *reading;
        if let Some(wait) = found {
            parts.extensions.insert(RetryHint(wait));
        }
        Poll::Ready(Ok(Response::from_parts(parts, RetryHintBody::read(read))))
    }
}

impl<F, B: Body> fmt::Debug for RetryHintFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryHintFuture").finish_non_exhaustive()
    }
}

/// Whether it is limited, and its head does not say for how long. Outside of a runtime nothing would end the wait for a
/// body: it is left alone there.
fn is_silent<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::TOO_MANY_REQUESTS
        && retry_after(response.headers(), SystemTime::now()).is_none()
        && Handle::try_current().is_ok()
}
