use std::fmt;

use http::StatusCode;
use tower::{BoxError, ServiceExt};

use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

#[test]
fn every_status_has_its_row_in_the_table() {
    let maybe = Verdict::Failed(Failed::Passing { processed: Processed::Maybe, throttled: false, hint: None });
    for status in 100..1000 {
        let expected = match status {
            401 => Verdict::Failed(Failed::Unauthorized { renewable: false }),
            408 | 500 | 502 | 503 | 504 => maybe,
            425 => Verdict::Failed(Failed::Passing { processed: Processed::No, throttled: false, hint: None }),
            429 => Verdict::Failed(Failed::Passing { processed: Processed::No, throttled: true, hint: None }),
            _ => Verdict::Final,
        };
        assert_eq!(response(&answer(status, None), NOW), expected, "{status}");
    }
}

#[test]
fn a_401_is_renewable_only_if_its_mark_says_so() {
    for renewable in [true, false] {
        let mut unauthorized = answer(401, None);
        unauthorized.extensions_mut().insert(TokenRejected::new(renewable));
        assert_eq!(response(&unauthorized, NOW), Verdict::Failed(Failed::Unauthorized { renewable }));
    }
    let mut forbidden = answer(403, None);
    forbidden.extensions_mut().insert(TokenRejected::new(true));
    assert_eq!(response(&forbidden, NOW), Verdict::Final, "the mark means nothing on anything else");
}

#[test]
fn retry_after_is_read_on_what_is_retried_and_on_nothing_else() {
    let date = httpdate::fmt_http_date(NOW + Duration::from_secs(70));
    for (field, seconds) in [("70", 70), (date.as_str(), 70), ("0", 0)] {
        for status in [408, 425, 429, 500, 502, 503, 504] {
            let Verdict::Failed(Failed::Passing { hint, .. }) = response(&answer(status, Some(field)), NOW) else {
                panic!("{status}")
            };
            assert_eq!(hint, Some(Duration::from_secs(seconds)), "{status} {field}");
        }
        for status in [200, 202, 301, 403, 404, 501] {
            assert_eq!(response(&answer(status, Some(field)), NOW), Verdict::Final, "{status}");
        }
    }
}

#[test]
fn what_a_socket_says_is_told_apart() {
    use io::ErrorKind as Kind;
    for (kind, expected) in [
        (Kind::ConnectionRefused, failed(Processed::No)),
        (Kind::AddrNotAvailable, failed(Processed::No)),
        // Linux says these of established connections as well, in place of a timeout.
        (Kind::HostUnreachable, failed(Processed::Maybe)),
        (Kind::NetworkUnreachable, failed(Processed::Maybe)),
        (Kind::ConnectionReset, failed(Processed::Maybe)),
        (Kind::ConnectionAborted, failed(Processed::Maybe)),
        (Kind::BrokenPipe, failed(Processed::Maybe)),
        (Kind::NotConnected, failed(Processed::Maybe)),
        (Kind::TimedOut, failed(Processed::Maybe)),
        (Kind::UnexpectedEof, failed(Processed::Maybe)),
        (Kind::InvalidData, Verdict::Fatal),
        (Kind::PermissionDenied, Verdict::Fatal),
        (Kind::Other, Verdict::Fatal),
    ] {
        assert_eq!(error(&io::Error::from(kind)), expected, "{kind:?}");
        assert_eq!(error(&io::Error::new(kind, "with a text")), expected, "{kind:?}");
    }
}

#[test]
fn a_cause_is_found_under_any_wrapping() {
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let boxed: BoxError = refused().into();
    for wrapped in [
        Box::new(refused()) as BoxError,
        Box::new(Wrapped("client", Some(boxed))),
        Box::new(io::Error::other(refused())),
        Box::new(io::Error::other(io::Error::other(refused()))),
        Box::new(io::Error::other(Wrapped("tls", Some(Box::new(refused()))))),
        Box::new(Wrapped("a", Some(Box::new(io::Error::other(Wrapped("b", Some(Box::new(refused())))))))),
    ] {
        assert_eq!(error(wrapped.as_ref()), failed(Processed::No), "{wrapped:?}");
    }
}

#[test]
fn proof_that_nothing_was_processed_counts_before_doubt() {
    let connecting_timed_out = io::Error::new(
        io::ErrorKind::ConnectionRefused,
        Wrapped("inner", Some(Box::new(io::Error::from(io::ErrorKind::TimedOut)))),
    );
    assert_eq!(error(&connecting_timed_out), failed(Processed::No));
    let turned_round = io::Error::new(
        io::ErrorKind::TimedOut,
        Wrapped("inner", Some(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused)))),
    );
    assert_eq!(error(&turned_round), failed(Processed::No));
}

