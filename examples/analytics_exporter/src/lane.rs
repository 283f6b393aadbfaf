//! A part of what is exported, from the API to lines, page by page.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::sleep;
use tower_oauth2::pager::{self, ErrorKind, Page, Pager};

use crate::{
    checkpoint::Part,
    client::Client,
    frame::{Common, Event, Frame, Halt},
    lines,
    period::Period,
    source::Source,
};

/// One part, or the parts that it turns out to be.
#[derive(Debug)]
pub struct Lane<S> {
    service: S,
    common: Arc<Common>,
    parts: VecDeque<Part>,
    in_hand: Option<InHand<S>>,
    /// What was found out and is not told yet.
    to_tell: VecDeque<Event>,
    attempts: u32,
}

#[derive(Debug)]
struct InHand<S> {
    pages: Pager<S>,
    repeats: u64,
    /// Whether its job was told of, if there is one.
    job_told: bool,
    /// Whether its last page was told of.
    ended: bool,
}

// === impl Lane ===

impl<S: Client> Lane<S> {
    pub fn new(service: S, common: Arc<Common>, part: Part) -> Self {
        let to_tell = VecDeque::new();
        Self { service, common, parts: [part].into(), in_hand: None, to_tell, attempts: JOB_ATTEMPTS }
    }

    /// The next frame; `None` after the last. Cancelling it loses nothing.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from going on; it is at its end then.
    pub async fn next(&mut self) -> Option<Result<Frame, Halt>> {
        loop {
            if let Some(event) = self.to_tell.pop_front() {
                return Some(Ok(Frame { event, lines: Bytes::new() }));
            }
            let part = self.parts.front()?.clone();
            let in_hand = match &mut self.in_hand {
                Some(in_hand) => in_hand,
                none => match begin(&self.service, &self.common, &part) {
                    Ok(in_hand) => none.insert(in_hand),
                    Err(error) => return self.halt(Halt::Api(error)),
                },
            };
            let page = in_hand.next(&self.common, part.period).await;
            match page {
                Some(Ok(page)) => {
                    let counts_to = self.common.subject.counts_to();
                    if page.number() == 1 && counts_to.is_some_and(|most| page.total() > Some(most)) {
                        if let Err(halt) = self.halve() {
                            return self.halt(halt);
                        }
                        continue;
                    }
                    let next = in_hand.pages.continuation();
                    in_hand.ended = next.is_none();
                    let event = Event::Page { records: page.len() as u64, next, total: page.total() };
                    return Some(Ok(Frame { event, lines: lines::join(&page) }));
                }
                // At its end a job is deleted, which is waited for.
                None => self.end_part(None),
                Some(Err(error)) => {
                    if let Err(halt) = self.mend(error) {
                        return self.halt(halt);
                    }
                }
            }
        }
    }

    /// Ends it here, and waits until a job that nobody goes on with is deleted.
    pub async fn close(self) {
        if let Some(in_hand) = self.in_hand {
            in_hand.pages.close().await;
        }
    }

    fn halt(&mut self, halt: Halt) -> Option<Result<Frame, Halt>> {
        self.parts.clear();
        self.to_tell.clear();
        Some(Err(halt))
    }

    /// Finds another way, if there is one.
    fn mend(&mut self, error: pager::Error) -> Result<(), Halt> {
        match error.kind() {
            ErrorKind::JobIncomplete => {
                self.end_part(Some(error.to_string()));
                Ok(())
            }
            // It has expired, perhaps since the run that began it, or just failed: another one may do better.
            ErrorKind::JobFailed if self.attempts > 1 => {
                self.attempts -= 1;
                tracing::warn!(%error, "the job is made anew");
                self.in_hand = None;
                if let Some(part) = self.parts.front_mut() {
                    part.continuation = None;
                }
                self.to_tell.push_back(Event::Again);
                Ok(())
            }
            _ if self.common.subject.counts_to().is_some() && is_too_deep(&error) => self.halve(),
            _ => Err(Halt::Api(error)),
        }
    }

    fn end_part(&mut self, lacks: Option<String>) {
        let told = self.in_hand.take().is_some_and(|in_hand| in_hand.ended);
        self.parts.pop_front();
        self.attempts = JOB_ATTEMPTS;
        match lacks {
            Some(problem) => self.to_tell.push_back(Event::Lacks(problem)),
            None if told => {}
            None => self.to_tell.push_back(Event::Ended),
        }
    }

    /// What the API does not count to its end is asked for in smaller parts.
    fn halve(&mut self) -> Result<(), Halt> {
        self.in_hand = None;
        let Some(part) = self.parts.pop_front() else { return Ok(()) };
        let Some(period) = part.period else { return Ok(()) };
        let halves = period.halves().ok_or(Halt::TooDense(period))?;
        tracing::debug!(from = %period.from, to = %period.to, "asking for half of that");
        for half in halves.iter().rev() {
            self.parts.push_front(Part::new(Some(*half)));
        }
        self.to_tell.push_back(Event::Halved(halves));
        Ok(())
    }
}

fn begin<S: Client>(service: &S, common: &Common, part: &Part) -> Result<InHand<S>, pager::Error> {
    let query = common.subject.query(part.period.as_ref(), common.keep_jobs)?;
    let job_told = part.continuation.is_some() || common.subject.source != Source::Job;
    let pages = match part.continuation.clone() {
        Some(continuation) => Pager::resume(service.clone(), query, continuation)?,
        None => Pager::new(service.clone(), query),
    };
    let pages = pages.idle_timeout(common.patience.idle).body_timeout(common.patience.body());
    Ok(InHand { pages, repeats: 0, job_told, ended: false })
}

impl<S: Client> InHand<S> {
    async fn next(&mut self, common: &Common, part: Option<Period>) -> Option<Result<Page, pager::Error>> {
        let page = loop {
            tokio::select! {
                page = self.pages.next() => break page,
                // While it is waited for, a job is told of as soon as it has a name.
                () = sleep(JOB_NOTICE), if !self.job_told => self.tell_job(common, part),
            }
        };
        let repeats = self.pages.repeats();
        common.repeats.fetch_add(repeats - self.repeats, Ordering::Relaxed);
        self.repeats = repeats;
        page
    }

    fn tell_job(&mut self, common: &Common, part: Option<Period>) {
        if let Some(continuation) = self.pages.continuation().filter(|continuation| continuation.job().is_some()) {
            self.job_told = true;
            if common.keep_jobs {
                common.jobs.tell(part, continuation);
            }
        }
    }
}

fn is_too_deep(error: &pager::Error) -> bool {
    let message = error.api().and_then(|api| api.message.as_deref()).unwrap_or_default();
    error.status().is_some_and(|status| status.as_u16() == 400) && message.contains("Pagination may not exceed")
}

/// How often a job is made before its failure is that of the run.
const JOB_ATTEMPTS: u32 = 3;
const JOB_NOTICE: Duration = Duration::from_millis(250);
