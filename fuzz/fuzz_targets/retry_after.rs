//! `Retry-After`, and the `Date` it is measured from. Input: `now` in seconds (4 bytes), `Date`, then fields, a line each.

#![no_main]

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderValue,
    header::{DATE, RETRY_AFTER},
};
use libfuzzer_sys::fuzz_target;
use tower_oauth2::fuzzing::retry_after;

fuzz_target!(|data: &[u8]| {
    let Some((now, rest)) = data.split_first_chunk::<4>() else { return };
    let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(u32::from_be_bytes(*now).into());
    let mut lines = rest.split(|byte| *byte == b'\n').map(HeaderValue::from_bytes);
    let mut headers = HeaderMap::new();
    if let Some(Ok(date)) = lines.next() {
        headers.insert(DATE, date);
    }
    let now = headers.get(DATE).and_then(date).unwrap_or(clock);
    let (alone, mut expected) = (headers.clone(), None);
    for field in lines.flatten().take(8) {
        let wait = one(&alone, &field, clock);
        check(&field, wait, now);
        expected = expected.max(wait);
        headers.append(RETRY_AFTER, field);
    }
    assert_eq!(retry_after(&headers, clock), expected, "the longest of all");
});

/// What the field says if it is the only one.
fn one(headers: &HeaderMap, field: &HeaderValue, clock: SystemTime) -> Option<Duration> {
    let mut headers = headers.clone();
    headers.insert(RETRY_AFTER, field.clone());
    retry_after(&headers, clock)
}

fn check(field: &HeaderValue, wait: Option<Duration>, now: SystemTime) {
    if let Some(date) = date(field) {
        let wait = wait.expect("a date is a wait");
        assert!(wait <= AT_MOST, "{wait:?}");
        // Nothing before `now`, and exactly the date after it.
        let until = (now + wait).duration_since(date).expect("not before the date");
        assert!(wait.is_zero() || until.is_zero(), "{wait:?}, {until:?} after the date");
        return;
    }
    // What is not ASCII is no list either.
    let bytes = Some(field.as_bytes()).filter(|bytes| bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')));
    let parts = bytes.into_iter().flat_map(|bytes| bytes.split(|byte| *byte == b',')).map(trim);
    let said = parts.filter_map(seconds).max();
    assert_eq!(wait.is_some(), said.is_some(), "neither a number nor a date");
    let (Some(wait), Some((whole, any))) = (wait, said) else { return };
    // Whole seconds are exact, and a fraction is never cut.
    let above = wait.saturating_sub(whole);
    assert!(whole == Duration::MAX || any != above.is_zero(), "{wait:?}");
    assert!(wait >= whole && above <= Duration::from_secs(1), "{wait:?}");
}

/// The whole seconds, and whether there is something behind the point. Too many digits are for ever.
fn seconds(part: &[u8]) -> Option<(Duration, bool)> {
    let mut halves = part.splitn(2, |byte| *byte == b'.');
    let (whole, fraction) = (halves.next()?, halves.next().unwrap_or(b"0"));
    let digits = |half: &[u8]| !half.is_empty() && half.iter().all(u8::is_ascii_digit);
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    let whole = whole.iter().try_fold(0, add).map_or(Duration::MAX, Duration::from_secs);
    Some((whole, fraction.iter().any(|digit| *digit != b'0')))
}

fn date(field: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(trim(field.as_bytes())).ok()?).ok()
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// From 1970 to the end of the year 9999.
const AT_MOST: Duration = Duration::from_secs(253_402_300_799);
