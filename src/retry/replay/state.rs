//! What is known of a body, and whose turn it is. Runs nothing foreign, and is told what came of that.

use std::{
    mem,
    pin::Pin,
    sync::OnceLock,
    task::{Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tower::BoxError;

use super::{buffer::Buffer, error::ReplayError};

pub(super) struct State<B> {
    pub(super) source: Source<B>,
    /// Of the source, when it was here last.
    pub(super) rest: SizeHint,
    /// Whether it said at first how long it is.
    pub(super) sized: bool,
    /// All that was read of it, unless that was too much.
    pub(super) kept: Option<Buffer>,
    /// How often the rest was claimed.
    pub(super) epoch: u64,
    /// The copy that reads the source, which is the only one that may until it has ended, and for ever if it was not kept.
    pub(super) owner: Option<u64>,
    pub(super) copies: u64,
    /// Wakes the owner, which waits for the source.
    pub(super) reading: Option<Waker>,
    /// Wakes the owner, which waits until the source is back from the one before.
    pub(super) waiting: Option<Waker>,
}

pub(super) enum Source<B> {
    Here(Pin<Box<B>>),
    /// Being polled.
    Away,
    Ended(Option<HeaderMap>),
    /// With its error, if nobody was told yet.
    Failed(Option<BoxError>),
}

/// Where one copy is.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) id: u64,
    /// In which epoch it was first read or cloned. Whoever clones to be able to send again sends the original and keeps the
    /// clone, so that a claim is against those that were cloned as well.
    pub(super) begun: OnceLock<u64>,
    pub(super) read: usize,
    pub(super) done: bool,
}

/// What a copy does next.
pub(super) enum Step<B> {
    Give(Option<Frame<Bytes>>),
    Fail(BoxError),
    Pull(Pin<Box<B>>),
    /// With the waker that was replaced.
    Wait(Option<Waker>),
}

pub(super) type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

type Leftovers<B> = (Option<Pin<Box<B>>>, Option<Buffer>, Option<Waker>, Option<Polled>);

/// What came of polling the source.
pub(super) struct Pulled<B> {
    pub(super) polled: Polled,
    pub(super) body: Pin<Box<B>>,
    pub(super) rest: SizeHint,
    pub(super) ended: bool,
}

/// What a copy makes of it, and what is to be done without the lock.
pub(super) struct Settled<B> {
    pub(super) polled: Polled,
    pub(super) wake: Option<Waker>,
    pub(super) drop: Leftovers<B>,
}

// === impl State ===

impl<B> State<B> {
    pub(super) fn is_replayable(&self) -> bool {
        self.kept.is_some() && !matches!(self.source, Source::Failed(_))
    }

    pub(super) fn is_at_end(&self, cursor: &Cursor) -> bool {
        match (&self.source, &self.kept) {
            (Source::Ended(trailers), Some(kept)) => trailers.is_none() && cursor.read == kept.len(),
            (Source::Ended(_), None) => self.owner == Some(cursor.id),
            _ => false,
        }
    }

    pub(super) fn size_hint(&self, cursor: &Cursor) -> SizeHint {
        let nothing = SizeHint::with_exact(0);
        let rest = match &self.source {
            Source::Here(_) | Source::Away => &self.rest,
            Source::Ended(_) => &nothing,
            Source::Failed(_) => return SizeHint::default(),
        };
        match &self.kept {
            Some(kept) => {
                let hint = plus(rest, kept.len() - cursor.read);
                let may_have_trailers = !self.sized && !matches!(self.source, Source::Ended(None));
                // HTTP/1.1 has none after a body whose length it was told.
                if may_have_trailers && hint.exact().is_some() { at_least(hint.lower()) } else { hint }
            }
            None if self.owner == Some(cursor.id) => plus(rest, 0),
            None => SizeHint::default(),
        }
    }

    pub(super) fn step(&mut self, cursor: &mut Cursor, waker: &Waker) -> Step<B> {
        let begun = cursor.begin(self.epoch);
        if let Source::Failed(error) = &mut self.source {
            return Step::Fail(error.take().unwrap_or_else(|| ReplayError::FAILED.into()));
        }
        let ended = matches!(self.source, Source::Ended(_));
        let problem = if self.kept.is_none() && self.owner != Some(cursor.id) {
            Some(ReplayError::TOO_LARGE)
        } else if !ended && begun < self.epoch {
            Some(ReplayError::SUPERSEDED)
        } else if !ended && self.owner.is_some_and(|owner| owner != cursor.id) {
            Some(ReplayError::EARLY)
        } else {
            None
        };
        if let Some(problem) = problem {
            return Step::Fail(problem.into());
        }
        if !ended {
            self.owner = Some(cursor.id);
        }
        if let Some(data) = self.kept.as_mut().and_then(|kept| kept.read(cursor.read)) {
            cursor.read += data.len();
            return Step::Give(Some(Frame::data(data)));
        }
        match mem::replace(&mut self.source, Source::Away) {
            Source::Here(body) => Step::Pull(body),
            Source::Away => Step::Wait(park(&mut self.waiting, waker)),
            Source::Ended(trailers) => {
                let frame = trailers.clone().map(Frame::trailers);
                self.source = Source::Ended(trailers);
                Step::Give(frame)
            }
            Source::Failed(_) => Step::Fail(ReplayError::FAILED.into()),
        }
    }

    /// Takes the source back from the copy that polled it.
    pub(super) fn settle(&mut self, cursor: &mut Cursor, pulled: Pulled<B>, cap: usize, waker: &Waker) -> Settled<B> {
        let Pulled { polled, body, rest, ended } = pulled;
        let missing = mem::replace(&mut self.rest, rest).lower();
        // If somebody has decided meanwhile to send it again, this is for the next copy, and promised to it.
        let superseded = cursor.begin(self.epoch) < self.epoch;
        let room = if superseded { u64::MAX } else { cap as u64 };
        let (mut freed, mut replaced) = (None, None);
        let mut body = Some(body);
        let (source, polled) = match polled {
            Poll::Pending if superseded => (None, Poll::Pending),
            Poll::Pending => {
                replaced = park(&mut self.reading, waker);
                (None, Poll::Pending)
            }
            Poll::Ready(None) if missing > 0 => {
                // Shorter than it said, which the one who sends it notices, and would not with the replay.
                freed = self.kept.take();
                (Some(Source::Failed(None)), Poll::Ready(None))
            }
            Poll::Ready(None) => (Some(Source::Ended(None)), Poll::Ready(None)),
            Poll::Ready(Some(Err(error))) => {
                freed = self.kept.take();
                if superseded {
                    (Some(Source::Failed(Some(error))), Poll::Pending)
                } else {
                    (Some(Source::Failed(None)), Poll::Ready(Some(Err(error))))
                }
            }
            Poll::Ready(Some(Ok(frame))) => {
                freed = self.keep(&frame, room);
                if let Some(kept) = self.kept.as_ref().filter(|_| !superseded) {
                    cursor.read = kept.len();
                }
                let end = (ended || frame.is_trailers()).then(|| Source::Ended(frame.trailers_ref().cloned()));
                (end, Poll::Ready(Some(Ok(frame))))
            }
        };
        self.source = source.or_else(|| body.take().map(Source::Here)).unwrap_or(Source::Failed(None));
        let (polled, passed_on) = if superseded {
            (Poll::Ready(Some(Err(ReplayError::SUPERSEDED.into()))), Some(polled))
        } else {
            (polled, None)
        };
        Settled { polled, wake: self.waiting.take(), drop: (body, freed, replaced, passed_on) }
    }

    /// The source will not be back. What was kept is given back, to be dropped.
    pub(super) fn fail(&mut self) -> (Option<Buffer>, Option<Waker>) {
        self.source = Source::Failed(None);
        (self.kept.take(), self.waiting.take())
    }

    /// Keeps what was read, if all of it has room. What is kept no longer is given back, to be dropped.
    fn keep(&mut self, frame: &Frame<Bytes>, room: u64) -> Option<Buffer> {
        let kept = self.kept.as_mut()?;
        let all = |data: &Bytes| (kept.len() as u64 + data.len() as u64).saturating_add(self.rest.lower());
        match frame.data_ref() {
            Some(data) if all(data) <= room => {
                kept.push(data);
                None
            }
            None if frame.is_trailers() => None,
            // Or a kind of frame that nobody knows yet.
            _ => self.kept.take(),
        }
    }
}

// === impl Cursor ===

impl Cursor {
    pub(super) fn new(id: u64) -> Self {
        Self { id, begun: OnceLock::new(), read: 0, done: false }
    }

    pub(super) fn begin(&self, epoch: u64) -> u64 {
        *self.begun.get_or_init(|| epoch)
    }
}

/// Gives back what was there, to be dropped.
fn park(slot: &mut Option<Waker>, waker: &Waker) -> Option<Waker> {
    if slot.as_ref().is_some_and(|old| old.will_wake(waker)) { None } else { slot.replace(waker.clone()) }
}

fn at_least(bytes: u64) -> SizeHint {
    let mut hint = SizeHint::new();
    hint.set_lower(bytes);
    hint
}

fn plus(rest: &SizeHint, kept: usize) -> SizeHint {
    let kept = kept as u64;
    let mut hint = at_least(rest.lower().saturating_add(kept));
    if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(kept)) {
        hint.set_upper(upper);
    }
    hint
}
