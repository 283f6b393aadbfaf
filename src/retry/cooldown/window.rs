//! How requests share what a server says is left of its rate limit. Pure: every method takes `now`.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    pacing::{Pacing, Reading},
    state::{Cause, Hold, spread},
};

/// One server's limit, as far as it is known, and who is on the way.
#[derive(Debug)]
pub(super) struct Window {
    /// No mark of one that was forgotten is good for another.
    id: u64,
    /// No place of one round of the limit is good for another.
    round: u64,
    born: Instant,
    /// How many have a place in this round and were not sent yet.
    in_line: u32,
    /// How many were sent.
    sent: u64,
    /// Those of them that never came to the server.
    lost: Vec<u64>,
    /// The youngest whose answer was read. What an older one says is older as well.
    read: u64,
    /// Those that were sent after it are taken off what is known to be left.
    counted: u64,
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    /// At the latest, as far as is known.
    ends: Instant,
    /// At the earliest.
    ends_after: Instant,
    /// From when it was first heard of to its end; the next one is taken to be as long.
    length: Duration,
    limit: u32,
    /// Less than none, if more are on their way than there is room for.
    left: i64,
    /// Of those that were sent, the most that the server can have counted for the next one, because it may have begun.
    early: u32,
    /// The next place in the line, where one is needed.
    next: Instant,
    /// Made up from the one before, until an answer tells.
    assumed: bool,
}

/// A place in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    round: u64,
    pub(super) at: Instant,
}

/// Which request, and when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    window: u64,
    number: u64,
    sent: Instant,
}

/// Whether a request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Go(Option<Ticket>),
    At(Ticket),
    Wait(Hold),
}

