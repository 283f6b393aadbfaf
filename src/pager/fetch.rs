//! One page: asked for, received whole, understood; asked for again where that fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{Request, Response, StatusCode, Uri, response::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tower::BoxError;
use tower_service::Service;
use tracing::warn;

use super::{
    error::{Error, ErrorKind},
    limits::Limits,
    page::Page,
    position::{Link, Position, link},
    query::Query,
    rule::Kind,
};
use crate::json;

/// How far the pager has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    pub(super) pages: u64,
    pub(super) items: u64,
}

/// A page, and where to go on.
pub(super) struct Fetched {
    pub(super) page: Option<Page>,
    pub(super) next: Option<Position>,
}

pub(super) struct Fetch<S> {
    pub(super) service: S,
    pub(super) query: Arc<Query>,
    pub(super) limits: Limits,
    pub(super) position: Position,
    pub(super) progress: Progress,
    /// What the page before said there is on all pages.
    pub(super) total: Option<u64>,
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
    pub(super) async fn run(mut self) -> Result<Fetched, Error> {
        let number = self.progress.pages.saturating_add(1);
        let attempts = if self.query.is_repeatable() { self.limits.page_attempts } else { 1 };
        let mut attempt = 1;
        loop {
            let error = match self.attempt(number).await {
                Ok(fetched) => return Ok(fetched),
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

    async fn attempt(&mut self, number: u64) -> Result<Fetched, Error> {
        let request = self.query.request(&self.position)?;
        let uri = request.uri().clone();
        let unsent = |error: BoxError| Error::new(ErrorKind::Send, "the request got no answer").with_source(error);
        std::future::poll_fn(|cx| self.service.poll_ready(cx)).await.map_err(|error| unsent(error.into()))?;
        let response = self.service.call(request).await.map_err(|error| unsent(error.into()))?;
        let (head, body) = response.into_parts();
        self.answer(&head, body, number, &uri).await.map_err(|error| {
            if error.kind() == ErrorKind::Status {
                return error;
            }
            // Whatever is wrong with the page: support wants to know which answer it was.
            error.with_correlation_id((self.query.explain)(&head.headers, b"").correlation_id)
        })
    }

    async fn answer(&mut self, head: &Parts, body: R, number: u64, uri: &Uri) -> Result<Fetched, Error> {
        if head.status == StatusCode::NO_CONTENT {
            end(self.progress.items, self.total)?;
            return Ok(Fetched { page: None, next: None });
        }
        if !head.status.is_success() {
            // What it says matters less than that it was refused.
            let body = timeout(ERROR_BODY_TIMEOUT, collect(body, self.limits, MAX_ERROR_BYTES)).await;
            let body = body.ok().and_then(Result::ok).unwrap_or_default();
            return Err(Error::status_of(head.status, (self.query.explain)(&head.headers, &body)));
        }
        let bytes = collect(body, self.limits, self.limits.max_page_bytes).await?;
        self.read(&bytes, number, uri)
    }

    fn read(&self, bytes: &Bytes, number: u64, uri: &Uri) -> Result<Fetched, Error> {
        let Query { items, places, .. } = &*self.query;
        let pointers: Vec<_> = [&places.next, &places.total, &places.page_count].into_iter().flatten().collect();
        let found = json::find(bytes, Some(items), &pointers).map_err(|error| {
            let what = if bytes.is_empty() { "empty" } else { "not the JSON it should be" };
            Error::new(ErrorKind::Body, format!("the page is {what}")).with_source(error)
        })?;
        let mut values = found.values.into_iter();
        let mut value = |place: &Option<_>| place.as_ref().and_then(|_| values.next().flatten());
        let next = value(&places.next).map(link).transpose().map_err(|error| {
            Error::new(ErrorKind::Body, "what should name the next page is neither text nor a number")
                .with_source(error)
        })?;
        let next = next.flatten();
        let total = value(&places.total).and_then(|value| value.get().parse::<u64>().ok());
        let page_count = value(&places.page_count).and_then(|value| value.get().parse::<u64>().ok());
        // An API that leaves out an empty list still says something of pages; an error behind a 200 does not.
        if found.items.is_none() && next.is_none() && total.is_none() && page_count.is_none() {
            return Err(Error::new(ErrorKind::Body, format!("the answer has no {items}")));
        }

        let origin = bytes.as_ptr() as usize;
        let slice = |text: &str| {
            let start = text.as_ptr() as usize - origin;
            start..start + text.len()
        };
        let items: Vec<_> = found.items.unwrap_or_default().iter().map(|raw| slice(raw.get())).collect();
        let page = Page { number, bytes: bytes.clone(), items, total };
        let next = self.next(&page, next, page_count, uri)?;
        Ok(Fetched { page: Some(page), next })
    }

    fn next(&self, page: &Page, link: Option<Link>, count: Option<u64>, uri: &Uri) -> Result<Option<Position>, Error> {
        let items = self.progress.items.saturating_add(page.len() as u64);
        let total = page.total.or(self.total);
        let next = match &self.query.rule.kind {
            Kind::Single => None,
            Kind::NextUrl { .. } => link.map(|link| Position::url(&link, uri)),
            Kind::Cursor { .. } => link.map(Position::cursor),
            Kind::PageNumber { first, .. } => {
                let number = if let Position::Page(number) = self.position { number } else { *first };
                let seen = number.saturating_sub(*first).saturating_add(1);
                let last = match (count, total) {
                    (_, Some(total)) if items == total => true,
                    (Some(count), total) if seen >= count && total.is_none_or(|total| items >= total) => true,
                    (Some(_), None) => false,
                    // Also where they contradict each other or the items: the next page will show which is right.
                    _ => page.is_empty(),
                };
                (!last).then_some(Position::Page(number.saturating_add(1)))
            }
        };
        if next.is_none() {
            end(items, total)?;
        }
        Ok(next)
    }
}

/// Whether the answers may end here.
fn end(items: u64, total: Option<u64>) -> Result<(), Error> {
    match total.filter(|total| items < *total) {
        Some(total) => {
            Err(Error::new(ErrorKind::Incomplete, format!("the answers end after {items} of {total} items")))
        }
        None => Ok(()),
    }
}

/// A body whole, or not at all: a page of which a part is missing is no page.
async fn collect<R>(body: R, limits: Limits, max: usize) -> Result<Bytes, Error>
where
    R: Body,
    R::Error: Into<BoxError>,
{
    let broken = |message: String| Error::new(ErrorKind::Body, message);
    let give_up_at = Instant::now() + limits.body_timeout;
    let expected = body.size_hint().exact().and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
    let mut body = std::pin::pin!(body);
    let mut bytes = BytesMut::with_capacity(expected.min(max));
    loop {
        let next = timeout_at(give_up_at, timeout(limits.idle_timeout, body.frame())).await;
        let next = next.map_err(|_| broken(format!("the body was not complete within {:?}", limits.body_timeout)))?;
        let next = next.map_err(|_| broken(format!("the body stalled for {:?}", limits.idle_timeout)))?;
        let Some(frame) = next else { return Ok(bytes.freeze()) };
        let frame = frame.map_err(|error| broken("the body broke off".into()).with_source(error))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.remaining() > max {
            return Err(Error::new(ErrorKind::TooLarge, format!("the body is longer than {max} bytes")));
        }
        bytes.put(data);
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_ERROR_BYTES: usize = 64 * 1024;
