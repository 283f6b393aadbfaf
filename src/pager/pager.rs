//! The stream of pages.

use std::{
    collections::HashSet,
    fmt,
    hash::RandomState,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use serde::de::DeserializeOwned;
use tower::BoxError;
use tower_service::Service;

use super::{
    answer::Answer,
    bare::bare_uri,
    continuation::Continuation,
    error::{Error, ErrorKind},
    fetch::{Fetch, Progress},
    flights::Flights,
    items::{Items, RawItems},
    limits::Limits,
    next,
    page::Page,
    position::Position,
    query::Query,
    read_ahead::ReadAhead,
};

/// A stream of [`Page`]s through any service that takes `Full<Bytes>`; see the [module](super).
#[must_use = "a pager does nothing until it is polled"]
pub struct Pager<S> {
    service: S,
    query: Arc<Query>,
    fingerprint: u64,
    limits: Limits,
    rng: fastrand::Rng,
    /// The page to ask for, or under way; `None` after the last.
    position: Option<Position>,
    /// Whether nothing forbids to ask for it.
    allowed: bool,
    flights: Flights,
    /// How many pages are likely to come behind it.
    behind: u64,
    longest: u64,
    progress: Progress,
    total: Option<u64>,
    /// The page that was handed out last.
    pub(super) last: Option<Continuation>,
    empty_in_a_row: u32,
    seen: HashSet<u64>,
    hasher: RandomState,
    repeats: Arc<AtomicU64>,
    failed: bool,
}

// === impl Pager ===

impl<S> Pager<S> {
    /// From the first page on. Sends nothing until it is polled.
    pub fn new(service: S, query: Query) -> Self {
        let (fingerprint, position) = (query.fingerprint(), query.first());
        let continuation = Continuation { query: fingerprint, position, pages: 0, items: 0, total: None, guess: None };
        Self::at(service, query, continuation)
    }

    /// From `continuation` on.
    ///
    /// # Errors
    ///
    /// If the continuation is of another query.
    pub fn resume(service: S, mut query: Query, continuation: Continuation) -> Result<Self, Error> {
        if continuation.query != query.fingerprint() {
            return Err(Error::config("the continuation is of another query: begin anew, or ask the query it is of"));
        }
        if let Some(guess) = continuation.guess {
            query.shape = Arc::new(guess.shape()?);
        }
        Ok(Self::at(service, query, continuation))
    }

    /// More pages than this are an error. Defaults to 1,000,000.
    pub fn max_pages(mut self, pages: u64) -> Self {
        self.limits.max_pages = pages;
        self
    }

    /// More empty pages in a row than this are an error. Defaults to 16.
    pub fn max_empty_pages(mut self, pages: u32) -> Self {
        self.limits.max_empty_pages = pages;
        self
    }

    /// A longer page than this, in bytes after decompression, is an error. Defaults to 64 MiB.
    pub fn max_page_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_page_bytes = bytes;
        self
    }

    /// How often a page is asked for whose body is broken, the first time included. Defaults to 4; 1 at the least, and for
    /// a query that is not to be [repeated](Query::repeat).
    pub fn page_attempts(mut self, attempts: u32) -> Self {
        self.limits.page_attempts = attempts.max(1);
        self
    }

    /// Asks for up to that many pages at once, 1 to 64, and hands them out in order. Defaults to 1.
    ///
    /// For [`Rule::page_number`](super::Rule::page_number), and for [`Rule::offset`](super::Rule::offset) with a
    /// [`step`](super::Rule::step); with any other rule a page is known from the one before it only. The first page comes
    /// alone, since it says how many there are; where it does not, up to `pages - 1` are asked for behind the last one, and
    /// what is answered there counts for nothing.
    ///
    /// They make progress only while the stream is polled, or [reads ahead](Self::read_ahead). Up to that many pages are
    /// held in memory.
    pub fn concurrency(mut self, pages: u32) -> Self {
        self.limits.concurrency = pages.clamp(1, 64);
        self
    }

    /// The longest pause within a body. Defaults to 30 s; one day at the most.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle_timeout = timeout.min(DAY);
        self
    }

    /// How long a body may take in all. Defaults to 300 s; one day at the most.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.limits.body_timeout = timeout.min(DAY);
        self
    }

    /// Makes the jitter repeatable. Defaults to a seed of the system's.
    pub fn seed(mut self, seed: u64) -> Self {
        self.rng = fastrand::Rng::with_seed(seed);
        self
    }

    /// Where to go on: the page that is next, under way, or failed. `None` after the last page.
    pub fn continuation(&self) -> Option<Continuation> {
        self.position.clone().map(|position| self.continuation_at(position))
    }

    /// How often a page was asked for again because its body was broken.
    pub fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }

    /// Fetches up to `pages` pages, 1 to 1,024, while the ones before them are worked on. Off by default: without it the next
    /// page is asked for when it is polled for.
    pub fn read_ahead(self, pages: usize) -> ReadAhead<S> {
        ReadAhead::new(self, pages)
    }

    /// The items of all pages, as values.
    pub fn items<T: DeserializeOwned>(self) -> Items<S, T> {
        Items::new(self.raw_items())
    }

    /// The items of all pages, as the API wrote them.
    pub fn raw_items(self) -> RawItems<S> {
        RawItems::new(self)
    }

    fn at(service: S, query: Query, continuation: Continuation) -> Self {
        let progress = continuation.progress();
        Self {
            service,
            query: Arc::new(query),
            fingerprint: continuation.query,
            limits: Limits::default(),
            rng: fastrand::Rng::new(),
            position: Some(continuation.position),
            allowed: false,
            flights: Flights::default(),
            behind: 0,
            longest: 0,
            progress,
            total: continuation.total,
            last: None,
            empty_in_a_row: 0,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            repeats: Arc::default(),
            failed: false,
        }
    }

    fn continuation_at(&self, position: Position) -> Continuation {
        let Progress { pages, items } = self.progress;
        let guess = self.query.shape.guess;
        Continuation { query: self.fingerprint, position, pages, items, total: self.total, guess }
    }

    /// What forbids to ask for the next page.
    fn check(&mut self, position: &Position) -> Result<(), Error> {
        let page = self.progress.pages.saturating_add(1);
        if self.progress.pages >= self.limits.max_pages {
            let problem = format!("there are more pages than the {} that are allowed", self.limits.max_pages);
            return Err(Error::new(ErrorKind::MaxPages, problem).on_page(page));
        }
        if self.empty_in_a_row > self.limits.max_empty_pages {
            let problem = format!("{} pages in a row were empty", self.empty_in_a_row);
            return Err(Error::new(ErrorKind::EmptyPages, problem).on_page(page));
        }
        if !self.seen.insert(self.query.hash(position, &self.hasher)) {
            return Err(Error::new(ErrorKind::Loop, "the next page is one that was there before").on_page(page));
        }
        Ok(())
    }

    /// Takes the answer to the page at `position`.
    fn accept(&mut self, answer: Answer) -> Result<Option<Page>, Error> {
        let Some(at) = self.position.take() else { return Ok(None) };
        if let (Some(shape), None) = (&answer.shape, &self.query.shape.guess) {
            if shape.guess.is_some() {
                Arc::make_mut(&mut self.query).shape = Arc::clone(shape);
            }
        }
        let next = match next::after(&self.query.shape.rule, &at, &answer, self.progress, self.total) {
            Ok(next) => next,
            Err(error) => {
                self.position = Some(at);
                let id = self.query.correlation_id(&answer.headers);
                return Err(error.with_correlation_id(id).on_page(self.progress.pages.saturating_add(1)));
            }
        };
        self.allowed = false;
        if let Some(page) = &answer.page {
            self.last = Some(self.continuation_at(at));
            let items = page.len() as u64;
            self.total = page.total.or(self.total);
            self.progress.pages = self.progress.pages.saturating_add(1);
            self.progress.items = self.progress.items.saturating_add(items);
            self.empty_in_a_row = if page.is_empty() { self.empty_in_a_row.saturating_add(1) } else { 0 };
            self.longest = self.longest.max(items);
        }
        self.behind = next.as_ref().map_or(0, |next| self.likely_behind(next, &answer));
        self.position = next;
        Ok(answer.page)
    }

    /// How many pages come behind the one at `next`, as far as `answer` tells.
    fn likely_behind(&self, next: &Position, answer: &Answer) -> u64 {
        let counted = next::left(&self.query.shape.rule, next, answer.page_count);
        let left = self.total.map(|total| total.saturating_sub(self.progress.items));
        let filled = left.filter(|_| self.longest > 0).map(|left| left.div_ceil(self.longest));
        counted.or(filled).map_or(u64::MAX, |pages| pages.saturating_sub(1))
    }

    /// Asks for the page at `position`, if nothing forbids it, and for as many behind it as are wanted.
    fn depart<R>(&mut self, position: &Position) -> Result<(), Error>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<BoxError>,
    {
        if !self.allowed {
            self.check(position)?;
            self.allowed = true;
        }
        if self.flights.first() != Some(position) {
            // It is not where it was thought to be.
            self.flights.clear();
            self.fly(position.clone());
        }
        let most = self.limits.max_pages.saturating_sub(self.progress.pages);
        let wanted = self.behind.saturating_add(1).min(most).min(self.limits.concurrency.into());
        while self.flights.len() < wanted {
            let foreseen = self.flights.last().and_then(|last| next::foreseen(&self.query.shape.rule, last));
            let Some(position) = foreseen else { break };
            self.fly(position);
        }
        Ok(())
    }

    fn fly<R>(&mut self, position: Position)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<BoxError>,
    {
        let fetch = Fetch {
            service: self.service.clone(),
            query: Arc::clone(&self.query),
            limits: self.limits,
            position: position.clone(),
            number: self.progress.pages.saturating_add(self.flights.len()).saturating_add(1),
            rng: self.rng.fork(),
            repeats: Arc::clone(&self.repeats),
        };
        self.flights.push(position, Box::pin(fetch.run()));
    }
}

impl<S, R> Stream for Pager<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    type Item = Result<Page, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.failed {
            let Some(position) = self.position.clone() else { break };
            let answer = match self.depart(&position) {
                Ok(()) => {
                    let Some(answer) = ready!(self.flights.poll_first(cx)) else { continue };
                    answer
                }
                Err(error) => Err(error),
            };
            match answer.and_then(|answer| self.accept(answer)) {
                Ok(Some(page)) => return Poll::Ready(Some(Ok(page))),
                Ok(None) => {}
                Err(error) => {
                    self.failed = true;
                    self.flights.clear();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        // What was asked for behind the last page counts for nothing.
        self.flights.clear();
        Poll::Ready(None)
    }
}

/// Nothing is pinned in it: the service is called, and the future has a box of its own.
impl<S> Unpin for Pager<S> {}

/// Without the query of the URL, which may be secret.
impl<S> fmt::Debug for Pager<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pager")
            .field("url", &bare_uri(&self.query.uri).unwrap_or_default())
            .field("progress", &self.progress)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
