//! A span of time, `start/end`.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// A text which is no interval of the form `start/end`, two RFC 3339 times the first of which is the earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidInterval {}

/// From the start, included, to the end, excluded, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) start: i64,
    pub(super) end: i64,
}

// === impl InvalidInterval ===

impl fmt::Display for InvalidInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an interval of two RFC 3339 times, start/end")
    }
}

impl std::error::Error for InvalidInterval {}

// === impl Interval ===

impl Interval {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidInterval> {
        let (start, end) = text.split_once('/').ok_or(InvalidInterval {})?;
        Self::between(start, end)
    }

    pub(super) fn between(start: &str, end: &str) -> Result<Self, InvalidInterval> {
        let millis = |text: &str| match text.trim().parse::<Timestamp>() {
            Ok(time) => Ok(time.as_millisecond()),
            Err(_) => Err(InvalidInterval {}),
        };
        let (start, end) = (millis(start)?, millis(end)?);
        if end < start {
            return Err(InvalidInterval {});
        }
        Ok(Self { start, end })
    }

    pub(super) fn of_system_times(start: SystemTime, end: SystemTime) -> Self {
        let millis = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        };
        Self { start: millis(start), end: millis(end) }
    }

    pub(super) fn millis(self) -> i64 {
        self.end.saturating_sub(self.start)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}/{:.3}", time(self.start), time(self.end))
    }
}

/// A time that `{:.3}` writes as RFC 3339 with milliseconds.
pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_comes_back_as_it_was_written() {
        let text = "2025-03-10T00:00:00.000Z/2025-03-11T00:00:00.250Z";
        assert_eq!(Interval::parse(text).unwrap().to_string(), text);
        let other = "2025-03-10T02:00:00+02:00/2025-03-11T00:00:00.25Z";
        assert_eq!(Interval::parse(other).unwrap().to_string(), text);
        for bad in ["", "2025-03-10/2025-03-11", "2025-03-10T00:00:00Z"] {
            assert!(Interval::parse(bad).is_err(), "{bad}");
        }
    }
}
