//! Which keys are held back, and until when. Pure: every method takes `now`.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{
    key::Key,
    pacing::{Pacing, Reading},
    window::{Mark, Ticket, Turn, Window},
};

/// Guarded by the lock of the layer's memory.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<Key, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Nothing is sent before.
    until: Instant,
    /// Over how long those who waited are released.
    spread: Duration,
    /// What was last told of `until`.
    told: Instant,
    window: Window,
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
        let until = now + wait;
        let entry = self.entry(key, now, capacity);
        if until <= entry.until || until <= now {
            return false;
        }
        let over = entry.until <= now;
        entry.spread = if over { spread(wait) } else { entry.spread.max(spread(wait)) };
        entry.until = until;
        let news = over || until > entry.told + entry.spread;
        if news {
            entry.told = until;
        }
        news
    }

    /// What holds a request back that the server asked for.
    pub(super) fn held(&self, key: Key, now: Instant) -> Option<Hold> {
        let entry = self.entries.get(&key).filter(|entry| now < entry.until)?;
        Some(Hold { until: entry.until, spread: entry.spread, cause: Cause::Asked })
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
        match pacing {
            None => Turn::Go(None),
            Some((pacing, capacity)) => self.entry(key, now, capacity).window.ask(now, pacing, ticket, can_wait),
        }
    }

    /// What the server says of its limit, in answer to the request that had `mark`.
    pub(super) fn read(&mut self, key: Key, now: Instant, pacing: &Pacing, mark: Option<Mark>, reading: Reading) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.window.read(now, pacing, mark, reading);
        }
    }

    /// A request that had a place in the line was not sent.
    pub(super) fn give_back(&mut self, key: Key, ticket: Ticket) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.window.give_back(ticket);
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    fn entry(&mut self, key: Key, now: Instant, capacity: usize) -> &mut Entry {
        if self.entries.len() >= capacity && !self.entries.contains_key(&key) {
            self.entries.retain(|_, entry| entry.over_at() > now);
            if self.entries.len() >= capacity {
                let first = self.entries.iter().min_by_key(|(_, entry)| entry.over_at()).map(|(key, _)| *key);
                self.entries.retain(|key, _| Some(*key) != first);
            }
        }
        self.entries.entry(key).or_insert_with(|| Entry {
            until: now,
            spread: Duration::ZERO,
            told: now,
            window: Window::new(),
        })
    }
}

// === impl Entry ===

impl Entry {
    /// From when on it says no more than none would.
    fn over_at(&self) -> Instant {
        self.window.ends().map_or(self.until, |ends| ends.max(self.until))
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
