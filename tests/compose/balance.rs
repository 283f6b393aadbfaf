//! Balancers, filters and boxes: which origin gets a token, what is asked anew for an attempt, and what stays ready.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{future::join_all, stream};
use http::{Request, StatusCode, Uri, header::AUTHORIZATION};
use http_body_util::Full;
use tokio::{
    task::yield_now,
    time::{sleep, timeout},
};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    balance::p2c::Balance,
    buffer::Buffer,
    discover::Change,
    filter::{AsyncFilterLayer, FilterLayer},
    limit::{ConcurrencyLimit, ConcurrencyLimitLayer},
    load::{CompleteOnResponse, Constant, Load, PendingRequests},
    util::BoxCloneSyncServiceLayer,
};
use tower_oauth2::{OAuthLayer, TokenCache};

use crate::{
    support::{Issuer, secs},
    upstream::{self, Client, ELSEWHERE, HERE, Reply, Stack, Upstream, boxed, get, oauth, post, retry, spawn},
};

const SECOND: &str = "https://api2.example.com/v1/users";

type Call = Request<Full<Bytes>>;

// === Balance ===

#[tokio::test(start_paused = true)]
async fn inside_of_what_chooses_the_endpoint_a_token_goes_to_the_origins_it_is_for() {
    // Each endpoint says whose it is before the token is put on: one origin is ours, two are bound, the third is a stranger.
    let tokens = TokenCache::new(Issuer::new(secs(100)));
    let oauth = OAuthLayer::for_origins([HERE, SECOND], tokens).unwrap();
    let endpoints = [HERE, SECOND, ELSEWHERE].map(|origin| {
        let upstream = Upstream::new([]);
        (upstream.clone(), ServiceBuilder::new().map_request(to(origin)).layer(oauth.clone()).service(upstream))
    });
    let upstreams = endpoints.each_ref().map(|(upstream, _)| upstream.clone());
    let client = retry().layer(balance(endpoints.map(|(_, endpoint)| boxed_client(endpoint)), 8));
    for _ in 0..60 {
        client.clone().send(get(HERE)).await.unwrap();
    }
    let [here, second, stranger] = upstreams.map(|upstream| upstream.tokens());
    assert!(here.len() > 5 && second.len() > 5 && stranger.len() > 5);
    assert!(here.iter().chain(&second).all(|token| token == "t1"));
    assert!(stranger.iter().all(String::is_empty));
}

#[tokio::test(start_paused = true)]
async fn outside_of_what_chooses_the_endpoint_the_token_goes_to_any() {
    let upstream = Upstream::new([]);
    let endpoint = ServiceBuilder::new().map_request(to(ELSEWHERE)).service(upstream.clone());
    let client = oauth(&Issuer::new(secs(100))).layer(balance([boxed_client(endpoint)], 8));
    client.send(get(HERE)).await.unwrap();
    let sent = &upstream.sent()[0];
    assert_eq!((sent.uri.as_str(), sent.token().as_str()), (ELSEWHERE, "t1"), "to a stranger");
}

#[tokio::test(start_paused = true)]
async fn outside_of_endpoints_that_keep_the_uri_a_replay_may_go_to_another() {
    let upstreams = [(); 2].map(|()| Upstream::new([]).refusing("t1"));
    let endpoints = upstreams.each_ref().map(Upstream::client);
    let client = retry().layer(oauth(&Issuer::new(secs(1000)).latency(secs(1))).layer(balance(endpoints, 8)));
    let calls = (0..50).map(|_| client.clone().send(post(HERE)));
    assert!(join_all(calls).await.iter().all(|response| response.as_ref().unwrap().status() == StatusCode::OK));
    let tokens: Vec<_> = upstreams.iter().flat_map(Upstream::tokens).collect();
    assert_eq!(tokens.iter().filter(|token| *token == "t2").count(), 50);
    assert!(upstreams.iter().all(|upstream| upstream.sent().len() > 10));
}

