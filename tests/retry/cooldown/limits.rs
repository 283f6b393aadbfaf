//! What is not waited for.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::Request;
use tokio::time::{Instant, sleep};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};
use tower_oauth2::{
    Deadline, Error,
    retry::{CooldownError, CooldownLayer, RetryLayer, RetryPolicy},
};

use crate::cooldown::server::{HERE, Server, answer, busy, get, secs};

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_too_long_fails_at_once_and_says_until_when() {
    let server = Server::new([busy(121)]);
    let layer = CooldownLayer::new();
    let api = layer.layer(server.service());
    api.clone().oneshot(get(HERE)).await.unwrap();
    let (start, error) = (Instant::now(), api.clone().oneshot(get(HERE)).await.unwrap_err());
    assert_eq!(Instant::now(), start);
    let refused = CooldownError::find(error.as_ref()).unwrap();
    assert_eq!((refused.wait(), refused.until()), (secs(121), start + secs(121)));
    let text = "https://api.example.com asked to be left alone for another 121s, and a request waits for 120s at most: \
                send it again then, or raise `max_wait`";
    assert_eq!(refused.to_string(), text);
    assert_eq!((layer.stats().waited, layer.stats().refused), (0, 1));
    sleep(secs(1)).await;
    assert!(api.oneshot(get(HERE)).await.is_ok(), "120 s are not too long");
    assert!(server.times()[1] >= secs(121));
}

