//! What a server says is left of its limit. Input: `now` in seconds (4 bytes), then a line for each field: the first byte
//! says which, the rest is its value.

#![no_main]

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tower_oauth2::{fuzzing::pacing, retry::cooldown::Pacing};

fuzz_target!(|data: &[u8]| {
    let Some((now, rest)) = data.split_first_chunk::<4>() else { return };
    let clock = u64::from(u32::from_be_bytes(*now));
    let mut headers = HeaderMap::new();
    for line in rest.split(|byte| *byte == b'\n').take(8) {
        let Some((which, value)) = line.split_first() else { continue };
        let name = HeaderName::from_static(NAMES[usize::from(*which) % NAMES.len()]);
        let Ok(value) = HeaderValue::from_bytes(value) else { continue };
        headers.append(name, value);
    }
    let read = |dialect: Pacing| {
        let told = pacing(&dialect, &headers, SystemTime::UNIX_EPOCH + Duration::from_secs(clock), MAX);
        assert!(told.is_none_or(|(_, _, reset)| reset <= MAX && reset.subsec_nanos() == 0));
        told
    };
    let first = |name: &str| digits(text(headers.get(name)?)?);

    let expected = || {
        let (count, allowed) = (first("inin-ratelimit-count")?, first("inin-ratelimit-allowed")?);
        let (count, allowed) = (small(count), small(allowed));
        Some((allowed.saturating_sub(count), Some(allowed), seconds(first("inin-ratelimit-reset")?)))
    };
    assert_eq!(read(Pacing::genesys()), expected());

    let expected = || {
        let (left, reset) = (first("x-ratelimit-remaining")?, first("x-ratelimit-reset")?);
        let now = headers.get("date").and_then(text).and_then(|date| httpdate::parse_http_date(date).ok());
        let now = now.map_or(clock, |now| now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs()));
        let reset = match reset {
            0..=THIRTY_YEARS => reset,
            ..1_000_000_000_000 => reset.saturating_sub(now),
            _ => reset.div_ceil(1000).saturating_sub(now),
        };
        Some((small(left), first("x-ratelimit-limit").map(small), seconds(reset)))
    };
    assert_eq!(read(Pacing::x_rate_limit()), expected());

    let earlier = || {
        let (left, reset) = (first("ratelimit-remaining")?, first("ratelimit-reset")?);
        Some((small(left), first("ratelimit-limit").map(small), seconds(reset)))
    };
    match read(Pacing::rate_limit()) {
        told @ (None | Some((_, Some(_), _))) => assert_eq!(told, earlier()),
        told if told == earlier() => {}
        Some((left, None, reset)) => {
            let said = |key: &str, number: &dyn Fn(u64) -> bool| {
                headers.get_all("ratelimit").iter().filter_map(text).any(|field| {
                    let parameters = field.split([';', ',']).filter_map(|parameter| parameter.trim().strip_prefix(key));
                    parameters.filter_map(|value| digits(value.trim_matches([' ', '\t']))).any(number)
                })
            };
            assert!(said("r=", &|number| small(number) == left), "{left} in {headers:?}");
            assert!(said("t=", &|number| seconds(number) == reset), "{reset:?} in {headers:?}");
        }
    }
});

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().map(|text| text.trim_matches([' ', '\t']))
}

/// Too many are as many as possible.
fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let add = |sum: u64, digit: u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    all.then(|| text.bytes().fold(0, add))
}

fn small(number: u64) -> u32 {
    number.min(u64::from(u32::MAX)) as u32
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number).min(MAX)
}

const MAX: Duration = Duration::from_secs(24 * 60 * 60);
const THIRTY_YEARS: u64 = 30 * 365 * 24 * 60 * 60;
const NAMES: [&str; 11] = [
    "inin-ratelimit-count",
    "inin-ratelimit-allowed",
    "inin-ratelimit-reset",
    "ratelimit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-limit",
    "date",
];
