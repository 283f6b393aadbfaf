//! The fields other than `Retry-After` that say when to come back. Input: which of them count (1 byte), `now` in seconds
//! (4 bytes), then a line for each field: the first byte says which, the rest is its value.

#![no_main]

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tower_oauth2::{fuzzing::retry_hints, retry::RetryHints};

fuzz_target!(|data: &[u8]| {
    let Some((&[flags, ref now @ ..], rest)) = data.split_first_chunk::<5>() else { return };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(u32::from_be_bytes(*now).into());
    let mut headers = HeaderMap::new();
    let mut alone = Vec::new();
    for line in rest.split(|byte| *byte == b'\n').take(8) {
        let Some((which, value)) = line.split_first() else { continue };
        let name = NAMES[usize::from(*which) % NAMES.len()];
        let (name, Ok(value)) = (HeaderName::from_static(name), HeaderValue::from_bytes(value)) else { continue };
        headers.append(name.clone(), value.clone());
        alone.push((name, value));
    }
    let asked: Vec<_> = SETTERS.iter().enumerate().filter(|(bit, _)| flags & (1 << bit) != 0).collect();
    let all = asked.iter().fold(RetryHints::new(), |hints, (_, set)| set(hints));
    let (wait, forbids) = retry_hints(&all, &headers, now);

    // What nobody asked for counts for nothing.
    let (none, never) = retry_hints(&RetryHints::new(), &headers, now);
    assert!(none.is_none() && !never);
    // The longest of what each says by itself.
    let each = asked.iter().map(|(_, set)| retry_hints(&set(RetryHints::new()), &headers, now).0).max().flatten();
    assert_eq!(wait, each);

    for (name, value) in alone.iter().filter(|_| flags == 0xff) {
        let mut headers = HeaderMap::new();
        headers.insert(name.clone(), value.clone());
        let (wait, forbids) = retry_hints(&all, &headers, now);
        let text = std::str::from_utf8(trim(value.as_bytes())).ok().filter(|text| text.is_ascii());
        match name.as_str() {
            "retry-after-ms" | "x-ms-retry-after-ms" => check_number(text, wait, 1_000_000),
            "grpc-retry-pushback-ms" => {
                assert_eq!(forbids, wait.is_none(), "a wait, or not at all");
                assert_eq!(wait.is_some(), text.is_some_and(is_digits));
                check_number(text.filter(|text| is_digits(text)), wait, 1_000_000);
            }
            "x-ratelimit-reset" => check_reset(text, wait, now),
            "ratelimit" => check_rate_limit(text, wait),
            _ => assert_eq!((wait, forbids), (None, false), "{name}"),
        }
    }
    // Only gRPC forbids, and never what it allows at the same time.
    let pushed = headers.contains_key("grpc-retry-pushback-ms") && flags & 8 != 0;
    assert!(!forbids || pushed);
});

/// Exact where it can be, never less than what was said, and less than a nanosecond more.
fn check_number(text: Option<&str>, wait: Option<Duration>, unit: u128) {
    let number = text.filter(|text| is_decimal(text));
    assert_eq!(wait.is_some(), number.is_some(), "{text:?}");
    let (Some(number), Some(wait)) = (number, wait) else { return };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let Ok(whole) = whole.parse::<u64>() else { return assert_eq!(wait, Duration::MAX) };
    let whole = u128::from(whole) * unit;
    let any = fraction.bytes().any(|digit| digit != b'0');
    assert!(wait.as_nanos() >= whole + u128::from(any), "{number}: {wait:?}");
    assert!(wait.as_nanos() <= whole + if any { unit } else { 0 } || wait == Duration::MAX, "{number}: {wait:?}");
    // The first six digits are exact.
    if fraction.len() <= 6 {
        let parts = fraction.parse::<u128>().unwrap_or(0) * unit / 10_u128.pow(fraction.len() as u32);
        assert!(wait.as_nanos() == whole + parts || wait == Duration::MAX, "{number}: {wait:?}");
    }
}

fn check_reset(text: Option<&str>, wait: Option<Duration>, now: SystemTime) {
    assert_eq!(wait.is_some(), text.is_some_and(is_decimal), "{text:?}");
    let (Some(text), Some(wait)) = (text, wait) else { return };
    let whole = text.split('.').next().and_then(|whole| whole.parse::<u64>().ok());
    let now = now.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    match whole {
        Some(..1_000_000_000) => check_number(Some(text), Some(wait), 1_000_000_000),
        Some(at @ ..1_000_000_000_000) => {
            let left = Duration::from_secs(at).saturating_sub(now);
            assert!(wait >= left && wait <= left + Duration::from_secs(1), "{text} {now:?} {wait:?}");
        }
        Some(at) => {
            let left = Duration::from_millis(at).saturating_sub(now);
            assert!(
                wait == Duration::MAX || (wait >= left && wait <= left + Duration::from_millis(1)),
                "{text} {wait:?}"
            );
        }
        None => assert_eq!(wait, Duration::MAX),
    }
}

/// A wait is a number that is there after `t=`, and somewhere nothing is left.
fn check_rate_limit(text: Option<&str>, wait: Option<Duration>) {
    let Some(wait) = wait else { return };
    let text = text.expect("a wait comes of a text");
    assert!(text.split(['=', ';', ',']).any(|part| !part.is_empty() && part.trim().bytes().all(|byte| byte == b'0')));
    let said = text
        .split(';')
        .filter_map(|part| part.split(',').next()?.trim().strip_prefix("t="))
        .any(|number| is_digits(number) && number.parse::<u64>().map_or(Duration::MAX, Duration::from_secs) == wait);
    assert!(said, "{text} {wait:?}");
}

fn is_decimal(text: &str) -> bool {
    text.split_once('.').map_or(is_digits(text), |(whole, fraction)| is_digits(whole) && is_digits(fraction))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

const NAMES: [&str; 6] = [
    "retry-after-ms",
    "x-ms-retry-after-ms",
    "ratelimit",
    "x-ratelimit-reset",
    "x-ratelimit-remaining",
    "grpc-retry-pushback-ms",
];
const SETTERS: [fn(RetryHints) -> RetryHints; 4] =
    [RetryHints::retry_after_ms, RetryHints::rate_limit, RetryHints::rate_limit_reset, RetryHints::grpc_pushback];
