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

/// A window of one server's limit, as far as it is known.
#[derive(Debug)]
pub(super) struct Window {
    /// Of all windows there ever were: no ticket of one that was forgotten is good for another.
    serial: u64,
    /// How many may be sent, or were, in this one.
    issued: u64,
    /// Those of them that were not sent after all.
    returned: Vec<u64>,
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    ends: Instant,
    /// From when it was first heard of to its end; the next one is taken to be as long.
    length: Duration,
    limit: u32,
    left: u32,
    /// The next place in the line, where one is needed.
    next: Instant,
    /// Made up from the one before, until an answer tells.
    assumed: bool,
}

/// A place in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) mark: Mark,
    pub(super) at: Instant,
}

/// Which request of which window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    window: u64,
    index: u64,
}

/// Whether a request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Go(Option<Ticket>),
    /// At the time of the ticket.
    At(Ticket),
    Wait(Hold),
}

// === impl Window ===

impl Window {
    pub(super) fn new() -> Self {
        Self { serial: next_serial(), issued: 0, returned: Vec::new(), known: None }
    }

    pub(super) fn ends(&self) -> Option<Instant> {
        self.known.as_ref().map(|known| known.ends)
    }

    pub(super) fn ask(
        &mut self,
        now: Instant,
        pacing: &Pacing,
        ticket: Option<Ticket>,
        can_wait: impl FnOnce(Instant) -> bool,
    ) -> Turn {
        self.roll(now);
        if let Some(ticket) = ticket.filter(|ticket| ticket.mark.window == self.serial) {
            return if ticket.at <= now { Turn::Go(Some(ticket)) } else { Turn::At(ticket) };
        }
        let mut at = now;
        if let Some(known) = &mut self.known {
            if known.left == 0 {
                return Turn::Wait(Hold { until: known.ends, spread: spread(known.length), cause: Cause::Paced });
            }
            if pacing.is_little(known.left, known.limit) {
                at = known.next.max(now);
                if at > now && !can_wait(at) {
                    return Turn::Wait(Hold { until: at, spread: Duration::ZERO, cause: Cause::Paced });
                }
                known.next = at + known.ends.saturating_duration_since(at) / known.left;
            }
            known.left -= 1;
        }
        self.issued += 1;
        let ticket = Ticket { mark: Mark { window: self.serial, index: self.issued }, at };
        if at <= now { Turn::Go(Some(ticket)) } else { Turn::At(ticket) }
    }

    pub(super) fn read(&mut self, now: Instant, pacing: &Pacing, mark: Option<Mark>, reading: Reading) {
        self.roll(now);
        let length = reading.reset + pacing.margin;
        let ends = now + length;
        // Those that were issued after the one that is answered: the server has most likely not counted them.
        let counted = mark.filter(|mark| mark.window == self.serial).map_or(0, |mark| mark.index);
        self.returned.retain(|index| *index > counted);
        let on_their_way = self.issued.saturating_sub(counted).saturating_sub(self.returned.len() as u64);
        let on_their_way = u32::try_from(on_their_way).unwrap_or(u32::MAX);
        let is_old = mark.is_some_and(|mark| mark.window != self.serial);
        let left = reading.left.saturating_sub(on_their_way);
        let limit = |before: u32| reading.limit.unwrap_or(before).max(reading.left).max(1);
        match &mut self.known {
            // A late answer from the window before.
            Some(known) if known.assumed && (is_old || ends <= known.since + TOLERANCE) => {}
            Some(known) if !known.assumed && ends + TOLERANCE < known.ends => {}
            Some(known) if !known.assumed && ends <= known.ends + TOLERANCE => {
                known.ends = known.ends.max(ends);
                known.limit = limit(known.limit);
                known.left = known.left.min(left);
            }
            known => {
                let before = known.as_ref().map_or(0, |known| known.limit);
                let at_most = known.as_ref().filter(|known| known.assumed).map_or(u32::MAX, |known| known.left);
                let left = left.min(at_most);
                // One that was first heard of near its end is shorter than the next.
                let length = known.as_ref().map_or(length, |known| known.length.max(length));
                *known =
                    Some(Known { since: now, ends, length, limit: limit(before), left, next: now, assumed: false });
            }
        }
    }

    pub(super) fn give_back(&mut self, ticket: Ticket) {
        if ticket.mark.window != self.serial {
            return;
        }
        if ticket.mark.index == self.issued {
            self.issued -= 1;
        } else if self.returned.len() < MAX_RETURNED {
            self.returned.push(ticket.mark.index);
        }
        if let Some(known) = &mut self.known {
            known.left = known.left.saturating_add(1).min(known.limit);
            // Or nobody could go before all those who have given up would have gone.
            known.next = known.next.min(ticket.at);
        }
    }

    /// What the limit was it is taken to be again, until an answer tells; if none did in a whole window, nothing is known
    /// any more.
    fn roll(&mut self, now: Instant) {
        let Some(known) = self.known.as_mut().filter(|known| known.ends <= now) else { return };
        self.serial = next_serial();
        self.issued = 0;
        self.returned.clear();
        if known.assumed {
            self.known = None;
        } else {
            *known =
                Known { since: now, ends: now + known.length, left: known.limit, next: now, assumed: true, ..*known };
        }
    }
}

fn next_serial() -> u64 {
    static SERIALS: AtomicU64 = AtomicU64::new(0);
    SERIALS.fetch_add(1, Ordering::Relaxed)
}

/// More than these are taken to be on their way until the next answer, which is too few places at the most.
const MAX_RETURNED: usize = 1024;

/// Ends of one window as two answers tell them differ by as much: by rounding to seconds, and by how long the answers took.
const TOLERANCE: Duration = Duration::from_secs(2);

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
