//! A 401: replayed once with another token, whatever the method, or handed on as it came.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use http::{Method, Request, Response, StatusCode, header::AUTHORIZATION};
use tokio::{
    sync::Barrier,
    time::{Instant, sleep},
};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_oauth2::{
    Deadline, OAuthLayer, Token, TokenCache, TokenRejected,
    retry::{Repeat, RetryLayer, RetryOutcome, RetryPolicy, Stopped},
    source_fn,
};
use tower_test::mock;

type Api = mock::Mock<Request<&'static str>, Response<&'static str>>;
type Outcome = Result<Response<&'static str>, BoxError>;
type Handle = mock::Handle<Request<&'static str>, Response<&'static str>>;

#[tokio::test(start_paused = true)]
async fn a_renewable_401_is_replayed_at_once_for_any_method() {
    for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
        for repeat in [None, Some(Repeat::Never), Some(Repeat::Always)] {
            let policy = RetryPolicy::new();
            let (api, mut handle) = mock::pair();
            let call = tokio::spawn(send(&policy, api, request(method.clone(), repeat)));
            let start = Instant::now();
            answer(&mut handle, unauthorized(Some(true))).await;
            answer(&mut handle, Response::new("fine")).await;
            let response = call.await.unwrap().unwrap();
            assert_eq!(*response.body(), "fine");
            assert!(response.extensions().get::<RetryOutcome>().is_none(), "nobody gave up");
            assert_eq!(Instant::now(), start, "no waiting");
            assert_eq!((policy.stats().replays, policy.stats().retries, policy.stats().given_up), (1, 0, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_costs_neither_an_attempt_nor_budget() {
    let policy = RetryPolicy::new().max_attempts(1).budget_capacity(0);
    let (api, mut handle) = mock::pair();
    let call = tokio::spawn(send(&policy, api, request(Method::POST, None)));
    answer(&mut handle, unauthorized(Some(true))).await;
    answer(&mut handle, Response::new("fine")).await;
    assert_eq!(*call.await.unwrap().unwrap().body(), "fine");

    // Four attempts and the replay are five sends, wherever the 401 comes.
    for place in 0..4 {
        let policy = RetryPolicy::new();
        let (api, mut handle) = mock::pair();
        let call = tokio::spawn(send(&policy, api, request(Method::GET, None)));
        for send in 0..5 {
            let response = if send == place { unauthorized(Some(true)) } else { status(503) };
            answer(&mut handle, response).await;
        }
        let outcome = outcome(&call.await.unwrap().unwrap());
        assert_eq!((outcome.attempts, outcome.stopped), (5, Stopped::Exhausted), "401 at {place}");
        assert_eq!((policy.stats().replays, policy.stats().retries), (1, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_401_goes_to_the_caller_untouched() {
    let policy = RetryPolicy::new();
    let (api, mut handle) = mock::pair();
    let call = tokio::spawn(send(&policy, api, request(Method::GET, Some(Repeat::Always))));
    answer(&mut handle, unauthorized(Some(true))).await;
    let mut second = unauthorized(Some(true));
    second.headers_mut().insert("x-second", "yes".parse().unwrap());
    answer(&mut handle, second).await;
    let response = call.await.unwrap().unwrap();
    assert_eq!((response.status(), *response.body()), (StatusCode::UNAUTHORIZED, "who are you"));
    assert_eq!(response.headers()["x-second"], "yes");
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(response.extensions().get::<TokenRejected>(), Some(&TokenRejected::new(true)));
    let outcome = outcome(&response);
    assert_eq!((outcome.attempts, outcome.stopped), (2, Stopped::Unauthorized));
}

#[tokio::test(start_paused = true)]
async fn a_401_without_the_mark_or_not_renewable_is_not_replayed() {
    for mark in [None, Some(false)] {
        let policy = RetryPolicy::new();
        let (api, mut handle) = mock::pair();
        let call = tokio::spawn(send(&policy, api, request(Method::GET, Some(Repeat::Always))));
        answer(&mut handle, unauthorized(mark)).await;
        let response = call.await.unwrap().unwrap();
        assert_eq!((response.status(), *response.body()), (StatusCode::UNAUTHORIZED, "who are you"));
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        let outcome = outcome(&response);
        assert_eq!((outcome.attempts, outcome.stopped), (1, Stopped::Unauthorized));
        assert_eq!(outcome.elapsed, Duration::ZERO);
        assert_eq!((policy.stats().replays, policy.stats().given_up), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_is_past_the_deadline_is_not_begun() {
    let (api, mut handle) = mock::pair();
    let mut request = request(Method::GET, None);
    request.extensions_mut().insert(Deadline::within(Duration::from_secs(2)));
    let call = tokio::spawn(send(&RetryPolicy::new(), api, request));
    let (_, send) = handle.next_request().await.unwrap();
    sleep(Duration::from_secs(2)).await;
    send.send_response(unauthorized(Some(true)));
    assert_eq!(outcome(&call.await.unwrap().unwrap()).attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_refused_with_one_token_make_one_token_request() {
    let (tokens, minted) = issuer();
    let dead = tokens.token().await.unwrap();
    let sends = Arc::new(Mutex::new(vec![0_u32; 1000]));
    // All of them are on their way with the dead token before the first is refused.
    let barrier = Arc::new(Barrier::new(1000));
    let api = service_fn({
        let sends = Arc::clone(&sends);
        move |request: Request<usize>| {
            let (sends, barrier, dead) = (Arc::clone(&sends), Arc::clone(&barrier), dead.clone());
            async move {
                sends.lock().unwrap()[*request.body()] += 1;
                if request.headers()[AUTHORIZATION] != *dead.header() {
                    return Ok::<_, Infallible>(status(200));
                }
                barrier.wait().await;
                Ok(unauthorized(None))
            }
        }
    });
    let policy = RetryPolicy::new();
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy.clone()))
        .layer(OAuthLayer::for_origin("https://api.example.com", tokens.clone()).unwrap())
        .service(api);
    let calls = (0..1000).map(|number| {
        let request = Request::post("https://api.example.com/").body(number).unwrap();
        stack.clone().oneshot(request)
    });
    for response in join_all(calls).await {
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(minted.load(Ordering::SeqCst), 2, "the dead one and one more");
    assert!(sends.lock().unwrap().iter().all(|sends| *sends == 2));
    assert_eq!((policy.stats().replays, policy.stats().retries), (1000, 0));
}

#[tokio::test(start_paused = true)]
async fn an_api_that_always_says_401_makes_no_storm() {
    let (tokens, minted) = issuer();
    let sends = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sends);
    let api = service_fn(move |_: Request<usize>| {
        counter.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, Infallible>(unauthorized(None)) }
    });
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new()))
        .layer(OAuthLayer::for_origin("https://api.example.com", tokens).unwrap())
        .service(api);
    let start = Instant::now();
    for round in 0..1000_usize {
        let request = Request::get("https://api.example.com/").body(round).unwrap();
        let before = sends.load(Ordering::SeqCst);
        let response = stack.clone().oneshot(request).await.unwrap();
        assert_eq!((response.status(), *response.body()), (StatusCode::UNAUTHORIZED, "who are you"));
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(outcome(&response).stopped, Stopped::Unauthorized);
        let sent = sends.load(Ordering::SeqCst) - before;
        assert!(sent <= 2 && (round > 0 || sent == 2), "round {round}: {sent} sends");
        sleep(Duration::from_millis(100)).await;
    }
    let took = (Instant::now() - start).as_secs();
    let minted = u64::try_from(minted.load(Ordering::SeqCst)).unwrap();
    assert!((2..=took / 10 + 2).contains(&minted), "{minted} tokens in {took} s");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_while_the_server_wants_to_be_left_alone_is_fresh_on_the_replay() {
    let (tokens, minted) = issuer();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let api = service_fn(move |request: Request<usize>| {
        let mut log = log.lock().unwrap();
        log.push(request.headers()[AUTHORIZATION].clone());
        let mut response = status(if log.len() == 1 { 429 } else { 200 });
        response.headers_mut().insert("retry-after", "100".parse().unwrap());
        async { Ok::<_, Infallible>(response) }
    });
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new()))
        .layer(OAuthLayer::for_origin("https://api.example.com", tokens).unwrap())
        .service(api);
    let request = Request::post("https://api.example.com/").body(0).unwrap();
    assert_eq!(stack.oneshot(request).await.unwrap().status(), StatusCode::OK);
    assert_eq!(*seen.lock().unwrap(), ["Bearer t1", "Bearer t2"]);
    assert_eq!(minted.load(Ordering::SeqCst), 2);
}

/// Mints `t1`, `t2`, …, which live a minute, in 20 ms each.
fn issuer() -> (TokenCache, Arc<AtomicUsize>) {
    let minted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&minted);
    let source = source_fn(move |_| {
        let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            sleep(Duration::from_millis(20)).await;
            Ok(Token::new(format!("t{number}"))?.with_lifetime(Duration::from_secs(60)))
        }
    });
    (TokenCache::new(source), minted)
}

fn send(policy: &RetryPolicy, api: Api, request: Request<&'static str>) -> impl Future<Output = Outcome> + use<> {
    ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).service(api).oneshot(request)
}

async fn answer(handle: &mut Handle, response: Response<&'static str>) {
    let (request, send) = handle.next_request().await.expect("the request is sent again");
    assert_eq!(*request.body(), "body");
    send.send_response(response);
}

fn request(method: Method, repeat: Option<Repeat>) -> Request<&'static str> {
    let mut request = Request::builder().method(method).uri("https://api.example.com/").body("body").unwrap();
    if let Some(repeat) = repeat {
        request.extensions_mut().insert(repeat);
    }
    request
}

fn status(status: u16) -> Response<&'static str> {
    Response::builder().status(status).body("").unwrap()
}

fn unauthorized(renewable: Option<bool>) -> Response<&'static str> {
    let mut response =
        Response::builder().status(401).header("www-authenticate", "Bearer").body("who are you").unwrap();
    if let Some(renewable) = renewable {
        response.extensions_mut().insert(TokenRejected::new(renewable));
    }
    response
}

fn outcome<B>(response: &Response<B>) -> RetryOutcome {
    *response.extensions().get().expect("it says why it was given up")
}
