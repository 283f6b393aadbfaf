//! Times as servers write them: digits, and a fraction where they feel like it.

use std::time::Duration;

/// A number without sign, in units of so many nanoseconds; with a fraction, if there are digits on both sides. Rounded up:
/// nobody is to come early. [`Duration::MAX`] is what is too large to be a time.
pub(crate) fn decimal(field: &str, unit: u64) -> Option<Duration> {
    let (whole, fraction) = field.split_once('.').unwrap_or((field, "0"));
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let Some(nanos) = whole.parse::<u64>().ok().and_then(|whole| u128::from(whole).checked_mul(unit.into())) else {
        return Some(Duration::MAX);
    };
    let mut digit = unit;
    let mut below = 0;
    for byte in fraction.bytes() {
        digit /= 10;
        below += digit * u64::from(byte - b'0');
        if digit == 0 && byte != b'0' {
            below += 1;
            break;
        }
    }
    let nanos = nanos + u128::from(below);
    let seconds = u64::try_from(nanos / u128::from(SECOND));
    let rest = u32::try_from(nanos % u128::from(SECOND)).unwrap_or_default();
    Some(seconds.map_or(Duration::MAX, |seconds| Duration::new(seconds, rest)))
}

pub(crate) fn is_digits(field: &str) -> bool {
    !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit())
}

/// In nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const MILLI: u64 = 1_000_000;
