//! The figures that a thousand and a hundred thousand requests are held to, in paused time.
//!
//! What was seen, with `cargo test --test retry figures -- --nocapture`:
//!
//! | figure | allowed | seen |
//! |---|---|---|
//! | tokens forced by 1,000 requests refused with one | 1 | 1 |
//! | sends of one such request | 2 | 2 |
//! | sends of one request to an API that always says 401 | 2 | 2 |
//! | tokens forced by it in any 10 s | 1 | 1 |
//! | sends per request of 100,000, all answered 503, one after the other | 1.10 | 1.00035 |
//! | the same, all at once | 1.10 | 1.00035 |
//! | sends of one of them | 4 | 4 |
//!
//! A request that is told when to come back is sent six times at the most: `tests/retry/table.rs`.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use tokio::{
    sync::Barrier,
    time::{Instant, sleep},
};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_oauth2::{
    OAuthLayer, TokenCache,
    retry::{RetryLayer, RetryOutcome, RetryPolicy, Stopped},
};

use crate::support::{Issuer, millis, secs};

/// A token dies while a thousand requests are on their way with it.
#[tokio::test(start_paused = true)]
async fn a_thousand_requests_refused_with_one_token_force_one_more() {
    let issuer = Issuer::new(secs(3600)).latency(millis(50));
    let tokens = TokenCache::new(issuer.clone());
    let dead = tokens.token().await.unwrap();
    let sends = Arc::new((0..1000).map(|_| AtomicU32::new(0)).collect::<Vec<_>>());
    let barrier = Arc::new(Barrier::new(1000));
    let api = service_fn({
        let sends = Arc::clone(&sends);
        move |request: Request<usize>| {
            let (barrier, refused) = (Arc::clone(&barrier), request.headers()[AUTHORIZATION] == *dead.header());
            sends[*request.body()].fetch_add(1, Ordering::SeqCst);
            async move {
                if refused {
                    barrier.wait().await;
                }
                Ok::<_, Infallible>(answer(if refused { 401 } else { 200 }))
            }
        }
    });
    let stack = stack(RetryPolicy::new(), tokens, api);
    let calls = (0..1000).map(|number| {
        // What may not be done twice is replayed too.
        stack.clone().oneshot(Request::post("https://api.example.com/").body(number).unwrap())
    });
    for response in join_all(calls).await {
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
    let most = sends.iter().map(|sends| sends.load(Ordering::SeqCst)).max().unwrap();
    println!("1,000 refused at once: {} forced, {most} sends at most", issuer.requests() - 1);
    assert_eq!((issuer.requests() - 1, most), (1, 2));
}

/// An API that refuses every token, asked by a hundred callers for two minutes, four times a second each.
#[tokio::test(start_paused = true)]
async fn an_api_that_always_says_401_costs_two_sends_and_a_token_in_ten_seconds() {
    let issuer = Issuer::new(secs(3600)).latency(millis(50));
    let tokens = TokenCache::new(issuer.clone());
    // So that the second token need not wait for the least interval between two.
    tokens.token().await.unwrap();
    sleep(secs(5)).await;
    let total = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&total);
    let api = service_fn(move |_: Request<usize>| {
        counter.fetch_add(1, Ordering::SeqCst);
        async {
            sleep(millis(20)).await;
            Ok::<_, Infallible>(answer(401))
        }
    });
    let stack = stack(RetryPolicy::new(), tokens, api);
    let most = AtomicU32::new(0);
    let callers = (0..100).map(|_| async {
        for number in 0..480 {
            let request = Request::get("https://api.example.com/").body(number).unwrap();
            let response = stack.clone().oneshot(request).await.unwrap();
            let outcome = outcome(&response);
            assert_eq!((response.status(), outcome.stopped), (StatusCode::UNAUTHORIZED, Stopped::Unauthorized));
            most.fetch_max(outcome.attempts, Ordering::SeqCst);
            sleep(millis(250)).await;
        }
    });
    join_all(callers).await;
    let most = most.into_inner();
    let asked: Vec<_> = issuer.asked().into_iter().map(|asked| asked.at).collect();
    let in_ten = |from: &Instant| asked.iter().filter(|at| (*from..*from + secs(10)).contains(at)).count();
    // The first is asked for because there is none, and not because one was refused.
    let crowded = asked[1..].iter().map(in_ten).max().unwrap();
    let total = total.load(Ordering::SeqCst);
    println!(
        "always 401: 48,000 requests, {total} sends, {most} at most for one; {} tokens, {crowded} in 10 s at most",
        asked.len(),
    );
    assert_eq!((most, crowded), (2, 1));
    assert!(total <= 2 * 48_000);
}

