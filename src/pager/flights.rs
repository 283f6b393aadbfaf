//! The pages under way, in their order.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    answer::Answer,
    error::{Error, ErrorKind},
    position::Position,
};

#[derive(Default)]
pub(super) struct Flights(VecDeque<(Position, Mutex<Flight>)>);

/// The lock around it makes it `Sync` and is never taken.
type Flight = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send>>;

/// Ends with its handle.
struct Task(JoinHandle<Result<Answer, Error>>);

// === impl Flights ===

impl Flights {
    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub(super) fn first(&self) -> Option<&Position> {
        self.0.front().map(|(position, _)| position)
    }

    pub(super) fn last(&self) -> Option<&Position> {
        self.0.back().map(|(position, _)| position)
    }

    /// `alone`, it is polled when the pager is. With others it has a task of its own: one that waits for a place that
    /// another one holds must be polled whatever becomes of that.
    pub(super) fn push<F>(&mut self, position: Position, flight: F, alone: bool)
    where
        F: Future<Output = Result<Answer, Error>> + Send + 'static,
    {
        let flight: Flight = match Handle::try_current() {
            Ok(runtime) if !alone => Box::pin(Task(runtime.spawn(flight))),
            _ => Box::pin(flight),
        };
        self.0.push_back((position, Mutex::new(flight)));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The answer to the first of them, which is under way no more; `None` if there is none.
    pub(super) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Answer, Error>>> {
        let Some((_, flight)) = self.0.front_mut() else { return Poll::Ready(None) };
        let answer = flight.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll(cx);
        if answer.is_ready() {
            self.0.pop_front();
        }
        answer.map(Some)
    }
}

// === impl Task ===

impl Future for Task {
    type Output = Result<Answer, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|joined| {
            let ended = |error| Error::new(ErrorKind::Send, "the task of the page ended before it").with_source(error);
            joined.map_err(ended)?
        })
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
