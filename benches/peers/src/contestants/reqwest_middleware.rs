//! A middleware of reqwest-middleware's that puts the same header on every request: it has no tokens of its own.
//!
//! It is no tower layer: it takes a request of reqwest's, and its chain ends in reqwest's client, or before that in a middleware
//! that answers at once. Bare, the same request gets the same answer without a chain.

use async_trait::async_trait;
use http::{Extensions, HeaderValue, header::AUTHORIZATION};
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use tower::BoxError;

use super::bearer;
use crate::{
    client::{Client, Peer, Scene},
    end::End,
    issuer::Issuer,
};

pub(crate) struct ReqwestMiddleware;

#[derive(Clone)]
struct Authorized<E> {
    chain: ClientWithMiddleware,
    bare: reqwest::Client,
    end: E,
}

struct Header(HeaderValue);

struct Last;

// === impl ReqwestMiddleware ===

impl Peer for ReqwestMiddleware {
    const NAME: &'static str = "reqwest-middleware, static header";
    const COLD: Option<Scene> = None;
    const DUE: Option<Scene> = None;

    async fn client<E: End>(_: &Issuer, end: E) -> Result<impl Client, BoxError> {
        let header = Header(bearer(harness::SECRET)?);
        let bare = reqwest::Client::new();
        let mut chain = ClientBuilder::new(bare.clone()).with(header);
        if !E::SENDS {
            chain = chain.with(Last);
        }
        Ok(Authorized { chain: chain.build(), bare, end })
    }
}

// === impl Authorized ===

impl<E: End> Client for Authorized<E> {
    type Request = Request;

    fn request(&self) -> Request {
        self.end.request().map(|_| "{}").try_into().expect("a request")
    }

    async fn bare(&mut self, request: Request) -> Result<(), BoxError> {
        let answer = if E::SENDS { self.bare.execute(request).await? } else { answer(request) };
        answer.bytes().await?;
        Ok(())
    }

    async fn send(&mut self, request: Request) -> Result<(), BoxError> {
        self.chain.execute(request).await?.bytes().await?;
        Ok(())
    }
}

// === impl Header ===

#[async_trait]
impl Middleware for Header {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        request.headers_mut().insert(AUTHORIZATION, self.0.clone());
        next.run(request, extensions).await
    }
}

// === impl Last ===

#[async_trait]
impl Middleware for Last {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> reqwest_middleware::Result<Response> {
        Ok(answer(request))
    }
}

fn answer(request: Request) -> Response {
    drop(request);
    http::Response::new("").into()
}
