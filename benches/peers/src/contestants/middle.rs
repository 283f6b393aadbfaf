//! middle's `ClientCredentialAuthorizer`, which asks a token endpoint from a task of its own.

use std::{sync::Arc, time::Duration};

use http::header::AUTHORIZATION;
use middle::{Authorizer, BasicClientCredentialAuthorizer};
use tower::BoxError;

use crate::{
    client::{Authorize, Authorized, Client, Peer, Scene, Start},
    end::{End, Request},
    issuer::Issuer,
};

pub(crate) struct Middle;

// === impl Middle ===

impl Peer for Middle {
    const NAME: &'static str = "middle";
    /// It is not there before its first token is, which leaves expiry: it asks again no sooner than after a second.
    const COLD: Option<Scene> = Scene::new(Duration::from_secs(1), Start::NextAsked);
    /// Due 30 s before its end.
    const DUE: Option<Scene> = Scene::new(Duration::from_secs(31), Start::NextAsked);

    async fn client<E: End>(issuer: &Issuer, end: E) -> Result<impl Client, BoxError> {
        let builder = BasicClientCredentialAuthorizer::basic_builder("id", "secret", issuer.url().parse()?);
        Ok(Authorized { by: builder.build().await?, end })
    }
}

// === impl BasicClientCredentialAuthorizer ===

impl Authorize for BasicClientCredentialAuthorizer {
    /// As its wrapper of `reqwest::Client` does.
    async fn authorize(&self, request: &mut Request) -> Result<(), BoxError> {
        let header = self.authorization_header()?;
        request.headers_mut().insert(AUTHORIZATION, Arc::unwrap_or_clone(header));
        Ok(())
    }
}
