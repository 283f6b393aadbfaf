//! Token exchange (RFC 8693).

use std::{fmt, sync::PoisonError, time::Duration};

use super::{
    client_auth::ClientAuth,
    request::{TokenRequest, common_setters},
    secret::Secret,
    token_endpoint::TokenEndpoint,
    transport::HttpClient,
};
use crate::{error::Error, source::TokenSource, token::Token};

/// A [`TokenSource`] that exchanges one token for another (RFC 8693): a user's for one of this client's that acts for the
/// user, a platform's identity for an access token, a wide token for a narrow one. A [`TokenRequest`], and behaves as one.
///
/// The subject's token is looked up for every exchange, so that it may come from a file, a callback or another
/// [`TokenCache`](crate::TokenCache).
///
/// ```
/// use tower_oauth2::{TokenCache, grant::{ClientAuth, Secret, TokenExchange}, source_fn};
/// # let http = tower::service_fn(|_| async { Ok::<_, tower::BoxError>(http::Response::new(String::new())) });
/// # let wide = source_fn(|_| async { tower_oauth2::Token::new("wide") });
///
/// let wide = TokenCache::new(wide);
/// let subject = Secret::from_fn(move || {
///     let wide = wide.clone();
///     async move { wide.token().await.map(|token| token.secret().to_owned()) }
/// });
/// let auth = ClientAuth::basic("gateway", "s3cr3t");
/// let narrow = TokenExchange::new(http, "https://login.example.com/token", auth, subject)?
///     .audience("https://reports.example.com")
///     .scope("reports:read");
/// # Ok::<(), tower_oauth2::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a grant does nothing until a cache asks it for a token"]
pub struct TokenExchange {
    request: TokenRequest,
}

// === impl TokenExchange ===

impl TokenExchange {
    /// `subject` is the token of the party that the new one is for: an access token, unless
    /// [`subject_token_type`](Self::subject_token_type) says otherwise.
    ///
    /// # Errors
    ///
    /// As [`TokenRequest::new`]; if the subject's token is known to be empty or not there.
    pub fn new<E>(
        http: impl HttpClient,
        endpoint: E,
        auth: ClientAuth,
        subject: impl Into<Secret>,
    ) -> Result<Self, Error>
    where
        E: TryInto<TokenEndpoint, Error: Into<Error>>,
    {
        let subject = subject.into();
        subject.check("subject token")?;
        let mut request = TokenRequest::new(http, endpoint, auth)?.grant_type(GRANT_TYPE);
        request.params.set_secret("subject_token", subject);
        request.params.set("subject_token_type", Self::ACCESS_TOKEN);
        Ok(Self { request })
    }

    /// The identifier of an access token, of whatever form (RFC 8693 §3).
    pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
    /// The identifier of an ID token (RFC 8693 §3).
    pub const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
    /// The identifier of a JWT (RFC 8693 §3).
    pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

    /// What the subject's token is (RFC 8693 §3). Defaults to [`ACCESS_TOKEN`](Self::ACCESS_TOKEN).
    pub fn subject_token_type(mut self, kind: impl AsRef<str>) -> Self {
        self.request.params.set("subject_token_type", kind.as_ref());
        self
    }

    /// The token, and its type, of the party that acts for the subject (RFC 8693 §1.1). None by default: the client itself.
    ///
    /// # Errors
    ///
    /// If the token is known to be empty or not there.
    pub fn actor(mut self, token: impl Into<Secret>, kind: impl AsRef<str>) -> Result<Self, Error> {
        let token = token.into();
        token.check("actor token")?;
        self.request.params.set_secret("actor_token", token);
        self.request.params.set("actor_token_type", kind.as_ref());
        Ok(self)
    }

    /// What to ask for (RFC 8693 §3). By default the server decides; only what can be sent as a bearer token is taken.
    pub fn requested_token_type(mut self, kind: impl AsRef<str>) -> Self {
        self.request.params.set("requested_token_type", kind.as_ref());
        self
    }

    /// One more audience (RFC 8693 §2.1), where [`audience`](Self::audience) has named the first. None by default.
    pub fn and_audience(mut self, audience: impl AsRef<str>) -> Self {
        self.request.params.push("audience", audience.as_ref());
        self
    }

    common_setters!(request);
}

impl TokenSource for TokenExchange {
    async fn token(&self, rejected: Option<&Token>) -> Result<Token, Error> {
        self.request.token(rejected).await
    }
}

impl fmt::Debug for TokenExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenExchange").field(&self.request).finish()
    }
}

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
