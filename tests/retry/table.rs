//! The table in `retry`, row by row and both ways: what is sent again if it may be done twice, and if it may not.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use tokio::time::{Instant, sleep};
use tower::{BoxError, ServiceBuilder, ServiceExt, load_shed::error::Overloaded, service_fn, timeout::error::Elapsed};
use tower_oauth2::{
    Error, TokenRejected,
    retry::{
        Classify, Failure, HttpClassifier, Processed, RetryHint, RetryHints, RetryLayer, RetryOutcome, RetryPolicy,
        Stopped, TypedErrors, Verdict,
    },
};

/// How often a request is sent that always gets this answer: if it is repeatable, and if not.
async fn row(what: &str, answer: fn() -> Answer, repeatable: u32, other: u32) {
    with(RetryPolicy::new(), what, answer, repeatable, other).await;
}

async fn with<C>(policy: RetryPolicy<C>, what: &str, answer: fn() -> Answer, repeatable: u32, other: u32)
where
    C: Classify<(), BoxError> + Send + Sync + 'static,
{
    for (method, expected) in [("GET", repeatable), ("PUT", repeatable), ("POST", other), ("PATCH", other)] {
        let (sent, _) = send(policy.clone(), method, move |_| answer()).await;
        assert_eq!(sent.len(), usize::try_from(expected).unwrap(), "{what}: {method}");
    }
}

type Answer = Result<Response<()>, BoxError>;

