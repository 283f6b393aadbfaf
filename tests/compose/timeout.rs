//! What a timeout bounds in each place, what became of the request then, and what goes on after it.

use http::{Response, StatusCode};
use tokio::time::{Instant, sleep};
use tower::{
    ServiceBuilder,
    timeout::{TimeoutLayer, error::Elapsed},
};
use tower_http::timeout::TimeoutLayer as HttpTimeoutLayer;
use tower_oauth2::{
    Deadline, TokenRejected,
    retry::{RetryOutcome, Stopped},
};

use crate::{
    support::{Answer, Issuer, secs},
    upstream::{Body, Client, HERE, Reply, Stack, Upstream, boxed, get, oauth, post, retry, spawn},
};

// === tower's, which fails ===

#[tokio::test(start_paused = true)]
async fn a_timeout_inside_bounds_one_attempt_and_no_wait() {
    let upstream = Upstream::new([Reply::Busy(20), Reply::Hang]);
    let issuer = Issuer::new(secs(100)).latency(secs(10));
    let client = Stacked { inside: Some(3), ..Stacked::default() }.build(&upstream, &issuer);
    assert_eq!(client.send(get(HERE)).await.unwrap().status(), StatusCode::OK);
    // The token took 10 s, the back-off 20 s, and the attempt that hung 3 s.
    assert_eq!(upstream.tokens(), ["t1"; 3]);
    assert!(upstream.seconds()[2] >= 33, "{:?}", upstream.seconds());
}

