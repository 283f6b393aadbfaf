//! The pages under way, in their order.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use futures_core::Stream;
use futures_util::stream::FuturesOrdered;

use super::{answer::Answer, error::Error, position::Position};

#[derive(Default)]
pub(super) struct Flights {
    positions: VecDeque<Position>,
    /// The lock makes it `Sync` and is never taken.
    answers: Mutex<FuturesOrdered<Flight>>,
}

pub(super) type Flight = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send>>;

// === impl Flights ===

impl Flights {
    pub(super) fn len(&self) -> u64 {
        self.positions.len() as u64
    }

    pub(super) fn first(&self) -> Option<&Position> {
        self.positions.front()
    }

    pub(super) fn last(&self) -> Option<&Position> {
        self.positions.back()
    }

    pub(super) fn push(&mut self, position: Position, flight: Flight) {
        self.positions.push_back(position);
        self.answers().push_back(flight);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The answer to the first of them, which is under way no more; `None` if there is none.
    pub(super) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Answer, Error>>> {
        let answer = Pin::new(self.answers()).poll_next(cx);
        if answer.is_ready() {
            self.positions.pop_front();
        }
        answer
    }

    fn answers(&mut self) -> &mut FuturesOrdered<Flight> {
        self.answers.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}
