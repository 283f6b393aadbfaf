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
use tokio::time::sleep;
use tower::BoxError;
use tower_service::Service;
use tracing::warn;

use super::{
    answer::Answer,
    error::{Error, ErrorKind},
    exchange::exchange,
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
        let max = self.limits.max_page_bytes;
        let (head, bytes) = exchange(&mut self.service, request, &self.query, self.limits, max).await?;
        if head.status == StatusCode::NO_CONTENT {
            return Ok(Answer { uri, headers: head.headers, ..Answer::default() });
        }
        match self.read(&head, &bytes, number, uri) {
            Ok(answer) => Ok(Answer { headers: head.headers, ..answer }),
            Err(error) => Err(error.with_correlation_id(self.query.correlation_id(&head.headers))),
        }
    }

    fn read(&self, head: &Parts, bytes: &Bytes, number: u64, uri: Uri) -> Result<Answer, Error> {
        let shape = self.query.shape_of(bytes, &head.headers)?;
        let answer = Answer::read(&shape, head, bytes, number, uri)?;
        shape.guess.map_or(Ok(()), |guess| guess.check(bytes, &answer))?;
        Ok(Answer { shape: Some(shape), ..answer })
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
