//! A connection that could not be made: nothing was sent, unless it is one that must not be made.

use std::{future::ready, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::Full;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connect, HttpConnector, dns::Name},
    },
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::TcpStream;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_oauth2::retry::{RetryLayer, RetryPolicy};

#[tokio::test(start_paused = true)]
async fn whatever_kept_it_from_connecting_a_post_is_sent_again() {
    use io::ErrorKind as Kind;
    // Each of these says nothing by itself: it also ends connections on which a request was sent.
    for kind in [Kind::HostUnreachable, Kind::NetworkUnreachable, Kind::TimedOut, Kind::ConnectionReset, Kind::Other] {
        let (error, retries) = post(move || kind.into()).await;
        assert_eq!(retries, 3, "{error:?}");
        assert!(error.downcast_ref::<hyper_util::client::legacy::Error>().unwrap().is_connect());
    }
    let handshake = || io::Error::new(io::ErrorKind::InvalidData, rustls::Error::HandshakeNotComplete);
    assert_eq!(post(handshake).await.1, 3);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_does_not_fit_is_not_tried_again() {
    for cause in [rustls::CertificateError::UnknownIssuer, rustls::CertificateError::Expired] {
        let untrusted =
            move || io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(cause.clone()));
        let (error, retries) = post(untrusted).await;
        assert_eq!(retries, 0, "{error:?}");
        assert!(error.downcast_ref::<hyper_util::client::legacy::Error>().unwrap().is_connect(), "although it is one");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_resolve_is_tried_again_for_any_method() {
    let resolver = |_: Name| ready(Err::<std::iter::Empty<SocketAddr>, _>(io::Error::other("no such name")));
    let connector = HttpConnector::new_with_resolver(service_fn(resolver));
    for method in [Method::GET, Method::POST] {
        assert_eq!(retries(connector.clone(), method, "http://api.example.com/").await, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_uri_that_names_no_server_is_not_tried_again() {
    let https = || {
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls());
        connector.https_or_http().enable_http1().build()
    };
    for method in [Method::GET, Method::POST] {
        assert_eq!(retries(HttpConnector::new(), method.clone(), "https://api.example.com/").await, 0);
        assert_eq!(retries(https(), method.clone(), "ftp://api.example.com/").await, 0);
        assert_eq!(retries(https(), method.clone(), "https://api..example.com/").await, 0, "no name of a server");
    }
}

fn tls() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
}

/// How often the request is tried again.
async fn retries<C>(connector: C, method: Method, uri: &str) -> u64
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let policy = RetryPolicy::new();
    let stack = ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).map_err(BoxError::from).service(client);
    let request = Request::builder().method(method).uri(uri).body(Full::from("body")).unwrap();
    let error = stack.oneshot(request).await.unwrap_err();
    assert!(error.downcast_ref::<hyper_util::client::legacy::Error>().unwrap().is_connect(), "{error:?}");
    policy.stats().retries
}

/// A POST through hyper-util's client with a connector that always fails like that; the error, and how often it was tried
/// again.
async fn post(fail: impl Fn() -> io::Error + Clone + Send + Sync + 'static) -> (BoxError, u64) {
    let connector = service_fn(move |_: Uri| ready(Err::<TokioIo<TcpStream>, _>(fail())));
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let policy = RetryPolicy::new();
    let stack = ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).map_err(BoxError::from).service(client);
    let request = Request::post("http://api.example.com/").body(Full::from("body")).unwrap();
    (stack.oneshot(request).await.unwrap_err(), policy.stats().retries)
}
