//! What is particular to reqwest under the layers.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use reqwest::ClientBuilder;
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, util::MapErrLayer};
use tower_oauth2::{
    OAuthLayer, TokenCache,
    grant::{ClientAuth, ClientCredentials},
    reqwest::ReqwestClient,
    retry::{ReplayBodyLayer, RetryLayer, RetryPolicy},
    testing::{Analytics, Fault, Issuer, Outage, Server},
};

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let issuer = Issuer::new();
    let server = issuer.serve().await.unwrap();
    let redirect = || issuer.fail_next(Outage::Redirect { location: server.url("/elsewhere") });
    redirect();
    let client = ReqwestClient::build(builder()).unwrap();
    let response = client.clone().oneshot(get(&server.url("/"))).await.unwrap();
    assert_eq!((response.status(), issuer.stats().requests), (StatusCode::FOUND, 1));

    // Whatever the builder says.
    redirect();
    let client = ReqwestClient::build(builder().redirect(reqwest::redirect::Policy::limited(5))).unwrap();
    let response = client.clone().oneshot(get(&server.url("/"))).await.unwrap();
    assert_eq!((response.status(), issuer.stats().requests), (StatusCode::FOUND, 2));

    // No token request is redirected.
    redirect();
    let auth = ClientAuth::basic("test-client", "test-secret");
    let grant = ClientCredentials::new(client, server.url("/token"), auth).unwrap();
    assert!(TokenCache::new(grant).token().await.is_err());
    assert_eq!(issuer.stats().requests, 3);
}

#[tokio::test]
async fn a_client_taken_as_it_is_follows_redirects() {
    let issuer = Issuer::new();
    let server = issuer.serve().await.unwrap();
    issuer.fail_next(Outage::Redirect { location: server.url("/elsewhere") });
    let client = ReqwestClient::danger_as_is(builder().build().unwrap());
    let response = client.oneshot(get(&server.url("/"))).await.unwrap();
    assert_ne!(response.status(), StatusCode::FOUND);
    assert_eq!(issuer.stats().requests, 2);
}

