//! How long is waited: `Retry-After` in full or not at all, and never past a deadline.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::{Method, Request, Response, StatusCode};
use tokio::time::{Instant, sleep};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_oauth2::{
    Deadline,
    retry::{RetryLayer, RetryOutcome, RetryPolicy, Stopped},
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn seconds_are_waited_in_full_with_a_bounded_spread() {
    for status in [429, 503] {
        for seconds in [1, 5, 30, 120] {
            let mut waits = Vec::new();
            for seed in 0..50 {
                let policy = RetryPolicy::new().seed(seed);
                let (response, took) = ask(policy, 1, answer(status, Some(&seconds.to_string())), Method::GET).await;
                assert_eq!(response.status(), StatusCode::OK);
                waits.push(took);
            }
            let hint = seconds * SECOND;
            // tokio's timer rounds up to a millisecond. A short hint may be less than the first back-off.
            let most = hint.max(SECOND / 5) + (hint / 10).min(5 * SECOND) + Duration::from_millis(1);
            assert!(waits.iter().all(|wait| (hint..=most).contains(wait)), "{seconds} s: {waits:?}");
            let spread = *waits.iter().max().unwrap() - *waits.iter().min().unwrap();
            assert!(spread > (hint / 10).min(5 * SECOND) / 2, "they do not all come back at once: {spread:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_ever_waits_for_a_day() {
    const DAY: u32 = 86_400;
    let policy = || RetryPolicy::new().max_retry_after(Duration::MAX).deadline(Duration::MAX);
    let (response, took) = ask(policy(), 1, answer(429, Some(&DAY.to_string())), Method::GET).await;
    assert!(response.status() == StatusCode::OK && took >= DAY * SECOND, "{took:?}");
    let (response, took) = ask(policy(), 1, answer(429, Some(&(DAY + 1).to_string())), Method::GET).await;
    assert_eq!((response.status(), took), (StatusCode::TOO_MANY_REQUESTS, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_date_is_waited_for_in_full() {
    for seed in 0..20 {
        let date = SystemTime::now() + 60 * SECOND;
        let field = httpdate::fmt_http_date(date);
        let asked = Instant::now();
        let wanted = httpdate::parse_http_date(&field).unwrap().duration_since(SystemTime::now()).unwrap();
        let (response, took) = ask(RetryPolicy::new().seed(seed), 1, answer(429, Some(&field)), Method::POST).await;
        assert_eq!(response.status(), StatusCode::OK);
        // The wall clock went on while the test's clock stood still: a little less than `wanted` is still in time.
        assert!(took + SECOND / 10 >= wanted && took <= wanted + 7 * SECOND, "{took:?} for {wanted:?} from {asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_back_off_longer_than_the_hint_counts() {
    let policy = || RetryPolicy::new().backoff(60 * SECOND, 60 * SECOND);
    let mut longest = Duration::ZERO;
    for seed in 0..20 {
        let (_, took) = ask(policy().seed(seed), 1, answer(429, Some("2")), Method::GET).await;
        assert!(took >= 2 * SECOND);
        longest = longest.max(took);
    }
    assert!(longest > 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_hint_is_the_usual_back_off() {
    let past = httpdate::fmt_http_date(SystemTime::now() - 60 * SECOND);
    for field in [None, Some("0"), Some(past.as_str()), Some("soon"), Some("-5"), Some("5 s")] {
        for seed in 0..20 {
            for (status, waits) in [(503, 0..=201), (429, 500..=1001)] {
                let policy = RetryPolicy::new().seed(seed);
                let (response, took) = ask(policy, 1, answer(status, field), Method::GET).await;
                assert_eq!(response.status(), StatusCode::OK);
                assert!(waits.contains(&took.as_millis()), "{field:?} {status} {took:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_is_too_long_is_returned_at_once() {
    let in_an_hour = httpdate::fmt_http_date(SystemTime::now() + 3600 * SECOND);
    for (field, hint) in [("121", 121 * SECOND), ("3600", 3600 * SECOND), ("99999999999999999999999", Duration::MAX)] {
        for status in [429, 503] {
            let (response, took) = ask(RetryPolicy::new(), 1, answer(status, Some(field)), Method::GET).await;
            assert_eq!((response.status().as_u16(), took), (status, Duration::ZERO));
            assert_eq!(outcome(&response).stopped, Stopped::HintTooLong(hint));
            assert_eq!(response.headers()["retry-after"], field, "the caller can see it too");
        }
    }
    let (response, took) = ask(RetryPolicy::new(), 1, answer(429, Some(&in_an_hour)), Method::GET).await;
    assert_eq!(took, Duration::ZERO);
    assert!(matches!(outcome(&response).stopped, Stopped::HintTooLong(_)));

    let patient = RetryPolicy::new().max_retry_after(130 * SECOND);
    let (response, took) = ask(patient, 1, answer(429, Some("121")), Method::GET).await;
    assert!(response.status().is_success() && took >= 121 * SECOND);
    let impatient = RetryPolicy::new().max_retry_after(Duration::ZERO);
    let (response, took) = ask(impatient, 1, answer(429, Some("1")), Method::GET).await;
    assert_eq!((outcome(&response).stopped, took), (Stopped::HintTooLong(SECOND), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_wait_past_the_deadline_is_not_begun() {
    let policy = RetryPolicy::new().deadline(20 * SECOND);
    for seed in 0..20 {
        let (response, took) = ask(policy.clone().seed(seed), 1, answer(429, Some("20")), Method::GET).await;
        assert_eq!((outcome(&response).stopped, took), (Stopped::Deadline, Duration::ZERO));
    }
    // The spread may take it over the edge, but not out of bounds.
    let (response, took) = ask(policy, 1, answer(429, Some("15")), Method::GET).await;
    assert!(response.status().is_success() && took < 20 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_request_counts_if_it_is_sooner() {
    for (within, policy, fine) in [(10, 300, false), (40, 300, true), (300, 10, false), (100_000, 300, true)] {
        let mut request = request(Method::GET);
        request.extensions_mut().insert(Deadline::within(within * SECOND));
        let policy = RetryPolicy::new().deadline(policy * SECOND);
        let (response, took) = run(policy, 1, answer(429, Some("30")), request).await;
        assert_eq!(response.status().is_success(), fine, "{within}");
        assert!(fine || (took == Duration::ZERO && outcome(&response).stopped == Stopped::Deadline));
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_is_sent_again_more_than_five_minutes_after_the_first_time() {
    for seed in 0..20 {
        let policy = RetryPolicy::new().max_attempts(u32::MAX).no_budget().seed(seed);
        let (response, took) = ask(policy, u32::MAX, answer(503, Some("119")), Method::GET).await;
        let outcome = outcome(&response);
        assert_eq!((outcome.attempts, outcome.stopped), (3, Stopped::Deadline));
        assert!(took < 300 * SECOND && took == outcome.elapsed, "{took:?}");
    }
    let policy = RetryPolicy::new().max_attempts(u32::MAX).no_budget();
    let (response, took) = ask(policy, u32::MAX, answer(503, None), Method::GET).await;
    assert_eq!(outcome(&response).stopped, Stopped::Deadline);
    assert!(took < 300 * SECOND && took > 280 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_time_that_attempts_take_counts_towards_the_deadline() {
    let sent = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&sent);
    let api = service_fn(move |_: Request<()>| {
        counter.fetch_add(1, Ordering::SeqCst);
        async {
            sleep(9 * SECOND).await;
            Ok::<_, BoxError>(answer(503, None))
        }
    });
    let policy = RetryPolicy::new().deadline(10 * SECOND);
    let stack = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(api);
    // A service that waited for its first request does not count that against it.
    sleep(100 * SECOND).await;
    let response = stack.oneshot(request(Method::GET)).await.unwrap();
    assert_eq!((sent.load(Ordering::SeqCst), outcome(&response).stopped), (2, Stopped::Deadline));
    assert!(outcome(&response).elapsed >= 18 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn giving_up_during_a_wait_is_the_callers_right() {
    let sent = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&sent);
    let api = service_fn(move |_: Request<()>| {
        counter.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, BoxError>(answer(429, Some("30"))) }
    });
    let stack = ServiceBuilder::new().layer(RetryLayer::new(RetryPolicy::new())).service(api);
    let call = tokio::time::timeout(10 * SECOND, stack.oneshot(request(Method::GET)));
    assert!(call.await.is_err());
    sleep(100 * SECOND).await;
    assert_eq!(sent.load(Ordering::SeqCst), 1, "nothing goes on behind the caller's back");
}

async fn ask(policy: RetryPolicy, failures: u32, failure: Response<()>, method: Method) -> (Response<()>, Duration) {
    run(policy, failures, failure, request(method)).await
}

/// One request to an API that fails the first `failures` times, and the virtual time it took.
async fn run(
    policy: RetryPolicy,
    failures: u32,
    failure: Response<()>,
    request: Request<()>,
) -> (Response<()>, Duration) {
    let sent = Arc::new(AtomicU32::new(0));
    let api = service_fn(move |_: Request<()>| {
        let fails = sent.fetch_add(1, Ordering::SeqCst) < failures;
        let response = if fails { failure.clone() } else { answer(200, None) };
        async { Ok::<_, BoxError>(response) }
    });
    let start = Instant::now();
    let stack = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(api);
    let response = stack.oneshot(request).await.unwrap();
    (response, Instant::now() - start)
}

fn request(method: Method) -> Request<()> {
    Request::builder().method(method).uri("https://api.example.com/").body(()).unwrap()
}

fn answer(status: u16, retry_after: Option<&str>) -> Response<()> {
    let mut response = Response::builder().status(status).body(()).unwrap();
    if let Some(field) = retry_after {
        response.headers_mut().insert("retry-after", field.parse().unwrap());
    }
    response
}

fn outcome(response: &Response<()>) -> RetryOutcome {
    *response.extensions().get().expect("it says why it was given up")
}
