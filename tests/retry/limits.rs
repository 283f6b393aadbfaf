//! What bounds retries: attempts, back-off and the budget that all requests share; and what is told about it.

use std::{
    collections::HashSet,
    future::ready,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::join_all;
use http::{HeaderName, Request, Response, StatusCode};
use tokio::time::Instant;
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    retry::{
        Retry,
        budget::{Budget, TpsBudget},
    },
    service_fn,
};
use tower_oauth2::{
    Error,
    retry::{CooldownError, CooldownLayer, HttpClassifier, RetryLayer, RetryOutcome, RetryPolicy, RetryStats, Stopped},
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn four_attempts_are_made_with_a_doubling_back_off() {
    let mut gaps = [const { Vec::new() }; 3];
    for seed in 0..200 {
        let (api, times) = always(503);
        let response = send(&RetryPolicy::new().seed(seed), api).await.unwrap();
        let times = times.lock().unwrap();
        assert_eq!((times.len(), outcome(&response).attempts), (4, 4));
        assert_eq!(outcome(&response).stopped, Stopped::Exhausted);
        assert_eq!(outcome(&response).elapsed, times[3] - times[0]);
        for (gap, pair) in gaps.iter_mut().zip(times.windows(2)) {
            gap.push((pair[1] - pair[0]).as_millis());
        }
    }
    for (gaps, bound) in gaps.iter().zip([200, 400, 800]) {
        // tokio's timer rounds up to a millisecond.
        assert!(gaps.iter().all(|gap| *gap <= bound + 1), "{gaps:?}");
        assert!(gaps.iter().any(|gap| *gap < bound / 5) && gaps.iter().any(|gap| *gap > bound * 4 / 5), "full jitter");
    }
}

#[tokio::test(start_paused = true)]
async fn the_back_off_is_capped() {
    let policy = RetryPolicy::new().max_attempts(15).deadline(Duration::from_secs(3600)).no_budget();
    for seed in 0..20 {
        let (api, times) = always(503);
        send(&policy.clone().seed(seed), api).await.unwrap();
        let times = times.lock().unwrap();
        assert_eq!(times.len(), 15);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= Duration::from_millis(10_001)));
    }
}

