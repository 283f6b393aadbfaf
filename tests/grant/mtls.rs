//! Clients that are known by their certificate, and tokens that are bound to it (RFC 8705), over real TLS.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use tower::{ServiceBuilder, ServiceExt};
use tower_oauth2::{
    OAuthLayer, TokenCache, TokenSource,
    client::HttpsClient,
    grant::{ClientAuth, ClientCredentials, Metadata},
};

use crate::mtls_server::MtlsServer;

#[tokio::test]
async fn a_certificate_gets_a_token_at_the_alias_and_the_token_works_with_it() {
    let server = MtlsServer::start().await.unwrap();
    let http = client(&server, Some("exporter"));
    let metadata = Metadata::discover(http.clone(), server.url("")).await.unwrap();
    let grant = ClientCredentials::new(http.clone(), &metadata, ClientAuth::tls("exporter")).unwrap();
    let tokens = TokenCache::new(grant);
    let api =
        ServiceBuilder::new().layer(OAuthLayer::for_origin(server.url("/"), tokens.clone()).unwrap()).service(http);
    let request = Request::get(server.url("/hello")).body(Empty::<Bytes>::new()).unwrap();
    let response = api.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello, exporter");
    let asked = server.requests();
    assert_eq!(asked[1], "/mtls/token grant_type=client_credentials&client_id=exporter", "{asked:?}");
    assert_eq!(asked.len(), 3);

    // The token is worth nothing over a connection that shows another certificate, or none.
    for other in [Some("exporter"), None] {
        let api = ServiceBuilder::new()
            .layer(OAuthLayer::for_origin(server.url("/"), tokens.clone()).unwrap())
            .service(client(&server, other));
        let request = Request::get(server.url("/hello")).body(Empty::<Bytes>::new()).unwrap();
        assert_eq!(api.oneshot(request).await.unwrap().status(), 401);
    }
}

#[tokio::test]
async fn without_a_certificate_there_is_no_token() {
    let server = MtlsServer::start().await.unwrap();
    let http = client(&server, None);
    let metadata = Metadata::discover(http.clone(), server.url("")).await.unwrap();
    let grant = ClientCredentials::new(http, &metadata, ClientAuth::tls("exporter")).unwrap();
    let error = grant.token(None).await.unwrap_err();
    assert_eq!(error.oauth_code(), Some("invalid_client"));
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_client_with_a_secret_does_not_ask_at_the_alias() {
    let server = MtlsServer::start().await.unwrap();
    let http = client(&server, Some("exporter"));
    let metadata = Metadata::discover(http.clone(), server.url("")).await.unwrap();
    let auth = metadata.client_secret("exporter", "secret").unwrap();
    let grant = ClientCredentials::new(http, &metadata, auth).unwrap();
    assert!(grant.token(None).await.is_err());
    assert_eq!(server.requests()[1], "/token grant_type=client_credentials");
}

fn client(server: &MtlsServer, name: Option<&str>) -> HttpsClient {
    let identity = name.map(|name| server.issue(name).unwrap());
    HttpsClient::builder().tls(server.client_config(identity).unwrap()).build().unwrap()
}
