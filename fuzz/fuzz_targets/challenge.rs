//! `WWW-Authenticate`. Input: fields, a line each.

#![no_main]

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
use libfuzzer_sys::fuzz_target;
use tower_oauth2::{
    challenge::{Challenge, challenges},
    fuzzing::says_insufficient_scope,
};

fuzz_target!(|data: &[u8]| {
    let fields = headers(data);
    let found = challenges(&fields);
    check_sizes(&found, data.len());

    let says = found.iter().any(|challenge| {
        challenge.scheme().eq_ignore_ascii_case("bearer")
            && challenge.params().find(|(name, _)| name.eq_ignore_ascii_case("error")).map(|(_, value)| value)
                == Some("insufficient_scope")
    });
    assert_eq!(says_insufficient_scope(&fields), says);

    let written = found.iter().map(write).collect::<Vec<_>>().join(", ");
    assert_eq!(challenges(&headers(written.as_bytes())), found, "written as {written}");

    // What takes too long takes far too long when there is much of it. Some inputs only: this is slow.
    if !data.is_empty()
        && data.iter().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte))) % 4096 == 0
    {
        check_work(data);
    }
});

/// No text comes from nowhere: each character is one byte of the input at least.
fn check_sizes(found: &[Challenge], input: usize) {
    let mut output = 0;
    for challenge in found {
        assert!(!challenge.scheme().is_empty());
        assert!(challenge.scheme().bytes().all(is_token));
        assert!(challenge.token68().is_none() || challenge.params().next().is_none());
        output += challenge.scheme().len() + challenge.token68().map_or(0, str::len);
        for (name, value) in challenge.params() {
            assert!(!name.is_empty() && name.bytes().all(is_token));
            assert!(challenge.param(name).is_some());
            output += name.len() + value.chars().count();
        }
    }
    assert!(output <= input, "{output} characters from {input} bytes");
}

/// The input over and over, up to 64 KiB, is read in the time that a linear reader takes, ten times over.
fn check_work(data: &[u8]) {
    let field: Vec<u8> = data.iter().copied().filter(|byte| *byte != b'\n').cycle().take(LARGE).collect();
    let fields = headers(&field);
    let took = || {
        let start = Instant::now();
        check_sizes(&challenges(&fields), field.len());
        start.elapsed()
    };
    // Whoever else is on the machine gets a second chance.
    assert!((0..3).any(|_| took() < AT_MOST), "more than {AT_MOST:?} for {} bytes", field.len());
}

fn headers(text: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in text.split(|byte| *byte == b'\n').filter_map(|field| HeaderValue::from_bytes(field).ok()) {
        headers.append(WWW_AUTHENTICATE, field);
    }
    headers
}

fn write(challenge: &Challenge) -> String {
    if let Some(token68) = challenge.token68() {
        return format!("{} {token68}", challenge.scheme());
    }
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let params: Vec<_> = challenge.params().map(|(name, value)| format!(" {name}=\"{}\"", quoted(value))).collect();
    format!("{}{}", challenge.scheme(), params.join(","))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

const LARGE: usize = 64 * 1024;
/// Linear is a tenth of it, on a busy machine; quadratic is seconds.
const AT_MOST: Duration = Duration::from_millis(500);
