//! The client credentials grant (RFC 6749 §4.4).

use std::{fmt, sync::PoisonError, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::BoxError;
use tower_service::Service;
use zeroize::Zeroizing;

use super::{
    client_auth::ClientAuth,
    endpoint::{Endpoint, Transport},
    form::Form,
};
use crate::{error::Error, source::TokenSource, token::Token};

/// A [`TokenSource`] that asks for a token in the client's own name (RFC 6749 §4.4).
///
/// # Behavior
///
/// One POST to the token endpoint; redirects are not followed, an encoded or longer answer than 64 KiB is not read. A
/// failure to connect, a broken answer and a 5xx are tried again, three times in ten seconds in all, a second and a random bit apart; a refusal, and a
/// server that says when to come back, are not: the [`TokenCache`](crate::TokenCache) waits before it asks again.
///
/// The HTTP client takes `Full<Bytes>`; for one that takes another body, map the request with
/// `tower::ServiceExt::map_request`. It must not follow redirects either.
///
/// ```no_run
/// use std::time::Duration;
/// use tower_oauth2::{client::HttpsClient, grant::{ClientAuth, ClientCredentials}};
///
/// let secret = std::env::var("CLIENT_SECRET")?;
/// let auth = ClientAuth::basic("exporter", secret);
/// let grant = ClientCredentials::new(HttpsClient::new()?, "https://login.example.com/oauth/token", auth)?
///     .scope("reports:read reports:list")
///     .audience("https://api.example.com")
///     .param("tenant", "acme")?
///     .timeout(Duration::from_secs(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a grant does nothing until a cache asks it for a token"]
pub struct ClientCredentials<S> {
    endpoint: Endpoint<S>,
    auth: ClientAuth,
    params: Vec<(String, Zeroizing<String>)>,
}

// === impl ClientCredentials ===

impl<S> ClientCredentials<S> {
    /// `token_url` is absolute; a query in it is kept.
    ///
    /// # Errors
    ///
    /// If `token_url` is not an absolute URL, has a fragment or credentials, or is http and not loopback; if the client
    /// id or secret is empty.
    pub fn new(http: S, token_url: impl AsRef<str>, auth: ClientAuth) -> Result<Self, Error> {
        Self::with(http, token_url.as_ref(), auth, Transport::Secure)
    }

    /// As [`new`](Self::new), over http to any host: everybody on the way can read the client secret.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), but for http.
    pub fn danger_plain_http(http: S, token_url: impl AsRef<str>, auth: ClientAuth) -> Result<Self, Error> {
        Self::with(http, token_url.as_ref(), auth, Transport::DangerPlain)
    }

    fn with(http: S, token_url: &str, auth: ClientAuth, transport: Transport) -> Result<Self, Error> {
        auth.check()?;
        Ok(Self { endpoint: Endpoint::new(http, token_url, transport)?, auth, params: Vec::new() })
    }

    /// Asks for these scopes, separated by spaces (RFC 6749 §3.3). Called again, asks for those as well. By default the
    /// server decides.
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        let scope = scope.as_ref().trim();
        match self.params.iter_mut().find(|(name, _)| name == "scope") {
            _ if scope.is_empty() => self,
            Some((_, scopes)) => {
                scopes.push(' ');
                scopes.push_str(scope);
                self
            }
            None => self.push("scope", scope),
        }
    }

    /// Asks for a token for this audience, as Auth0 and others want it. The last one counts. None by default.
    pub fn audience(mut self, audience: impl AsRef<str>) -> Self {
        self.params.retain(|(name, _)| name != "audience");
        self.push("audience", audience.as_ref())
    }

    /// Asks for a token for this resource, an absolute URI (RFC 8707). May be called for several. None by default.
    pub fn resource(self, resource: impl AsRef<str>) -> Self {
        self.push("resource", resource.as_ref())
    }

    /// Any other parameter that the server wants.
    ///
    /// # Errors
    ///
    /// If the parameter has a setter of its own here, is part of the client authentication, or was given before
    /// (RFC 6749 §3.2).
    pub fn param(self, name: impl AsRef<str>, value: impl AsRef<str>) -> Result<Self, Error> {
        let name = name.as_ref();
        if RESERVED.contains(&name) {
            return Err(Error::config(format!("the parameter {name} is set by this crate")));
        }
        if name.is_empty() || self.params.iter().any(|(known, _)| known == name) {
            return Err(Error::config(format!("the parameter {name:?} is empty or was given before")));
        }
        Ok(self.push(name, value.as_ref()))
    }

    /// How long asking may take, all attempts and pauses included. Defaults to 10 s; five minutes at the most, but no longer
    /// than the cache's [`fetch_timeout`](crate::cache::Builder::fetch_timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.endpoint.timeout = timeout.min(Duration::from_secs(300));
        self
    }

    /// How often a failure that may pass is tried, the first time included. Defaults to 3; 1 at the least.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.endpoint.attempts = attempts.max(1);
        self
    }

    /// Makes the jitter of the pauses repeatable. Defaults to a seed of the system's.
    pub fn seed(self, seed: u64) -> Self {
        self.endpoint.rng.lock().unwrap_or_else(PoisonError::into_inner).seed(seed);
        self
    }

    fn push(mut self, name: &str, value: &str) -> Self {
        self.params.push((name.to_owned(), Zeroizing::new(value.to_owned())));
        self
    }

    fn form(&self) -> Form {
        let mut form = Form::default();
        form.push("grant_type", "client_credentials");
        for (name, value) in &self.params {
            form.push(name, value);
        }
        form
    }
}

impl<S, R> TokenSource for ClientCredentials<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: Body + Send,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    /// Every answer is a token minted for this request, so that none can be the one that was refused.
    async fn token(&self, _rejected: Option<&Token>) -> Result<Token, Error> {
        self.endpoint.token(&self.auth, || self.form()).await
    }
}

impl<S> fmt::Debug for ClientCredentials<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params: Vec<_> = self.params.iter().map(|(name, _)| name).collect();
        f.debug_struct("ClientCredentials")
            .field("endpoint", &self.endpoint)
            .field("auth", &self.auth)
            .field("params", &params)
            .finish()
    }
}

const RESERVED: [&str; 9] = [
    "assertion",
    "audience",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "grant_type",
    "resource",
    "scope",
];
