//! Layers that are stacked the wrong way round say so, once, and how to mend it; those that are not say nothing.

use http::{Request, Response, header::AUTHORIZATION};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_oauth2::{
    OAuthLayer, TokenCache, TokenRejected,
    retry::{GrpcClassifier, RetryLayer, RetryPolicy},
};

use crate::{
    log::Log,
    support::{Issuer, secs},
};

const INSIDE_OUT: &str = "a 401 came by a RetryLayer before it came to the OAuthLayer, which is outside of it: put the RetryLayer outside, or no request is sent again with a new token";
const UNSEEN: &str = "a request without credentials was answered with a 401, and no OAuthLayer has seen it: if it should have had a token, put one inside of the RetryLayer, with nothing in between that drops the extensions of responses; and if it is gRPC, set OAuthLayer::grpc";

#[tokio::test(start_paused = true)]
async fn a_retry_layer_inside_is_told_of_once() {
    let log = Log::default();
    let _guard = log.listen();
    let stack = ServiceBuilder::new()
        .layer(layer("https://api.example.com"))
        .layer(RetryLayer::new(RetryPolicy::new()))
        .service(answering(401));
    for _ in 0..5 {
        assert_eq!(send(&stack, get()).await.status(), 401);
    }
    assert_eq!(log.warnings(), [INSIDE_OUT]);
}

#[tokio::test(start_paused = true)]
async fn each_of_two_wrong_stacks_is_told_of() {
    let log = Log::default();
    let _guard = log.listen();
    for _ in 0..2 {
        let stack = ServiceBuilder::new()
            .layer(layer("https://api.example.com"))
            .layer(RetryLayer::new(RetryPolicy::new()))
            .service(answering(401));
        send(&stack, get()).await;
        send(&stack.clone(), get()).await;
    }
    assert_eq!(log.warnings(), [INSIDE_OUT, INSIDE_OUT]);
}

#[tokio::test(start_paused = true)]
async fn a_401_that_nobody_has_seen_is_told_of_once() {
    let log = Log::default();
    let _guard = log.listen();
    let policy = RetryPolicy::new();
    for _ in 0..5 {
        let stack = ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).service(answering(401));
        send(&stack, get()).await;
    }
    assert_eq!(log.warnings(), [UNSEEN]);
}

#[tokio::test(start_paused = true)]
async fn a_layer_in_between_that_drops_the_mark_is_told_of() {
    let log = Log::default();
    let _guard = log.listen();
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new()))
        .map_response(|response: Response<()>| {
            let (parts, ()) = response.into_parts();
            Response::builder().status(parts.status).body(()).unwrap()
        })
        .layer(layer("https://api.example.com"))
        .service(answering(401));
    for _ in 0..5 {
        send(&stack, get()).await;
    }
    assert_eq!(log.warnings(), [UNSEEN]);
}

#[tokio::test(start_paused = true)]
async fn a_status_of_grpc_that_the_layer_does_not_look_at_is_told_of_once() {
    for looks in [false, true] {
        let log = Log::default();
        let _guard = log.listen();
        let layer = layer("https://api.example.com");
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(RetryPolicy::new().classifier(GrpcClassifier::new())))
            .layer(if looks { layer.grpc() } else { layer })
            .service(service_fn(|_: Request<()>| async {
                Response::builder().header("grpc-status", "16").body(()).map_err(BoxError::from)
            }));
        for _ in 0..3 {
            send(&stack, get()).await;
        }
        let told: Vec<_> = log.warnings().into_iter().filter(|message| message != "giving up").collect();
        assert_eq!(told, if looks { vec![] } else { vec![UNSEEN] });
    }
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_is_right_says_nothing() {
    let log = Log::default();
    let _guard = log.listen();
    let insufficient = service_fn(|_: Request<()>| async {
        let response = Response::builder().status(401).header("www-authenticate", "Bearer error=insufficient_scope");
        Ok::<_, BoxError>(response.body(()).unwrap())
    });
    let right = || ServiceBuilder::new().layer(RetryLayer::new(RetryPolicy::new()));
    for _ in 0..3 {
        // Refused, and refused for what no token mends.
        let token = layer("https://api.example.com");
        send(&right().layer(token.clone()).service(answering(401)), get()).await;
        send(&right().layer(token.clone()).service(insufficient), get()).await;
        // Elsewhere, and with credentials of one's own: the layer has looked at it, and it is not its token.
        send(&right().layer(layer("https://elsewhere.example.com")).service(answering(401)), get()).await;
        send(&right().layer(token.clone()).service(answering(401)), with_own_credentials()).await;
        // Without any OAuth.
        send(&right().service(answering(401)), with_own_credentials()).await;
        send(&right().service(answering(403)), get()).await;
        // A mark of somebody else's.
        let marking = right().map_response(|mut response: Response<()>| {
            response.extensions_mut().insert(TokenRejected::new(false));
            response
        });
        send(&marking.service(answering(401)), get()).await;
        // Upside down, but nothing is refused.
        let inside = ServiceBuilder::new().layer(token).layer(RetryLayer::new(RetryPolicy::new().max_attempts(1)));
        send(&inside.service(answering(403)), get()).await;
    }
    // The 401 that its replay did not cure is a warning of another kind.
    let told: Vec<_> = log.warnings().into_iter().filter(|message| message != "giving up").collect();
    assert!(told.is_empty(), "{told:?}");
}

async fn send<S>(stack: &S, request: Request<()>) -> Response<()>
where
    S: Service<Request<()>, Response = Response<()>, Error = BoxError> + Clone,
{
    stack.clone().oneshot(request).await.unwrap()
}

fn answering(
    status: u16,
) -> impl Service<Request<()>, Response = Response<()>, Error = BoxError, Future: Send> + Clone + use<> {
    service_fn(move |_: Request<()>| async move { Ok(Response::builder().status(status).body(()).unwrap()) })
}

fn layer(origin: &str) -> OAuthLayer {
    OAuthLayer::for_origin(origin, TokenCache::new(Issuer::new(secs(3600)))).unwrap()
}

fn get() -> Request<()> {
    Request::get("https://api.example.com/").body(()).unwrap()
}

fn with_own_credentials() -> Request<()> {
    let mut request = get();
    request.headers_mut().insert(AUTHORIZATION, "Basic eDp5".parse().unwrap());
    request
}
