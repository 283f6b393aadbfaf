//! gRPC that fails in the head of its response: a token that is refused, and servers that are busy or ask for less.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, header::AUTHORIZATION};
use tokio::time::{Instant, sleep};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_oauth2::{
    Deadline, OAuthLayer, TokenCache, TokenRejected,
    retry::{GrpcClassifier, HttpClassifier, Processed, Repeat, RetryLayer, RetryOutcome, RetryPolicy, Stopped},
};

use crate::support::{Answer, Issuer, millis, secs};

#[tokio::test(start_paused = true)]
async fn unauthenticated_in_the_head_makes_a_new_token_and_one_replay() {
    for bounded in [false, true] {
        // With a token at hand, and with one that has to be waited for.
        for warm in [true, false] {
            let issuer = Issuer::new(secs(3600)).latency(millis(20));
            let tokens = TokenCache::new(issuer.clone());
            if warm {
                tokens.token().await.unwrap();
            }
            let api = Api::new(|token| if token == "Bearer t1" { trailers_only("16") } else { trailers_only("0") });
            let mut request = call();
            if bounded {
                request.extensions_mut().insert(Deadline::within(secs(60)));
            }
            let response = send(&tokens, layer(&tokens).grpc(), &api, request).await.unwrap();
            assert_eq!(response.headers()["grpc-status"], "0", "{warm} {bounded}");
            assert_eq!(*api.tokens(), ["Bearer t1", "Bearer t2"]);
            assert_eq!(issuer.requests(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn unauthenticated_for_ever_is_sent_twice_and_marked() {
    let tokens = TokenCache::new(Issuer::new(secs(3600)));
    let api = Api::new(|_| trailers_only("16"));
    let response = send(&tokens, layer(&tokens).grpc(), &api, call()).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["grpc-status"]), (200, &"16".parse().unwrap()));
    assert_eq!(api.tokens().len(), 2);
    assert_eq!(outcome(&response).stopped, Stopped::Unauthorized);
    assert!(response.extensions().get::<TokenRejected>().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_was_not_told_keeps_its_token() {
    let issuer = Issuer::new(secs(3600));
    let tokens = TokenCache::new(issuer.clone());
    let api = Api::new(|_| trailers_only("16"));
    let response = send(&tokens, layer(&tokens), &api, call()).await.unwrap();
    assert_eq!((api.tokens().len(), issuer.requests()), (1, 1));
    assert_eq!(response.extensions().get::<TokenRejected>(), None);
    // Nor does any other status cost the token of one that was told.
    for status in ["0", "7", "14", "1", "160", "sixteen"] {
        let api = Api::new(move |_| trailers_only(status));
        let response = send(&tokens, layer(&tokens).grpc(), &api, call()).await.unwrap();
        assert_eq!((api.tokens().len(), issuer.requests()), (1, 1), "{status}");
        assert_eq!(response.extensions().get::<TokenRejected>(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_401_of_http_counts_as_ever() {
    for grpc in [true, false] {
        let tokens = TokenCache::new(Issuer::new(secs(3600)));
        let layer = if grpc { layer(&tokens).grpc() } else { layer(&tokens) };
        let api = Api::new(|token| if token == "Bearer t1" { status(401) } else { trailers_only("0") });
        assert_eq!(send(&tokens, layer, &api, call()).await.unwrap().status(), 200);
        assert_eq!(*api.tokens(), ["Bearer t1", "Bearer t2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_with_a_deadline_still_ends_at_it() {
    let tokens = TokenCache::new(Issuer::new(secs(3600)));
    let hanging = service_fn(|_: Request<()>| std::future::pending::<Result<Response<()>, BoxError>>());
    let stack = ServiceBuilder::new().layer(layer(&tokens).grpc()).service(hanging);
    let mut request = call();
    request.extensions_mut().insert(Deadline::within(secs(5)));
    let start = Instant::now();
    let error = stack.oneshot(request).await.unwrap_err();
    assert!(tower_oauth2::Error::find(error.as_ref()).unwrap().is_timeout());
    assert_eq!((Instant::now() - start).as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn busy_and_limited_servers_are_asked_again_as_those_of_http() {
    for (grpc_status, repeat, sends) in [
        ("14", None, 1),
        ("14", Some(Repeat::Always), 4),
        ("8", None, 6),
        ("8", Some(Repeat::Never), 6),
        ("13", Some(Repeat::Always), 1),
        ("4", Some(Repeat::Always), 1),
    ] {
        let api = Api::new(move |_| trailers_only(grpc_status));
        let tokens = TokenCache::new(Issuer::new(secs(3600)));
        let mut request = call();
        if let Some(repeat) = repeat {
            request.extensions_mut().insert(repeat);
        }
        let _ = send(&tokens, layer(&tokens).grpc(), &api, request).await.unwrap();
        assert_eq!(api.tokens().len(), sends, "{grpc_status} {repeat:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pushback_is_waited_for_and_one_that_forbids_is_obeyed() {
    for (pushback, expected) in [("5000", Ok(5000..=5501)), ("-1", Err(Duration::MAX)), ("x", Err(Duration::MAX))] {
        let pushed = move |_: &str| {
            let mut response = trailers_only("8");
            response.headers_mut().insert("grpc-retry-pushback-ms", pushback.parse().unwrap());
            response
        };
        let api = Api::new(pushed);
        let tokens = TokenCache::new(Issuer::new(secs(3600)));
        let response = send(&tokens, layer(&tokens).grpc(), &api, call()).await.unwrap();
        let times = api.times();
        match expected {
            Ok(waits) => assert!(waits.contains(&(times[1] - times[0]).as_millis()), "{times:?}"),
            Err(forever) => {
                assert_eq!((times.len(), outcome(&response).stopped), (1, Stopped::HintTooLong(forever)), "{pushback}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_http_can_choose_can_be_chosen() {
    let classifier = GrpcClassifier::with(HttpClassifier::new().too_many_requests(Processed::Maybe));
    let api = Api::new(|_| trailers_only("8"));
    let policy = RetryPolicy::new().classifier(classifier);
    let stack = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(api.service());
    let response = stack.oneshot(call()).await.unwrap();
    assert_eq!((api.times().len(), outcome(&response).stopped), (1, Stopped::NotRepeatable));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_fails_is_no_reason_to_send_again() {
    let issuer = Issuer::new(secs(3600));
    issuer.always(Answer::Permanent);
    let tokens = TokenCache::new(issuer.clone());
    let api = Api::new(|_| trailers_only("0"));
    send(&tokens, layer(&tokens).grpc(), &api, call()).await.unwrap_err();
    assert_eq!((api.times().len(), issuer.requests()), (0, 1));
}

async fn send(
    tokens: &TokenCache,
    layer: OAuthLayer,
    api: &Api,
    request: Request<()>,
) -> Result<Response<()>, BoxError> {
    let _kept = tokens.clone();
    let policy = RetryPolicy::new().classifier(GrpcClassifier::new());
    let stack = ServiceBuilder::new().layer(RetryLayer::new(policy)).layer(layer).service(api.service());
    let response = stack.oneshot(request).await;
    sleep(secs(100)).await;
    response
}

fn layer(tokens: &TokenCache) -> OAuthLayer {
    OAuthLayer::for_origin("https://grpc.example.com", tokens.clone()).unwrap()
}

fn call() -> Request<()> {
    Request::post("https://grpc.example.com/inventory.v1.Items/Get").body(()).unwrap()
}

fn trailers_only(grpc_status: &str) -> Response<()> {
    Response::builder().header("content-type", "application/grpc").header("grpc-status", grpc_status).body(()).unwrap()
}

fn status(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).unwrap()
}

fn outcome(response: &Response<()>) -> RetryOutcome {
    *response.extensions().get().expect("it says why it was given up")
}

/// Answers by the token that it is sent, and remembers.
struct Api {
    answer: Arc<Answering>,
    seen: Arc<Mutex<Vec<(Instant, String)>>>,
}

type Answering = dyn Fn(&str) -> Response<()> + Send + Sync;

impl Api {
    fn new(answer: impl Fn(&str) -> Response<()> + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), seen: Arc::default() }
    }

    fn service(
        &self,
    ) -> impl tower::Service<Request<()>, Response = Response<()>, Error = BoxError, Future: Send> + Clone + Send + use<>
    {
        let (answer, seen) = (Arc::clone(&self.answer), Arc::clone(&self.seen));
        service_fn(move |request: Request<()>| {
            let token = request.headers().get(AUTHORIZATION).map_or("", |token| token.to_str().unwrap()).to_owned();
            let response = answer(&token);
            seen.lock().unwrap().push((Instant::now(), token));
            async { Ok::<_, BoxError>(response) }
        })
    }

    fn tokens(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(_, token)| token.clone()).collect()
    }

    fn times(&self) -> Vec<Instant> {
        self.seen.lock().unwrap().iter().map(|(at, _)| *at).collect()
    }
}