#[tokio::test(start_paused = true)]
async fn how_long_is_too_long_can_be_set() {
    for (max_wait, hint, fine) in [(0, 1, false), (300, 299, true), (300, 301, false), (u64::MAX, 86_400, true)] {
        let server = Server::new([busy(hint)]);
        let api = CooldownLayer::new().max_wait(secs(max_wait)).layer(server.service());
        api.clone().oneshot(get(HERE)).await.unwrap();
        assert_eq!(api.oneshot(get(HERE)).await.is_ok(), fine, "{max_wait} {hint}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_waits_of_a_request_count_together() {
    let layer = CooldownLayer::new();
    // One that was under way already is told more after 40 s: 90 s, which makes 130 s for the one that waits.
    let slow = layer.layer(Server::new([busy(90)]).latency(secs(40)).service());
    let slow = tokio::spawn(slow.oneshot(get(HERE)));
    tokio::task::yield_now().await;
    let api = layer.layer(Server::new([busy(50)]).service());
    api.clone().oneshot(get(HERE)).await.unwrap();
    let start = Instant::now();
    let error = api.oneshot(get(HERE)).await.unwrap_err();
    slow.await.unwrap().unwrap();
    assert_eq!(CooldownError::find(error.as_ref()).unwrap().until(), start + secs(130));
    assert!(Instant::now() - start < secs(56), "as soon as it looks again");
    assert_eq!((layer.stats().waited, layer.stats().refused), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_wait_to_the_deadline_or_beyond_is_not_begun() {
    for (deadline, fine) in [(0, false), (3, false), (5, false), (6, true), (60, true)] {
        let server = Server::new([busy(5)]);
        let api = CooldownLayer::new().layer(server.service());
        api.clone().oneshot(get(HERE)).await.unwrap();
        let start = Instant::now();
        let result = api.oneshot(within(deadline)).await;
        assert_eq!(result.is_ok(), fine, "{deadline}");
        if let Err(error) = result {
            assert_eq!(Instant::now(), start);
            let text = CooldownError::find(error.as_ref()).unwrap().to_string();
            assert!(text.ends_with(
                "the deadline of the request or of its retries is before that: send it again then, or allow for more"
            ));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_policy_outside_bounds_the_waits_of_its_retries() {
    for (deadline, fine) in [(40, false), (60, false), (61, true), (300, true)] {
        let layer = CooldownLayer::new();
        let server = Server::new([answer(500, &[])]);
        let policy = RetryPolicy::new().deadline(secs(deadline)).backoff(secs(1), secs(1));
        let api = ServiceBuilder::new().layer(RetryLayer::new(policy)).layer(layer.clone()).service(server.service());
        let start = Instant::now();
        let request = tokio::spawn(api.oneshot(get(HERE)));
        tokio::task::yield_now().await;
        // In its back-off, and now somebody else hears that it would be too early.
        layer.layer(Server::new([busy(60)]).service()).oneshot(get(HERE)).await.unwrap();
        let result = request.await.unwrap();
        assert_eq!(result.is_ok(), fine, "{deadline}");
        if let Err(error) = result {
            assert_eq!(CooldownError::find(error.as_ref()).unwrap().until(), start + secs(60));
            assert!(error.to_string().contains("the deadline of the request or of its retries"), "{error}");
            assert!((Instant::now() - start) <= secs(2), "at once, after the back-off");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_spread_of_the_release_does_not_cost_the_deadline() {
    for seed in 0..50 {
        let server = Server::new([busy(50)]);
        let api = CooldownLayer::new().seed(seed).layer(server.service());
        api.clone().oneshot(get(HERE)).await.unwrap();
        assert!(api.oneshot(within(51)).await.is_ok());
        assert!((secs(50)..=secs(51)).contains(&server.times()[1]), "{:?}", server.times());
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_also_ends_the_wait_for_a_service_that_does_not_become_ready() {
    let server = Server::new([busy(5)]);
    let layer = CooldownLayer::new();
    layer.layer(server.service()).oneshot(get(HERE)).await.unwrap();
    let mut api = layer.layer(NeverReady);
    let start = Instant::now();
    let error = api.call(within(20)).await.unwrap_err();
    assert_eq!(Instant::now() - start, secs(20));
    assert!(Error::find(error.as_ref()).unwrap().is_timeout());
    assert_eq!(error.to_string(), "the deadline of the request passed before it was sent");
}

#[tokio::test(start_paused = true)]
async fn a_hostile_hint_holds_for_a_day_and_breaks_nothing() {
    let date = "Fri, 31 Dec 9999 23:59:59 GMT";
    for hint in ["18446744073709551615", "99999999999999999999999999", "9223372036854775807", date] {
        let server = Server::new([answer(429, &[("retry-after", hint)])]);
        let layer = CooldownLayer::new();
        let api = layer.layer(server.service());
        api.clone().oneshot(get(HERE)).await.unwrap();
        let error = api.clone().oneshot(get(HERE)).await.unwrap_err();
        assert_eq!(CooldownError::find(error.as_ref()).unwrap().wait(), DAY, "{hint}");
        sleep(DAY).await;
        api.oneshot(get(HERE)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn how_long_one_answer_can_hold_can_be_set() {
    for (max, seconds) in [(60, 60), (u64::MAX, 30 * 24 * 60 * 60)] {
        let server = Server::new([busy(u64::MAX)]);
        let api = CooldownLayer::new().max_cooldown(secs(max)).max_wait(Duration::ZERO).layer(server.service());
        api.clone().oneshot(get(HERE)).await.unwrap();
        let error = api.oneshot(get(HERE)).await.unwrap_err();
        assert_eq!(CooldownError::find(error.as_ref()).unwrap().wait(), secs(seconds));
    }
}

#[tokio::test(start_paused = true)]
async fn the_future_can_be_polled_after_completion() {
    let server = Server::new([busy(500)]);
    let mut api = CooldownLayer::new().layer(server.service());
    api.call(get(HERE)).await.unwrap();
    let mut response = pin!(api.call(get(HERE)));
    assert!(CooldownError::find(response.as_mut().await.unwrap_err().as_ref()).is_some());
    assert!(response.await.unwrap_err().to_string().contains("polled after completion"));
}

#[test]
fn outside_of_a_runtime_what_is_held_back_fails_and_all_else_is_sent() {
    let server = Server::new([answer(200, &[]), busy(5)]);
    let mut api = CooldownLayer::new().layer(server.service());
    let mut send = |request| match pin!(api.call(request)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("nothing would wake it"),
    };
    assert_eq!(send(get(HERE)).unwrap().status(), 200);
    assert_eq!(send(get(HERE)).unwrap().status(), 429);
    let error = send(get(HERE)).unwrap_err();
    let text = CooldownError::find(error.as_ref()).unwrap().to_string();
    assert!(text.ends_with("nothing can wait outside of a tokio runtime: send it inside of one"), "{text}");
}

#[test]
fn while_nothing_is_held_back_nothing_is_allocated() {
    let mut api = CooldownLayer::new()
        .layer(tower::service_fn(|_: Request<()>| std::future::ready(Ok::<_, BoxError>(http::Response::new(())))));
    for uri in [HERE, "https://api.example.com", "http://127.0.0.1:8080/?a=b", "/relative"] {
        for own in [None, Some("Bearer x")] {
            let mut request = get(uri);
            request.headers_mut().extend(own.map(|own| (http::header::AUTHORIZATION, own.parse().unwrap())));
            let measured = allocation_counter::measure(|| {
                assert!(pin!(api.call(request)).poll(&mut Context::from_waker(Waker::noop())).is_ready());
            });
            assert_eq!(measured.count_total, 0, "{uri} {own:?}");
        }
    }
}

#[derive(Clone)]
struct NeverReady;

impl Service<Request<()>> for NeverReady {
    type Response = http::Response<()>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<http::Response<()>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Pending
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        panic!("it is not ready")
    }
}

fn within(seconds: u64) -> Request<()> {
    let mut request = get(HERE);
    request.extensions_mut().insert(Deadline::within(secs(seconds)));
    request
}

const DAY: Duration = secs(24 * 60 * 60);
