//! tower-http's layer that puts the same header on every request.

use harness::SECRET;
use tower::{BoxError, Layer as _};
use tower_http::auth::AddAuthorizationLayer;

use crate::{
    client::{Client, Peer, Scene, Tower},
    end::End,
    issuer::Issuer,
};

pub(crate) struct Fixed;

impl Peer for Fixed {
    const NAME: &'static str = "static header";
    const COLD: Option<Scene> = None;
    const DUE: Option<Scene> = None;

    async fn client<E: End>(_: &Issuer, end: E) -> Result<impl Client, BoxError> {
        Ok(Tower { service: AddAuthorizationLayer::bearer(SECRET).layer(end.clone()), end })
    }
}
