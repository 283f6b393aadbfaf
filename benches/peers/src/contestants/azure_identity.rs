//! `azure_identity`'s `ClientSecretCredential`, which has a cache of its own, on a request of the `http` crate.
//!
//! It insists on https, but lets others send for it: here an `HttpClient` of its own trait asks the issuer.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::{
    credentials::{Secret, TokenCredential as _},
    http::{
        AsyncRawResponse, ClientOptions, HttpClient, Request as TokenRequest, StatusCode, Transport, headers::Headers,
    },
};
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};
use http::header::AUTHORIZATION;
use tower::BoxError;

use super::bearer;
use crate::{
    client::{Authorize, Authorized, Client, Peer, Scene, Start},
    end::{End, Request},
    issuer::Issuer,
};

pub(crate) struct AzureIdentity;

#[derive(Debug)]
struct Endpoint(Issuer);

// === impl AzureIdentity ===

impl Peer for AzureIdentity {
    const NAME: &'static str = "azure_identity";
    const COLD: Option<Scene> = Scene::FRESH;
    /// Due for the last five minutes.
    const DUE: Option<Scene> = Scene::new(Duration::from_secs(240), Start::AtOnce);

    async fn client<E: End>(issuer: &Issuer, end: E) -> Result<impl Client, BoxError> {
        let transport = Transport::new(Arc::new(Endpoint(issuer.clone())));
        let client_options = ClientOptions { transport: Some(transport), ..ClientOptions::default() };
        let options = ClientSecretCredentialOptions { client_options };
        let secret = Secret::new("secret");
        let credential = ClientSecretCredential::new("tenant", "id".into(), secret, Some(options))?;
        Ok(Authorized { by: credential, end })
    }
}

// === impl ClientSecretCredential ===

impl Authorize for Arc<ClientSecretCredential> {
    async fn authorize(&self, request: &mut Request) -> Result<(), BoxError> {
        let token = self.get_token(&["https://api.example.com/.default"], None).await?;
        request.headers_mut().insert(AUTHORIZATION, bearer(token.token.secret())?);
        Ok(())
    }
}

// === impl Endpoint ===

#[async_trait]
impl HttpClient for Endpoint {
    async fn execute_request(&self, _: &TokenRequest) -> azure_core::Result<AsyncRawResponse> {
        Ok(AsyncRawResponse::from_bytes(StatusCode::Ok, Headers::new(), self.0.answer().await))
    }
}