#[tokio::test(start_paused = true)]
async fn an_answer_is_returned() {
    row("200", || status(200), 1, 1).await;
    row("204", || status(204), 1, 1).await;
    row("302", || status(302), 1, 1).await;
    row("304", || status(304), 1, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_401_with_a_mark_is_replayed_once_for_any_request() {
    row("401, renewable, always", || marked(Some(true)), 2, 2).await;
    row("401, not renewable", || marked(Some(false)), 1, 1).await;
    row("401, nobody's", || marked(None), 1, 1).await;
    let (sent, _) =
        send(RetryPolicy::new(), "POST", |nth| if nth == 1 { marked(Some(true)) } else { status(200) }).await;
    assert_eq!((sent.len(), sent[1] - sent[0]), (2, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_403_is_returned_unless_it_is_said_to_be_a_limit() {
    row("403", || status(403), 1, 1).await;
    row("403, limited", || field(403, "retry-after", "1"), 1, 1).await;
    row("403, spent", || field(403, "x-ratelimit-remaining", "0"), 1, 1).await;
    let github = || RetryPolicy::new().classifier(HttpClassifier::new().limited_403());
    with(github(), "403", || status(403), 1, 1).await;
    with(github(), "403, limited", || field(403, "retry-after", "1"), 6, 6).await;
    with(github(), "403, spent", || field(403, "x-ratelimit-remaining", "0"), 6, 6).await;
    with(github(), "403, some left", || field(403, "x-ratelimit-remaining", "9"), 1, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_429_is_sent_again_six_times_for_any_request() {
    row("429", || status(429), 6, 6).await;
    row("429, with a hint", || field(429, "retry-after", "2"), 6, 6).await;
    row("429, for ever", || field(429, "retry-after", "121"), 1, 1).await;
    let careful = || RetryPolicy::new().classifier(HttpClassifier::new().too_many_requests(Processed::Maybe));
    with(careful(), "429, restricted", || status(429), 6, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_503_that_says_when_to_come_back_is_as_a_429_for_what_may_be_done_twice() {
    row("503, with a hint", || field(503, "retry-after", "2"), 6, 1).await;
    row("503, with none", || field(503, "retry-after", "0"), 4, 1).await;
    let bold = || RetryPolicy::new().classifier(HttpClassifier::new().busy(Processed::No));
    with(bold(), "503, with a hint", || field(503, "retry-after", "2"), 6, 6).await;
    with(bold(), "503", || status(503), 4, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_server_is_sent_again_if_that_may_be_done_twice() {
    row("408", || status(408), 4, 1).await;
    row("500", || status(500), 4, 1).await;
    row("502", || status(502), 4, 1).await;
    row("503", || status(503), 4, 1).await;
    row("504", || status(504), 4, 1).await;
    row("425: once for any request", || status(425), 4, 2).await;
    row("500, for ever", || field(500, "retry-after", "121"), 1, 1).await;
}

#[tokio::test(start_paused = true)]
async fn any_other_status_is_returned() {
    for code in [400, 402, 404, 405, 409, 410, 413, 421, 422, 451, 499] {
        let (sent, _) = send(RetryPolicy::new(), "GET", move |_| status(code)).await;
        assert_eq!(sent.len(), 1, "{code}");
    }
    row("501", || status(501), 1, 1).await;
    row("505", || status(505), 1, 1).await;
    row("507", || status(507), 1, 1).await;
    row("511", || status(511), 1, 1).await;
    row("599", || status(599), 1, 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_is_sent_again_for_any_request() {
    row("refused", || io(io::ErrorKind::ConnectionRefused), 4, 4).await;
    row("no address", || io(io::ErrorKind::AddrNotAvailable), 4, 4).await;
}

#[tokio::test(start_paused = true)]
async fn what_broke_off_is_sent_again_if_that_may_be_done_twice() {
    row("reset", || io(io::ErrorKind::ConnectionReset), 4, 1).await;
    row("aborted", || io(io::ErrorKind::ConnectionAborted), 4, 1).await;
    row("broken pipe", || io(io::ErrorKind::BrokenPipe), 4, 1).await;
    row("incomplete", || io(io::ErrorKind::UnexpectedEof), 4, 1).await;
    row("timed out", || io(io::ErrorKind::TimedOut), 4, 1).await;
    row("tower's timeout", || Err(Elapsed::new().into()), 4, 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_another_attempt_cannot_mend_is_returned() {
    row("no token", || Err(Error::transient("no token").into()), 1, 1).await;
    row("load shed", || Err(Overloaded::new().into()), 1, 1).await;
    row("decoding", || io(io::ErrorKind::InvalidData), 1, 1).await;
    row("who knows", || Err("who knows".into()), 1, 1).await;
    let untrusted = || {
        let error = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        Err(io::Error::new(io::ErrorKind::ConnectionRefused, error).into())
    };
    row("certificate", untrusted, 1, 1).await;
    row("no token", || Err(Error::transient(io::Error::from(io::ErrorKind::ConnectionRefused)).into()), 1, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_425_in_between_is_sent_again_once() {
    // Whatever else is sent again for any request.
    let script = |nth| status(if nth % 2 == 1 { 425 } else { 429 });
    let (sent, response) = send(RetryPolicy::new(), "POST", script).await;
    assert_eq!((sent.len(), outcome(&response).stopped), (3, Stopped::NotRepeatable));
    let (sent, response) = send(RetryPolicy::new(), "GET", script).await;
    assert_eq!((sent.len(), outcome(&response).stopped), (6, Stopped::Exhausted));
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_failure_has_its_own_limit_and_the_larger_one_holds_for_all() {
    let sends = |policy: RetryPolicy, script: &'static [u16]| async move {
        let (sent, response) = send(policy, "GET", move |nth| status(script[(nth as usize - 1) % script.len()])).await;
        assert_eq!(outcome(&response).stopped, Stopped::Exhausted);
        sent.len()
    };
    assert_eq!(sends(RetryPolicy::new(), &[503]).await, 4);
    assert_eq!(sends(RetryPolicy::new(), &[429]).await, 6);
    assert_eq!(sends(RetryPolicy::new(), &[429, 503]).await, 6);
    assert_eq!(sends(RetryPolicy::new(), &[429, 503, 503]).await, 6);
    assert_eq!(sends(RetryPolicy::new(), &[503, 503, 503, 429]).await, 5);
    for attempts in [1, 2, 8] {
        let policy = || RetryPolicy::new().max_attempts(attempts).no_budget();
        for script in [&[503][..], &[429], &[429, 503]] {
            assert_eq!(sends(policy(), script).await, attempts as usize, "{script:?}");
        }
        assert_eq!(sends(policy().max_throttled_attempts(3), &[429]).await, 3);
        assert_eq!(sends(RetryPolicy::new().max_throttled_attempts(3).max_attempts(attempts), &[429]).await, 3);
    }
    assert_eq!(sends(RetryPolicy::new().max_throttled_attempts(9), &[503]).await, 4);
    assert_eq!(sends(RetryPolicy::new().max_throttled_attempts(0), &[429]).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_429_waits_from_half_a_second_on_and_twice_that_each_time() {
    let mut gaps = [const { Vec::new() }; 5];
    for seed in 0..200 {
        let (sent, _) = send(RetryPolicy::new().seed(seed), "POST", |_| status(429)).await;
        for (gaps, pair) in gaps.iter_mut().zip(sent.windows(2)) {
            gaps.push((pair[1] - pair[0]).as_millis());
        }
    }
    for (gaps, bound) in gaps.iter().zip([1000, 2000, 4000, 8000, 10_000]) {
        // tokio's timer rounds up to a millisecond.
        assert!(gaps.iter().all(|gap| (bound / 2..=bound + 1).contains(gap)), "{gaps:?}");
        let (low, high) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
        assert!(high - low > bound * 4 / 10, "{low} to {high}");
    }
    let policy = RetryPolicy::new().throttled_backoff(Duration::from_secs(8), Duration::from_secs(8));
    for (status_code, waits) in [(429, 4000..=8001), (503, 0..=201)] {
        let (sent, _) = send(policy.clone(), "GET", move |_| status(status_code)).await;
        assert!(waits.contains(&(sent[1] - sent[0]).as_millis()), "{status_code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_may_ask_for_a_wait_in_any_way_that_was_agreed_on() {
    let hints = RetryHints::new().retry_after_ms().rate_limit().rate_limit_reset();
    let policy = RetryPolicy::new().classifier(HttpClassifier::new().hints(hints));
    for answer in [
        || field(429, "retry-after", "20"),
        || field(429, "retry-after-ms", "20000"),
        || field(429, "x-ms-retry-after-ms", "20000"),
        || field(503, "ratelimit", r#""a";r=0;t=20"#),
        || field(503, "x-ratelimit-reset", "20"),
        || {
            let mut response = status(429)?;
            response.extensions_mut().insert(RetryHint(Duration::from_secs(20)));
            Ok(response)
        },
    ] {
        let (sent, _) = send(policy.clone(), "GET", move |nth| if nth == 1 { answer() } else { status(200) }).await;
        let wait = (sent[1] - sent[0]).as_millis();
        assert!((20_000..=22_001).contains(&wait), "{wait} {:?}", answer());
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_any_type_is_looked_into() {
    let refused = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&refused);
    let client = service_fn(move |_: Request<()>| {
        counter.fetch_add(1, Ordering::SeqCst);
        async { Err::<Response<()>, io::Error>(io::ErrorKind::ConnectionRefused.into()) }
    });
    let policy = RetryPolicy::new().classifier(TypedErrors::new(HttpClassifier::new()));
    let stack = ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).service(client);
    let error: io::Error = stack.oneshot(Request::post("/").body(()).unwrap()).await.unwrap_err();
    assert_eq!((error.kind(), refused.load(Ordering::SeqCst)), (io::ErrorKind::ConnectionRefused, 4));
    assert_eq!((policy.stats().retries, policy.stats().given_up), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_classifier_of_ones_own_decides_and_can_ask_the_usual_one() {
    let usual = HttpClassifier::new();
    let policy =
        RetryPolicy::new().max_attempts(3).classifier(move |result: Result<&Response<()>, &BoxError>| match result {
            Ok(response) if response.status() == 404 => Verdict::Failed(Failure::new(Processed::No)),
            Ok(response) if response.status() == 503 => Verdict::Fatal,
            Ok(response) => usual.response(response),
            Err(error) => usual.error(error.as_ref()),
        });
    with(policy.clone(), "404", || status(404), 3, 3).await;
    with(policy.clone(), "503", || status(503), 1, 1).await;
    with(policy.clone(), "500", || status(500), 3, 1).await;
    with(policy.clone(), "refused", || io(io::ErrorKind::ConnectionRefused), 3, 3).await;
    assert_eq!(policy.stats().retries, 2 * 4 + 2 * 2 + 2 * 4);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_answers_refills_the_budget_unless_it_is_a_failure() {
    for (filler, refilled) in [(200, true), (302, true), (404, true), (501, false), (403, true), (401, true)] {
        let policy = RetryPolicy::new().budget_capacity(14);
        let sends = || async { send(policy.clone(), "GET", |_| status(503)).await.0.len() };
        assert_eq!((sends().await, sends().await), (2, 1), "one retry is paid for");
        for _ in 0..14 {
            let _ = send(policy.clone(), "GET", move |_| status(filler)).await;
        }
        assert_eq!(sends().await == 2, refilled, "{filler}");
    }
}

/// Sends one request to an API that answers the n-th time as `script` says; when it was sent, and what came of it.
async fn send<C>(
    policy: RetryPolicy<C>,
    method: &str,
    script: impl Fn(u32) -> Answer + Send + Sync + 'static,
) -> (Vec<Instant>, Answer)
where
    C: Classify<(), BoxError> + Send + Sync + 'static,
{
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (log, script) = (Arc::clone(&sent), Arc::new(script));
    let api = service_fn(move |_: Request<()>| {
        let mut log = log.lock().unwrap();
        log.push(Instant::now());
        let answer = script(u32::try_from(log.len()).unwrap());
        async { answer }
    });
    let request = Request::builder().method(method).uri("https://api.example.com/").body(()).unwrap();
    let response = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(api).oneshot(request).await;
    // What would go on behind the caller's back is counted too.
    sleep(Duration::from_secs(1000)).await;
    let sent = std::mem::take(&mut *sent.lock().unwrap());
    (sent, response)
}

fn status(status: u16) -> Answer {
    Ok(Response::builder().status(status).body(()).unwrap())
}

fn field(status: u16, name: &str, value: &str) -> Answer {
    Ok(Response::builder().status(status).header(name, value).body(()).unwrap())
}

fn marked(renewable: Option<bool>) -> Answer {
    let mut response = status(401)?;
    if let Some(renewable) = renewable {
        response.extensions_mut().insert(TokenRejected::new(renewable));
    }
    Ok(response)
}

fn io(kind: io::ErrorKind) -> Answer {
    Err(io::Error::from(kind).into())
}

fn outcome(response: &Answer) -> RetryOutcome {
    *response.as_ref().unwrap().extensions().get().expect("it says why it was given up")
}
