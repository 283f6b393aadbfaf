//! The stream of pages.

use std::{
    collections::HashSet,
    fmt,
    hash::RandomState,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::de::DeserializeOwned;

use super::{
    bare::bare_uri,
    continuation::Continuation,
    error::Error,
    fetch::Progress,
    flights::Flights,
    items::{Items, RawItems},
    job::Stage,
    limits::Limits,
    position::Position,
    query::Query,
    read_ahead::ReadAhead,
};

/// A stream of [`Page`](super::Page)s through any service that takes `Full<Bytes>`; see the [module](super).
#[must_use = "a pager does nothing until it is polled"]
pub struct Pager<S> {
    pub(super) service: S,
    pub(super) query: Arc<Query>,
    pub(super) fingerprint: u64,
    pub(super) limits: Limits,
    pub(super) rng: fastrand::Rng,
    /// The page to ask for, or under way; `None` after the last.
    pub(super) position: Option<Position>,
    /// Whether nothing forbids to ask for it.
    pub(super) allowed: bool,
    pub(super) flights: Flights,
    /// How many pages are likely to come behind it.
    pub(super) behind: u64,
    pub(super) longest: u64,
    pub(super) progress: Progress,
    pub(super) total: Option<u64>,
    /// The page that was handed out last.
    pub(super) last: Option<Continuation>,
    pub(super) empty_in_a_row: u32,
    pub(super) seen: HashSet<u64>,
    pub(super) hasher: RandomState,
    /// Of the page before, where pages are counted.
    pub(super) content: Option<u64>,
    pub(super) repeats: Arc<AtomicU64>,
    pub(super) job: Option<Stage>,
    pub(super) end: End,
}

/// Whether there is more to come.
pub(super) enum End {
    NotYet,
    /// With that error, once the job is ended.
    Coming(Option<Error>),
    Over,
}

// === impl Pager ===

impl<S> Pager<S> {
    /// From the first page on. Sends nothing until it is polled.
    pub fn new(service: S, query: Query) -> Self {
        let (fingerprint, position) = (query.fingerprint(), query.first());
        Self::at(service, query, Continuation::new(fingerprint, position))
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

    /// Takes two pages in a row that are the same, byte for byte, for what they are. By default they are an error where pages
    /// are counted, [`Loop`](super::ErrorKind::Loop), since a server that does not know the place of a page number answers
    /// with its first page again and again.
    pub fn no_repeat_check(mut self) -> Self {
        self.limits.repeat_check = false;
        self
    }

    /// Asks for up to that many pages at once, 1 to 64, and hands them out in order. Defaults to 1.
    ///
    /// For [`Rule::page_number`](super::Rule::page_number), and for [`Rule::offset`](super::Rule::offset) with a
    /// [`step`](super::Rule::step); with any other rule a page is known from the one before it only. The first page comes
    /// alone, since it says how many there are; where it does not, up to `pages - 1` are asked for behind the last one, and
    /// what is answered there counts for nothing.
    ///
    /// Each is fetched by a task of the runtime. Up to that many pages are held in memory, and as many responses are under
    /// way at once.
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
    ///
    /// That of a [`Job`](super::Job) is good as long as there is that job: see there.
    pub fn continuation(&self) -> Option<Continuation> {
        if self.position.is_none() && self.job.as_ref().is_some_and(Stage::lacks) {
            // That is not said yet, and until then it must not look complete.
            return Some(Continuation::new(self.fingerprint, self.query.first()));
        }
        self.position.clone().map(|position| self.continuation_at(position))
    }

    /// Ends the stream here, and waits until its [`Job`](super::Job) is deleted, if there is one that is not to be
    /// [kept](super::Job::keep_unfinished). Dropping the stream does the same and does not wait, so that a program that
    /// ends at once may leave the job behind. One whose submission is under way is deleted when it is made.
    pub async fn close(mut self) {
        self.flights.clear();
        if let Some(deletion) = self.job.take().and_then(Stage::close) {
            let _panicked = deletion.await;
        }
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
        let job = query.job.clone().map(|plan| Stage::new(plan, continuation.job));
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
            content: None,
            repeats: Arc::default(),
            job,
            end: End::NotYet,
        }
    }

    pub(super) fn continuation_at(&self, position: Position) -> Continuation {
        let Progress { pages, items } = self.progress;
        let guess = self.query.shape.guess;
        Continuation {
            query: self.fingerprint,
            position,
            pages,
            items,
            total: self.total,
            guess,
            job: self.job.as_ref().and_then(Stage::id).map(str::to_owned),
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
