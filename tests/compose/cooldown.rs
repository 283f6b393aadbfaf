//! The whole stack: bodies that can be sent once, cool-downs and tokens; and what goes wrong in another order.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use tokio::time::sleep;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, timeout::TimeoutLayer};
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_oauth2::retry::{CooldownError, CooldownLayer, ReplayBody, ReplayBodyLayer, RetryLayer, RetryPolicy};

use crate::{
    support::{Issuer, secs},
    upstream::{self, Client, ELSEWHERE, HERE, Reply, Stack, Upstream, boxed, get, oauth, retry, spawn},
};

type Once = UnsyncBoxBody<Bytes, io::Error>;

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_streamed_survives_a_401_a_429_and_a_503() {
    let upstream = Upstream::new([Reply::Busy(10), Reply::Status(503)]).refusing("t1");
    let client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(ReplayBodyLayer::new())
        .layer(retry())
        .layer(CooldownLayer::new().seed(1))
        .layer(oauth(&Issuer::new(secs(100)).latency(secs(1))))
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(TimeoutLayer::new(secs(3)))
        .service(reads(upstream.clone()));
    let response = client.oneshot(put(upload(&["one ", "two ", "three"]))).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(upstream.tokens(), ["t1", "t2", "t2", "t2"]);
    assert!(upstream.sent().iter().all(|sent| sent.headers["x-body"] == "one two three"));
}

#[tokio::test(start_paused = true)]
async fn one_429_holds_back_who_has_a_token_and_no_one_elsewhere_and_no_place_is_held() {
    let upstream = Upstream::new([Reply::Busy(30)]);
    let stack = full(&upstream, &Issuer::new(secs(20)));
    let first = spawn(&stack, get(HERE));
    sleep(secs(1)).await;
    let second = spawn(&stack, get(HERE));
    sleep(secs(1)).await;
    assert_eq!(spawn(&stack, get(ELSEWHERE)).await.unwrap().0, Duration::ZERO);
    first.await.unwrap().1.unwrap();
    second.await.unwrap().1.unwrap();
    // The token of before had 20 s, and is taken anew after the wait.
    assert_eq!(upstream.tokens(), ["t1", "", "t2", "t2"]);
    assert!(upstream.seconds()[2] >= 30, "{:?}", upstream.seconds());
}

#[tokio::test(start_paused = true)]
async fn a_cool_down_inside_of_the_token_lets_it_grow_old_and_is_lost_with_it() {
    let upstream = Upstream::new([Reply::Busy(30)]);
    let layers = ServiceBuilder::new().layer(oauth(&Issuer::new(secs(20)))).layer(CooldownLayer::new().seed(1));
    let stack = layers.service(upstream.clone());
    let first = stack.clone().send(get(HERE)).await.unwrap();
    assert_eq!(first.status(), StatusCode::TOO_MANY_REQUESTS);
    let waits = spawn(&stack, get(HERE));
    sleep(secs(21)).await;
    // With the next token it takes the caller for somebody else, and knocks on while the first one still waits.
    stack.clone().send(get(HERE)).await.unwrap();
    waits.await.unwrap().1.unwrap();
    assert_eq!(upstream.tokens(), ["t1", "t2", "t1"], "after 30 s, with a token of 20 s");
    assert_eq!(upstream.seconds()[1], 21);
}

#[tokio::test(start_paused = true)]
async fn a_cool_down_outside_of_the_retry_layer_never_hears_of_what_was_mended() {
    for (outside, knocks) in [(true, vec![0, 1]), (false, vec![0, 10])] {
        let upstream = Upstream::new([Reply::Busy(10)]);
        let cooldown = || CooldownLayer::new().seed(1);
        let stack = ServiceBuilder::new()
            .option_layer(outside.then(cooldown))
            .layer(retry())
            .option_layer((!outside).then(cooldown))
            .service(upstream.clone());
        let first = spawn(&stack, get(HERE));
        sleep(secs(1)).await;
        stack.send(get(HERE)).await.unwrap();
        first.await.unwrap().1.unwrap();
        assert_eq!(upstream.seconds()[..2], knocks, "{outside}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_around_the_cool_down_is_held_by_those_who_cool_down() {
    for (around, waits) in [(true, true), (false, false)] {
        let upstream = Upstream::new([Reply::Busy(10)]);
        let limit = || ConcurrencyLimitLayer::new(1);
        let stack = ServiceBuilder::new()
            .layer(retry())
            .option_layer(around.then(limit))
            .layer(CooldownLayer::new().seed(1))
            .option_layer((!around).then(limit))
            .service(upstream);
        let held = [spawn(&stack, get(HERE)), spawn(&stack, get(HERE))];
        sleep(secs(1)).await;
        assert_eq!(spawn(&stack, get(ELSEWHERE)).await.unwrap().0 > secs(8), waits, "{around}");
        for held in held {
            held.await.unwrap().1.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_around_the_cool_down_ends_requests_that_were_never_sent() {
    for around in [true, false] {
        let upstream = Upstream::new([Reply::Busy(10)]);
        let limit = || TimeoutLayer::new(secs(3));
        let stack = ServiceBuilder::new()
            .option_layer(around.then(limit))
            .layer(CooldownLayer::new().seed(1))
            .option_layer((!around).then(limit))
            .service(upstream.clone());
        stack.clone().send(get(HERE)).await.unwrap();
        assert_eq!(stack.send(get(HERE)).await.is_err(), around);
        assert_eq!(upstream.sent().len(), if around { 1 } else { 2 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_refused_costs_no_attempt_no_budget_and_no_token() {
    let upstream = Upstream::new([Reply::Busy(600)]);
    let issuer = Issuer::new(secs(20));
    let policy = RetryPolicy::new();
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy.clone()))
        .layer(CooldownLayer::new())
        .layer(oauth(&issuer))
        .service(upstream.clone());
    assert_eq!(stack.clone().send(get(HERE)).await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    sleep(secs(60)).await;
    let error = stack.send(get(HERE)).await.unwrap_err();
    assert_eq!(CooldownError::find(error.as_ref()).unwrap().wait().as_secs(), 540);
    assert_eq!((upstream.sent().len(), issuer.requests(), policy.stats().retries), (1, 1, 0));
}

/// As it should be, around a limit of one place.
fn full(upstream: &Upstream, issuer: &Issuer) -> Client {
    let client = boxed(ConcurrencyLimitLayer::new(1), upstream.client());
    let client = boxed(CooldownLayer::new().seed(1), boxed(oauth(issuer), client));
    boxed(retry(), client)
}

/// Reads the body of each request, and hands it on in a header.
fn reads(
    upstream: Upstream,
) -> impl Service<Request<ReplayBody<Once>>, Response = Response<upstream::Body>, Error = BoxError, Future: Send> + Clone
{
    tower::service_fn(move |request: Request<ReplayBody<Once>>| {
        let upstream = upstream.clone();
        async move {
            let (mut head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            head.headers.insert("x-body", HeaderValue::from_maybe_shared(body)?);
            assert!(head.headers.contains_key(AUTHORIZATION));
            upstream.oneshot(Request::from_parts(head, Full::default())).await
        }
    })
}

/// As it comes from somewhere else, piece by piece.
fn upload(pieces: &'static [&'static str]) -> Once {
    let frames = stream::iter(pieces).map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))));
    StreamBody::new(frames).boxed_unsync()
}

fn put(body: Once) -> Request<Once> {
    Request::put(HERE).body(body).unwrap()
}
