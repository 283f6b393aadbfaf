//! google-cloud-auth, with a user's refresh token and a token endpoint.

use std::time::Duration;

use google_cloud_auth::credentials::{CacheableResource, Credentials, user_account};
use http::Extensions;
use serde_json::json;
use tower::BoxError;

use crate::{
    client::{Client, Peer, Scene, Start},
    end::{End, Request},
    issuer::Issuer,
};

pub(crate) struct Google;

#[derive(Clone)]
struct Authorized<E> {
    credentials: Credentials,
    end: E,
}

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
        Ok(Authorized { credentials, end })
    }
}

// === impl Authorized ===

impl<E: End> Client for Authorized<E> {
    type Request = Request;

    fn request(&self) -> Request {
        self.end.request()
    }

    async fn bare(&mut self, request: Request) -> Result<(), BoxError> {
        self.end.send(request).await
    }

    async fn send(&mut self, mut request: Request) -> Result<(), BoxError> {
        let CacheableResource::New { data, .. } = self.credentials.headers(Extensions::new()).await? else {
            return Err("nothing new, and no tag".into());
        };
        request.headers_mut().extend(data);
        self.end.send(request).await
    }
}
