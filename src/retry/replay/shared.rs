//! What the copies of a body share.
//!
//! No foreign code runs under the lock: the body is taken out to be polled, and bodies, chunks and wakers are dropped after
//! it. The drop of any of them may drop another copy, which locks.

use std::{
    mem,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Buf;
use http_body::{Body, SizeHint};
use tower::BoxError;

use super::{
    buffer::Buffer,
    handle::Replayable,
    state::{Cursor, Polled, Pulled, Source, State, Step},
};

pub(super) struct Shared<B> {
    cap: usize,
    state: Mutex<State<B>>,
}

/// Counts a source as failed that panics while it is polled.
struct Polling<'a, B>(Option<&'a Shared<B>>);

// === impl Shared ===

impl<B> Shared<B> {
    /// With the first copy.
    pub(super) fn new(body: B, cap: usize) -> (Self, Cursor)
    where
        B: Body,
    {
        let rest = body.size_hint();
        let sized = rest.exact().is_some();
        let source = if body.is_end_stream() { Source::Ended(None) } else { Source::Here(Box::pin(body)) };
        let state = State {
            source,
            rest,
            sized,
            kept: Some(Buffer::default()),
            epoch: 0,
            owner: None,
            copies: 1,
            reading: None,
            waiting: None,
        };
        (Self { cap, state: Mutex::new(state) }, Cursor::new(0))
    }

    pub(super) fn copy(&self, cursor: &Cursor) -> Cursor {
        let mut state = self.lock();
        cursor.begin(state.epoch);
        let id = state.copies;
        state.copies += 1;
        Cursor::new(id)
    }

    /// A copy is dropped: the rest of the body is for the next.
    pub(super) fn leave(&self, cursor: &Cursor) {
        let mut state = self.lock();
        if state.owner != Some(cursor.id) {
            return;
        }
        state.owner = None;
        let wakers = (state.reading.take(), state.waiting.take());
        // Nobody else can have it.
        let useless = state.kept.is_none() && matches!(state.source, Source::Here(_));
        let rest = useless.then(|| mem::replace(&mut state.source, Source::Ended(None)));
        drop(state);
        drop((wakers, rest));
    }

    pub(super) fn is_end_stream(&self, cursor: &Cursor) -> bool {
        cursor.done || self.lock().is_at_end(cursor)
    }

    pub(super) fn size_hint(&self, cursor: &Cursor) -> SizeHint {
        if cursor.done {
            return SizeHint::with_exact(0);
        }
        self.lock().size_hint(cursor)
    }

    pub(super) fn poll_frame(&self, cursor: &mut Cursor, cx: &mut Context<'_>) -> Polled
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        if cursor.done {
            return Poll::Ready(None);
        }
        // In a statement of its own, so that the lock is not held any more.
        let step = self.lock().step(cursor, cx.waker());
        let polled = match step {
            Step::Give(frame) => Poll::Ready(frame.map(Ok)),
            Step::Fail(error) => Poll::Ready(Some(Err(error))),
            Step::Pull(body) => self.pull(cursor, body, cx),
            Step::Wait(_replaced) => Poll::Pending,
        };
        cursor.done = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers(),
            Poll::Ready(_) => true,
            Poll::Pending => false,
        };
        polled
    }

    fn pull(&self, cursor: &mut Cursor, mut body: Pin<Box<B>>, cx: &mut Context<'_>) -> Polled
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let polling = Polling(Some(self));
        let polled = body.as_mut().poll_frame(cx).map_err(Into::into);
        let polled = polled.map_ok(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
        let rest = body.size_hint();
        let ended = matches!(polled, Poll::Ready(Some(Ok(_)))) && body.is_end_stream();
        polling.over();
        let pulled = Pulled { polled, body, rest, ended };
        // In a statement of its own, so that the lock is not held any more.
        let settled = self.lock().settle(cursor, pulled, self.cap, cx.waker());
        drop(settled.drop);
        settled.wake.into_iter().for_each(Waker::wake);
        settled.polled
    }

    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Send> Replayable for Shared<B> {
    fn is_replayable(&self) -> bool {
        self.lock().is_replayable()
    }

    fn claim(&self) -> bool {
        let mut state = self.lock();
        if !state.is_replayable() {
            return false;
        }
        state.epoch += 1;
        state.owner = None;
        let wakers = [state.reading.take(), state.waiting.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        true
    }
}

// === impl Polling ===

impl<B> Polling<'_, B> {
    fn over(mut self) {
        self.0 = None;
    }
}

impl<B> Drop for Polling<'_, B> {
    fn drop(&mut self) {
        let Some(shared) = self.0 else { return };
        let (_kept, waiting) = shared.lock().fail();
        waiting.into_iter().for_each(Waker::wake);
    }
}