#[tokio::test(start_paused = true)]
async fn what_timed_out_inside_may_have_been_done_and_is_not_repeated_unasked() {
    let upstream = Upstream::new([Reply::Hang]);
    let client = Stacked { inside: Some(3), ..Stacked::default() }.build(&upstream, &Issuer::new(secs(100)));
    assert!(client.send(post(HERE)).await.unwrap_err().is::<Elapsed>());
    assert_eq!(upstream.seconds(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_between_the_two_ends_requests_that_were_never_sent() {
    let upstream = Upstream::new([]);
    let issuer = Issuer::new(secs(100)).latency(secs(10));
    let client = Stacked { between: Some(3), ..Stacked::default() }.build(&upstream, &issuer);
    // The retry policy cannot know that it was the token that took long.
    assert!(client.clone().send(post(HERE)).await.unwrap_err().is::<Elapsed>());
    assert_eq!(upstream.sent().len(), 0);
    // What can be repeated spends its attempts on waiting for one token.
    let start = Instant::now();
    assert_eq!(client.send(get(HERE)).await.unwrap().status(), StatusCode::OK);
    assert!(Instant::now() - start >= secs(6));
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_bounds_waits_attempts_and_back_off_together() {
    let busy = Upstream::new([Reply::Busy(20)]);
    let slow = Issuer::new(secs(100)).latency(secs(4));
    for (upstream, issuer, sent) in [
        (Upstream::new([Reply::Hang]), Issuer::new(secs(100)), 1),
        (busy, Issuer::new(secs(100)), 1),
        (Upstream::new([]).refusing("t1"), slow, 1),
        (Upstream::new([]), hanging(), 0),
    ] {
        let client = Stacked { outside: Some(5), ..Stacked::default() }.build(&upstream, &issuer);
        let start = Instant::now();
        assert!(client.send(get(HERE)).await.unwrap_err().is::<Elapsed>());
        assert_eq!(Instant::now() - start, secs(5));
        // What is over sends nothing later on.
        sleep(secs(100)).await;
        assert_eq!(upstream.sent().len(), sent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_request_outlives_the_timeout_of_who_began_it() {
    let upstream = Upstream::new([]);
    let issuer = Issuer::new(secs(100)).latency(secs(10));
    let client = Stacked { outside: Some(8), ..Stacked::default() }.build(&upstream, &issuer);
    client.clone().send(get(HERE)).await.unwrap_err();
    let (after, response) = spawn(&client, get(HERE)).await.unwrap();
    assert_eq!((after, response.unwrap().status()), (secs(2), StatusCode::OK));
    assert_eq!((upstream.tokens(), issuer.requests()), (vec!["t1".to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_the_request_bounds_it_as_a_timeout_outside_does_and_stops_ahead_of_time() {
    let upstream = Upstream::new([Reply::Busy(20)]);
    let client = Stacked::default().build(&upstream, &Issuer::new(secs(100)));
    let mut request = get(HERE);
    request.extensions_mut().insert(Deadline::within(secs(5)));
    let (after, response) = spawn(&client, request).await.unwrap();
    // It is not begun to wait for what would come too late: the 429 is the caller's at once.
    let response = response.unwrap();
    assert_eq!((after, response.status()), (secs(0), StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(outcome(&response).unwrap().stopped, Stopped::Deadline);
}

// === tower-http's, which answers ===

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_timeout_inside_makes_up_is_treated_as_the_servers() {
    let status = StatusCode::GATEWAY_TIMEOUT;
    for (request, sent) in [(get(HERE), 2), (post(HERE), 1)] {
        let upstream = Upstream::new([Reply::Hang]);
        let timeout = HttpTimeoutLayer::with_status_code(status, secs(3));
        let client = boxed(timeout, upstream.client());
        let client = boxed(retry(), boxed(oauth(&Issuer::new(secs(100))), client));
        let response = client.send(request).await.unwrap();
        assert_eq!(upstream.tokens(), vec!["t1"; sent]);
        let stopped = outcome(&response).map(|outcome| outcome.stopped);
        let expected = if sent == 1 { (status, Some(Stopped::NotRepeatable)) } else { (StatusCode::OK, None) };
        assert_eq!((response.status(), stopped), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_made_up_429_does_what_may_not_be_done_twice_twice() {
    let upstream = Upstream::new([Reply::Hang]);
    let timeout = HttpTimeoutLayer::with_status_code(StatusCode::TOO_MANY_REQUESTS, secs(3));
    let client = boxed(retry(), boxed(timeout, upstream.client()));
    assert_eq!(client.send(post(HERE)).await.unwrap().status(), StatusCode::OK);
    assert_eq!(upstream.sent().len(), 2, "a 429 says that nothing was done, and the timeout cannot know");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_timeout_outside_makes_up_says_nothing_of_what_was_tried() {
    let upstream = Upstream::new([Reply::Status(503), Reply::Status(503), Reply::Hang]);
    let timeout = HttpTimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, secs(5));
    let client = boxed(timeout, boxed(retry(), boxed(oauth(&Issuer::new(secs(100))), upstream.client())));
    let response = client.send(get(HERE)).await.unwrap();
    assert_eq!((response.status(), upstream.sent().len()), (StatusCode::GATEWAY_TIMEOUT, 3));
    assert_eq!(outcome(&response), None);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_either_kind_leaves_the_mark_of_a_refused_token() {
    let http = HttpTimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, secs(3));
    for between in [false, true] {
        let upstream = Upstream::new([]).refusing("t1");
        let stack = Stacked { between: between.then_some(3), ..Stacked::default() };
        let client = stack.layer_oauth(&upstream, &Issuer::new(secs(100)));
        let response = boxed(http, client).send(get(HERE)).await.unwrap();
        assert_eq!(response.extensions().get(), Some(&TokenRejected::new(true)));
    }
}

/// Where tower's timeout is, and of how many seconds.
#[derive(Default)]
struct Stacked {
    inside: Option<u64>,
    between: Option<u64>,
    outside: Option<u64>,
}

impl Stacked {
    fn build(&self, upstream: &Upstream, issuer: &Issuer) -> Client {
        let client = boxed(retry(), self.layer_oauth(upstream, issuer));
        boxed(ServiceBuilder::new().option_layer(timeout(self.outside)), client)
    }

    fn layer_oauth(&self, upstream: &Upstream, issuer: &Issuer) -> Client {
        let client = boxed(ServiceBuilder::new().option_layer(timeout(self.inside)), upstream.client());
        boxed(ServiceBuilder::new().option_layer(timeout(self.between)), boxed(oauth(issuer), client))
    }
}

fn timeout(after: Option<u64>) -> Option<TimeoutLayer> {
    after.map(|after| TimeoutLayer::new(secs(after)))
}

fn hanging() -> Issuer {
    let issuer = Issuer::new(secs(100));
    issuer.always(Answer::Hang);
    issuer
}

fn outcome(response: &Response<Body>) -> Option<RetryOutcome> {
    response.extensions().get().copied()
}
