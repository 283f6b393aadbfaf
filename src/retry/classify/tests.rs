use std::{error::Error as StdError, fmt, io, time::SystemTime};

use http::StatusCode;
use tower::{BoxError, ServiceExt};

use super::*;
use crate::{
    retry::hints::{RetryHint, RetryHints},
    token::TokenRejected,
};

#[test]
fn every_status_has_its_row_in_the_table() {
    for status in 100..1000 {
        let expected = match status {
            401 => Verdict::Unauthorized { renewable: false },
            408 | 500 | 502 | 503 | 504 => failed(Processed::Maybe),
            425 => Verdict::Failed(Failure::new(Processed::No).once(true)),
            429 => Verdict::Failed(Failure::new(Processed::No).throttled(true)),
            100..500 => Verdict::Done,
            _ => Verdict::Fatal,
        };
        assert_eq!(response(&answer(status, None)), expected, "{status}");
    }
}

#[test]
fn a_401_is_renewable_only_if_its_mark_says_so() {
    for renewable in [true, false] {
        let mut unauthorized = answer(401, None);
        unauthorized.extensions_mut().insert(TokenRejected::new(renewable));
        assert_eq!(response(&unauthorized), Verdict::Unauthorized { renewable });
    }
    let mut forbidden = answer(403, None);
    forbidden.extensions_mut().insert(TokenRejected::new(true));
    assert_eq!(response(&forbidden), Verdict::Done, "the mark means nothing on anything else");
}

#[test]
fn retry_after_is_read_on_what_is_retried_and_on_nothing_else() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let date = httpdate::fmt_http_date(now + Duration::from_secs(70));
    for (field, seconds) in [("70", 70), (date.as_str(), 70), ("0", 0)] {
        let answer = |status| {
            let mut answer = answer(status, Some(field));
            answer.headers_mut().insert("date", httpdate::fmt_http_date(now).parse().unwrap());
            answer
        };
        for status in [408, 425, 429, 500, 502, 503, 504] {
            let Verdict::Failed(failure) = response(&answer(status)) else { panic!("{status}") };
            assert_eq!(failure.get_retry_after(), Some(Duration::from_secs(seconds)), "{status} {field}");
            assert_eq!(failure.is_throttled(), status == 429 || (status == 503 && seconds > 0), "{status} {field}");
        }
        for status in [200, 202, 301, 403, 404] {
            assert_eq!(response(&answer(status)), Verdict::Done, "{status}");
        }
        assert_eq!(response(&answer(501)), Verdict::Fatal);
    }
}

#[test]
fn what_of_the_table_can_be_chosen_is_chosen() {
    let of = |classifier: &HttpClassifier, answer: &Response<()>| match classifier.response(answer) {
        Verdict::Failed(failure) => Some((failure.processed(), failure.is_throttled())),
        _ => None,
    };
    let careful = HttpClassifier::new().too_many_requests(Processed::Maybe);
    assert_eq!(of(&careful, &answer(429, None)), Some((Processed::Maybe, true)));
    let bold = HttpClassifier::new().busy(Processed::No);
    assert_eq!(of(&bold, &answer(503, Some("7"))), Some((Processed::No, true)));
    assert_eq!(of(&bold, &answer(503, Some("0"))), Some((Processed::Maybe, false)), "it does not say when");
    assert_eq!(of(&bold, &answer(503, None)), Some((Processed::Maybe, false)));

    let (usual, github) = (HttpClassifier::new(), HttpClassifier::new().limited_403());
    let with = |name: &'static str, value: &str| {
        let mut answer = answer(403, None);
        answer.headers_mut().insert(name, value.parse().unwrap());
        answer
    };
    for limited in [with("retry-after", "60"), with("x-ratelimit-remaining", "0")] {
        assert_eq!(of(&usual, &limited), None);
        assert_eq!(of(&github, &limited), Some((Processed::No, true)));
    }
    for forbidden in [answer(403, None), with("x-ratelimit-remaining", "57"), with("retry-after", "soon")] {
        assert_eq!(of(&github, &forbidden), None, "{forbidden:?}");
    }
    let mut spent = with("x-ratelimit-remaining", "0");
    spent.headers_mut().insert("x-ratelimit-reset", "90".parse().unwrap());
    let Verdict::Failed(failure) = github.response(&spent) else { panic!("not limited") };
    assert_eq!(failure.get_retry_after(), Some(Duration::from_secs(90)));
}

#[test]
fn what_a_layer_has_found_counts_as_a_header_does_if_it_is_longer() {
    for (field, found, expected) in [(None, 42, 42), (Some("7"), 42, 42), (Some("70"), 42, 70)] {
        let mut limited = answer(429, field);
        limited.extensions_mut().insert(RetryHint(Duration::from_secs(found)));
        let Verdict::Failed(failure) = response(&limited) else { panic!("{field:?}") };
        assert_eq!(failure.get_retry_after(), Some(Duration::from_secs(expected)), "{field:?}");
    }
}

