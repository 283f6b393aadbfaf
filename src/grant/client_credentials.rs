//! The client credentials grant (RFC 6749 §4.4).

use std::{fmt, sync::PoisonError, time::Duration};

use super::{
    client_auth::ClientAuth,
    request::{TokenRequest, common_setters},
    secret::Secret,
    token_endpoint::TokenEndpoint,
    transport::HttpClient,
};
use crate::{error::Error, source::TokenSource, token::Token};

/// A [`TokenSource`] that asks for a token in the client's own name (RFC 6749 §4.4); a [`TokenRequest`], and behaves as one.
///
/// ```no_run
/// use std::time::Duration;
/// use tower_oauth2::{client::HttpsClient, grant::{ClientAuth, ClientCredentials, Secret}};
///
/// let auth = ClientAuth::basic("exporter", Secret::env("CLIENT_SECRET"));
/// let grant = ClientCredentials::new(HttpsClient::new()?, "https://login.example.com/oauth/token", auth)?
///     .scope("reports:read reports:list")
///     .audience("https://api.example.com")
///     .param("tenant", "acme")?
///     .timeout(Duration::from_secs(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a grant does nothing until a cache asks it for a token"]
pub struct ClientCredentials {
    request: TokenRequest,
}

// === impl ClientCredentials ===

impl ClientCredentials {
    /// `endpoint` is an absolute URL, [`Metadata`](super::Metadata), or a [`TokenEndpoint`].
    ///
    /// # Errors
    ///
    /// As [`TokenRequest::new`].
    pub fn new<E>(http: impl HttpClient, endpoint: E, auth: ClientAuth) -> Result<Self, Error>
    where
        E: TryInto<TokenEndpoint, Error: Into<Error>>,
    {
        Ok(Self { request: TokenRequest::new(http, endpoint, auth)?.grant_type("client_credentials") })
    }

    common_setters!(request);
}

impl TokenSource for ClientCredentials {
    async fn token(&self, rejected: Option<&Token>) -> Result<Token, Error> {
        self.request.token(rejected).await
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCredentials").field(&self.request).finish()
    }
}
