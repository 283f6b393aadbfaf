//! `azure_core`'s bearer policy, with a `TokenCredential` of its own trait.
//!
//! It is no tower layer: it takes a request of its own, and its pipeline ends in a policy that answers at once, or makes it one
//! of the `http` crate and sends it. The same request goes to that policy bare. It insists on https, so that only that last one
//! knows where the server is.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    http::{
        AsyncRawResponse, Context, Method, Request, StatusCode,
        headers::{HeaderName, HeaderValue, Headers},
        policies::{Policy, PolicyResult, auth::BearerTokenAuthorizationPolicy},
    },
    time::OffsetDateTime,
};
use bytes::Bytes;
use harness::SECRET;
use http_body_util::Full;
use tower::BoxError;

use crate::{
    client::{Client, Peer, Scene, Start},
    end::End,
    issuer::Issuer,
};

pub(crate) struct AzureCore;

#[derive(Clone)]
struct Authorized {
    policy: BearerTokenAuthorizationPolicy,
    last: [Arc<dyn Policy>; 1],
}

#[derive(Debug)]
struct Source(Issuer);

struct Answer<E> {
    end: E,
    url: String,
}

// === impl AzureCore ===

impl Peer for AzureCore {
    const NAME: &'static str = "azure_core";
    const COLD: Option<Scene> = Scene::FRESH;
    /// Due for the last five minutes.
    const DUE: Option<Scene> = Scene::new(Duration::from_secs(240), Start::AtOnce);

    async fn client<E: End>(issuer: &Issuer, end: E) -> Result<impl Client, BoxError> {
        let source = Arc::new(Source(issuer.clone()));
        let policy = BearerTokenAuthorizationPolicy::new(source, ["https://api.example.com/.default"]);
        Ok(Authorized { policy, last: [Arc::new(Answer { url: end.request().uri().to_string(), end })] })
    }
}

// === impl Authorized ===

impl Client for Authorized {
    type Request = Request;

    fn request(&self) -> Request {
        let request = harness::request();
        let url = request.uri().to_string().parse().expect("a URL");
        let mut copy = Request::new(url, Method::Post);
        for (name, value) in request.headers() {
            let value = value.to_str().expect("text").to_owned();
            copy.insert_header(HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value));
        }
        copy.set_body(Bytes::from_static(b"{}"));
        copy
    }

    async fn bare(&mut self, mut request: Request) -> Result<(), BoxError> {
        self.last[0].send(&Context::new(), &mut request, &[]).await?;
        Ok(())
    }

    async fn send(&mut self, mut request: Request) -> Result<(), BoxError> {
        self.policy.send(&Context::new(), &mut request, &self.last).await?;
        Ok(())
    }
}

// === impl Source ===

#[async_trait]
impl TokenCredential for Source {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        let lifetime = self.0.issue().await;
        Ok(AccessToken::new(SECRET, OffsetDateTime::now_utc() + lifetime))
    }
}

// === impl Answer ===

#[async_trait]
impl<E: End> Policy for Answer<E> {
    #[expect(elided_lifetimes_in_paths, reason = "the trait has it so, and the macro would give it another place")]
    async fn send(&self, _: &Context, request: &mut Request, _: &[Arc<dyn Policy>]) -> PolicyResult {
        if E::SENDS {
            let mut copy = http::Request::post(&self.url);
            for (name, value) in request.headers().iter() {
                copy = copy.header(name.as_str(), value.as_str());
            }
            let copy = copy.body(Full::from("{}")).expect("a request");
            self.end.clone().send(copy).await.expect("an answer");
        }
        Ok(AsyncRawResponse::from_bytes(StatusCode::Ok, Headers::new(), Bytes::new()))
    }
}

impl<E> fmt::Debug for Answer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}
