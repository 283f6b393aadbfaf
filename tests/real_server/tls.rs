//! Clients that a real authorization server knows by their certificate (RFC 8705).

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use serde_json::json;
use tower::{ServiceBuilder, ServiceExt};
use tower_oauth2::{
    OAuthLayer, Token, TokenCache, TokenSource,
    client::HttpsClient,
    grant::{ClientAuth, ClientCredentials, Metadata},
};

use crate::{
    certificates::{Authority, Identity},
    oidc_provider::Provider,
};

#[tokio::test]
async fn a_certificate_is_a_client_s_proof_and_its_token_is_bound_to_it() {
    let authority = Authority::new();
    let (issued, own) = (authority.issue("client.example.com"), Identity::self_signed("whatever"));
    let other = authority.issue("other.example.com");
    let clients = json!([
        {
            "client_id": "issued",
            "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_san_dns": "client.example.com",
            "tls_client_certificate_bound_access_tokens": true,
        },
        {
            "client_id": "own",
            "token_endpoint_auth_method": "self_signed_tls_client_auth",
            "certificate": own.certificate(),
            "tls_client_certificate_bound_access_tokens": true,
        },
    ]);
    let config = json!({ "clients": clients, "tls": authority.server() });
    let Some(server) = Provider::start_tls(config, authority.client(None)).await else { return };
    let strangers = [authority.client(Some(&other)), authority.client(None)].map(client);

    for (id, identity) in [("issued", &issued), ("own", &own)] {
        let http = client(authority.client(Some(identity)));
        let metadata = Metadata::discover(http.clone(), server.issuer()).await.unwrap();
        let grant = ClientCredentials::new(http.clone(), &metadata, ClientAuth::tls(id)).unwrap();
        let token = grant.token(None).await.unwrap();
        assert_eq!(call(&server, http, &token).await, 200, "{id}");
        for stranger in &strangers {
            assert_eq!(call(&server, stranger.clone(), &token).await, 401, "{id}");
            let grant = ClientCredentials::new(stranger.clone(), &metadata, ClientAuth::tls(id)).unwrap();
            let error = grant.token(None).await.unwrap_err();
            assert_eq!((error.oauth_code(), error.is_transient()), (Some("invalid_client"), false), "{error:?}");
        }
    }
    // One that the authority has not issued names whom it likes.
    let forged = client(authority.client(Some(&Identity::self_signed("client.example.com"))));
    let grant = ClientCredentials::new(forged, server.token_url(), ClientAuth::tls("issued")).unwrap();
    assert_eq!(grant.token(None).await.unwrap_err().oauth_code(), Some("invalid_client"));
    assert_eq!(
        server.stats().await.of("issued").last().unwrap().unwrap(),
        "invalid_client: client certificate was not verified"
    );
}

fn client(config: rustls::ClientConfig) -> HttpsClient {
    HttpsClient::builder().tls(config).build().unwrap()
}

async fn call(server: &Provider, http: HttpsClient, token: &Token) -> u16 {
    let token = token.clone();
    let tokens = TokenCache::new(tower_oauth2::source_fn(move |_| {
        let token = token.clone();
        async move { Ok(token) }
    }));
    let api = ServiceBuilder::new().layer(OAuthLayer::for_origin(server.origin(), tokens).unwrap()).service(http);
    let request = Request::get(server.api_url()).body(Empty::<Bytes>::new()).unwrap();
    api.oneshot(request).await.unwrap().status().as_u16()
}
