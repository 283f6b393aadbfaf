//! Which requests get the token, and how they come by it.

use std::{pin::pin, task::Poll};

use http::{Request, Response, header::AUTHORIZATION};
use tokio::time::{Instant, sleep};
use tower::{BoxError, Service, ServiceExt, limit::ConcurrencyLimit};
use tower_layer::Layer;
use tower_oauth2::{Deadline, Error, OAuth, OAuthLayer, Token, TokenCache, source_fn};
use tower_test::mock::{self, Mock};

use crate::support::{Answer, Issuer, api::Api, millis, poll_once, secs};

const HERE: &str = "https://api.example.com/v1/users";
const ELSEWHERE: &str = "https://files.example.com/1";

#[tokio::test(start_paused = true)]
async fn a_request_carries_the_token_once_and_marked_sensitive() {
    let (mut api, log, _) = stack(secs(100));
    for _ in 0..3 {
        call(&mut api, HERE).await.unwrap();
    }
    for seen in log.seen() {
        assert_eq!(seen.token(), "t1");
        assert!(seen.authorization[0].is_sensitive());
        assert_eq!(seen.authorization[0], "Bearer t1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_authorization_wins() {
    let (mut api, log, issuer) = stack(secs(100));
    let mut request = get(HERE);
    request.headers_mut().insert(AUTHORIZATION, "Basic x".parse().unwrap());
    ready(&mut api).await.unwrap().call(request).await.unwrap();
    assert_eq!(log.tokens(), ["Basic x"]);
    assert_eq!(issuer.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn another_origin_gets_no_token_and_no_wait() {
    let (mut api, log, issuer) = stack(secs(100));
    let others = [
        ELSEWHERE,
        "http://api.example.com/",
        "https://api.example.com:8443/",
        "https://api.example.com.evil.example/",
        "https://evil.api.example.com/",
        "https://api.example.com@evil.example/",
        "/v1/users",
        "api.example.com:443",
    ];
    for uri in others {
        ready(&mut api).await.unwrap();
        assert!(matches!(poll_once(pin!(api.call(get(uri)))), Poll::Ready(Ok(_))), "{uri}");
    }
    assert_eq!(log.tokens(), [""; 8]);
    assert_eq!(issuer.requests(), 0);
    call(&mut api, "HTTPS://API.example.com:443/v1").await.unwrap();
    assert_eq!(log.tokens().last().unwrap(), "t1");
}

#[test]
fn a_layer_is_bound_to_origins_that_nobody_can_listen_in_on() {
    let nowhere: [&str; 0] = [];
    let error =
        OAuthLayer::for_origins(nowhere, TokenCache::new(source_fn(|_| async { Token::new("a") }))).unwrap_err();
    assert!(error.is_config() && error.to_string().contains("never send"), "{error}");

    let tokens = TokenCache::new(Issuer::new(secs(100)));
    let fails = |origin: &str| OAuthLayer::for_origin(origin, tokens.clone()).is_err_and(|error| error.is_config());
    for bad in ["http://api.example.com", "http://10.0.0.1", "http://localhost.evil.example", "/v1", "ftp://a", ""] {
        assert!(fails(bad), "{bad}");
    }
    for good in ["https://api.example.com", "http://localhost:8080", "http://127.0.0.1", "http://[::1]:1"] {
        assert!(!fails(good), "{good}");
    }
    let mixed = ["https://a.example", "http://b.example"];
    assert!(OAuthLayer::for_origins(mixed, tokens.clone()).unwrap_err().to_string().contains("http://b.example"));
    assert!(OAuthLayer::danger_plain_http_origin("http://b.example", tokens.clone()).is_ok());
    assert!(OAuthLayer::danger_plain_http_origin("/b", tokens).is_err());
}

#[tokio::test(start_paused = true)]
async fn the_dangerous_constructors_do_as_they_say() {
    let (tokens, log) = (TokenCache::new(Issuer::new(secs(100))), Api::default());
    let mut mesh =
        OAuthLayer::danger_plain_http_origin("http://mesh.internal", tokens.clone()).unwrap().layer(log.clone());
    call(&mut mesh, "http://mesh.internal/x").await.unwrap();
    call(&mut mesh, "http://other.internal/x").await.unwrap();
    let mut anywhere = OAuthLayer::danger_any_origin(tokens).layer(log.clone());
    call(&mut anywhere, "http://other.internal/x").await.unwrap();
    call(&mut anywhere, "/x").await.unwrap();
    assert_eq!(log.tokens(), ["t1", "", "t1", "t1"]);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_that_of_the_inner_service_and_asks_for_no_token() {
    let issuer = Issuer::new(secs(100));
    issuer.always(Answer::Permanent);
    let (mock, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let mut api = layer(&issuer).layer(mock);
    handle.allow(0);
    assert!(poll_once(pin!(ready(&mut api))).is_pending());
    handle.allow(1);
    assert!(matches!(poll_once(pin!(ready(&mut api))), Poll::Ready(Ok(_))));
    assert_eq!(issuer.requests(), 0);
    api.call(get(HERE)).await.unwrap_err();
    handle.allow(1);
    assert!(
        matches!(poll_once(pin!(ready(&mut api))), Poll::Ready(Ok(_))),
        "no token is no reason to discard a service"
    );
    handle.send_error("closed");
    assert!(matches!(poll_once(pin!(ready(&mut api))), Poll::Ready(Err(_))));
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn on_a_hit_the_very_service_that_was_made_ready_is_called() {
    let (mut api, log, _) = stack(secs(100));
    call(&mut api, HERE).await.unwrap();
    let clones = log.clones();
    for _ in 0..10 {
        // The API panics if it was not made ready, and a clone of it was not.
        call(&mut api, HERE).await.unwrap();
    }
    sleep(secs(90)).await;
    call(&mut api, HERE).await.unwrap();
    call(&mut api, ELSEWHERE).await.unwrap();
    assert_eq!(log.clones(), clones);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_a_token_holds_no_permit() {
    let issuer = Issuer::new(secs(100)).latency(secs(5));
    let log = Api::default();
    let mut api = layer(&issuer).layer(ConcurrencyLimit::new(log.clone(), 1));
    let mut other = api.clone();
    let mut first = pin!(ready(&mut api).await.unwrap().call(get(HERE)));
    assert!(poll_once(first.as_mut()).is_pending());
    let Poll::Ready(Ok(other)) = poll_once(pin!(ready(&mut other))) else { panic!("the permit is held") };
    let second = other.call(get(ELSEWHERE));
    sleep(secs(5)).await;
    assert!(poll_once(first.as_mut()).is_pending(), "it is made ready again, and waits its turn");
    assert_eq!(log.tokens(), [""]);
    drop(second);
    first.await.unwrap();
    assert_eq!(log.tokens(), ["", "t1"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_replaced_while_the_service_became_ready_is_not_sent() {
    let issuer = Issuer::new(secs(100));
    let tokens = TokenCache::new(issuer.clone());
    let (mock, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let mut api = OAuthLayer::for_origin(HERE, tokens.clone()).unwrap().layer(mock);
    handle.allow(1);
    let mut response = pin!(ready(&mut api).await.unwrap().call(get(HERE)));
    handle.allow(0);
    assert!(poll_once(response.as_mut()).is_pending());
    sleep(secs(1)).await;
    assert!(poll_once(response.as_mut()).is_pending(), "it has the token, and waits for its service");
    tokens.reject(&tokens.token().await.unwrap());
    tokens.token().await.unwrap();
    handle.allow(1);
    assert!(poll_once(response.as_mut()).is_pending());
    let (request, _) = handle.next_request().await.unwrap();
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer t2");
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_token_ends_with_its_timeout_or_the_deadline_of_the_request() {
    let issuer = Issuer::new(secs(100)).latency(secs(20));
    let log = Api::default();
    let layer = layer(&issuer);
    let waited = async |mut api: OAuth<Api>, deadline: Option<u64>| {
        let mut request = get(HERE);
        request.extensions_mut().extend(
            deadline
                .map(|after| {
                    let mut extensions = http::Extensions::new();
                    extensions.insert(Deadline::within(secs(after)));
                    extensions
                })
                .unwrap_or_default(),
        );
        let start = Instant::now();
        let error = ready(&mut api).await.unwrap().call(request).await.unwrap_err();
        let error = Error::find(error.as_ref()).unwrap().clone();
        assert!(error.is_timeout() && error.is_transient(), "{error}");
        (Instant::now() - start).as_millis()
    };
    assert_eq!(waited(layer.layer(log.clone()), None).await, 12_000);
    assert_eq!(waited(layer.layer(log.clone()), Some(3)).await, 3_000);
    assert_eq!(waited(layer.clone().acquire_timeout(secs(2)).layer(log.clone()), Some(3)).await, 2_000);
    assert!(log.seen().is_empty());
    sleep(secs(10)).await;
    call(&mut layer.layer(log.clone()), HERE).await.unwrap();
    assert_eq!((log.tokens(), issuer.requests()), (vec!["t1".to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_sent() {
    let (mut api, log, issuer) = stack(secs(100));
    issuer.always(Answer::Permanent);
    for _ in 0..3 {
        let error = call(&mut api, HERE).await.unwrap_err();
        let error = Error::find(error.as_ref()).unwrap();
        assert!(error.retry_at().is_some() && !error.is_transient());
    }
    assert!(log.seen().is_empty());
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_leaves_the_token_request_to_whoever_comes_next() {
    let (mut api, log, _) = stack(secs(100));
    let mut response = Box::pin(ready(&mut api).await.unwrap().call(get(HERE)));
    assert!(poll_once(response.as_mut()).is_pending());
    drop(response);
    sleep(millis(1)).await;
    ready(&mut api).await.unwrap();
    assert!(matches!(poll_once(pin!(api.call(get(HERE)))), Poll::Ready(Ok(_))));
    assert_eq!(log.tokens(), ["t1"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_lived_service_sees_at_once_what_became_of_its_token() {
    let issuer = Issuer::new(secs(100));
    let tokens = TokenCache::new(issuer.clone());
    let log = Api::default();
    let mut api = OAuthLayer::for_origin(HERE, tokens.clone()).unwrap().layer(log.clone());
    let mut send = async |expected: &str| {
        for _ in 0..3 {
            call(&mut api, HERE).await.unwrap();
            call(&mut api.clone(), HERE).await.unwrap();
        }
        let seen = log.tokens();
        assert!(seen[seen.len() - 6..].iter().all(|token| token == expected), "{expected}: {seen:?}");
    };
    send("t1").await;
    tokens.reject(&tokens.token().await.unwrap());
    send("t2").await;
    sleep(secs(90)).await;
    send("t2").await;
    sleep(millis(1)).await;
    send("t3").await;
    sleep(secs(100)).await;
    send("t4").await;
    assert_eq!(issuer.requests(), 4);
}

#[test]
fn a_valid_token_serves_outside_of_a_runtime() {
    let (mut api, log, _) = stack(secs(3600));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(call(&mut api, HERE)).unwrap();
    drop(runtime);
    for _ in 0..3 {
        assert!(matches!(poll_once(pin!(call(&mut api, HERE))), Poll::Ready(Ok(_))));
    }
    assert_eq!(log.tokens(), ["t1"; 4]);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_inner_service_passes_through() {
    let (mock, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let mut api: OAuth<Mock<_, _>> = layer(&Issuer::new(secs(100))).layer(mock);
    for _ in 0..2 {
        let response = ready(&mut api).await.unwrap().call(get(HERE));
        let server = async { handle.next_request().await.unwrap().1.send_error("reset") };
        let (response, ()) = tokio::join!(response, server);
        assert_eq!(response.unwrap_err().to_string(), "reset");
    }
}

fn stack(lifetime: std::time::Duration) -> (OAuth<Api>, Api, Issuer) {
    let (issuer, log) = (Issuer::new(lifetime), Api::default());
    (layer(&issuer).layer(log.clone()), log, issuer)
}

fn layer(issuer: &Issuer) -> OAuthLayer {
    OAuthLayer::for_origin(HERE, TokenCache::new(issuer.clone())).unwrap()
}

fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

async fn call(api: &mut OAuth<Api>, uri: &str) -> Result<Response<&'static str>, BoxError> {
    ready(api).await?.call(get(uri)).await
}

async fn ready<S: Service<Request<()>>>(service: &mut S) -> Result<&mut S, S::Error> {
    service.ready().await
}
