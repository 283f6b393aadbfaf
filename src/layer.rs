//! The layer, and what its services share.

use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;

use crate::{
    caches::Tokens,
    error::Error,
    origin::Origin,
    service::{Binding, OAuth},
};

/// Puts a bearer token on every request to the origins it is bound to; makes [`OAuth`].
///
/// # Where in the stack
///
/// Inside of [`RetryLayer`](crate::retry::RetryLayer), so that a replay comes by here again and gets the new token; outside
/// of what bounds one attempt, such as timeouts and concurrency limits, so that the wait for a token is none of it.
#[cfg_attr(
    doc,
    doc = "[`docs::composing`](crate::docs::composing) has all layers, and what goes wrong in another order."
)]
///
/// # Tokens
///
/// One [`TokenCache`](crate::TokenCache), whose token goes on every request, or [`TokenCaches`](crate::TokenCaches), of
/// which each request chooses one by the [`TokenKey`](crate::TokenKey) among its extensions. A request without a key where
/// one is needed is not sent, and neither is one with a key that would not count: its token might be somebody else's.
///
/// # Origins
///
/// A token is sent to the origins (scheme, host, effective port) that were named and to no other. A request to any other
/// origin, and one whose URI is not absolute, passes through untouched. A layer that makes URIs absolute belongs
/// outside this one.
///
/// ```
/// use tower::ServiceBuilder;
/// use tower_oauth2::{OAuthLayer, Token, TokenCache, source_fn};
/// # use tower::{ServiceExt, service_fn};
/// # use http::{Request, Response, header::AUTHORIZATION};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let client = service_fn(|request: Request<()>| async move {
/// #     Ok::<_, std::convert::Infallible>(Response::new(request.headers().get(AUTHORIZATION).cloned()))
/// # });
///
/// let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
/// let api = ServiceBuilder::new()
///     .layer(OAuthLayer::for_origin("https://api.example.com", tokens)?)
///     .service(client);
///
/// let there = Request::get("https://api.example.com/v1/users").body(())?;
/// assert_eq!(api.clone().oneshot(there).await?.into_body().unwrap(), "Bearer abc");
/// let elsewhere = Request::get("https://files.example.com/1").body(())?;
/// assert_eq!(api.oneshot(elsewhere).await?.into_body(), None);
/// # Ok::<(), tower::BoxError>(()) })?;
/// # Ok::<(), tower::BoxError>(())
/// ```
#[derive(Clone)]
#[must_use = "a layer does nothing until it is stacked"]
pub struct OAuthLayer {
    binding: Arc<Binding>,
}

// === impl OAuthLayer ===

impl OAuthLayer {
    /// Sends the token to `origin` only: an absolute URL whose path does not matter.
    ///
    /// # Errors
    ///
    /// If `origin` is not an absolute http or https URL, carries credentials, or is http and not loopback (`localhost`,
    /// `127.0.0.0/8`, `[::1]`): anybody on the way could read the token (RFC 6750 §5.3).
    pub fn for_origin(origin: impl AsRef<str>, tokens: impl Into<Tokens>) -> Result<Self, Error> {
        Self::for_origins([origin], tokens)
    }

    /// As [`for_origin`](Self::for_origin), for several that take the same token.
    ///
    /// # Errors
    ///
    /// As [`for_origin`](Self::for_origin), of the first that will not do; if there are none.
    pub fn for_origins<O: AsRef<str>>(
        origins: impl IntoIterator<Item = O>,
        tokens: impl Into<Tokens>,
    ) -> Result<Self, Error> {
        let secure = |origin: O| {
            let origin = Origin::parse(origin.as_ref())?;
            if origin.is_trustworthy() {
                return Ok(origin);
            }
            Err(Error::config(format!(
                "{origin} would carry the token in clear text: use https, or danger_plain_http_origin"
            )))
        };
        let origins = origins.into_iter().map(secure).collect::<Result<Vec<_>, _>>()?;
        if origins.is_empty() {
            return Err(Error::config("a layer without an origin would never send its token"));
        }
        Ok(Self::new(Some(origins), tokens.into()))
    }

    /// Sends the token to one http origin that is not loopback: everybody on the way to it can read the token.
    ///
    /// For a network that encrypts underneath, such as a service mesh.
    ///
    /// # Errors
    ///
    /// If `origin` is not an absolute http or https URL, or carries credentials.
    pub fn danger_plain_http_origin(origin: impl AsRef<str>, tokens: impl Into<Tokens>) -> Result<Self, Error> {
        Ok(Self::new(Some(vec![Origin::parse(origin.as_ref())?]), tokens.into()))
    }

    /// Sends the token to wherever a request goes: a redirect, a `next` link or a mistaken URL hands it to a stranger.
    ///
    /// For a client that can reach one origin only.
    pub fn danger_any_origin(tokens: impl Into<Tokens>) -> Self {
        Self::new(None, tokens.into())
    }

    /// How long a request waits for a token in all when there is no valid one; its [`Deadline`](crate::Deadline) counts if it
    /// is sooner. Longer than the token request itself may take, so that its own error is heard. Defaults to 12 s; one hour at
    /// the most.
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.binding).acquire_timeout = timeout.min(Duration::from_secs(60 * 60));
        self
    }

    /// Takes `grpc-status: 16` (`UNAUTHENTICATED`) for a 401, whatever the status of the response, if it is in its head: a
    /// server that fails at once sends it there ("trailers-only"). Costs a request one allocation. Off by default.
    ///
    /// The requests need absolute URIs, as everywhere here: a tonic client has them with `with_origin`. To have the call sent
    /// again with the new token, give the policy a
    /// [`GrpcClassifier`](crate::retry::GrpcClassifier).
    pub fn grpc(mut self) -> Self {
        Arc::make_mut(&mut self.binding).grpc = true;
        self
    }

    fn new(origins: Option<Vec<Origin>>, tokens: Tokens) -> Self {
        let binding = Binding { tokens, origins, acquire_timeout: Duration::from_secs(12), grpc: false };
        Self { binding: Arc::new(binding) }
    }
}

impl<S> Layer<S> for OAuthLayer {
    type Service = OAuth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OAuth::new(inner, Arc::clone(&self.binding))
    }
}

impl fmt::Debug for OAuthLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.binding.fmt(f)
    }
}