#[tokio::test(start_paused = true)]
async fn the_load_of_an_endpoint_counts_who_waits_for_a_token() {
    // What measures load cannot be cloned, so that it is outside of the layer.
    let endpoint = boxed(oauth(&Issuer::new(secs(100)).latency(secs(5))), Upstream::new([]).client());
    let mut endpoint = PendingRequests::new(endpoint, CompleteOnResponse::default());
    let load = |endpoint: &PendingRequests<_>| format!("{:?}", endpoint.load());
    let idle = load(&endpoint);
    let waits = tokio::spawn(endpoint.ready().await.unwrap().call(get(HERE)));
    sleep(secs(1)).await;
    assert_ne!(load(&endpoint), idle);
    waits.await.unwrap().unwrap();
    assert_eq!(load(&endpoint), idle);
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_share_one_place_keep_it_from_a_request_that_comes_back() {
    // A balancer keeps all endpoints ready, also those it does not choose; with them, what readiness holds.
    for (places, hangs) in [(1, true), (3, false)] {
        let shared = Buffer::new(Upstream::new([]), places);
        let layer = oauth(&Issuer::new(secs(100)).latency(secs(1)));
        let waits_for_a_token = balance([(); 2].map(|()| boxed_client(layer.layer(shared.clone()))), 8);

        let shared = ConcurrencyLimit::new(Upstream::new([Reply::Status(503)]), places);
        let backs_off = balance([(); 2].map(|()| boxed_client(retry().layer(shared.clone()))), 8);

        for client in [waits_for_a_token, backs_off] {
            assert_eq!(timeout(secs(60), client.clone().send(get(HERE))).await.is_err(), hangs, "{places}");
        }
    }
}

// === Filter ===

#[tokio::test(start_paused = true)]
async fn a_filter_outside_sees_a_request_once_and_one_inside_each_attempt_with_its_token() {
    for (inside, expected) in [(true, vec!["Bearer t1", "Bearer t2", "Bearer t2"]), (false, vec![""])] {
        let seen: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let note = Arc::clone(&seen);
        let filter = FilterLayer::new(move |request: Call| {
            let token = request.headers().get(AUTHORIZATION).map_or("", |value| value.to_str().unwrap());
            note.lock().unwrap().push(token.to_owned());
            Ok::<_, BoxError>(request)
        });
        let upstream = Upstream::new([Reply::Status(401), Reply::Status(503)]);
        let client = ServiceBuilder::new()
            .option_layer((!inside).then(|| filter.clone()))
            .layer(retry())
            .layer(oauth(&Issuer::new(secs(100))))
            .option_layer(inside.then_some(filter))
            .service(upstream);
        assert_eq!(client.send(get(HERE)).await.unwrap().status(), StatusCode::OK);
        assert_eq!(*seen.lock().unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_filter_turns_down_is_not_sent_and_not_asked_again() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let issuer = Issuer::new(secs(100));
    let upstream = Upstream::new([]);
    let client = ServiceBuilder::new()
        .layer(retry())
        .layer(FilterLayer::new(move |_: Call| {
            count.fetch_add(1, Ordering::SeqCst);
            Err::<Call, _>(BoxError::from("no"))
        }))
        .layer(oauth(&issuer))
        .service(upstream.clone());
    assert_eq!(client.send(get(HERE)).await.unwrap_err().to_string(), "no");
    assert_eq!((asked.load(Ordering::SeqCst), upstream.sent().len(), issuer.requests()), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_async_filter_holds_a_place_while_it_decides_and_the_layer_none_while_it_waits() {
    let token_takes = |seconds| oauth(&Issuer::new(secs(100)).latency(secs(seconds)));
    let filter = || {
        AsyncFilterLayer::new(|request: Call| async {
            sleep(secs(if request.uri() == HERE { 5 } else { 0 })).await;
            Ok::<_, BoxError>(request)
        })
    };
    for (outside, inside, token, second_waits) in [(true, false, 0, 5), (false, true, 0, 5), (false, false, 5, 0)] {
        let client = ServiceBuilder::new()
            .option_layer(outside.then(filter))
            .layer(token_takes(token))
            .option_layer(inside.then(filter))
            .layer(ConcurrencyLimitLayer::new(1))
            .service(Upstream::new([]));
        let first = spawn(&client, get(HERE));
        yield_now().await;
        assert_eq!(spawn(&client, get(ELSEWHERE)).await.unwrap().0, secs(second_waits));
        assert_eq!(first.await.unwrap().0, secs(5));
    }
}

// === Boxes ===

#[tokio::test(start_paused = true)]
async fn a_stack_in_boxes_works_on_other_threads_and_through_shared_references() {
    fn shareable<T: Clone + Send + Sync + 'static>(service: T) -> T {
        service
    }
    let upstream = Upstream::new([]).refusing("t1");
    let layers = BoxCloneSyncServiceLayer::new(
        ServiceBuilder::new().layer(retry()).layer(oauth(&Issuer::new(secs(100)))).layer(ConcurrencyLimitLayer::new(1)),
    );
    let client = Arc::new(shareable(layers.layer(upstream.client())));
    let calls = (0..20).map(|_| spawn(client.as_ref(), post(HERE)));
    for call in join_all(calls).await {
        assert_eq!(call.unwrap().1.unwrap().status(), StatusCode::OK);
    }
    assert!(upstream.sent().len() < 40);
}

fn balance<const N: usize>(endpoints: [Client; N], places: usize) -> Client {
    let endpoints = endpoints.into_iter().map(|endpoint| Constant::new(endpoint, 1)).enumerate();
    let changes = endpoints.map(|(key, endpoint)| Ok::<_, Infallible>(Change::Insert(key, endpoint)));
    boxed_client(Buffer::new(Balance::new(stream::iter(changes)), places))
}

fn boxed_client<S>(service: S) -> Client
where
    S: Service<Call, Response = http::Response<upstream::Body>, Error = BoxError, Future: Send>,
    S: Clone + Send + Sync + 'static,
{
    Client::new(service)
}

/// As an endpoint does that is one of several hosts.
fn to(uri: &'static str) -> impl Fn(Call) -> Call + Clone + Send + Sync + 'static {
    move |mut request| {
        *request.uri_mut() = Uri::from_static(uri);
        request
    }
}
