//! The general token request that the grants are made of.

use std::{fmt, sync::PoisonError, time::Duration};

use super::{
    client_auth::ClientAuth, endpoint::Endpoint, message::Encoding, params::Params, secret::Secret,
    token_endpoint::TokenEndpoint, transport::HttpClient,
};
use crate::{error::Error, json::Pointer, source::TokenSource, token::Token};

/// A [`TokenSource`] for whatever a token endpoint wants: any parameters, written as a form or as JSON, any
/// [`ClientAuth`], and an answer whose members are called as the server likes. The other grants are this one with
/// parameters of their own.
///
/// # Behavior
///
/// One POST to the token endpoint; redirects are not followed, an encoded or longer answer than 64 KiB is not read. A
/// failure to connect, a broken answer and a 5xx are tried again, three times in ten seconds in all, a second and a random
/// bit apart; a refusal, and a server that says when to come back, are not: the [`TokenCache`](crate::TokenCache) waits
/// before it asks again. A server that failed all attempts is asked once each time until it answers.
///
/// ```
/// use tower_oauth2::{TokenCache, grant::{ClientAuth, Secret, TokenRequest}, testing::Issuer};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let http = tower::service_fn(|_| async {
/// #     Ok::<_, tower::BoxError>(http::Response::new(r#"{"data":{"token":"abc","ttl":"60"}}"#.to_owned()))
/// # });
/// let grant = TokenRequest::new(http, "https://login.example.com/session", ClientAuth::anonymous())?
///     .json()
///     .param("accessKeyId", "reader")?
///     .secret_param("accessKeySecret", Secret::from("s3cr3t"))?
///     .access_token_at("/data/token")?
///     .expires_in_at("/data/ttl")?;
/// let token = TokenCache::new(grant).token().await?;
/// assert_eq!(token.header(), "Bearer abc");
/// # Ok::<(), tower_oauth2::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a grant does nothing until a cache asks it for a token"]
pub struct TokenRequest {
    pub(super) endpoint: Endpoint,
    pub(super) params: Params,
}

// === impl TokenRequest ===

impl TokenRequest {
    /// Sends no parameters yet. `endpoint` is an absolute URL, [`Metadata`](super::Metadata), or a [`TokenEndpoint`].
    ///
    /// # Errors
    ///
    /// If `endpoint` is not an absolute URL, has a fragment or credentials, or is http and not loopback; if the client id or
    /// secret is empty, or the server is known not to take this kind of authentication.
    pub fn new<E>(http: impl HttpClient, endpoint: E, auth: ClientAuth) -> Result<Self, Error>
    where
        E: TryInto<TokenEndpoint, Error: Into<Error>>,
    {
        let endpoint = endpoint.try_into().map_err(Into::into)?;
        Ok(Self { endpoint: Endpoint::new(http, endpoint, auth)?, params: Params::default() })
    }

    /// Which grant it is (RFC 6749 §4, or an absolute URI). None by default.
    pub fn grant_type(mut self, grant_type: impl AsRef<str>) -> Self {
        self.params.set("grant_type", grant_type.as_ref());
        self
    }

    /// Writes the parameters as one JSON object of strings, and of arrays of them where one is given more than once. Defaults to a form, as RFC 6749 wants.
    pub fn json(mut self) -> Self {
        self.endpoint.encoding = Encoding::Json;
        self
    }

    /// Where in the answer the access token is, as a JSON pointer (RFC 6901). Defaults to `/access_token`.
    ///
    /// # Errors
    ///
    /// If `pointer` does not begin with a slash. This holds for all of its kind.
    pub fn access_token_at(mut self, pointer: &str) -> Result<Self, Error> {
        self.endpoint.fields.access_token = place(pointer)?;
        Ok(self)
    }

    /// Where in the answer the token's type is. Defaults to `/token_type`.
    ///
    /// # Errors
    ///
    /// As [`access_token_at`](Self::access_token_at).
    pub fn token_type_at(mut self, pointer: &str) -> Result<Self, Error> {
        self.endpoint.fields.token_type = place(pointer)?;
        Ok(self)
    }

    /// Where in the answer the token's lifetime in seconds is. Defaults to `/expires_in`.
    ///
    /// # Errors
    ///
    /// As [`access_token_at`](Self::access_token_at).
    pub fn expires_in_at(mut self, pointer: &str) -> Result<Self, Error> {
        self.endpoint.fields.expires_in = place(pointer)?;
        Ok(self)
    }

