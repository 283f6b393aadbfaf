use super::*;

#[test]
fn nothing_but_retry_after_is_read_unless_asked_for() {
    let all = headers(&[
        ("retry-after-ms", "7000"),
        ("x-ms-retry-after-ms", "7000"),
        ("ratelimit", r#""a";r=0;t=7"#),
        ("x-ratelimit-reset", "7"),
        ("grpc-retry-pushback-ms", "7000"),
    ]);
    assert_eq!(RetryHints::new().read(&all), None);
    let each: [fn(RetryHints) -> RetryHints; 4] =
        [RetryHints::retry_after_ms, RetryHints::rate_limit, RetryHints::rate_limit_reset, RetryHints::grpc_pushback];
    for asked in each {
        assert_eq!(asked(RetryHints::new()).read(&all), Some(Duration::from_secs(7)));
        assert_eq!(asked(RetryHints::new()).read(&HeaderMap::new()), None);
        assert_eq!(asked(RetryHints::new()).read(&headers(&[("retry-after", "3")])), Some(Duration::from_secs(3)));
    }
}

#[test]
fn the_longest_counts() {
    let hints = RetryHints::new().retry_after_ms().rate_limit().rate_limit_reset().grpc_pushback();
    let mut fields = vec![("retry-after", "5")];
    for (field, expected) in [
        (("retry-after-ms", "6000"), 6),
        (("x-ms-retry-after-ms", "7000"), 7),
        (("retry-after-ms", "1"), 7),
        (("ratelimit", r#""a";r=0;t=8"#), 8),
        (("x-ratelimit-reset", "9"), 9),
        (("grpc-retry-pushback-ms", "10000"), 10),
        (("retry-after", "11"), 11),
    ] {
        fields.push(field);
        assert_eq!(hints.read(&headers(&fields)), Some(Duration::from_secs(expected)), "{fields:?}");
    }
}

#[test]
fn milliseconds_are_read_and_rounded_up() {
    let of = |field| RetryHints::new().retry_after_ms().read(&headers(&[("retry-after-ms", field)]));
    for (field, nanos) in [
        ("0", 0),
        (" 1 ", 1_000_000),
        ("1500", 1_500_000_000),
        ("0.000001", 1),
        ("0.0000001", 1),
        ("0.0000000", 0),
        ("12.5", 12_500_000),
        ("12.50000000000000000000000000001", 12_500_001),
    ] {
        assert_eq!(of(field), Some(Duration::from_nanos(nanos)), "{field}");
    }
    assert_eq!(of("99999999999999999999"), Some(Duration::MAX));
    assert_eq!(of("18446744073709551615"), Some(Duration::from_millis(u64::MAX)));
    for bad in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1_000", "1,000", "0x1", "1 2", "soon", "1.5.5", "NaN"] {
        assert_eq!(of(bad), None, "{bad}");
    }
}

#[test]
fn a_limit_that_is_used_up_says_when_it_is_not() {
    let of = |field| RetryHints::new().rate_limit().read(&headers(&[("ratelimit", field)])).map(|wait| wait.as_secs());
    for (field, expected) in [
        (r#""default";r=0;t=30"#, Some(30)),
        (r#""default"; r=0; t=30"#, Some(30)),
        (r#""default";t=30;pk=:YQ==:;r=0"#, Some(30)),
        ("default;r=0;t=30", Some(30)),
        (r#""default";r=1;t=30"#, None),
        (r#""default";r=0"#, None),
        (r#""default";t=30"#, None),
        (r#""a";r=5;t=600, "b";r=0;t=3, "c";r=0;t=2"#, Some(3)),
        (r#""a,b;r=0;t=9";r=3;t=4"#, None),
        (r#""a\";r=0;t=9";r=0;t=4"#, Some(4)),
        (r#""a\\";r=0;t=9"#, Some(9)),
        (r#"a\";r=0;t=9"#, None),
        (r#""never closed;r=0;t=9"#, None),
        (r#""a";r=0;t=-1"#, None),
        (r#""a";r=0;t=1.5"#, None),
        (r#""a";r=0.0;t=1"#, None),
        (r#""a";R=0;T=1"#, None),
        ("limit=100, remaining=0, reset=5", None),
        ("", None),
    ] {
        assert_eq!(of(field), expected, "{field}");
    }
    let two = headers(&[("ratelimit", r#""a";r=0;t=3"#), ("ratelimit", r#""b";r=0;t=30"#)]);
    assert_eq!(RetryHints::new().rate_limit().read(&two), Some(Duration::from_secs(30)));
}

#[test]
fn a_reset_is_a_wait_or_a_time_whichever_it_can_be() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let of = |field, more: &[(&'static str, &str)]| {
        let mut headers = headers(more);
        headers.insert("x-ratelimit-reset", HeaderValue::from_str(field).unwrap());
        RetryHints::new().rate_limit_reset().read_at(&headers, now)
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (field, expected) in [
        ("0", seconds(0)),
        ("60", seconds(60)),
        ("60.25", Some(Duration::from_millis(60_250))),
        ("999999999", seconds(999_999_999)),
        ("999999999.9999999999", seconds(1_000_000_000)),
        ("1800000042", seconds(42)),
        ("1800000042.5", Some(Duration::from_millis(42_500))),
        ("1800000042500", Some(Duration::from_millis(42_500))),
        ("1799999999", seconds(0)),
        ("1000000000", seconds(0)),
        ("999999999999", seconds(998_199_999_999)),
        ("1000000000000", seconds(0)),
        ("2026-11-21T12:00:00Z", None),
        ("-5", None),
    ] {
        assert_eq!(of(field, &[]), expected, "{field}");
    }
    assert_eq!(of("99999999999999999999999", &[]), Some(Duration::MAX));
    // The server's own clock counts, if it shows one.
    let date = httpdate::fmt_http_date(now - Duration::from_secs(100));
    assert_eq!(of("1800000042", &[("date", &date)]), seconds(142));
    assert_eq!(of("60", &[("x-ratelimit-remaining", "0")]), seconds(60));
    assert_eq!(of("60", &[("x-ratelimit-remaining", "0.0")]), seconds(60));
    for left in ["1", "4999", "0.5", "some"] {
        assert_eq!(of("60", &[("x-ratelimit-remaining", left)]), None, "{left}");
    }
}

#[test]
fn a_pushback_that_is_no_wait_forbids_and_is_none() {
    let hints = RetryHints::new().grpc_pushback();
    for (fields, wait, forbids) in [
        (&[][..], None, false),
        (&["0"], Some(0), false),
        (&["250"], Some(250), false),
        (&["-1"], None, true),
        (&["1.5"], None, true),
        (&["x"], None, true),
        (&["250", "250"], None, true),
    ] {
        let fields: Vec<_> = fields.iter().map(|field| ("grpc-retry-pushback-ms", *field)).collect();
        let headers = headers(&fields);
        assert_eq!(hints.read(&headers), wait.map(Duration::from_millis), "{fields:?}");
        assert_eq!(hints.forbids(&headers), forbids, "{fields:?}");
        assert!(!RetryHints::new().forbids(&headers));
    }
}

#[test]
fn bytes_that_are_no_text_are_as_if_absent() {
    let hints = RetryHints::new().retry_after_ms().rate_limit().rate_limit_reset().grpc_pushback();
    for name in ["retry-after", "retry-after-ms", "ratelimit", "x-ratelimit-reset", "x-ratelimit-remaining"] {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(b"7\xff").unwrap());
        assert_eq!(hints.read(&headers), None, "{name}");
    }
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}