/// All answered 503, a hundred at a time; and all at once.
#[tokio::test(start_paused = true)]
async fn an_outage_is_amplified_by_a_tenth_at_the_most() {
    for (at_once, method) in [(100, "GET"), (100_000, "GET"), (1, "PUT")] {
        let (sends, most) = outage(RetryPolicy::new(), at_once, method).await;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let amplification = sends as f64 / REQUESTS as f64;
        println!("503, {at_once} at once: {sends} sends for {REQUESTS} requests, {amplification:.5}, {most} at most");
        assert!(amplification <= 1.10 && most <= 4);
        assert_eq!(sends, REQUESTS + 35, "500 / 14 retries, exactly");
    }
}

/// What the figure would be without a budget: that the test above can fail.
#[tokio::test(start_paused = true)]
async fn without_a_budget_an_outage_is_amplified_by_four() {
    let (sends, most) = outage(RetryPolicy::new().no_budget(), 100, "GET").await;
    assert_eq!((sends, most), (4 * REQUESTS, 4));
}

/// Sixty-four threads, each with a runtime of its own, and one policy.
#[test]
fn the_budget_is_exact_under_64_threads() {
    let policy = RetryPolicy::new().backoff(Duration::ZERO, Duration::ZERO);
    let sends = Arc::new(AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..64 {
            let (policy, sends) = (policy.clone(), Arc::clone(&sends));
            scope.spawn(move || {
                let api = service_fn(move |_: Request<usize>| {
                    sends.fetch_add(1, Ordering::SeqCst);
                    async { Ok::<_, BoxError>(answer(503)) }
                });
                let stack = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(api);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                runtime.block_on(async {
                    for number in 0..500 {
                        let request = Request::get("https://api.example.com/").body(number).unwrap();
                        stack.clone().oneshot(request).await.unwrap();
                    }
                });
            });
        }
    });
    let sends = sends.load(Ordering::SeqCst);
    println!("503 under 64 threads: {sends} sends for 32,000 requests");
    assert_eq!((sends, policy.stats().retries, policy.stats().given_up), (32_000 + 35, 35, 32_000));
}

/// How often requests were sent to an API that always says 503, in all and at most for one of them.
async fn outage(policy: RetryPolicy, at_once: usize, method: &str) -> (u64, u32) {
    let counter = Arc::new(AtomicU64::new(0));
    let sends = Arc::clone(&counter);
    let api = service_fn(move |_: Request<usize>| {
        sends.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, BoxError>(answer(503)) }
    });
    let stack = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(api);
    let request = |number| {
        let request = Request::builder().method(method).uri("https://api.example.com/").body(number).unwrap();
        stack.clone().oneshot(request)
    };
    let (mut running, mut most) = (FuturesUnordered::new(), 0);
    for number in 0..usize::try_from(REQUESTS).unwrap() {
        if running.len() == at_once {
            let response: Result<Response<()>, _> = running.next().await.unwrap();
            most = outcome(&response.unwrap()).attempts.max(most);
        }
        running.push(request(number));
    }
    while let Some(response) = running.next().await {
        most = outcome(&response.unwrap()).attempts.max(most);
    }
    (counter.load(Ordering::SeqCst), most)
}

fn stack<S>(
    policy: RetryPolicy,
    tokens: TokenCache,
    api: S,
) -> impl Service<Request<usize>, Response = Response<()>, Error = BoxError> + Clone
where
    S: Service<Request<usize>, Response = Response<()>, Error = Infallible> + Clone,
{
    ServiceBuilder::new()
        .layer(RetryLayer::new(policy))
        .layer(OAuthLayer::for_origin("https://api.example.com", tokens).unwrap())
        .service(api)
}

fn answer(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).unwrap()
}

fn outcome(response: &Response<()>) -> RetryOutcome {
    *response.extensions().get().expect("it says why it was given up")
}

const REQUESTS: u64 = 100_000;
