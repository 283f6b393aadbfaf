//! The token requests of CXone, each a [`TokenRequest`] with its parameters set.

use std::{fmt, future::Future};

use tower::BoxError;

use crate::{
    error::Error,
    grant::{ClientAuth, HttpClient, RefreshToken, Secret, TokenEndpoint, TokenRequest},
};

/// The issuer of CXone's tokens: what to give to [`Metadata::discover`](crate::grant::Metadata::discover).
pub const ISSUER: &str = "https://cxone.niceincontact.com";

/// The access key of a CXone user: its id, and its secret.
#[derive(Clone)]
pub struct AccessKey {
    id: String,
    secret: Secret,
}

// === impl AccessKey ===

impl AccessKey {
    /// As CXone shows them, with the `====` at their ends.
    pub fn new(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { id: id.into(), secret: secret.into() }
    }

    fn check(&self) -> Result<(), Error> {
        if self.id.is_empty() { Err(Error::config("the access key id is empty")) } else { Ok(()) }
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The current way: the password grant (RFC 6749 §4.3) with an access key, at the discovered token endpoint, for a registered
/// client.
///
/// Its tokens live an hour. There is no need to refresh them: the key gets the next one.
///
/// # Errors
///
/// As [`TokenRequest::new`]; if the access key is empty, or known not to be there.
pub fn access_key_grant<E>(
    http: impl HttpClient,
    endpoint: E,
    auth: ClientAuth,
    key: AccessKey,
) -> Result<TokenRequest, Error>
where
    E: TryInto<TokenEndpoint, Error: Into<Error>>,
{
    key.check()?;
    TokenRequest::new(http, endpoint, auth)?
        .grant_type("password")
        .param("username", key.id)?
        .secret_param("password", key.secret)
}

/// UserHub's way: JSON with the access key, and no client. `area` is that of the tenant, such as `na1`.
///
/// # Errors
///
/// If `area` is no name of an area; if the access key is empty, or known not to be there.
pub fn user_hub_grant(http: impl HttpClient, area: &str, key: AccessKey) -> Result<TokenRequest, Error> {
    key.check()?;
    TokenRequest::new(http, user_hub(area, "authentication/v1/token/access-key")?, ClientAuth::anonymous())?
        .json()
        .param("accessKeyId", key.id)?
        .secret_param("accessKeySecret", key.secret)
}

/// UserHub's refresh: JSON with the refresh token, and other names in the answer than anywhere else. `area` and `persist` are
/// as for [`user_hub_grant`] and [`RefreshToken::new`].
///
/// # Errors
///
/// If `area` is no name of an area; if the refresh token is known to be empty or not there.
pub fn user_hub_refresh<F, Fut, P>(
    http: impl HttpClient,
    area: &str,
    refresh_token: impl Into<Secret>,
    persist: F,
) -> Result<RefreshToken, Error>
where
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), P>> + Send + 'static,
    P: Into<BoxError>,
{
    let request = TokenRequest::new(http, user_hub(area, "public/user/refresh")?, ClientAuth::anonymous())?
        .json()
        .access_token_at("/token")?
        .expires_in_at("/tokenExpirationTimeSec")?
        .refresh_token_at("/refreshToken")?;
    RefreshToken::with_request(request, "token", refresh_token, persist)
}

/// The legacy central way: the password grant, written as JSON. The API is where the answer says, see
/// [`api_url`](super::api_url). For an `endpoint` of
/// `https://api.incontact.com/InContactAuthorizationServer/Token`, `auth` is
/// [`ClientAuth::basic_raw`] with `app@vendor` as its id, and the business unit's number as its secret.
///
/// # Errors
///
/// As [`TokenRequest::new`]; if the password is known to be empty or not there.
pub fn central_grant<E>(
    http: impl HttpClient,
    endpoint: E,
    auth: ClientAuth,
    username: impl AsRef<str>,
    password: impl Into<Secret>,
) -> Result<TokenRequest, Error>
where
    E: TryInto<TokenEndpoint, Error: Into<Error>>,
{
    TokenRequest::new(http, endpoint, auth)?
        .json()
        .grant_type("password")
        .param("username", username)?
        .secret_param("password", password)
}

/// An area is one label of a host name: nothing else may come into the URL that the key is sent to.
fn user_hub(area: &str, path: &str) -> Result<TokenEndpoint, Error> {
    let label = (1..=63).contains(&area.len()) && area.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !label {
        return Err(Error::config("an area of CXone is a short name such as na1"));
    }
    TokenEndpoint::new(format!("https://{area}.nice-incontact.com/{path}"))
}
