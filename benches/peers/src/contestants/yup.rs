//! yup-oauth2, with an authorized user's refresh token.
//!
//! Each token takes a connection of its own, for 10,000 of which there are no file descriptors: they are pipes.

use std::{convert::Infallible, future::ready, time::Duration};

use http::{Uri, header::AUTHORIZATION};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::Connect},
    rt::{TokioExecutor, TokioIo},
};
use tower::BoxError;
use yup_oauth2::{
    AuthorizedUserAuthenticator, CustomHyperClientBuilder, authenticator::Authenticator,
    authorized_user::AuthorizedUserSecret,
};

use super::bearer;
use crate::{
    client::{Authorize, Authorized, Client, Peer, Scene, Start},
    end::{End, Request},
    issuer::Issuer,
    pipe::Pipe,
};

pub(crate) struct Yup;

// === impl Yup ===

impl Peer for Yup {
    const NAME: &'static str = "yup-oauth2";
    const COLD: Option<Scene> = Scene::FRESH;
    /// Due for the last minute.
    const DUE: Option<Scene> = Scene::new(Duration::from_secs(30), Start::AtOnce);

    async fn client<E: End>(issuer: &Issuer, end: E) -> Result<impl Client, BoxError> {
        let issuer = issuer.clone();
        let connector = tower::service_fn(move |_: Uri| ready(Ok::<_, Infallible>(TokioIo::new(Pipe(issuer.pipe())))));
        let client = HyperClient::builder(TokioExecutor::new()).build(connector);
        let secret = AuthorizedUserSecret {
            client_id: "id".into(),
            client_secret: "secret".into(),
            refresh_token: "refresh".into(),
            key_type: "authorized_user".into(),
        };
        let client = CustomHyperClientBuilder::from(client);
        let authenticator = AuthorizedUserAuthenticator::with_client(secret, client).build().await?;
        Ok(Authorized { by: authenticator, end })
    }
}

// === impl Authenticator ===

impl<C: Connect + Clone + Send + Sync + 'static> Authorize for Authenticator<C> {
    async fn authorize(&self, request: &mut Request) -> Result<(), BoxError> {
        let token = self.token(&["https://api.example.com/auth/read"]).await?;
        request.headers_mut().insert(AUTHORIZATION, bearer(token.token().ok_or("no token")?)?);
        Ok(())
    }
}