#[tokio::test]
async fn a_connection_that_is_refused_is_tried_again_for_any_method() {
    for method in [Method::GET, Method::POST] {
        let (error, retries) = failing(builder(), &nobody().await, method).await;
        assert_eq!(retries, 3, "{error:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_tried_again_for_any_method() {
    let slow = tower::util::ThenLayer::new(|connected: Result<_, BoxError>| async {
        sleep(Duration::from_secs(60)).await;
        connected
    });
    let limit = Duration::from_millis(30);
    let builder = || builder().connect_timeout(limit).connector_layer(slow.clone());
    for method in [Method::GET, Method::POST] {
        let (error, retries) = failing(builder(), &nobody().await, method).await;
        assert_eq!(retries, 3, "{error:?}");
        assert!(error.downcast_ref::<reqwest::Error>().unwrap().is_timeout(), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_asked_for_again_if_repeatable() {
    let limit = Duration::from_millis(30);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    for builder in [builder, || builder().http2_prior_knowledge()] {
        for (method, expected) in [(Method::GET, 3), (Method::PUT, 3), (Method::POST, 0)] {
            for limited in [builder().timeout(limit), builder().read_timeout(limit)] {
                let (error, retries) = failing(limited, &url, method.clone()).await;
                assert_eq!(retries, expected, "{method} {error:?}");
                assert!(error.downcast_ref::<reqwest::Error>().unwrap().is_timeout(), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_reset_is_tried_again_if_repeatable() {
    let analytics = Analytics::new(&Issuer::new());
    let server = analytics.serve().await.unwrap();
    for builder in [builder, || builder().http2_prior_knowledge()] {
        for (method, survives) in [(Method::GET, true), (Method::POST, false)] {
            let (stack, policy) = stack(builder());
            analytics.fail_next(Fault::Reset);
            let before = analytics.stats().requests;
            let request = Request::builder().method(method.clone()).uri(server.url("/echo"));
            let result = stack.oneshot(request.body(Full::from("body")).unwrap()).await;
            assert_eq!(result.is_ok(), survives, "{method}");
            let expected = u64::from(survives);
            assert_eq!((analytics.stats().requests - before, policy.stats().retries), (1 + expected, expected));
        }
    }
}

#[tokio::test]
async fn a_request_body_that_fails_is_not_sent_again() {
    let analytics = Analytics::new(&Issuer::new());
    let server = analytics.serve().await.unwrap();
    for builder in [builder, || builder().http2_prior_knowledge()] {
        let (stack, policy) = stack(builder());
        let request = Request::put(server.url("/echo")).body(Failing).unwrap();
        let error = timeout(LIMIT, stack.oneshot(request)).await.unwrap().unwrap_err();
        assert_eq!(policy.stats().retries, 0, "{error:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_is_not_tried_again() {
    let untrusted = MapErrLayer::new(|_: BoxError| -> BoxError {
        let cause = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        io::Error::new(io::ErrorKind::InvalidData, cause).into()
    });
    let builder = builder().connector_layer(untrusted);
    let (error, retries) = failing(builder, &nobody().await, Method::GET).await;
    assert_eq!(retries, 0, "{error:?}");
    assert!(error.downcast_ref::<reqwest::Error>().unwrap().is_connect(), "although it is one");
}

/// That of reqwest cannot be cloned.
#[tokio::test]
async fn a_streamed_body_is_replayed_after_a_401_with_a_fresh_token() {
    let issuer = Issuer::new();
    let analytics = Analytics::builder(&issuer).build();
    let server = analytics.serve_with_issuer().await.unwrap();
    let client = ReqwestClient::build(builder()).unwrap();
    let auth = ClientAuth::basic("test-client", "test-secret");
    let tokens = TokenCache::new(ClientCredentials::new(client.clone(), server.url("/oauth/token"), auth).unwrap());
    let policy = RetryPolicy::new();
    let api = ServiceBuilder::new()
        .layer(ReplayBodyLayer::new())
        .layer(RetryLayer::new(policy.clone()))
        .layer(OAuthLayer::for_origin(server.url("/"), tokens.clone()).unwrap())
        .service(client);
    analytics.fail_next(Fault::Unauthorized);
    for replays in [1, 1] {
        let chunks = ["one ", "two ", "three"].map(|chunk| Ok::<_, io::Error>(Frame::data(Bytes::from(chunk))));
        let body = reqwest::Body::wrap(StreamBody::new(stream::iter(chunks)));
        let request = Request::post(server.url("/echo")).body(body).unwrap();
        let response = timeout(LIMIT, api.clone().oneshot(request)).await.expect("bounded").unwrap();
        assert_eq!((response.status(), policy.stats().replays), (StatusCode::OK, replays));
        let echo = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(echo, r#"{"method":"POST","path":"/echo","length":13}"#);
        assert_eq!(tokens.stats().minted, 2);
    }
}

#[tokio::test]
async fn the_version_of_a_request_does_not_choose_the_connection() {
    let (_analytics, server) = api().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for (builder, spoken) in [(builder(), Version::HTTP_11), (builder().http2_prior_knowledge(), Version::HTTP_2)] {
            let mut request = get(&server.url("/echo"));
            *request.version_mut() = version;
            let response = ReqwestClient::build(builder).unwrap().oneshot(request).await.unwrap();
            assert_eq!(response.version(), spoken);
        }
    }
}

#[tokio::test]
async fn extensions_of_reqwest_hold_and_others_do_no_harm() {
    #[derive(Clone)]
    struct Stranger;
    let (analytics, server) = api().await;
    analytics.fail_next(Fault::Hang);
    let client = ReqwestClient::build(builder()).unwrap();
    let request = reqwest::Client::new().get(server.url("/echo")).timeout(Duration::from_millis(30)).build().unwrap();
    let mut request = Request::<reqwest::Body>::try_from(request).unwrap();
    request.extensions_mut().insert(Stranger);
    let error = timeout(LIMIT, client.oneshot(request)).await.unwrap().unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn an_error_does_not_show_the_url() {
    let (stack, policy) = stack(builder());
    let url = format!("{}?key=canary", nobody().await);
    let mut error = stack.oneshot(get(&url)).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    assert!(error.downcast_mut::<reqwest::Error>().unwrap().url_mut().is_none());
    assert_eq!(policy.stats().retries, 3);
}

#[tokio::test]
async fn a_url_that_cannot_be_asked_is_an_error_and_not_tried_again() {
    for url in ["/echo?key=canary", "ftp://127.0.0.1/?key=canary", "api.example.com:443"] {
        let (stack, policy) = stack(builder());
        let error = stack.oneshot(get(url)).await.unwrap_err();
        assert!(error.downcast_ref::<reqwest::Error>().unwrap().is_builder(), "{url}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        assert_eq!(policy.stats().retries, 0, "{url}");
    }
}

#[tokio::test]
async fn an_answer_can_be_had_as_one_of_reqwest() {
    let (_analytics, server) = api().await;
    let response = ReqwestClient::build(builder()).unwrap().oneshot(get(&server.url("/echo"))).await.unwrap();
    assert!(reqwest::Response::from(response).text().await.unwrap().contains("bearer"));
}

#[tokio::test]
async fn a_body_need_not_be_shared_among_threads() {
    let (_analytics, server) = api().await;
    // `Cell` is not.
    let body = Full::<Bytes>::from("body").map_frame({
        let frames = Cell::new(0);
        move |frame| {
            frames.set(frames.get() + 1);
            frame
        }
    });
    let client = ReqwestClient::build(builder()).unwrap();
    let response = client.oneshot(Request::post(server.url("/echo")).body(body).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn a_request_made_outside_of_a_runtime_is_sent_inside_of_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (analytics, server) = runtime.block_on(api());
    // A timeout needs a timer.
    let mut client = ReqwestClient::build(builder().timeout(LIMIT).read_timeout(LIMIT)).unwrap();
    let response = client.call(get(&server.url("/echo")));
    let dropped = client.call(get(&server.url("/echo")));
    assert_eq!(runtime.block_on(response).unwrap().status(), StatusCode::UNAUTHORIZED);
    drop(dropped);
    assert_eq!(analytics.stats().requests, 1, "nothing is sent before it is polled");
}

/// Nobody's proxy.
fn builder() -> ClientBuilder {
    reqwest::Client::builder().no_proxy()
}

async fn api() -> (Analytics, Server) {
    let analytics = Analytics::new(&Issuer::new());
    let server = analytics.serve().await.unwrap();
    (analytics, server)
}

/// Where nobody listens.
async fn nobody() -> String {
    format!("http://{}/", TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap())
}

fn get(url: &str) -> Request<Full<Bytes>> {
    Request::get(url).body(Full::default()).unwrap()
}

fn stack<B>(
    builder: ClientBuilder,
) -> (impl Service<Request<B>, Response = Response<reqwest::Body>, Error = BoxError>, RetryPolicy)
where
    B: http_body::Body<Data = Bytes> + Clone + Send + 'static,
    B::Error: Into<BoxError>,
{
    let policy = RetryPolicy::new().backoff(Duration::from_millis(1), Duration::from_millis(1));
    let client = ReqwestClient::build(builder).unwrap();
    let retry = RetryLayer::new(policy.clone());
    (ServiceBuilder::new().layer(retry).map_err(BoxError::from).service(client), policy)
}

/// The error, and how often it was tried again.
async fn failing(builder: ClientBuilder, url: &str, method: Method) -> (BoxError, u64) {
    let (stack, policy) = stack(builder);
    let request = Request::builder().method(method).uri(url).body(Full::<Bytes>::from("body")).unwrap();
    let error = timeout(LIMIT, stack.oneshot(request)).await.unwrap().unwrap_err();
    (error, policy.stats().retries)
}

#[derive(Clone)]
struct Failing;

impl http_body::Body for Failing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }
}

/// Nothing here takes a tenth of it.
const LIMIT: Duration = Duration::from_secs(20);
