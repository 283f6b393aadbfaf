//! What time is asked for, and how it is cut.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// From the first instant on, and before the second, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Period {
    pub from: Timestamp,
    pub to: Timestamp,
}

// === impl Period ===

impl Period {
    /// To the millisecond, as the APIs have it.
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from: whole_millis(from), to: whole_millis(to) }
    }

    /// Whether there is no time in it.
    pub fn is_empty(&self) -> bool {
        self.from >= self.to
    }

    pub fn millis(&self) -> i64 {
        self.to.as_millisecond() - self.from.as_millisecond()
    }

    /// Cut into parts that an API answers for, in their order: `least` of them, unless it is shorter than that in
    /// milliseconds.
    pub fn parts(&self, least: u32) -> VecDeque<Self> {
        let longest = self.millis().div_euclid(i64::from(least.max(1))).clamp(1, LONGEST_PART);
        let longest = SignedDuration::from_millis(longest);
        let mut parts = VecDeque::new();
        let mut from = self.from;
        while from < self.to {
            let to = from.checked_add(longest).map_or(self.to, |to| to.min(self.to));
            parts.push_back(Self { from, to });
            from = to;
        }
        parts
    }

    /// Its halves; `None` if it is no longer than a millisecond.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let middle = (self.from.as_millisecond() + self.to.as_millisecond()).div_euclid(2);
        let middle = Timestamp::from_millisecond(middle).ok().filter(|middle| self.from < *middle)?;
        Some([Self { to: middle, ..*self }, Self { from: middle, ..*self }])
    }

    /// One of `of` equal pieces, counted from 1; together they are all of it, and no two of them overlap.
    pub fn piece(&self, piece: u32, of: u32) -> Self {
        let at = |cut: u32| {
            let millis = i128::from(self.millis()) * i128::from(cut) / i128::from(of.max(1));
            let at = self.from.as_millisecond().saturating_add(i64::try_from(millis).unwrap_or(i64::MAX));
            if cut >= of { self.to } else { Timestamp::from_millisecond(at).unwrap_or(self.to) }
        };
        Self { from: at(piece.saturating_sub(1)), to: at(piece) }
    }

    /// Start and end, to the millisecond and with a `Z`, as both APIs write them.
    pub fn bounds(&self) -> [String; 2] {
        [self.from, self.to].map(|at| at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
    }
}

fn whole_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// Genesys Cloud does not answer for more.
const LONGEST_PART: i64 = 31 * 24 * 60 * 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn period(from: &str, to: &str) -> Period {
        Period { from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    #[test]
    fn a_period_is_cut_into_parts_without_gap_or_overlap() {
        let year = period("2024-01-01T00:00:00.001Z", "2025-01-01T00:00:00Z");
        let parts = year.parts(1);
        assert_eq!(parts.len(), 12);
        assert_eq!((parts[0].from, parts[11].to), (year.from, year.to));
        assert!(parts.iter().zip(parts.iter().skip(1)).all(|(part, next)| part.to == next.from));
        assert!(parts.iter().all(|part| part.millis() <= LONGEST_PART));
        let month = period("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z");
        assert_eq!(month.parts(1), [month]);
        let parts = month.parts(4);
        assert_eq!((parts.len(), parts[0].from, parts[3].to), (4, month.from, month.to));
        assert_eq!(period("2024-01-01T00:00:00Z", "2024-01-01T00:00:00.002Z").parts(4).len(), 2);
    }

    #[test]
    fn halves_meet_and_a_millisecond_has_none() {
        let period = |from, to| {
            let at = |millis| Timestamp::from_millisecond(millis).unwrap();
            Period { from: at(from), to: at(to) }
        };
        assert_eq!(period(0, 1_000).halves(), Some([period(0, 500), period(500, 1_000)]));
        assert_eq!(period(-3, 0).halves(), Some([period(-3, -2), period(-2, 0)]));
        assert_eq!(period(7, 9).halves(), Some([period(7, 8), period(8, 9)]));
        assert_eq!(period(7, 8).halves(), None);
    }

    #[test]
    fn pieces_are_all_of_it_whatever_their_number() {
        let week = period("2026-03-01T00:00:00.001Z", "2026-03-08T00:00:00Z");
        for of in [1, 2, 3, 7, 64, 1_000] {
            let pieces: Vec<_> = (1..=of).map(|piece| week.piece(piece, of)).collect();
            assert_eq!((pieces[0].from, pieces[pieces.len() - 1].to), (week.from, week.to));
            assert!(pieces.windows(2).all(|two| two[0].to == two[1].from && two[0].from < two[0].to), "{of}");
        }
        // More pieces than milliseconds: some are empty, and still nothing is missing.
        let short = period("2026-03-01T00:00:00Z", "2026-03-01T00:00:00.002Z");
        let pieces: Vec<_> = (1..=5).map(|piece| short.piece(piece, 5)).collect();
        assert_eq!(pieces.iter().map(Period::millis).sum::<i64>(), 2);
        assert!(pieces.windows(2).all(|two| two[0].to == two[1].from));
    }
}
