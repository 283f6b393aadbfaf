//! The stream of pages.

use std::{
    collections::HashSet,
    fmt,
    hash::RandomState,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
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
    bare::bare_uri,
    continuation::Continuation,
    error::{Error, ErrorKind},
    fetch::{Fetch, Fetched, Progress},
    items::{Items, RawItems},
    limits::Limits,
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
    progress: Progress,
    total: Option<u64>,
    /// The page that was handed out last.
    pub(super) last: Option<Continuation>,
    empty_in_a_row: u32,
    seen: HashSet<u64>,
    hasher: RandomState,
    repeats: Arc<AtomicU64>,
    state: State,
}

enum State {
    Idle,
    /// The lock makes it `Sync` and is never taken.
    Fetching(Mutex<Fetching>),
    Failed,
}

type Fetching = Pin<Box<dyn Future<Output = Result<Fetched, Error>> + Send>>;

// === impl Pager ===

impl<S> Pager<S> {
    /// From the first page on. Sends nothing until it is polled.
    pub fn new(service: S, query: Query) -> Self {
        let (fingerprint, position) = (query.fingerprint(), query.first());
        Self::at(service, query, Continuation { query: fingerprint, position, pages: 0, items: 0, total: None })
    }

    /// From `continuation` on.
    ///
    /// # Errors
    ///
    /// If the continuation is of another query.
    pub fn resume(service: S, query: Query, continuation: Continuation) -> Result<Self, Error> {
        if continuation.query != query.fingerprint() {
            return Err(Error::config("the continuation is of another query: begin anew, or ask the query it is of"));
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
            progress,
            total: continuation.total,
            last: None,
            empty_in_a_row: 0,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            repeats: Arc::default(),
            state: State::Idle,
        }
    }

    fn continuation_at(&self, position: Position) -> Continuation {
        let Progress { pages, items } = self.progress;
        Continuation { query: self.fingerprint, position, pages, items, total: self.total }
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

    fn accept(&mut self, fetched: Fetched) -> Option<Page> {
        let position = mem::replace(&mut self.position, fetched.next);
        let page = fetched.page?;
        self.last = position.map(|position| self.continuation_at(position));
        self.total = page.total.or(self.total);
        self.progress.pages = self.progress.pages.saturating_add(1);
        self.progress.items = self.progress.items.saturating_add(page.len() as u64);
        self.empty_in_a_row = if page.is_empty() { self.empty_in_a_row.saturating_add(1) } else { 0 };
        Some(page)
    }

    /// The fetch of the page at `position`, if nothing forbids it.
    fn fetch(&mut self, position: Position) -> Result<Fetch<S>, Error>
    where
        S: Clone,
    {
        self.check(&position)?;
        Ok(Fetch {
            service: self.service.clone(),
            query: Arc::clone(&self.query),
            limits: self.limits,
            position,
            progress: self.progress,
            total: self.total,
            rng: self.rng.fork(),
            repeats: Arc::clone(&self.repeats),
        })
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
        loop {
            match &mut self.state {
                State::Failed => return Poll::Ready(None),
                State::Idle => {
                    let Some(position) = self.position.clone() else { return Poll::Ready(None) };
                    match self.fetch(position) {
                        Ok(fetch) => self.state = State::Fetching(Mutex::new(Box::pin(fetch.run()))),
                        Err(error) => {
                            self.state = State::Failed;
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                }
                State::Fetching(fetch) => {
                    let fetch = fetch.get_mut().unwrap_or_else(PoisonError::into_inner);
                    let fetched = ready!(fetch.as_mut().poll(cx));
                    let failed = if fetched.is_ok() { State::Idle } else { State::Failed };
                    drop(mem::replace(&mut self.state, failed));
                    match fetched.map(|fetched| self.accept(fetched)) {
                        Ok(Some(page)) => return Poll::Ready(Some(Ok(page))),
                        Ok(None) => {}
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
            }
        }
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
