//! A connection that could not be made: nothing was sent, unless it is one that must not be made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{future::ready, io};

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use hyper_util::{
    client::legacy::Client,
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
