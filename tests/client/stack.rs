//! The whole stack on one client after the other: each keeps the same promises.

use axum::error_handling::HandleError;
use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{BoxError, ServiceBuilder, util::BoxCloneSyncService};
use tower_oauth2::{client::HttpsClient, reqwest::ReqwestClient};

use crate::{
    scenario::{Api, keeps_every_promise},
    tls_server::TlsServer,
};

#[tokio::test]
async fn hyper_util_over_http1() {
    let api = Api::new();
    let server = api.serve().await;
    keeps_every_promise(&api, hyper_util(false), &server.base, Some(Version::HTTP_11)).await;
}

#[tokio::test]
async fn hyper_util_over_http2() {
    let api = Api::new();
    let server = api.serve().await;
    keeps_every_promise(&api, hyper_util(true), &server.base, Some(Version::HTTP_2)).await;
}

#[tokio::test]
async fn hyper_util_over_http1_with_rustls() {
    over_rustls("http/1.1", Version::HTTP_11).await;
}

#[tokio::test]
async fn hyper_util_over_http2_with_rustls() {
    over_rustls("h2", Version::HTTP_2).await;
}

#[tokio::test]
async fn our_own_client() {
    let api = Api::new();
    let server = api.serve().await;
    keeps_every_promise(&api, HttpsClient::new().unwrap(), &server.base, Some(Version::HTTP_11)).await;
}

#[tokio::test]
async fn our_own_client_over_tls() {
    let api = Api::new();
    let server = TlsServer::serve(api.service(), "127.0.0.1", &["h2", "http/1.1"]).await;
    let client = HttpsClient::builder().tls(server.trust()).build().unwrap();
    keeps_every_promise(&api, client, &server.url(""), Some(Version::HTTP_2)).await;
}

#[tokio::test]
async fn reqwest_over_http1() {
    let api = Api::new();
    let server = api.serve().await;
    let client = ReqwestClient::build(reqwest::Client::builder().no_proxy()).unwrap();
    keeps_every_promise(&api, client, &server.base, Some(Version::HTTP_11)).await;
}

#[tokio::test]
async fn reqwest_over_http2() {
    let api = Api::new();
    let server = api.serve().await;
    let client = ReqwestClient::build(reqwest::Client::builder().no_proxy().http2_prior_knowledge()).unwrap();
    keeps_every_promise(&api, client, &server.base, Some(Version::HTTP_2)).await;
}

#[tokio::test]
async fn a_tonic_channel() {
    let api = Api::new();
    let server = api.serve().await;
    // Its own buffer is what makes it not always ready.
    let channel = tonic::transport::Endpoint::from_shared(server.base.clone()).unwrap().connect_lazy();
    let client = ServiceBuilder::new()
        .map_request(|request: Request<Full<Bytes>>| request.map(tonic::body::Body::new))
        .service(channel);
    keeps_every_promise(&api, client, &server.base, Some(Version::HTTP_2)).await;
}

#[tokio::test]
async fn an_axum_router_without_a_socket() {
    let api = Api::new();
    // A router does not fail: what would be a reset on a socket is a 500.
    let lost = |_: BoxError| async { StatusCode::INTERNAL_SERVER_ERROR };
    let router = axum::Router::new().fallback_service(HandleError::new(api.service(), lost));
    let client = ServiceBuilder::new()
        .map_request(|request: Request<Full<Bytes>>| request.map(axum::body::Body::new))
        .service(router);
    keeps_every_promise(&api, client, "http://127.0.0.1", None).await;
}

#[tokio::test]
async fn a_boxed_service() {
    let api = Api::new();
    let server = api.serve().await;
    let client = BoxCloneSyncService::new(hyper_util(false));
    keeps_every_promise(&api, client, &server.base, Some(Version::HTTP_11)).await;
}

async fn over_rustls(protocol: &str, version: Version) {
    let api = Api::new();
    let server = TlsServer::serve(api.service(), "127.0.0.1", &[protocol]).await;
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(server.trust())
        .https_only()
        .enable_all_versions()
        .build();
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    keeps_every_promise(&api, client, &server.url(""), Some(version)).await;
}

fn hyper_util(http2: bool) -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).http2_only(http2).build_http()
}
