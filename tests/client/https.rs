//! The HTTPS client over real sockets.

use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{Request, Version};
use http_body_util::{BodyExt, Empty, Full};
use rustls::CertificateError;
use serde_json::Value;
use tokio::net::TcpListener;
use tower::{BoxError, ServiceBuilder, ServiceExt};
use tower_oauth2::{
    Error, OAuthLayer, TokenCache,
    client::HttpsClient,
    grant::{ClientAuth, ClientCredentials, TokenEndpoint},
    pager::{Pager, Query, Rule},
    retry::{RetryLayer, RetryPolicy},
    testing::{Analytics, Fault, Issuer},
};

use crate::tls_server::TlsServer;

#[tokio::test]
async fn one_client_serves_the_token_endpoint_and_the_api() {
    let issuer = Issuer::new();
    let analytics = Analytics::builder(&issuer).users(60).build();
    let server = analytics.serve_with_issuer().await.unwrap();
    assert_eq!(export_users(HttpsClient::new().unwrap(), |path| server.url(path)).await, 60);
    assert_eq!((issuer.stats().minted, analytics.stats().requests), (1, 3));
}

#[tokio::test]
async fn it_speaks_the_protocol_that_the_server_prefers_over_tls() {
    for (alpn, version) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&["h2"], Version::HTTP_2),
        (&[], Version::HTTP_11),
    ] {
        let analytics = Analytics::builder(&Issuer::new()).users(60).build();
        let server = TlsServer::start(&analytics, "127.0.0.1", alpn).await;
        let client = HttpsClient::builder().tls(server.trust()).build().unwrap();
        let response = client.clone().oneshot(get(&server.url("/echo"))).await.unwrap();
        assert_eq!(response.version(), version, "{alpn:?}");
        // Read to its end: only then is an HTTP/1.1 connection free again.
        response.into_body().collect().await.unwrap();
        assert_eq!(export_users(client, |path| server.url(path)).await, 60);
        assert_eq!(server.connections(), 1, "{alpn:?}: clones do not share the pool");
    }
}

#[tokio::test]
async fn what_alpn_a_configuration_names_does_not_matter() {
    let analytics = Analytics::new(&Issuer::new());
    let server = TlsServer::start(&analytics, "127.0.0.1", &["h2", "http/1.1"]).await;
    let mut config = server.trust();
    config.alpn_protocols = vec![b"spdy/1".to_vec()];
    let client = HttpsClient::builder().tls(config).build().unwrap();
    let response = client.oneshot(get(&server.url("/echo"))).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
}

#[tokio::test]
async fn a_certificate_of_another_host_is_refused_and_not_tried_again() {
    let analytics = Analytics::new(&Issuer::new());
    let server = TlsServer::start(&analytics, "api.example.com", &["h2"]).await;
    let error = refused(&server, server.trust()).await;
    assert!(matches!(error, CertificateError::NotValidForNameContext { .. }), "{error:?}");
    assert_eq!((server.connections(), analytics.stats().requests), (1, 0));
}

#[tokio::test]
async fn a_certificate_of_nobody_known_is_refused_and_not_tried_again() {
    let analytics = Analytics::new(&Issuer::new());
    let server = TlsServer::start(&analytics, "127.0.0.1", &["h2"]).await;
    let other = TlsServer::start(&analytics, "127.0.0.1", &["h2"]).await;
    refused(&server, other.trust()).await;
    assert_eq!((server.connections(), analytics.stats().requests), (1, 0));

    // The anchors of the system do not know it either.
    let error = HttpsClient::new().unwrap().oneshot(get(&server.url("/echo"))).await.unwrap_err();
    assert!(certificate_error(&*error).is_some(), "{error:?}");
}

