//! `BearerAuthLayer` of `cf-gears-toolkit-auth`, which asks a token endpoint from a task of its own.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Response;
use toolkit_auth::{BearerAuthLayer, OAuthClientConfig, SecretString, TokenProvider};
use toolkit_http::{HttpClientConfig, HttpError};
use tower::{BoxError, Layer, Service};

use crate::{
    client::{Client, Peer, Scene, Start, Tower},
    end::{End, Request},
    issuer::Issuer,
};

pub(crate) struct CfGears;

/// An end with the only error that the layer takes.
#[derive(Clone)]
struct Renamed<E>(E);

struct RenamedAnswer<F>(F);

// === impl CfGears ===

impl Peer for CfGears {
    const NAME: &'static str = "cf-gears-toolkit-auth";
    const COLD: Option<Scene> = Scene::FRESH;
    /// Due half an hour before its end, when its own task asks for the next one.
    const DUE: Option<Scene> = Scene::new(Duration::from_secs(1_801), Start::NextAsked);

    async fn client<E: End>(issuer: &Issuer, end: E) -> Result<impl Client, BoxError> {
        let config = OAuthClientConfig {
            token_endpoint: Some(issuer.url().parse()?),
            client_id: "id".into(),
            client_secret: SecretString::new("secret"),
            http_config: Some(HttpClientConfig::for_testing()),
            ..OAuthClientConfig::default()
        };
        let layer = BearerAuthLayer::new(TokenProvider::new(config)?);
        Ok(Tower { service: layer.layer(Renamed(end.clone())), end })
    }
}

// === impl Renamed ===

impl<E: End> Service<Request> for Renamed<E> {
    type Response = Response<()>;
    type Error = HttpError;
    type Future = RenamedAnswer<E::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HttpError>> {
        self.0.poll_ready(cx).map_err(HttpError::Transport)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        RenamedAnswer(self.0.call(request))
    }
}

impl<F: Future<Output = Result<Response<()>, BoxError>> + Unpin> Future for RenamedAnswer<F> {
    type Output = Result<Response<()>, HttpError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(Pin::new(&mut self.0).poll(cx)).map_err(HttpError::Transport))
    }
}
