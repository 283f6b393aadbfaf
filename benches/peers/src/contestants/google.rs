//! google-cloud-auth, with a user's refresh token and a token endpoint.

use std::time::Duration;

use google_cloud_auth::credentials::{CacheableResource, Credentials, user_account};
use http::Extensions;
use serde_json::json;
use tower::BoxError;

use crate::{
    client::{Authorize, Authorized, Client, Peer, Scene, Start},
    end::{End, Request},
    issuer::Issuer,
};

pub(crate) struct Google;

// === impl Google ===

impl Peer for Google {
    const NAME: &'static str = "google-cloud-auth";
    const COLD: Option<Scene> = Scene::FRESH;
    /// Due four minutes before its end, when its own task asks for the next one.
    const DUE: Option<Scene> = Scene::new(Duration::from_secs(241), Start::NextAsked);

    async fn client<E: End>(issuer: &Issuer, end: E) -> Result<impl Client, BoxError> {
        let user = json!({
            "type": "authorized_user",
            "client_id": "id",
            "client_secret": "secret",
            "refresh_token": "refresh",
        });
        let credentials = user_account::Builder::new(user).with_token_uri(issuer.url()).build()?;
        Ok(Authorized { by: credentials, end })
    }
}

// === impl Credentials ===

impl Authorize for Credentials {
    async fn authorize(&self, request: &mut Request) -> Result<(), BoxError> {
        let CacheableResource::New { data, .. } = self.headers(Extensions::new()).await? else {
            return Err("nothing new, and no tag".into());
        };
        request.headers_mut().extend(data);
        Ok(())
    }
}
