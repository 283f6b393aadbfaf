//! What a pager does when it is polled.

use std::{
    hash::BuildHasher,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::BoxError;
use tower_service::Service;

use super::{
    answer::Answer,
    error::{Error, ErrorKind},
    fetch::{Fetch, Progress},
    job::{Ending, Left, Making, Plan, Run},
    next,
    page::Page,
    pager::{End, Pager},
    position::Position,
};

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
        if let End::NotYet = self.end {
            let end = match ready!(self.poll_page(cx)) {
                Ok(Some(page)) => return Poll::Ready(Some(Ok(page))),
                Ok(None) => None,
                Err(error) => Some(error),
            };
            self.end = End::Coming(end);
            // What is under way behind the last page counts for nothing.
            self.flights.clear();
        }
        self.poll_end(cx).map(|error| error.map(Err))
    }
}

impl<S> Pager<S> {
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
            self.is_new(page).inspect_err(|_| self.position = Some(at.clone()))?;
            if let Some(job) = &mut self.job {
                job.saw(page.bytes(), || self.query.correlation_id(&answer.headers));
            }
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

    /// A server that does not know the place of a number answers with its first page for ever.
    fn is_new(&mut self, page: &Page) -> Result<(), Error> {
        if !self.limits.repeat_check || !next::is_counted(&self.query.shape.rule) || page.is_empty() {
            return Ok(());
        }
        let hash = self.hasher.hash_one(page.bytes());
        if self.content.replace(hash) == Some(hash) {
            let problem = "the page is the same as the one before it: does the API know the place of the number?";
            return Err(Error::new(ErrorKind::Loop, problem).on_page(page.number()));
        }
        Ok(())
    }

    /// How many pages come behind the one at `next`, as far as `answer` tells.
    fn likely_behind(&self, next: &Position, answer: &Answer) -> u64 {
        let counted = next::left(&self.query.shape.rule, next, answer.page_count);
        let left = self.total.map(|total| total.saturating_sub(self.progress.items));
        let filled = left.filter(|_| self.longest > 0).map(|left| left.div_ceil(self.longest));
        counted.or(filled).map_or(u64::MAX, |pages| pages.saturating_sub(1))
    }
}

impl<S, R> Pager<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    /// The next page, `None` after the last.
    fn poll_page(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Page>, Error>> {
        if let Some(id) = ready!(self.poll_job(cx))? {
            self.query = Arc::new(self.query.of_this_job(&id)?);
        }
        while let Some(position) = self.position.clone() {
            self.depart(&position)?;
            let Some(answer) = ready!(self.flights.poll_first(cx)) else { continue };
            if let Some(page) = self.accept(answer?)? {
                return Poll::Ready(Ok(Some(page)));
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Asks for the page at `position`, if nothing forbids it, and for as many behind it as are wanted.
    fn depart(&mut self, position: &Position) -> Result<(), Error> {
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

    fn fly(&mut self, position: Position) {
        let fetch = Fetch {
            service: self.service.clone(),
            query: Arc::clone(&self.query),
            limits: self.limits,
            position: position.clone(),
            number: self.progress.pages.saturating_add(self.flights.len()).saturating_add(1),
            rng: self.rng.fork(),
            repeats: Arc::clone(&self.repeats),
        };
        self.flights.push(position, fetch.run(), self.limits.concurrency == 1);
    }

    /// Waits for the job, if there is one; what names it, when it is done.
    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<String>, Error>> {
        let Some(mut job) = self.job.take() else { return Poll::Ready(Ok(None)) };
        let done = job.poll_done(cx, |job| {
            let made = Arc::clone(job.made());
            let run = self.run(Arc::clone(job.plan()), Arc::clone(job.left()));
            Box::pin(run.run(made)) as Making
        });
        self.job = Some(job);
        done
    }

    /// Ends the job, if there is one, before the end is told.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Error>> {
        let End::Coming(error) = &mut self.end else { return Poll::Ready(None) };
        let mut error = error.take();
        if let Some(mut job) = self.job.take() {
            let (plan, left) = (Arc::clone(job.plan()), Arc::clone(job.left()));
            let ended = job.poll_end(cx, &mut error, |guard, error| {
                Box::pin(self.run(plan, left).conclude(guard, error)) as Ending
            });
            let goes_on = job.id().is_some();
            self.job = Some(job);
            error = ready!(ended);
            if error.is_some() && !goes_on {
                // What came of a job that is gone comes of no other.
                self.position = Some(self.query.first());
                (self.progress, self.total, self.last) = (Progress::default(), None, None);
            }
        }
        self.end = End::Over;
        Poll::Ready(error)
    }

    fn run(&mut self, plan: Arc<Plan>, left: Left) -> Run<S> {
        Run {
            service: self.service.clone(),
            query: Arc::clone(&self.query),
            plan,
            left,
            limits: self.limits,
            rng: self.rng.fork(),
        }
    }
}
