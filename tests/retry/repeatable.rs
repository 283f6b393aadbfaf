//! Which failures are sent again: what the server cannot have acted on, and what may be done twice.

use std::{io, task::Poll, time::Duration};

use http::{Method, Request, Response, StatusCode};
use tokio::time::{advance, timeout};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, retry::Retry, service_fn};
use tower_oauth2::{
    Error,
    retry::{Repeat, RetryLayer, RetryOutcome, RetryPolicy, Stopped},
};
use tower_test::mock;

type Mock = mock::Mock<Request<&'static str>, Response<&'static str>>;

const ALL: [&str; 9] = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY", "POST", "PATCH"];

#[tokio::test(start_paused = true)]
async fn what_was_refused_before_it_was_looked_at_is_sent_again_for_any_method() {
    for method in ALL {
        for repeat in [None, Some(Repeat::Always), Some(Repeat::Never)] {
            for status in [425, 429] {
                assert!(
                    is_retried(&policy(), request(method, repeat), Fault::Status(status)).await,
                    "{method} {status}"
                );
            }
            let refused = Fault::Io(io::ErrorKind::ConnectionRefused);
            assert!(is_retried(&policy(), request(method, repeat), refused).await, "{method} {repeat:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_done_is_sent_again_only_if_it_is_repeatable() {
    for method in ALL {
        let idempotent = !matches!(method, "POST" | "PATCH");
        for fault in [
            Fault::Status(408),
            Fault::Status(500),
            Fault::Status(502),
            Fault::Status(503),
            Fault::Status(504),
            Fault::Io(io::ErrorKind::ConnectionReset),
            Fault::Io(io::ErrorKind::BrokenPipe),
            Fault::Io(io::ErrorKind::UnexpectedEof),
            Fault::Elapsed,
        ] {
            for (repeat, expected) in [(None, idempotent), (Some(Repeat::Always), true), (Some(Repeat::Never), false)] {
                let retried = is_retried(&policy(), request(method, repeat), fault).await;
                assert_eq!(retried, expected, "{method} {repeat:?} {fault:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_or_a_lasting_failure_is_never_sent_again() {
    for fault in [200, 204, 301, 303, 304, 400, 403, 404, 409, 413, 422, 451, 501, 505, 511].map(Fault::Status) {
        assert!(!is_retried(&policy(), request("GET", Some(Repeat::Always)), fault).await, "{fault:?}");
    }
    for fault in [Fault::Ours, Fault::Unknown, Fault::Io(io::ErrorKind::InvalidData)] {
        assert!(!is_retried(&policy(), request("GET", Some(Repeat::Always)), fault).await, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_sent_again_says_why() {
    let api = service_fn(|_: Request<&'static str>| async { Ok::<_, BoxError>(answer(503)) });
    let policy = policy();
    let response = Retry::new(policy.clone(), api).oneshot(request("POST", None)).await.unwrap();
    let outcome = response.extensions().get::<RetryOutcome>().unwrap();
    assert_eq!((outcome.attempts, outcome.stopped), (1, Stopped::NotRepeatable));
    assert_eq!(policy.stats().given_up, 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_that_knows_decides() {
    let search = || policy().repeatable_when(|method, uri| method == Method::POST && uri.path().ends_with("/query"));
    let post = |path: &str, key: bool, repeat| {
        let mut request = request("POST", repeat);
        *request.uri_mut() = format!("https://api.example.com{path}?x=/query").parse().unwrap();
        if key {
            request.headers_mut().insert("idempotency-key", "7".parse().unwrap());
        }
        request
    };
    for (request, expected) in [
        (post("/query", false, None), true),
        (post("/jobs", false, None), false),
        (post("/jobs", true, None), true),
        (post("/query", true, Some(Repeat::Never)), false),
        (post("/jobs", false, Some(Repeat::Always)), true),
        (request("GET", None), true),
    ] {
        let what = format!("{request:?}");
        assert_eq!(is_retried(&search(), request, Fault::Status(503)).await, expected, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_mark_survives_every_replay() {
    for (repeat, sends) in [(Repeat::Always, 4), (Repeat::Never, 1)] {
        let (api, mut handle) = mock::pair::<Request<&'static str>, Response<&'static str>>();
        let call = tokio::spawn(Retry::new(policy(), api).oneshot(request("POST", Some(repeat))));
        for _ in 0..sends {
            let (request, send) = handle.next_request().await.unwrap();
            assert_eq!(request.extensions().get(), Some(&repeat));
            assert_eq!((request.method(), *request.body()), (&Method::POST, "body"));
            assert_eq!(request.headers()["x-mine"], "kept");
            send.send_response(answer(503));
        }
        assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_wait_is_over() {
    let (mut service, mut handle) = mock::spawn_layer(RetryLayer::<RetryPolicy>::new(RetryPolicy::new()));
    handle.allow(1);
    assert_ready!(service.poll_ready()).unwrap();
    let mut call = task::spawn(service.call(request("GET", None)));
    assert_pending!(call.poll());
    let (_, send) = assert_ready!(handle.poll_request()).unwrap();
    let mut limited = answer(429);
    limited.headers_mut().insert("retry-after", "30".parse().unwrap());
    send.send_response(limited);
    assert_pending!(call.poll());

    handle.allow(1);
    advance(Duration::from_millis(29_999)).await;
    assert_pending!(call.poll());
    assert_pending!(handle.poll_request());
    advance(Duration::from_millis(3002)).await;
    assert!(call.is_woken());
    assert_pending!(call.poll());
    let (_, send) = assert_ready!(handle.poll_request()).unwrap();
    send.send_response(answer(200));
    assert_eq!(assert_ready!(call.poll()).unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_asked_of_the_service_underneath_and_of_nobody_else() {
    let (mut service, mut handle) = mock::spawn_layer::<Request<&str>, Response<&str>, _>(RetryLayer::new(policy()));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert!(service.is_woken());
    assert_ready!(service.poll_ready()).unwrap();
    handle.send_error("closed");
    let mut another = service.get_ref().clone();
    let broken = std::future::poll_fn(|cx| Service::<Request<&str>>::poll_ready(&mut another, cx)).await;
    assert_eq!(broken.unwrap_err().to_string(), "closed");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_inside_is_retried_and_one_outside_ends_it() {
    let hanging = || service_fn(|_: Request<&'static str>| std::future::pending::<Result<Response<&str>, BoxError>>());
    let second = Duration::from_secs(1);
    let policy = policy();
    let inside = ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).timeout(second).service(hanging());
    let error = inside.oneshot(request("GET", None)).await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>());
    assert_eq!(policy.stats().retries, 3);
    let outside = ServiceBuilder::new().timeout(second).layer(RetryLayer::new(policy.clone())).service(hanging());
    assert!(timeout(second * 2, outside.oneshot(request("GET", None))).await.unwrap().is_err());
    assert_eq!(policy.stats().retries, 3);
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Status(u16),
    Io(io::ErrorKind),
    Elapsed,
    Ours,
    Unknown,
}

async fn is_retried(policy: &RetryPolicy, request: Request<&'static str>, fault: Fault) -> bool {
    let (api, mut handle): (Mock, _) = mock::pair();
    let mut call = task::spawn(Retry::new(policy.clone(), api).oneshot(request));
    assert!(call.poll().is_pending());
    let Poll::Ready(Some((_, send))) = handle.poll_request() else { panic!("nothing was sent") };
    match fault {
        Fault::Status(status) => send.send_response(answer(status)),
        Fault::Io(kind) => send.send_error(io::Error::from(kind)),
        Fault::Elapsed => send.send_error(tower::timeout::error::Elapsed::new()),
        Fault::Ours => send.send_error(Error::transient(io::Error::from(io::ErrorKind::ConnectionRefused))),
        Fault::Unknown => send.send_error("who knows"),
    }
    if call.poll().is_ready() {
        return false;
    }
    advance(Duration::from_secs(1)).await;
    assert!(call.poll().is_pending());
    assert!(matches!(handle.poll_request(), Poll::Ready(Some(_))), "sent again within the back-off");
    true
}

fn policy() -> RetryPolicy {
    RetryPolicy::new()
}

fn request(method: &str, repeat: Option<Repeat>) -> Request<&'static str> {
    let request = Request::builder().method(method).uri("https://api.example.com/").header("x-mine", "kept");
    let mut request = request.body("body").unwrap();
    if let Some(repeat) = repeat {
        request.extensions_mut().insert(repeat);
    }
    request
}

fn answer(status: u16) -> Response<&'static str> {
    Response::builder().status(status).body("").unwrap()
}
