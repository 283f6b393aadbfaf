//! One page: asked for, received whole, understood; asked for again where that fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, response::Parts};
use http_body::Body;
use http_body_util::Full;
use tokio::time::{sleep, timeout};
use tower::BoxError;
use tower_service::Service;
use tracing::warn;

use super::{
    answer::Answer,
    collect::collect,
    error::{Error, ErrorKind},
    limits::Limits,
    position::Position,
    query::Query,
};

/// How far the pager has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    pub(super) pages: u64,
    pub(super) items: u64,
}

pub(super) struct Fetch<S> {
    pub(super) service: S,
    pub(super) query: Arc<Query>,
    pub(super) limits: Limits,
    pub(super) position: Position,
    /// Of the page, counted from 1.
    pub(super) number: u64,
    pub(super) rng: fastrand::Rng,
    /// Counts the times a page was asked for again.
    pub(super) repeats: Arc<AtomicU64>,
}

// === impl Fetch ===

impl<S, R> Fetch<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    pub(super) async fn run(mut self) -> Result<Answer, Error> {
        let number = self.number;
        let attempts = if self.query.is_repeatable() { self.limits.page_attempts } else { 1 };
        let mut attempt = 1;
        loop {
            let error = match self.attempt(number).await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.kind() == ErrorKind::Body && attempt < attempts => error,
                Err(error) => return Err(error.on_page(number)),
            };
            let pause = FIRST_PAUSE.saturating_mul(1 << attempt.min(16)).min(LONGEST_PAUSE).mul_f64(self.rng.f64());
            warn!(page = number, attempt, wait = ?pause, %error, "asking for the page again");
            self.repeats.fetch_add(1, Ordering::Relaxed);
            sleep(pause).await;
            attempt += 1;
        }
    }

    async fn attempt(&mut self, number: u64) -> Result<Answer, Error> {
        let request = self.query.request(&self.position)?;
        let uri = request.uri().clone();
        let unsent = |error: BoxError| Error::new(ErrorKind::Send, "the request got no answer").with_source(error);
        std::future::poll_fn(|cx| self.service.poll_ready(cx)).await.map_err(|error| unsent(error.into()))?;
        let response = self.service.call(request).await.map_err(|error| unsent(error.into()))?;
        let (head, body) = response.into_parts();
        match self.answer(&head, body, number, uri).await {
            Ok(answer) => Ok(Answer { headers: head.headers, ..answer }),
            Err(error) if error.kind() == ErrorKind::Status => Err(error),
            // Whatever is wrong with the page: support wants to know which answer it was.
            Err(error) => Err(error.with_correlation_id(self.query.correlation_id(&head.headers))),
        }
    }

    async fn answer(&mut self, head: &Parts, body: R, number: u64, uri: Uri) -> Result<Answer, Error> {
        if head.status == StatusCode::NO_CONTENT {
            return Ok(Answer { uri, ..Answer::default() });
        }
        if !head.status.is_success() {
            // What it says matters less than that it was refused.
            let body = timeout(ERROR_BODY_TIMEOUT, collect(body, self.limits, MAX_ERROR_BYTES)).await;
            let body = body.ok().and_then(Result::ok).unwrap_or_default();
            return Err(Error::status_of(head.status, (self.query.explain)(&head.headers, &body)));
        }
        let bytes = collect(body, self.limits, self.limits.max_page_bytes).await?;
        let shape = self.query.shape_of(&bytes)?;
        let answer = Answer::read(&shape, head, &bytes, number, uri)?;
        shape.guess.map_or(Ok(()), |guess| guess.check(&bytes, &answer))?;
        Ok(Answer { shape: Some(shape), ..answer })
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_ERROR_BYTES: usize = 64 * 1024;