#[test]
fn an_error_of_this_crate_is_never_retried() {
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let ours = || crate::Error::transient(refused());
    assert_eq!(error(&ours()), Verdict::Fatal, "although its cause is a connection");
    assert_eq!(error(&Wrapped("layer", Some(Box::new(ours())))), Verdict::Fatal);
    assert_eq!(error(&io::Error::other(ours())), Verdict::Fatal);
    assert_eq!(error(&io::Error::new(io::ErrorKind::ConnectionReset, ours())), Verdict::Fatal);
}

#[test]
fn an_unknown_error_is_not_retried() {
    assert_eq!(error(&Wrapped("who knows", None)), Verdict::Fatal);
    assert_eq!(error(&io::Error::other("who knows")), Verdict::Fatal);
    assert_eq!(error(&fmt::Error), Verdict::Fatal);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_tower_leaves_it_open_whether_it_was_processed() {
    let hanging = tower::service_fn(|(): ()| std::future::pending::<Result<(), BoxError>>());
    let elapsed = tower::timeout::Timeout::new(hanging, Duration::from_secs(1)).oneshot(()).await.unwrap_err();
    assert_eq!(error(elapsed.as_ref()), failed(Processed::Maybe));
    let elapsed = tokio::time::timeout(Duration::from_secs(1), std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(error(&elapsed), failed(Processed::Maybe));
    assert_eq!(error(&io::Error::from(elapsed)), failed(Processed::Maybe));
}

#[test]
fn the_first_that_knows_decides_whether_a_request_is_repeatable() {
    let with = |method: &str, repeat: Option<Repeat>, key: bool| {
        let mut request = Request::builder().method(method).uri("https://h/search").body(()).unwrap();
        if key {
            request.headers_mut().insert("Idempotency-Key", "7".parse().unwrap());
        }
        if let Some(repeat) = repeat {
            request.extensions_mut().insert(repeat);
        }
        request
    };
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"] {
        assert!(is_repeatable(&with(method, None, false), |_| false), "{method}");
        assert!(!is_repeatable(&with(method, Some(Repeat::Never), true), |_| true), "{method}");
    }
    for method in ["POST", "PATCH", "CONNECT", "get", "PROPFIND", "query"] {
        assert!(!is_repeatable(&with(method, None, false), |_| false), "{method}");
        assert!(is_repeatable(&with(method, None, true), |_| false), "{method} with a key");
        assert!(is_repeatable(&with(method, None, false), |_| true), "{method} by its route");
        assert!(is_repeatable(&with(method, Some(Repeat::Always), false), |_| false), "{method} always");
        assert!(!is_repeatable(&with(method, Some(Repeat::Never), true), |_| true), "{method} never");
    }
    let untouched = |_: &Request<()>| panic!("the request has said it");
    assert!(is_repeatable(&with("POST", Some(Repeat::Always), false), untouched));
    assert!(!is_repeatable(&with("GET", Some(Repeat::Never), false), untouched));
}

#[cfg(feature = "client")]
mod client {
    use super::*;

    #[test]
    fn a_certificate_that_does_not_fit_stays_so() {
        let bad = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert_eq!(error(&io::Error::new(io::ErrorKind::InvalidData, bad())), Verdict::Fatal);
        // A connection that is called refused is one that must not be, all the same.
        assert_eq!(error(&io::Error::new(io::ErrorKind::ConnectionRefused, bad())), Verdict::Fatal);
        assert_eq!(error(&Wrapped("connect", Some(Box::new(bad())))), Verdict::Fatal);
    }

    #[test]
    fn a_stream_error_of_our_own_proves_nothing() {
        // Only what the server sent says what the server did.
        assert_eq!(error(&h2::Error::from(h2::Reason::REFUSED_STREAM)), failed(Processed::Maybe));
        assert_eq!(error(&h2::Error::from(h2::Reason::NO_ERROR)), failed(Processed::Maybe));
        assert_eq!(error(&h2::Error::from(h2::Reason::INTERNAL_ERROR)), failed(Processed::Maybe));
    }
}

fn answer(status: u16, retry_after: Option<&str>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(field) = retry_after {
        response.headers_mut().insert(http::header::RETRY_AFTER, field.parse().unwrap());
    }
    response
}

fn failed(processed: Processed) -> Verdict {
    Verdict::Failed(Failed::Passing { processed, throttled: false, hint: None })
}

/// An error of some library, with its cause.
#[derive(Debug)]
struct Wrapped(&'static str, Option<BoxError>);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl StdError for Wrapped {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.1.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}
