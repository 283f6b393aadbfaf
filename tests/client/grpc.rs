//! gRPC calls of tonic through the stack.

use std::{
    future::ready,
    io,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use http::uri::PathAndQuery;
use hyper_util::client::legacy::connect::{HttpConnector, dns::Name};
use tokio::time::{Instant, timeout};
use tonic::{
    Code, Request, Status,
    body::Body,
    client::{Grpc, GrpcService},
    transport::{Channel, Endpoint},
};
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_oauth2::{
    OAuthLayer, Token, TokenCache,
    retry::{GrpcClassifier, Repeat, ReplayBody, ReplayBodyLayer, RetryLayer, RetryPolicy, RetryStats},
    source_fn,
};

use crate::grpc_server::{Failure, GrpcServer, Text};

#[tokio::test]
async fn a_call_with_an_origin_carries_the_token() {
    let server = GrpcServer::start().await;
    let channel = Endpoint::from_shared(server.url.clone()).unwrap().connect_lazy();
    let api = ServiceBuilder::new().layer(OAuthLayer::for_origin(&server.url, tokens()).unwrap()).service(channel);
    let answer = say(Grpc::with_origin(api, server.url.parse().unwrap()), Request::new("hello".to_owned())).await;
    assert_eq!(answer.unwrap(), "hello");
    assert_eq!(server.seen(), ["Bearer t1"]);
}

#[tokio::test]
async fn a_call_without_an_origin_goes_nowhere_that_the_layer_knows() {
    let server = GrpcServer::start().await;
    let channel = Endpoint::from_shared(server.url.clone()).unwrap().connect_lazy();
    let api = ServiceBuilder::new().layer(OAuthLayer::for_origin(&server.url, tokens()).unwrap()).service(channel);
    // The channel adds it, under the layer.
    let answer = say(Grpc::new(api), Request::new("hello".to_owned())).await;
    assert_eq!(answer.unwrap(), "hello");
    assert_eq!(server.seen(), [""]);
}

#[tokio::test]
async fn unauthenticated_is_replayed_once_with_a_new_token_whatever_the_call() {
    let server = GrpcServer::start().await;
    server.fail([Failure::new("16")]);
    let (answer, stats) = call(&server, "hello", None).await;
    assert_eq!(answer.unwrap(), "hello");
    assert_eq!(server.seen(), ["Bearer t1", "Bearer t2"]);
    assert_eq!((stats.replays, stats.retries), (1, 0));

    server.fail([Failure::new("16"), Failure::new("16")]);
    let (answer, stats) = call(&server, "hello", Some(Repeat::Always)).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(server.seen()[2..], ["Bearer t1", "Bearer t2"]);
    assert_eq!((stats.replays, stats.retries, stats.given_up), (1, 0, 1));
}

#[tokio::test]
async fn unavailable_is_tried_again_if_the_call_may_be_repeated() {
    let server = GrpcServer::start().await;
    for (repeat, tried_again) in [(Some(Repeat::Always), true), (None, false), (Some(Repeat::Never), false)] {
        let before = server.seen().len();
        server.fail([Failure::new("14")]);
        let (answer, stats) = call(&server, "hello", repeat).await;
        let code = answer.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(code, if tried_again { Code::Ok } else { Code::Unavailable });
        assert_eq!(
            (server.seen().len() - before, stats.retries),
            (1 + usize::from(tried_again), u64::from(tried_again))
        );
        assert!(server.seen()[before..].iter().all(|token| token == "Bearer t1"));
    }
}

#[tokio::test]
async fn resource_exhausted_is_tried_again_whatever_the_call_when_the_server_says() {
    let server = GrpcServer::start().await;
    server.fail([Failure::new("8").with("grpc-retry-pushback-ms", "200")]);
    let began = Instant::now();
    let (answer, stats) = call(&server, "hello", None).await;
    assert_eq!((answer.unwrap(), stats.retries), ("hello".to_owned(), 1));
    assert!(Instant::now() - began >= Duration::from_millis(200));

    for never in ["-1", "soon"] {
        server.fail([Failure::new("8").with("grpc-retry-pushback-ms", never)]);
        let (answer, stats) = call(&server, "hello", Some(Repeat::Always)).await;
        assert_eq!((answer.unwrap_err().code(), stats.retries), (Code::ResourceExhausted, 0), "{never}");
    }
}

#[tokio::test]
async fn other_statuses_and_those_that_come_late_are_for_the_caller() {
    let server = GrpcServer::start().await;
    let failures = [Failure::new("3"), Failure::new("13"), Failure::new("14").late(), Failure::new("16").late()];
    for failure in failures {
        let before = server.seen().len();
        server.fail([failure]);
        let (answer, stats) = call(&server, "hello", Some(Repeat::Always)).await;
        assert!(answer.is_err());
        assert_eq!((server.seen().len() - before, stats.retries, stats.replays), (1, 0, 0));
    }
}

#[tokio::test]
async fn a_message_that_is_longer_than_what_is_kept_is_sent_once() {
    let server = GrpcServer::start().await;
    let message = "x".repeat(200_000);
    let (answer, _) = call(&server, &message, None).await;
    assert_eq!(answer.unwrap(), message);
    server.fail([Failure::new("16")]);
    let (answer, stats) = call(&server, &message, None).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!((server.seen().len(), stats.given_up), (2, 1));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_asked_again_whatever_the_call() {
    let server = GrpcServer::start().await;
    let url = server.url.clone();
    drop(server);
    tokio::task::yield_now().await;
    let (answer, stats) = call_at(&url, "hello", None).await;
    let status = answer.unwrap_err();
    assert_eq!((status.code(), stats.retries), (Code::Unavailable, 3), "{status:?}");
}

#[tokio::test]
async fn a_server_whose_name_does_not_resolve_is_asked_for_again_whatever_the_call() {
    let resolver = |_: Name| ready(Err::<std::iter::Empty<SocketAddr>, _>(io::Error::other("no such name")));
    let connector = HttpConnector::new_with_resolver(service_fn(resolver));
    let url = "http://localhost";
    let channel = Endpoint::from_static(url).connect_with_connector_lazy(connector);
    let (answer, stats) = call_by(channel, url, "hello", None).await;
    let status = answer.unwrap_err();
    assert_eq!((status.code(), stats.retries), (Code::Unavailable, 3), "{status:?}");
}

/// One call through the whole stack, and what its policy did.
async fn call(server: &GrpcServer, text: &str, repeat: Option<Repeat>) -> (Result<String, Status>, RetryStats) {
    call_at(&server.url, text, repeat).await
}

async fn call_at(url: &str, text: &str, repeat: Option<Repeat>) -> (Result<String, Status>, RetryStats) {
    call_by(Endpoint::from_shared(url.to_owned()).unwrap().connect_lazy(), url, text, repeat).await
}

async fn call_by(
    channel: Channel,
    url: &str,
    text: &str,
    repeat: Option<Repeat>,
) -> (Result<String, Status>, RetryStats) {
    let policy = RetryPolicy::new()
        .classifier(GrpcClassifier::new())
        .backoff(Duration::from_millis(1), Duration::from_millis(1));
    let api = ServiceBuilder::new()
        .layer(ReplayBodyLayer::new())
        .layer(RetryLayer::new(policy.clone()))
        .layer(OAuthLayer::for_origin(url, tokens()).unwrap().grpc())
        .map_request(|request: http::Request<ReplayBody<Body>>| request.map(Body::new))
        .service(channel);
    let mut request = Request::new(text.to_owned());
    if let Some(repeat) = repeat {
        request.extensions_mut().insert(repeat);
    }
    (say(Grpc::with_origin(api, url.parse().unwrap()), request).await, policy.stats())
}

async fn say<T>(mut client: Grpc<T>, request: Request<String>) -> Result<String, Status>
where
    T: GrpcService<Body>,
    T::ResponseBody: Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<BoxError>,
{
    let call = async {
        client.ready().await.map_err(|error| Status::from_error(error.into()))?;
        client.unary(request, PathAndQuery::from_static("/echo.Echo/Say"), Text).await
    };
    Ok(timeout(LIMIT, call).await.expect("it hangs")?.into_inner())
}

/// `t1`, `t2`, …
fn tokens() -> TokenCache {
    let minted = AtomicUsize::new(0);
    let source = source_fn(move |_| {
        let token = format!("t{}", minted.fetch_add(1, Ordering::SeqCst) + 1);
        async { Token::new(token) }
    });
    TokenCache::builder(source).min_interval(Duration::from_millis(100)).build()
}

/// Nothing here takes a tenth of it.
const LIMIT: Duration = Duration::from_secs(20);
