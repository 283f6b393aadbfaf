//! Which requests count against a limit, and for how long: on the right side of the layers, and on the wrong one.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::{sync::Semaphore, time::sleep};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt,
    buffer::Buffer,
    limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer},
    load_shed::{LoadShedLayer, error::Overloaded},
};
use tower_oauth2::{Error, OAuthLayer, TokenCache, source_fn};

use crate::{
    support::{Issuer, millis, secs},
    upstream::{self, ELSEWHERE, HERE, Reply, Stack, Upstream, get, oauth, retry, spawn},
};

// === Concurrency ===

#[tokio::test(start_paused = true)]
async fn a_limit_inside_counts_neither_the_wait_for_a_token_nor_the_back_off() {
    let upstream = Upstream::new([Reply::Status(200), Reply::Busy(10)]);
    let issuer = Issuer::new(secs(100)).latency(secs(5));
    let client = ServiceBuilder::new()
        .layer(retry())
        .layer(oauth(&issuer))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(upstream.clone());
    let first = spawn(&client, get(HERE));
    // While the first waits for its token, and while it backs off.
    for second in [1, 8] {
        sleep(secs(second) - upstream.elapsed()).await;
        assert_eq!(spawn(&client, get(ELSEWHERE)).await.unwrap().0, Duration::ZERO);
    }
    assert_eq!(first.await.unwrap().1.unwrap().status(), StatusCode::OK);
    assert_eq!(upstream.tokens(), ["", "t1", "", "t1"]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_outside_counts_both() {
    let upstream = Upstream::new([Reply::Busy(10)]);
    let issuer = Issuer::new(secs(100)).latency(secs(5));
    let client = ServiceBuilder::new()
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(retry())
        .layer(oauth(&issuer))
        .service(upstream.clone());
    let first = spawn(&client, get(HERE));
    sleep(secs(1)).await;
    let (waited, _) = spawn(&client, get(ELSEWHERE)).await.unwrap();
    assert!(waited >= secs(14), "{waited:?}");
    assert!(first.is_finished());
}

#[tokio::test(start_paused = true)]
async fn an_issuer_behind_the_same_limit_is_reached_if_the_limit_is_inside() {
    let (result, tokens) = shared_limit(|oauth, limit, upstream| {
        ServiceBuilder::new().layer(oauth).layer(limit).service(upstream).boxed_clone()
    })
    .await;
    assert!(result.is_ok());
    assert_eq!(tokens, ["t1"]);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_behind_the_same_limit_is_out_of_reach_if_the_limit_is_outside() {
    let (result, tokens) = shared_limit(|oauth, limit, upstream| {
        ServiceBuilder::new().layer(limit).layer(oauth).service(upstream).boxed_clone()
    })
    .await;
    // The request holds the place that its token request would need. It ends because the wait for a token is bounded.
    assert!(Error::find(result.unwrap_err().as_ref()).unwrap().is_timeout());
    assert_eq!(tokens.len(), 0);
}

// === Load shedding ===

#[tokio::test(start_paused = true)]
async fn a_shed_layer_outside_sheds_nothing_because_of_a_token() {
    let upstream = Upstream::new([]).latency(millis(10));
    let issuer = Issuer::new(secs(100)).latency(secs(5));
    let client = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(retry())
        .layer(oauth(&issuer))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(upstream.clone());
    let (results, shed) = ten(&client).await;
    // None of them holds a place while it waits, so none is shed: they queue, each for its own turn.
    assert_eq!((results.len(), shed), (10, 0));
    assert_eq!(upstream.tokens(), ["t1"; 10]);
    // With a token, it sheds as ever.
    assert_eq!(ten(&client).await.1, 9);
}

#[tokio::test(start_paused = true)]
async fn a_shed_layer_inside_sheds_those_whose_token_came_at_the_same_time() {
    let upstream = Upstream::new([]).latency(millis(10));
    let issuer = Issuer::new(secs(100)).latency(secs(5));
    let client = ServiceBuilder::new()
        .layer(retry())
        .layer(oauth(&issuer))
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(upstream.clone());
    assert_eq!(ten(&client).await.1, 9);
    // What was shed is not sent again: it would only come back sooner.
    assert_eq!(upstream.tokens(), ["t1"]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_around_a_shed_layer_bounds_how_many_wait_for_a_token() {
    let upstream = Upstream::new([]).latency(millis(10));
    let issuer = Issuer::new(secs(100)).latency(secs(5));
    let client = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(4))
        .layer(retry())
        .layer(oauth(&issuer))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(upstream.clone());
    assert_eq!(ten(&client).await.1, 6);
    assert_eq!(upstream.tokens(), ["t1"; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_burst_that_is_larger_than_a_buffer_is_shed() {
    let upstream = Upstream::new([]);
    let stack = retry().layer(oauth(&Issuer::new(secs(100))).layer(upstream.clone()));
    let client = ServiceBuilder::new().layer(LoadShedLayer::new()).buffer(4).service(stack);
    // The worker had no turn yet.
    assert_eq!(ten(&client).await.1, 6);
    assert_eq!(upstream.tokens(), ["t1"; 4]);
}

// === Buffer ===

#[tokio::test(start_paused = true)]
async fn the_worker_of_a_buffer_outside_waits_for_no_token_and_no_back_off() {
    let upstream = Upstream::new([Reply::Status(200), Reply::Busy(10)]);
    let issuer = Issuer::new(secs(100)).latency(secs(5));
    let stack = ServiceBuilder::new().layer(retry()).layer(oauth(&issuer)).service(upstream.clone());
    let client = Buffer::new(stack, 1);
    let first = spawn(&client, get(HERE));
    for second in [1, 8] {
        sleep(secs(second) - upstream.elapsed()).await;
        assert_eq!(spawn(&client, get(ELSEWHERE)).await.unwrap().0, Duration::ZERO);
    }
    first.await.unwrap().1.unwrap();
    assert_eq!(upstream.tokens(), ["", "t1", "", "t1"]);
}

#[tokio::test(start_paused = true)]
async fn a_place_in_a_buffer_inside_is_free_while_a_request_waits_for_its_token() {
    let upstream = Upstream::new([]);
    let issuer = Issuer::new(secs(100)).latency(secs(5));
    // The worker has room for one, and takes nothing while the API has no room.
    let places = Arc::new(Semaphore::new(0));
    let limited = GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&places)).layer(upstream.clone());
    let client = oauth(&issuer).layer(Buffer::new(limited, 1));
    let waits = spawn(&client, get(HERE));
    sleep(secs(1)).await;
    let mut other = client.clone();
    let ready = ServiceExt::<Request<Full<_>>>::ready(&mut other);
    assert!(tokio::time::timeout(Duration::ZERO, ready).await.is_ok(), "the place is held");
    drop(other);
    places.add_permits(1);
    assert_eq!(waits.await.unwrap().0, secs(5));
}

#[tokio::test(start_paused = true)]
async fn in_a_buffer_outside_no_token_grows_old_and_in_one_inside_it_does() {
    for (outside, expected) in [(true, ["t1", "t2"]), (false, ["t1", "t1"])] {
        let upstream = Upstream::new([]).latency(secs(30));
        let oauth = oauth(&Issuer::new(secs(20)));
        let limit = ConcurrencyLimitLayer::new(1);
        let client = if outside {
            Buffer::new(ServiceBuilder::new().layer(oauth).layer(limit).service(upstream.clone()).boxed(), 8)
                .boxed_clone()
        } else {
            let client = Buffer::new(limit.layer(upstream.clone()), 8);
            oauth.layer(client).boxed_clone()
        };
        let calls = (0..2).map(|_| client.clone().send(get(HERE)));
        assert!(join_all(calls).await.iter().all(Result::is_ok));
        assert_eq!((upstream.tokens(), upstream.seconds()), (expected.map(str::to_owned).into(), vec![0, 30]));
    }
}

// === Rate ===

#[tokio::test(start_paused = true)]
async fn a_rate_limit_inside_counts_what_is_sent_and_one_outside_what_is_asked_for() {
    let per_second = || ServiceBuilder::new().buffer(8).rate_limit(1, secs(10));
    let upstream = Upstream::new([]).refusing("t1");
    let layers = ServiceBuilder::new().layer(retry()).layer(oauth(&Issuer::new(secs(100))));
    layers.service(per_second().service(upstream.clone())).send(get(HERE)).await.unwrap();
    assert_eq!((upstream.tokens(), upstream.seconds()), (vec!["t1".into(), "t2".into()], vec![0, 10]));

    let upstream = Upstream::new([]).refusing("t1");
    let layers = ServiceBuilder::new().layer(retry()).layer(oauth(&Issuer::new(secs(100))));
    per_second().service(layers.service(upstream.clone())).send(get(HERE)).await.unwrap();
    assert_eq!(upstream.seconds(), [0, 1], "two in the time of one");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_its_token_takes_nothing_from_a_rate() {
    let upstream = Upstream::new([]);
    let limited = ServiceBuilder::new().buffer(8).rate_limit(1, secs(10)).service(upstream.clone());
    let client = oauth(&Issuer::new(secs(100)).latency(secs(5))).layer(limited);
    let first = spawn(&client, get(HERE));
    sleep(secs(1)).await;
    client.send(get(ELSEWHERE)).await.unwrap();
    first.await.unwrap().1.unwrap();
    assert_eq!((upstream.tokens(), upstream.seconds()), (vec![String::new(), "t1".into()], vec![1, 11]));
}

type Boxed = tower::util::BoxCloneService<Request<Full<bytes::Bytes>>, http::Response<upstream::Body>, tower::BoxError>;

/// One request through a limit of one that its token request has to pass as well.
async fn shared_limit(
    build: impl FnOnce(OAuthLayer, GlobalConcurrencyLimitLayer, Upstream) -> Boxed,
) -> (Result<StatusCode, tower::BoxError>, Vec<String>) {
    let upstream = Upstream::new([]);
    let limit = GlobalConcurrencyLimitLayer::new(1);
    let issuer = limit.layer(tower::service_fn(async |()| {
        sleep(secs(1)).await;
        tower_oauth2::Token::new("t1")
    }));
    let tokens = TokenCache::new(source_fn(move |_| {
        let issuer = issuer.clone();
        async { issuer.oneshot(()).await }
    }));
    let client = build(OAuthLayer::for_origin(HERE, tokens).unwrap(), limit, upstream.clone());
    let result = client.send(get(HERE)).await.map(|response| response.status());
    (result, upstream.tokens())
}

/// Ten requests at once: what came back, and how many were shed.
async fn ten<S>(client: &S) -> (Vec<Result<(), tower::BoxError>>, usize)
where
    S: Service<Request<Full<bytes::Bytes>>, Response = http::Response<upstream::Body>, Future: Send> + Clone + Send,
    S::Error: Into<tower::BoxError> + Send,
{
    let calls = (0..10).map(|_| client.clone().send(get(HERE)));
    let results: Vec<_> = join_all(calls).await.into_iter().map(|result| result.map(drop)).collect();
    let shed = results.iter().filter(|result| result.as_ref().is_err_and(|error| error.is::<Overloaded>())).count();
    (results, shed)
}
