//! Which keys are held back, and until when. Pure: every method takes `now`.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    expiring::Expiring,
    key::Key,
    pacing::{Pacing, Reading},
    window::{Mark, Ticket, Turn, Window},
};

/// Guarded by the lock of the layer's memory. What servers asked for is apart from what is known of their limits: it is worth more,
/// and must not make room for it.
#[derive(Debug, Default)]
pub(super) struct Table {
    held: Expiring<Held>,
    windows: Expiring<Window>,
}

#[derive(Debug)]
struct Held {
    /// Nothing is sent before.
    until: Instant,
    /// Over how long those who waited are released.
    spread: Duration,
    /// What was last told of `until`.
    told: Instant,
}

/// Nothing may be sent before `until`, and not all at once then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) until: Instant,
    pub(super) spread: Duration,
    pub(super) cause: Cause,
}

/// Why a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The server asked to be left alone.
    Asked,
    /// By what the server says of its limit, it would.
    Paced,
}

// === impl Table ===

impl Table {
    /// Nothing is sent for `wait` from `now`; what was asked for before stays, if it is longer. Whether that is news: a new
    /// cool-down, or one that has become longer by more than a crowd of answers to one moment makes it.
    pub(super) fn hold(&mut self, key: Key, wait: Duration, now: Instant, capacity: usize) -> bool {
        if wait.is_zero() {
            return false;
        }
        self.held.insert(key, now, capacity, || Held { until: now, spread: Duration::ZERO, told: now });
        let news = self.held.change(key, |held| {
            let news = held.extend(now + wait, spread(wait), now);
            (held.until, news)
        });
        news.unwrap_or(false)
    }

    /// What holds a request back that the server asked for.
    pub(super) fn held(&self, key: Key, now: Instant) -> Option<Hold> {
        let held = self.held.get(key).filter(|held| now < held.until)?;
        Some(Hold { until: held.until, spread: held.spread, cause: Cause::Asked })
    }

    /// Whether a request may be sent now; or its place in the line, which is kept for it if it `can_wait` that long.
    pub(super) fn ask(
        &mut self,
        key: Key,
        now: Instant,
        pacing: Option<(&Pacing, usize)>,
        ticket: Option<Ticket>,
        can_wait: impl FnOnce(Instant) -> bool,
    ) -> Turn {
        if let Some(hold) = self.held(key, now) {
            return Turn::Wait(hold);
        }
        let Some((pacing, capacity)) = pacing else { return Turn::Go(None) };
        self.windows.insert(key, now, capacity, || Window::new(now));
        self.change(key, |window| window.ask(now, pacing, ticket, can_wait)).unwrap_or(Turn::Go(None))
    }

    /// What the server says of its limit, in answer to the request that had `mark`.
    pub(super) fn read(&mut self, key: Key, now: Instant, pacing: &Pacing, mark: Mark, reading: Reading) {
        self.change(key, |window| window.read(now, pacing, mark, reading));
    }

    /// The request with that place is sent now.
    pub(super) fn send(&mut self, key: Key, ticket: Ticket, now: Instant) -> Option<Mark> {
        self.change(key, |window| window.send(ticket, now))
    }

    /// The request with that place will not be sent.
    pub(super) fn give_back(&mut self, key: Key, ticket: Ticket) {
        self.change(key, |window| window.give_back(ticket));
    }

    /// The request with that mark has never come to the server.
    pub(super) fn lose(&mut self, key: Key, mark: Mark) {
        self.change(key, |window| window.lose(mark));
    }

    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.windows.clear();
    }

    /// `None` if nothing is known of it, or not any more.
    fn change<T>(&mut self, key: Key, change: impl FnOnce(&mut Window) -> T) -> Option<T> {
        self.windows.change(key, |window| {
            let told = change(window);
            (window.ends(), told)
        })
    }
}

// === impl Held ===

impl Held {
    /// Whether that is news.
    fn extend(&mut self, until: Instant, spread: Duration, now: Instant) -> bool {
        if until <= self.until {
            return false;
        }
        let over = self.until <= now;
        self.spread = if over { spread } else { self.spread.max(spread) };
        self.until = until;
        let news = over || until > self.told + self.spread;
        if news {
            self.told = until;
        }
        news
    }
}

// === impl Hold ===

impl Hold {
    /// When one of those who wait goes on: `draw`, from 0 to 1, of the spread after the time that was asked for. Never before
    /// it, and not past `deadline`, if the time itself is not.
    pub(super) fn release(&self, draw: f64, deadline: Option<Instant>) -> Instant {
        let room = deadline.map_or(self.spread, |deadline| deadline.saturating_duration_since(self.until));
        self.until + self.spread.min(room).mul_f64(draw.clamp(0.0, 1.0))
    }
}

/// Over how long those are released who waited that long.
pub(super) fn spread(wait: Duration) -> Duration {
    (wait / 10).min(MAX_SPREAD)
}

const MAX_SPREAD: Duration = Duration::from_secs(5);

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