    /// Where in the answer the next refresh token is, for [`RefreshToken`](super::RefreshToken). Defaults to
    /// `/refresh_token`.
    ///
    /// # Errors
    ///
    /// As [`access_token_at`](Self::access_token_at).
    pub fn refresh_token_at(mut self, pointer: &str) -> Result<Self, Error> {
        self.endpoint.fields.refresh_token = place(pointer)?;
        Ok(self)
    }

    /// Where in the answer the error's code is. Defaults to `/error`.
    ///
    /// # Errors
    ///
    /// As [`access_token_at`](Self::access_token_at).
    pub fn error_at(mut self, pointer: &str) -> Result<Self, Error> {
        self.endpoint.fields.error = place(pointer)?;
        Ok(self)
    }

    /// Where in the answer the error's description is. Defaults to `/error_description`.
    ///
    /// # Errors
    ///
    /// As [`access_token_at`](Self::access_token_at).
    pub fn error_description_at(mut self, pointer: &str) -> Result<Self, Error> {
        self.endpoint.fields.error_description = place(pointer)?;
        Ok(self)
    }
}

/// The setters that all grants have; `self.$path` is the [`TokenRequest`].
macro_rules! common_setters {
    ($($path:ident).*) => {
        /// Asks for these scopes, separated by spaces (RFC 6749 §3.3). Called again, asks for those as well. By default
        /// the server decides.
        pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
            self.$($path.)* params.add_words("scope", scope.as_ref());
            self
        }

        /// Asks for a token for this audience, as Auth0 and others want it. The last one counts. None by default.
        pub fn audience(mut self, audience: impl AsRef<str>) -> Self {
            self.$($path.)* params.set("audience", audience.as_ref());
            self
        }

        /// Asks for a token for this resource, an absolute URI (RFC 8707). May be called for several. None by default.
        pub fn resource(mut self, resource: impl AsRef<str>) -> Self {
            self.$($path.)* params.push("resource", resource.as_ref());
            self
        }

        /// Any other parameter that the server wants.
        ///
        /// # Errors
        ///
        /// If the parameter has a setter of its own, is part of the client authentication, or was given before
        /// (RFC 6749 §3.2).
        pub fn param(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Result<Self, Error> {
            self.$($path.)* params.add(name.as_ref(), value.as_ref())?;
            Ok(self)
        }

        /// As [`param`](Self::param), for what must not be shown: a password, an access key, an assertion. Looked up for
        /// every token request.
        ///
        /// # Errors
        ///
        /// As [`param`](Self::param); if the secret is known to be empty or not there.
        pub fn secret_param(mut self, name: impl AsRef<str>, value: impl Into<Secret>) -> Result<Self, Error> {
            self.$($path.)* params.add_secret(name.as_ref(), value.into())?;
            Ok(self)
        }

        /// How long asking may take, all attempts and pauses included. Defaults to 10 s; five minutes at the most, but no
        /// longer than the cache's [`fetch_timeout`](crate::cache::Builder::fetch_timeout).
        pub fn timeout(mut self, timeout: Duration) -> Self {
            self.$($path.)* endpoint.timeout = timeout.min(Duration::from_secs(300));
            self
        }

        /// How often a failure that may pass is tried, the first time included. Defaults to 3; 1 at the least.
        pub fn attempts(mut self, attempts: u32) -> Self {
            self.$($path.)* endpoint.attempts = attempts.max(1);
            self
        }

        /// Makes the jitter of the pauses repeatable. Defaults to a seed of the system's.
        pub fn seed(self, seed: u64) -> Self {
            self.$($path.)* endpoint.rng.lock().unwrap_or_else(PoisonError::into_inner).seed(seed);
            self
        }
    };
}
pub(super) use common_setters;

impl TokenRequest {
    common_setters!();
}

impl TokenSource for TokenRequest {
    /// Every answer is a token minted for this request, so that none can be the one that was refused.
    async fn token(&self, _rejected: Option<&Token>) -> Result<Token, Error> {
        self.endpoint.token(&self.params, None).await.map_err(Into::into)
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("endpoint", &self.endpoint)
            .field("params", &self.params.names())
            .finish_non_exhaustive()
    }
}

fn place(pointer: &str) -> Result<Pointer, Error> {
    let pointer = pointer.starts_with('/').then(|| Pointer::parse(pointer)).flatten();
    pointer.ok_or_else(|| Error::config("a place in a token response is a JSON pointer such as /access_token"))
}
