//! huskarl's `HttpAuthorizer` on its `InMemoryTokenCache`, with a source of its own trait.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use harness::SECRET;
use huskarl::{
    authorizer::HttpAuthorizer,
    cache::{InMemoryTokenCache, TokenError, TokenSource},
    core::platform::MaybeSendBoxFuture,
    grant::core::{RawTokenResponse, TokenResponse},
};
use tower::BoxError;

use crate::{
    client::{Authorize, Authorized, Client, Peer, Scene, Start},
    end::{End, Request},
    issuer::Issuer,
};

pub(crate) struct Huskarl;

struct Source(Issuer);

// === impl Huskarl ===

impl Peer for Huskarl {
    const NAME: &'static str = "huskarl";
    const COLD: Option<Scene> = Scene::FRESH;
    /// Due for the last minute, as set here: without that it is for up to half a minute, which is drawn by lot.
    const DUE: Option<Scene> = Scene::new(Duration::from_secs(45), Start::AtOnce);

    async fn client<E: End>(issuer: &Issuer, end: E) -> Result<impl Client, BoxError> {
        let source = Source(issuer.clone());
        let cache = InMemoryTokenCache::builder().source(source).refresh_ahead(Duration::from_secs(60)).build();
        Ok(Authorized { by: Arc::new(HttpAuthorizer::builder().cache(cache).build()), end })
    }
}

// === impl HttpAuthorizer ===

impl Authorize for Arc<HttpAuthorizer> {
    async fn authorize(&self, request: &mut Request) -> Result<(), BoxError> {
        let headers = self.get_headers(request.method(), request.uri()).await?;
        request.headers_mut().extend(headers);
        Ok(())
    }
}

// === impl Source ===

impl TokenSource for Source {
    fn token(&self) -> MaybeSendBoxFuture<'_, Result<Arc<TokenResponse>, TokenError>> {
        Box::pin(async {
            let expires_in = self.0.issue().await.as_secs();
            let response =
                RawTokenResponse::builder().access_token(SECRET).token_type("Bearer").expires_in(expires_in).build();
            Ok(Arc::new(response.into_token_response(None, SystemTime::now()).expect("a bearer token")))
        })
    }
}
