//! The lazy identity cache and the bearer signer of `aws-smithy-runtime`, with an identity resolver of its own trait.
//!
//! They are no tower layer, but two steps of what its generated clients do for each request, which is one of its own. It is
//! then dropped, or made one of the `http` crate and sent, as it is bare.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_smithy_async::{rt::sleep::TokioSleep, time::SystemTimeSource};
use aws_smithy_runtime::client::{auth::http::BearerAuthScheme, identity::IdentityCache};
use aws_smithy_runtime_api::client::{
    auth::{AuthScheme as _, AuthSchemeEndpointConfig},
    identity::{
        Identity, IdentityFuture, ResolveCachedIdentity as _, ResolveIdentity, SharedIdentityCache,
        SharedIdentityResolver, http::Token,
    },
    orchestrator::HttpRequest,
    runtime_components::{RuntimeComponents, RuntimeComponentsBuilder},
};
use aws_smithy_types::{body::SdkBody, config_bag::ConfigBag};
use bytes::Bytes;
use harness::SECRET;
use http_body_util::Full;
use tower::BoxError;

use crate::{
    client::{Client, Peer, Scene, Start},
    end::End,
    issuer::Issuer,
};

pub(crate) struct Aws;

#[derive(Clone)]
struct Authorized<E> {
    parts: Arc<Parts>,
    end: E,
}

struct Parts {
    cache: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    scheme: BearerAuthScheme,
    components: RuntimeComponents,
    config: ConfigBag,
}

#[derive(Debug)]
struct Source(Issuer);

// === impl Aws ===

impl Peer for Aws {
    const NAME: &'static str = "aws-smithy-runtime";
    const COLD: Option<Scene> = Scene::FRESH;
    /// Due for the last five to ten seconds.
    const DUE: Option<Scene> = Scene::new(Duration::from_secs(4), Start::AtOnce);

    async fn client<E: End>(issuer: &Issuer, end: E) -> Result<impl Client, BoxError> {
        // For tests in that it has all that neither of the two needs, and panics if they do.
        let components = RuntimeComponentsBuilder::for_tests()
            .with_sleep_impl(Some(TokioSleep::new()))
            .with_time_source(Some(SystemTimeSource::new()))
            .build()?;
        let parts = Parts {
            cache: IdentityCache::lazy().build(),
            resolver: SharedIdentityResolver::new(Source(issuer.clone())),
            scheme: BearerAuthScheme::new(),
            components,
            config: ConfigBag::base(),
        };
        Ok(Authorized { parts: Arc::new(parts), end })
    }
}

// === impl Authorized ===

impl<E: End> Authorized<E> {
    async fn arrive(&mut self, request: HttpRequest) -> Result<(), BoxError> {
        if E::SENDS {
            let request = request.try_into_http1x()?;
            let body = |body: SdkBody| Full::new(Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
            self.end.send(request.map(body)).await?;
        }
        Ok(())
    }
}

impl<E: End> Client for Authorized<E> {
    type Request = HttpRequest;

    fn request(&self) -> HttpRequest {
        self.end.request().map(|_| SdkBody::from("{}")).try_into().expect("a request")
    }

    async fn bare(&mut self, request: HttpRequest) -> Result<(), BoxError> {
        self.arrive(request).await
    }

    async fn send(&mut self, mut request: HttpRequest) -> Result<(), BoxError> {
        let Parts { cache, resolver, scheme, components, config } = &*self.parts;
        let identity = cache.resolve_cached_identity(resolver.clone(), components, config).await?;
        let endpoint = AuthSchemeEndpointConfig::empty();
        scheme.signer().sign_http_request(&mut request, &identity, endpoint, components, config)?;
        self.arrive(request).await
    }
}

// === impl Source ===

impl ResolveIdentity for Source {
    fn resolve_identity<'a>(&'a self, _: &'a RuntimeComponents, _: &'a ConfigBag) -> IdentityFuture<'a> {
        IdentityFuture::new(async {
            let expires_at = SystemTime::now() + self.0.issue().await;
            Ok(Identity::new(Token::new(SECRET, Some(expires_at)), Some(expires_at)))
        })
    }
}