#[test]
fn a_status_of_grpc_counts_if_that_of_http_says_nothing() {
    let classifier = GrpcClassifier::new();
    let of = |http: u16, status: Option<&str>| {
        let mut answer = answer(http, None);
        if let Some(status) = status {
            answer.headers_mut().insert("grpc-status", status.parse().unwrap());
        }
        classifier.response(&answer)
    };
    for status in 0..40 {
        let expected = match status {
            8 => Verdict::Failed(Failure::new(Processed::No).throttled(true)),
            14 => failed(Processed::Maybe),
            16 => Verdict::Unauthorized { renewable: false },
            2 | 4 | 12 | 13 | 15 | 17.. => Verdict::Fatal,
            _ => Verdict::Done,
        };
        assert_eq!(of(200, Some(&status.to_string())), expected, "{status}");
    }
    for nonsense in ["", "-1", "016", "16 ", " 8", "sixteen", "1e1"] {
        // Blanks around a field are not part of it, but here they have come through.
        assert_eq!(of(200, Some(nonsense)), Verdict::Fatal, "{nonsense:?}");
    }
    assert_eq!(of(200, None), Verdict::Done, "it comes after the messages");
    assert_eq!(of(401, None), Verdict::Unauthorized { renewable: false });
    assert_eq!(of(429, Some("0")), Verdict::Failed(Failure::new(Processed::No).throttled(true)));
    assert_eq!(of(503, Some("16")), failed(Processed::Maybe));
    assert_eq!(of(400, Some("13")), Verdict::Done);
}

#[test]
fn a_pushback_of_grpc_is_waited_for_or_forbids() {
    let of = |fields: &[&str]| {
        let mut answer = answer(200, None);
        answer.headers_mut().insert("grpc-status", "14".parse().unwrap());
        for field in fields {
            answer.headers_mut().append("grpc-retry-pushback-ms", field.parse().unwrap());
        }
        let Verdict::Failed(failure) = GrpcClassifier::new().response(&answer) else { panic!("{fields:?}") };
        failure.get_retry_after()
    };
    assert_eq!(of(&[]), None);
    assert_eq!(of(&["0"]), Some(Duration::ZERO));
    assert_eq!(of(&["1500"]), Some(Duration::from_millis(1500)));
    for never in [&["-1"][..], &["soon"], &["1.5"], &[""], &["+5"], &["1 2"], &["1", "1"]] {
        assert_eq!(of(never), Some(Duration::MAX), "{never:?}");
    }
    let mut answer = answer(503, None);
    answer.headers_mut().insert("grpc-retry-pushback-ms", "-1".parse().unwrap());
    assert_eq!(response(&answer), failed(Processed::Maybe), "it means nothing unless asked for");
    let asked = HttpClassifier::new().hints(RetryHints::new().grpc_pushback());
    let Verdict::Failed(failure) = asked.response(&answer) else { panic!("not failed") };
    assert_eq!(failure.get_retry_after(), Some(Duration::MAX));
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
fn what_was_kept_back_is_never_retried() {
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let ours = || crate::Error::transient(refused());
    assert_eq!(error(&ours()), Verdict::Unsent, "although its cause is a connection");
    assert_eq!(error(&Wrapped("layer", Some(Box::new(ours())))), Verdict::Unsent);
    assert_eq!(error(&io::Error::other(ours())), Verdict::Unsent);
    assert_eq!(error(&io::Error::new(io::ErrorKind::ConnectionReset, ours())), Verdict::Unsent);
    assert_eq!(error(&crate::Error::deadline(false)), Verdict::Unsent);
    assert_eq!(error(&crate::Error::deadline(true)), Verdict::Fatal, "it was on its way");
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
fn a_service_that_sheds_load_is_left_alone() {
    let overloaded = || tower::load_shed::error::Overloaded::new();
    assert_eq!(error(&overloaded()), Verdict::Fatal);
    assert_eq!(error(&Wrapped("buffer", Some(Box::new(overloaded())))), Verdict::Fatal);
    assert_eq!(error(&io::Error::new(io::ErrorKind::ConnectionRefused, overloaded())), Verdict::Fatal);
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
}

#[cfg(feature = "hyper")]
mod http2 {
    use super::*;

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
    Verdict::Failed(Failure::new(processed))
}

fn response(response: &Response<()>) -> Verdict {
    HttpClassifier::new().response(response)
}

fn error(error: &(dyn StdError + 'static)) -> Verdict {
    HttpClassifier::new().error(error)
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
