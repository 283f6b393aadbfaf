//! Which conversations there are, and when they began.

use std::ops::Range;

use super::hash::mix;
use super::interval::Interval;

/// The conversations, each a function of the seed and its index alone.
#[derive(Clone, Debug)]
pub(super) struct Records {
    pub(super) count: u64,
    pub(super) seed: u64,
    pub(super) period: Interval,
}

/// What a filter can ask for without the text of the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) bits: u64,
    pub(super) media_type: &'static str,
    pub(super) direction: &'static str,
}

/// What several places of the text have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    pub(super) kind: Kind,
    pub(super) start: i64,
    /// None: the conversation goes on.
    pub(super) end: Option<i64>,
    length: i64,
}

/// No conversation lasts longer, in milliseconds.
pub(super) const LONGEST: i64 = 30_000 + 0xFFFF * 13;

const MEDIA_TYPES: [&str; 8] = ["voice", "voice", "voice", "voice", "chat", "email", "message", "callback"];

// === impl Records ===

impl Records {
    /// Strictly inside of the period, in the order of the indices.
    pub(super) fn start(&self, index: u64) -> i64 {
        let span = i128::from(self.period.millis().max(0));
        let offset = span * (2 * i128::from(index) + 1) / (2 * i128::from(self.count.max(1)));
        let offset = offset.clamp(span.min(1), (span - 1).max(0));
        self.period.start.saturating_add(i64::try_from(offset).unwrap_or(i64::MAX))
    }

    /// The indices of those which began within `interval`.
    pub(super) fn within(&self, interval: Interval) -> Range<u64> {
        let first = self.first_at(interval.start);
        first..self.first_at(interval.end).max(first)
    }

    /// The first index that begins at `time` or later.
    fn first_at(&self, time: i64) -> u64 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.start(middle) < time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    pub(super) fn kind(&self, index: u64) -> Kind {
        let bits = mix(self.seed, index);
        let outbound = bits & 0x18 == 0;
        Kind {
            bits,
            media_type: MEDIA_TYPES[(bits & 7) as usize],
            direction: if outbound { "outbound" } else { "inbound" },
        }
    }

    pub(super) fn traits(&self, index: u64) -> Traits {
        let kind = self.kind(index);
        let start = self.start(index);
        let length = 30_000 + i64::try_from(kind.bits >> 48).unwrap_or(0) * 13;
        let open = (kind.bits >> 8) % 50 == 0;
        Traits { kind, start, end: (!open).then_some(start.saturating_add(length)), length }
    }
}

// === impl Traits ===

impl Traits {
    /// Also of one that goes on.
    pub(super) fn last_activity(&self) -> i64 {
        self.start.saturating_add(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(count: u64, millis: i64) -> Records {
        let period = Interval { start: 1_000, end: 1_000 + millis };
        Records { count, seed: 42, period }
    }

    #[test]
    fn starts_are_in_order_and_strictly_inside() {
        for (count, millis) in [(1, 2), (7, 10), (1000, 100), (1000, 1_000_000)] {
            let records = records(count, millis);
            let starts: Vec<i64> = (0..count).map(|index| records.start(index)).collect();
            assert!(starts.is_sorted());
            assert!(starts[0] > 1_000 && starts[starts.len() - 1] < 1_000 + millis);
        }
    }

    #[test]
    fn slices_share_no_record_and_miss_none() {
        let records = records(1000, 100_000);
        let mut seen = 0;
        for slice in 0..11 {
            let start = slice * 10_000;
            let range = records.within(Interval { start, end: start + 10_000 });
            assert_eq!(range.start, seen);
            seen = range.end;
        }
        assert_eq!(seen, 1000);
    }
}