// === impl Window ===

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            id: next_serial(),
            round: next_serial(),
            born: now,
            in_line: 0,
            sent: 0,
            lost: Vec::new(),
            read: 0,
            counted: 0,
            known: None,
        }
    }

    /// From when on it says no more than a new one would.
    pub(super) fn ends(&self) -> Instant {
        self.known.as_ref().map_or(self.born, |known| known.ends)
    }

    pub(super) fn ask(
        &mut self,
        now: Instant,
        pacing: &Pacing,
        ticket: Option<Ticket>,
        can_wait: impl FnOnce(Instant) -> bool,
    ) -> Turn {
        self.roll(now);
        if let Some(ticket) = ticket.filter(|ticket| ticket.round == self.round) {
            return if ticket.at <= now { Turn::Go(Some(ticket)) } else { Turn::At(ticket) };
        }
        let mut at = now;
        if let Some(known) = &mut self.known {
            let left = u32::try_from(known.left).unwrap_or_default();
            if left == 0 {
                return Turn::Wait(Hold { until: known.ends, spread: spread(known.length), cause: Cause::Paced });
            }
            if pacing.is_little(left, known.limit) {
                at = known.next.max(now);
                if at > now && !can_wait(at) {
                    return Turn::Wait(Hold { until: at, spread: Duration::ZERO, cause: Cause::Paced });
                }
                known.next = at + known.ends.saturating_duration_since(at) / left;
            }
            known.left -= 1;
        }
        self.in_line = self.in_line.saturating_add(1);
        let ticket = Ticket { round: self.round, at };
        if at <= now { Turn::Go(Some(ticket)) } else { Turn::At(ticket) }
    }

    /// The request with that place is sent now.
    pub(super) fn send(&mut self, ticket: Ticket, now: Instant) -> Mark {
        if ticket.round == self.round {
            self.in_line = self.in_line.saturating_sub(1);
        } else if let Some(known) = &mut self.known {
            // Another round has begun between its turn and now.
            known.left -= 1;
        }
        if let Some(known) = self.known.as_mut().filter(|known| known.may_be_over(now)) {
            known.early = known.early.saturating_add(1);
        }
        self.sent += 1;
        Mark { window: self.id, number: self.sent, sent: now }
    }

    /// The request with that place will not be sent.
    pub(super) fn give_back(&mut self, ticket: Ticket) {
        if ticket.round != self.round {
            return;
        }
        self.in_line = self.in_line.saturating_sub(1);
        if let Some(known) = &mut self.known {
            known.left = (known.left + 1).min(known.limit.into());
            // Or nobody could go before all those who have given up would have gone.
            known.next = known.next.min(ticket.at);
        }
    }

    /// The server has never seen the request, and cannot have counted it.
    pub(super) fn lose(&mut self, mark: Mark) {
        if mark.window != self.id || mark.number <= self.counted || self.lost.len() >= MAX_LOST {
            return;
        }
        self.lost.push(mark.number);
        if let Some(known) = &mut self.known {
            known.left = (known.left + 1).min(known.limit.into());
        }
    }

    /// What the answer to a request says of the limit, as it was at some time between then and now.
    pub(super) fn read(&mut self, now: Instant, pacing: &Pacing, mark: Mark, reading: Reading) {
        self.roll(now);
        if mark.window != self.id || mark.number < self.read {
            return;
        }
        // In seconds, rounded one way or the other.
        let (ends_after, ends) = (mark.sent + reading.reset, now + reading.reset + pacing.margin);
        let is_of_last_round =
            |known: &Known| known.assumed && mark.sent < known.since && ends_after <= known.since + ROUNDING;
        if self.known.as_ref().is_some_and(is_of_last_round) {
            return;
        }
        (self.read, self.counted) = (mark.number, mark.number);
        self.lost.retain(|number| *number > mark.number);
        // The server has most likely not counted those that were sent after it.
        let after = (self.sent - mark.number).saturating_sub(self.lost.len() as u64);
        let on_their_way = u32::try_from(after).unwrap_or(u32::MAX).saturating_add(self.in_line);
        let left = i64::from(reading.left) - i64::from(on_their_way);
        let limit = |before: u32| reading.limit.unwrap_or(before).max(reading.left).max(1);
        match &mut self.known {
            Some(known) if !known.assumed && known.may_end_between(ends_after, ends) => {
                known.ends = known.ends.min(ends);
                known.ends_after = known.ends_after.max(ends_after);
                known.limit = limit(known.limit);
                known.left = known.left.min(left);
            }
            // The next one; or one that the server has moved, or another of its limits: the younger answer is believed.
            known => {
                let before = known.as_ref();
                // One that was first heard of near its end is shorter than the next.
                let told = ends - now;
                let length = before.filter(|known| known.assumed).map_or(told, |known| known.length.max(told));
                let limit = limit(before.map_or(0, |known| known.limit));
                let mut told =
                    Known { since: now, ends, ends_after, length, limit, left, early: 0, next: now, assumed: false };
                if told.may_be_over(now) {
                    told.early = on_their_way;
                }
                *known = Some(told);
            }
        }
    }

    /// What the limit was it is taken to be again, until an answer tells; if none did in a whole window, nothing is known
    /// any more.
    fn roll(&mut self, now: Instant) {
        let Some(known) = self.known.as_mut().filter(|known| known.ends <= now) else { return };
        self.round = next_serial();
        self.in_line = 0;
        self.counted = self.sent;
        if known.assumed {
            self.known = None;
        } else {
            let left = i64::from(known.limit) - i64::from(known.early);
            *known = Known { since: now, ends: now + known.length, left, assumed: true, ..*known };
        }
    }
}

// === impl Known ===

impl Known {
    /// Whether the server may be in the next one already.
    fn may_be_over(&self, now: Instant) -> bool {
        now + ROUNDING >= self.ends_after
    }

    /// Whether an answer that tells of such an end can be about this one.
    fn may_end_between(&self, ends_after: Instant, ends: Instant) -> bool {
        ends_after <= self.ends && self.ends_after <= ends
    }
}

fn next_serial() -> u64 {
    static SERIALS: AtomicU64 = AtomicU64::new(0);
    SERIALS.fetch_add(1, Ordering::Relaxed)
}

/// More than these are taken to be on their way until the next answer, which is too few places at the most.
const MAX_LOST: usize = 1024;

/// By so much a time in whole seconds can be more than it is.
const ROUNDING: Duration = Duration::from_secs(1);

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