#[tokio::test(start_paused = true)]
async fn requests_of_one_policy_draw_different_waits() {
    let policy = RetryPolicy::new().no_budget();
    let (api, _) = always(503);
    let service = Retry::new(policy, api);
    let calls = (0..50).map(|_| {
        let call = service.clone().oneshot(request());
        async { outcome(&call.await.unwrap()).elapsed.as_millis() }
    });
    let took: HashSet<_> = join_all(calls).await.into_iter().collect();
    assert!(took.len() > 40, "50 requests that failed at once do not come back at once: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_counted_for_one_request_is_not_counted_for_the_next() {
    // On one instance, which `Retry` asks for the first clone of every request, and on clones of it.
    let policy = RetryPolicy::new().no_budget();
    let (api, times) = always(503);
    let mut one = Retry::new(policy, api);
    for round in 1..=5 {
        let response = one.ready().await.unwrap().call(request()).await.unwrap();
        assert_eq!(times.lock().unwrap().len(), 4 * round);
        assert_eq!(outcome(&response).attempts, 4);
        assert!(outcome(&response).elapsed <= Duration::from_millis(1500));
        // Long after the deadline of the first.
        tokio::time::sleep(Duration::from_secs(400)).await;
    }
    let response = one.clone().oneshot(request()).await.unwrap();
    assert_eq!(outcome(&response).attempts, 4);
    // Interleaved on one instance: the second begins while the first waits.
    let first = one.ready().await.unwrap().call(request());
    let second = one.ready().await.unwrap().call(request());
    let (first, second) = tokio::join!(first, second);
    assert_eq!((outcome(&first.unwrap()).attempts, outcome(&second.unwrap()).attempts), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_amplified() {
    for (status, most) in [(503, 10_035), (429, 10_100)] {
        let (api, times) = always(status);
        let policy = RetryPolicy::new();
        let service = Retry::new(policy.clone(), api);
        let calls = (0..10_000).map(|_| service.clone().oneshot(request()));
        let responses = join_all(calls).await;
        let sends = times.lock().unwrap().len();
        assert!(sends <= most && sends > 10_000, "{sends} sends for 10,000 requests");
        assert!(responses.into_iter().all(|response| response.unwrap().status() == status));
        assert_eq!(policy.stats().retries, u64::try_from(sends - 10_000).unwrap());
        assert_eq!(policy.stats().given_up, 10_000);
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_stops_retries_and_success_refills_it() {
    let policy = RetryPolicy::new().budget_capacity(28);
    let (api, times) = always(503);
    assert_eq!(outcome(&send(&policy, api.clone()).await.unwrap()).stopped, Stopped::Budget);
    assert_eq!(times.lock().unwrap().len(), 3, "28 / 14 retries");
    let start = Instant::now();
    assert_eq!(outcome(&send(&policy, api.clone()).await.unwrap()).stopped, Stopped::Budget);
    assert_eq!((times.lock().unwrap().len(), Instant::now()), (4, start), "and no waiting first");

    for _ in 0..14 {
        assert_eq!(send(&policy, always(200).0).await.unwrap().status(), StatusCode::OK);
    }
    send(&policy, api.clone()).await.unwrap();
    assert_eq!(times.lock().unwrap().len(), 6, "fourteen successes pay for one retry");
    for _ in 0..13 {
        send(&policy, always(200).0).await.unwrap();
    }
    send(&policy, api).await.unwrap();
    assert_eq!(times.lock().unwrap().len(), 7, "thirteen do not");
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_succeeds_gets_its_cost_back() {
    let policy = RetryPolicy::new().budget_capacity(14);
    for _ in 0..20 {
        let response = send(&policy, failing_once(503)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(policy.stats().retries, 20);
    let policy = RetryPolicy::new().budget_capacity(5);
    for _ in 0..20 {
        assert_eq!(send(&policy, failing_once(429)).await.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_not_sent_costs_nothing() {
    // Enough for one.
    let policy = RetryPolicy::new().budget_capacity(14);
    let slow = policy.clone().backoff(Duration::from_secs(200), Duration::from_secs(200));
    for _ in 0..3 {
        let gone = tokio::time::timeout(Duration::ZERO, send(&slow, always(503).0)).await;
        assert!(gone.is_err(), "in its wait");
    }
    let kept_back = |error: fn() -> BoxError| {
        let calls = Arc::new(AtomicUsize::new(0));
        Api::new(service_fn(move |_: Request<&'static str>| {
            let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
            async move { if first { Ok(answer(503)) } else { Err(error()) } }
        }))
    };
    for _ in 0..3 {
        let error = send(&policy, kept_back(|| Error::transient("no token").into())).await.unwrap_err();
        assert!(Error::find(error.as_ref()).is_some());
    }
    let (api, times) = always(503);
    send(&policy, api).await.unwrap();
    assert_eq!(times.lock().unwrap().len(), 2, "the budget is as it was");

    // What was sent is paid for.
    let policy = RetryPolicy::new().budget_capacity(14);
    assert!(send(&policy, kept_back(|| "some other error".into())).await.is_err());
    let (api, times) = always(503);
    send(&policy, api).await.unwrap();
    assert_eq!(times.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_401_that_is_final_gives_back_what_was_spent_before_it() {
    let policy = RetryPolicy::new().budget_capacity(14);
    for _ in 0..20 {
        let calls = Arc::new(AtomicUsize::new(0));
        let failing = Api::new(service_fn(move |_: Request<&'static str>| {
            let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
            async move { Ok(answer(if first { 503 } else { 401 })) }
        }));
        assert_eq!(outcome(&send(&policy, failing).await.unwrap()).stopped, Stopped::Unauthorized);
    }
    assert_eq!(policy.stats().retries, 20);
    // And one for each that came without a retry.
    let (api, times) = always(503);
    send(&policy, api).await.unwrap();
    assert_eq!(times.lock().unwrap().len(), 2, "it is empty now");
    for _ in 0..14 {
        send(&policy, always(401).0).await.unwrap();
    }
    let (api, times) = always(503);
    send(&policy, api).await.unwrap();
    assert_eq!(times.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_a_cool_down_keeps_back_costs_nothing() {
    let policy = RetryPolicy::new().budget_capacity(14).backoff(SECOND, SECOND);
    let cooldown = CooldownLayer::new();
    let failing = |status: u16, wait: &'static str| {
        service_fn(move |_: Request<&'static str>| {
            let response = Response::builder().status(status).header("retry-after", wait);
            ready(response.body(String::new()).map_err(BoxError::from))
        })
    };
    for _ in 0..3 {
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(policy.clone()))
            .layer(cooldown.clone())
            .service(failing(500, "0"));
        let request = tokio::spawn(stack.oneshot(Request::get("https://api.example.com/").body("").unwrap()));
        tokio::task::yield_now().await;
        // In its back-off, and now somebody else hears that it would be too early.
        let other = cooldown.layer(failing(429, "600"));
        other.oneshot(Request::get("https://api.example.com/").body("").unwrap()).await.unwrap();
        assert!(CooldownError::find(request.await.unwrap().unwrap_err().as_ref()).is_some());
        cooldown.clear();
    }
    assert_eq!(policy.stats().retries, 3);
}

#[tokio::test(start_paused = true)]
async fn a_retry_whose_service_is_not_ready_costs_nothing() {
    #[derive(Clone)]
    struct Once {
        used: bool,
        broken: bool,
    }
    impl Service<Request<&'static str>> for Once {
        type Response = Response<String>;
        type Error = BoxError;
        type Future = std::future::Ready<Result<Response<String>, BoxError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            match (self.used, self.broken) {
                (true, true) => Poll::Ready(Err("closed".into())),
                (true, false) => Poll::Pending,
                (false, _) => Poll::Ready(Ok(())),
            }
        }

        fn call(&mut self, _: Request<&'static str>) -> Self::Future {
            self.used = true;
            ready(Ok(answer(503)))
        }
    }
    let policy = RetryPolicy::new().budget_capacity(14);
    for _ in 0..5 {
        for broken in [true, false] {
            let stack =
                ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).service(Once { used: false, broken });
            let request = stack.oneshot(Request::get("https://api.example.com/").body("").unwrap());
            let result = tokio::time::timeout(SECOND * 5, request).await;
            assert_eq!(result.is_ok_and(|result| result.is_err()), broken);
        }
    }
    assert_eq!(policy.stats().retries, 10);
}

#[tokio::test(start_paused = true)]
async fn a_classifier_of_ones_own_that_asks_the_usual_one_keeps_the_budget_as_well() {
    let usual = HttpClassifier::new();
    let own = move |result: Result<&Response<String>, &BoxError>| match result {
        Ok(response) => usual.response(response),
        Err(error) => usual.error(error.as_ref()),
    };
    let policy = RetryPolicy::new().budget_capacity(14).classifier(own);
    for _ in 0..5 {
        let calls = Arc::new(AtomicUsize::new(0));
        let api = service_fn(move |_: Request<&'static str>| {
            let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
            ready(if first { Ok(answer(503)) } else { Err(BoxError::from(Error::transient("no token"))) })
        });
        let stack = ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).service(api);
        stack.oneshot(Request::get("https://api.example.com/").body("").unwrap()).await.unwrap_err();
    }
    assert_eq!(policy.stats().retries, 5);
}

#[tokio::test(start_paused = true)]
async fn the_server_is_told_how_often_a_request_was_sent_before_if_that_is_asked_for() {
    const NAME: HeaderName = HeaderName::from_static("retry-attempt");
    for asked in [true, false] {
        let policy = RetryPolicy::new();
        let policy = if asked { policy.attempt_header(NAME) } else { policy };
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let api = Api::new(service_fn(move |request: Request<&'static str>| {
            let told = request.headers().get_all(NAME).iter().map(|told| told.to_str().unwrap().to_owned());
            log.lock().unwrap().push(told.collect::<Vec<_>>());
            async { Ok(answer(503)) }
        }));
        send(&policy, api).await.unwrap();
        let seen = seen.lock().unwrap().iter().map(|told| told.join(",")).collect::<Vec<_>>();
        assert_eq!(seen, if asked { ["", "1", "2", "3"] } else { [""; 4] });
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_ones_own_decides() {
    #[derive(Default)]
    struct Gate {
        open: AtomicBool,
        deposits: AtomicUsize,
        withdrawals: AtomicUsize,
    }
    impl Budget for Gate {
        fn deposit(&self) {
            self.deposits.fetch_add(1, Ordering::SeqCst);
        }
        fn withdraw(&self) -> bool {
            self.withdrawals.fetch_add(1, Ordering::SeqCst);
            self.open.load(Ordering::SeqCst)
        }
    }
    struct Shared(Arc<Gate>);
    impl Budget for Shared {
        fn deposit(&self) {
            self.0.deposit();
        }
        fn withdraw(&self) -> bool {
            self.0.withdraw()
        }
    }
    let gate = Arc::new(Gate::default());
    let policy = RetryPolicy::new().budget(Shared(Arc::clone(&gate)));
    assert_eq!(outcome(&send(&policy, always(503).0).await.unwrap()).stopped, Stopped::Budget);
    gate.open.store(true, Ordering::SeqCst);
    assert_eq!(outcome(&send(&policy, always(503).0).await.unwrap()).stopped, Stopped::Exhausted);
    assert_eq!(send(&policy, always(200).0).await.unwrap().status(), StatusCode::OK);
    assert_eq!((gate.withdrawals.load(Ordering::SeqCst), gate.deposits.load(Ordering::SeqCst)), (1 + 3, 1));

    let policy = RetryPolicy::new().budget(TpsBudget::new(Duration::from_secs(10), 0, 0.5));
    assert_eq!(outcome(&send(&policy, always(503).0).await.unwrap()).stopped, Stopped::Budget, "tower's, still empty");
}

#[tokio::test(start_paused = true)]
async fn the_last_response_is_handed_on_as_it_came() {
    #[derive(Clone, Debug, PartialEq)]
    struct Mark(u32);
    let sent = AtomicU32::new(0);
    let sent = Arc::new(sent);
    let api = service_fn(move |_: Request<&'static str>| {
        let number = sent.fetch_add(1, Ordering::SeqCst) + 1;
        let response = Response::builder().status(503).header("x-number", number).header("retry-after", "1");
        let response = response.extension(Mark(number)).version(http::Version::HTTP_2).body(format!("page {number}"));
        async { Ok::<_, BoxError>(response.unwrap()) }
    });
    let stack = ServiceBuilder::new().layer(RetryLayer::new(RetryPolicy::new())).service(api);
    let response = stack.oneshot(request()).await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::SERVICE_UNAVAILABLE, http::Version::HTTP_2));
    assert_eq!((response.body().as_str(), &response.headers()["x-number"]), ("page 6", &"6".parse().unwrap()));
    assert_eq!(response.headers().len(), 2);
    assert_eq!(response.extensions().get(), Some(&Mark(6)));
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_handed_on_as_it_is() {
    let number = Arc::new(AtomicU32::new(0));
    let api = service_fn(move |_: Request<&'static str>| {
        let number = number.fetch_add(1, Ordering::SeqCst) + 1;
        let error = io::Error::new(io::ErrorKind::ConnectionReset, format!("number {number}"));
        async { Err::<Response<()>, BoxError>(error.into()) }
    });
    let policy = RetryPolicy::new();
    let stack = ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).service(api);
    let error = stack.oneshot(request()).await.unwrap_err();
    assert_eq!(error.downcast_ref::<io::Error>().unwrap().to_string(), "number 4");
    assert_eq!((policy.stats().retries, policy.stats().given_up), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn the_counters_add_up_over_all_clones() {
    let policy = RetryPolicy::new();
    assert_eq!(policy.stats(), RetryStats::default());
    for status in [200, 404, 301, 501] {
        let response = send(&policy.clone(), always(status).0).await.unwrap();
        assert!(response.extensions().get::<RetryOutcome>().is_none(), "{status} is an answer");
    }
    assert_eq!(policy.stats(), RetryStats::default());
    send(&policy.clone(), failing_once(503)).await.unwrap();
    send(&policy.clone(), always(503).0).await.unwrap();
    let stats = policy.stats();
    assert_eq!((stats.retries, stats.replays, stats.given_up), (4, 0, 1));
}

type Api = tower::util::BoxCloneService<Request<&'static str>, Response<String>, BoxError>;

async fn send(policy: &RetryPolicy, api: Api) -> Result<Response<String>, BoxError> {
    ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).service(api).oneshot(request()).await
}

/// An API that always answers alike, and when it was asked.
fn always(status: u16) -> (Api, Arc<Mutex<Vec<Instant>>>) {
    let times = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&times);
    let api = service_fn(move |_: Request<&'static str>| {
        log.lock().unwrap().push(Instant::now());
        async move { Ok(answer(status)) }
    });
    (Api::new(api), times)
}

fn failing_once(status: u16) -> Api {
    let failed = Arc::new(AtomicBool::new(false));
    Api::new(service_fn(move |_: Request<&'static str>| {
        let status = if failed.swap(true, Ordering::SeqCst) { 200 } else { status };
        async move { Ok(answer(status)) }
    }))
}

fn answer(status: u16) -> Response<String> {
    Response::builder().status(status).body(String::new()).unwrap()
}

fn request() -> Request<&'static str> {
    Request::get("https://api.example.com/").body("").unwrap()
}

fn outcome<B>(response: &Response<B>) -> RetryOutcome {
    *response.extensions().get().expect("it says why it was given up")
}