#[tokio::test]
async fn http_goes_to_loopback_only() {
    let analytics = Analytics::new(&Issuer::new());
    let server = analytics.serve().await.unwrap();
    let port = server.addr().port();
    // These two reach the server, on most systems, if anybody asks them.
    let elsewhere = [format!("http://0.0.0.0:{port}/echo"), format!("http://[::ffff:127.0.0.1]:{port}/echo")];
    for url in elsewhere.iter().map(String::as_str).chain([
        "http://api.example.com/",
        "http://10.0.0.1/",
        "http://localhost.example.com/",
        "http://127.0.0.1.example.com/",
        "/echo",
        "ftp://127.0.0.1/",
    ]) {
        let error = HttpsClient::new().unwrap().oneshot(get(url)).await.unwrap_err();
        assert!(Error::find(&*error).is_some_and(Error::is_config), "{url}: {error:?}");
    }
    assert_eq!(analytics.stats().requests, 0);

    for url in [server.url("/echo"), format!("http://LOCALHOST:{port}/echo")] {
        assert_eq!(HttpsClient::new().unwrap().oneshot(get(&url)).await.unwrap().status(), 401);
    }
    assert_eq!(analytics.stats().requests, 2);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn http_goes_elsewhere_if_the_danger_is_named() {
    let analytics = Analytics::new(&Issuer::new());
    let server = analytics.serve().await.unwrap();
    let client = HttpsClient::builder().danger_plain_http().build().unwrap();
    let url = format!("http://0.0.0.0:{}/echo", server.addr().port());
    assert_eq!(client.oneshot(get(&url)).await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let policy = RetryPolicy::new();
    let stats = policy.clone();
    let api = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(HttpsClient::new().unwrap());
    assert!(api.oneshot(get("http://api.example.com/")).await.is_err());
    assert_eq!(stats.stats().retries, 0);
}

#[tokio::test]
async fn a_connection_that_is_refused_is_tried_again_for_any_method() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/echo", listener.local_addr().unwrap());
    drop(listener);
    let policy = RetryPolicy::new().backoff(Duration::from_millis(1), Duration::from_millis(1));
    let stats = policy.clone();
    let api = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(HttpsClient::new().unwrap());
    assert!(api.oneshot(Request::post(url).body(Full::<Bytes>::from("x")).unwrap()).await.is_err());
    assert_eq!(stats.stats().retries, 3);
}

#[tokio::test]
async fn a_reset_is_tried_again_for_what_may_be_repeated_only() {
    let issuer = Issuer::new();
    let analytics = Analytics::new(&issuer);
    let server = analytics.serve().await.unwrap();
    let token = issuer.mint();
    let policy = RetryPolicy::new().backoff(Duration::from_millis(1), Duration::from_millis(1));
    let api = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(HttpsClient::new().unwrap());
    for (method, survives) in [("GET", true), ("PUT", true), ("POST", false)] {
        let request = Request::builder().method(method).uri(server.url("/echo"));
        let request =
            request.header("authorization", format!("Bearer {token}")).body(Full::<Bytes>::default()).unwrap();
        analytics.fail_next(Fault::Reset);
        let before = analytics.stats().requests;
        assert_eq!(api.clone().oneshot(request).await.is_ok(), survives, "{method}");
        assert_eq!(analytics.stats().requests - before, 1 + u64::from(survives), "{method}");
    }
}

#[tokio::test]
async fn connecting_ends_in_time_though_nobody_shakes_hands() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let client = HttpsClient::builder().connect_timeout(Duration::from_millis(50)).build().unwrap();
    let policy = RetryPolicy::new().max_attempts(2).backoff(Duration::ZERO, Duration::ZERO);
    let api = ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).service(client);
    let error = api.oneshot(Request::post(url).body(Full::<Bytes>::default()).unwrap()).await.unwrap_err();
    let error = error.downcast_ref::<hyper_util::client::legacy::Error>().unwrap();
    assert!(error.is_connect());
    assert_eq!(policy.stats().retries, 1, "nothing was sent, so that a POST may be sent again");
}

#[tokio::test]
async fn an_answer_that_does_not_begin_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let client = HttpsClient::builder().response_timeout(Duration::from_millis(50)).build().unwrap();
    let policy = RetryPolicy::new().backoff(Duration::ZERO, Duration::ZERO);
    let api = ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).service(client);
    let error = api.oneshot(Request::get(url).body(Full::<Bytes>::default()).unwrap()).await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>(), "{error}");
    assert_eq!(policy.stats().retries, 3);
}

#[test]
fn a_request_made_outside_of_a_runtime_is_answered_inside_of_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(Analytics::new(&Issuer::new()).serve()).unwrap();
    let mut client = HttpsClient::new().unwrap();
    let request = Request::get(server.url("/echo")).body(Full::<Bytes>::default()).unwrap();
    let response = tower::Service::call(&mut client, request);
    assert_eq!(runtime.block_on(response).unwrap().status(), 401);
}

#[tokio::test]
async fn what_the_client_refuses_to_send_is_a_mistake_and_no_outage() {
    let auth = ClientAuth::basic("id", "secret");
    let client = HttpsClient::new().unwrap();
    let grant =
        ClientCredentials::new(client, TokenEndpoint::danger_plain_http("http://192.0.2.1/token").unwrap(), auth)
            .unwrap();
    let error = TokenCache::new(grant).token().await.unwrap_err();
    assert!(error.is_config() && !error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let issuer = Issuer::new();
    let server = issuer.serve().await.unwrap();
    issuer.fail_next(tower_oauth2::testing::Outage::Redirect { location: server.url("/elsewhere") });
    let response = HttpsClient::new().unwrap().oneshot(get(&server.url("/"))).await.unwrap();
    assert_eq!((response.status().as_u16(), issuer.stats().requests), (302, 1));
}

/// How many users came through the whole stack on this client.
async fn export_users(client: HttpsClient, url: impl Fn(&str) -> String) -> usize {
    let auth = ClientAuth::basic("test-client", "test-secret");
    let grant = ClientCredentials::new(client.clone(), url("/oauth/token"), auth).unwrap();
    let layer = OAuthLayer::for_origin(url(""), TokenCache::new(grant)).unwrap();
    let api = ServiceBuilder::new().layer(layer).service(client);
    let query = Query::get(url("/api/v2/users"), "/entities", Rule::next_url("/nextUri")).unwrap();
    Pager::new(api, query).items::<Value>().try_collect::<Vec<_>>().await.unwrap().len()
}

/// Why this server's certificate is, through a retry policy that would try again what may go better.
async fn refused(server: &TlsServer, config: rustls::ClientConfig) -> CertificateError {
    let client = HttpsClient::builder().tls(config).build().unwrap();
    let policy = RetryPolicy::new().backoff(Duration::from_millis(1), Duration::from_millis(1));
    let api = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(client);
    let error: BoxError = api.oneshot(get(&server.url("/echo"))).await.unwrap_err();
    certificate_error(&*error).unwrap_or_else(|| panic!("{error:?}"))
}

fn certificate_error(error: &(dyn std::error::Error + 'static)) -> Option<CertificateError> {
    if let Some(rustls::Error::InvalidCertificate(error)) = error.downcast_ref() {
        return Some(error.clone());
    }
    // An `io::Error` skips the error it was made from in `source()`.
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => certificate_error(wrapped),
        None => certificate_error(error.source()?),
    }
}

fn get(url: &str) -> Request<Empty<Bytes>> {
    Request::get(url).body(Empty::new()).unwrap()
}
