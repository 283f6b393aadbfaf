//! tower-oauth2, with a source of its own trait.

use std::time::Duration;

use harness::SECRET;
use tower::{BoxError, Layer};
use tower_oauth2::{OAuthLayer, Token, TokenCache, source_fn};

use crate::{
    client::{Client, Peer, Scene, Start, Tower},
    end::End,
    issuer::Issuer,
};

pub(crate) struct Ours;

impl Peer for Ours {
    const NAME: &'static str = "tower-oauth2";
    const COLD: Option<Scene> = Scene::FRESH;
    /// Due for the last fifth of its life.
    const DUE: Option<Scene> = Scene::new(Duration::from_secs(4), Start::After(Duration::from_millis(3_400)));

    async fn client<E: End>(issuer: &Issuer, end: E) -> Result<impl Client, BoxError> {
        let issuer = issuer.clone();
        let source = source_fn(move |_| {
            let issuer = issuer.clone();
            async move {
                let lifetime = issuer.issue().await;
                Token::new(SECRET).map(|token| token.with_lifetime(lifetime))
            }
        });
        let layer = OAuthLayer::for_origin(end.origin(), TokenCache::new(source))?;
        Ok(Tower { service: layer.layer(end.clone()), end })
    }
}
