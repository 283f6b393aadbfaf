//! Where tokens are asked for.

use std::{convert::Infallible, fmt};

use http::Uri;

use super::client_auth::ClientAuth;
use crate::{error::Error, origin::Origin, text::clean};

/// The token endpoint of an authorization server (RFC 6749 §3.2), and what is known of it.
///
/// A URL is enough: the grants take a `&str` or `String` as well. [`Metadata`](super::Metadata) knows more.
///
/// ```
/// use tower_oauth2::grant::TokenEndpoint;
///
/// assert!(TokenEndpoint::new("https://login.example.com/oauth/token").is_ok());
/// assert!(TokenEndpoint::new("http://login.example.com/oauth/token").is_err());
/// ```
#[derive(Clone)]
pub struct TokenEndpoint {
    uri: Uri,
    mtls: Option<Uri>,
    issuer: Option<Box<str>>,
    methods: Option<Box<[String]>>,
}

// === impl TokenEndpoint ===

impl TokenEndpoint {
    /// At `url`, which is absolute; a query in it is kept.
    ///
    /// # Errors
    ///
    /// If `url` is not an absolute URL, has a fragment or credentials, or is http and not loopback (RFC 6749 §3.2).
    pub fn new(url: impl AsRef<str>) -> Result<Self, Error> {
        Ok(Self::at(secure(url.as_ref(), "token")?))
    }

    /// At `url`, over http to any host: everybody on the way can read the client secret and the token.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), but for http.
    pub fn danger_plain_http(url: impl AsRef<str>) -> Result<Self, Error> {
        Ok(Self::at(absolute(url.as_ref(), "token")?.0))
    }

    /// The issuer identifier of its authorization server (RFC 8414 §2): what assertions name as their audience. None by
    /// default; [`Metadata`](super::Metadata) knows it.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into().into());
        self
    }

    /// Asks at the alias for mutual TLS, if the server's metadata name one, however the client authenticates: for a token that
    /// is bound to the certificate of the connection (RFC 8705 §3 to §5). By default only a client that authenticates by
    /// [TLS](ClientAuth::tls) does.
    #[must_use]
    pub fn over_mtls(mut self) -> Self {
        self.uri = self.mtls.clone().unwrap_or(self.uri);
        self
    }

    pub(super) fn with_mtls_alias(mut self, uri: Option<Uri>) -> Self {
        self.mtls = uri;
        self
    }

    pub(super) fn with_methods(mut self, methods: Option<Box<[String]>>) -> Self {
        self.methods = methods;
        self
    }

    /// Where a client that authenticates as `auth` asks.
    pub(super) fn uri(&self, auth: &ClientAuth) -> &Uri {
        self.mtls.as_ref().filter(|_| auth.is_tls()).unwrap_or(&self.uri)
    }

    #[cfg(feature = "jwt")]
    pub(super) fn url(&self, auth: &ClientAuth) -> String {
        self.uri(auth).to_string()
    }

    #[cfg(feature = "jwt")]
    pub(super) fn known_issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Whether the server knows one of these methods, or does not say which it knows.
    pub(super) fn check(&self, names: &[&str]) -> Result<(), Error> {
        let Some(known) = self.methods.as_deref() else { return Ok(()) };
        if names.is_empty() || known.iter().any(|known| names.contains(&known.as_str())) {
            return Ok(());
        }
        let known = clean(&known.join(", "), 200);
        Err(Error::config(format!(
            "the authorization server does not take {}, but: {known}; for one that does not say all it takes, use its token URL",
            names.join(" or ")
        )))
    }

    pub(super) fn at(uri: Uri) -> Self {
        Self { uri, mtls: None, issuer: None, methods: None }
    }
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may carry anything.
        f.debug_struct("TokenEndpoint")
            .field("host", &self.uri.host())
            .field("path", &self.uri.path())
            .field("issuer", &self.issuer)
            .field("methods", &self.methods)
            .finish_non_exhaustive()
    }
}

impl TryFrom<&str> for TokenEndpoint {
    type Error = Error;

    fn try_from(url: &str) -> Result<Self, Error> {
        Self::new(url)
    }
}

impl TryFrom<String> for TokenEndpoint {
    type Error = Error;

    fn try_from(url: String) -> Result<Self, Error> {
        Self::new(url)
    }
}

impl TryFrom<&String> for TokenEndpoint {
    type Error = Error;

    fn try_from(url: &String) -> Result<Self, Error> {
        Self::new(url)
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Reads the URL of the `what` endpoint: one that nobody on the way can read along to.
pub(crate) fn secure(url: &str, what: &str) -> Result<Uri, Error> {
    let (uri, origin) = absolute(url, what)?;
    if origin.is_trustworthy() {
        return Ok(uri);
    }
    // A server may have named it.
    let origin = clean(&origin.to_string(), 200);
    Err(Error::config(format!("a {what} request to {origin} would carry secrets in clear text: use https")))
}

pub(super) fn absolute(url: &str, what: &str) -> Result<(Uri, Origin), Error> {
    let url = url.trim();
    if url.contains('#') {
        return Err(Error::config(format!("the {what} URL must not have a fragment")));
    }
    let absolute = || format!("the {what} URL must be absolute, such as https://login.example.com/oauth/token");
    let uri: Uri = url.parse().map_err(|error| Error::config(absolute()).with_source(error))?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Error::config(format!("the {what} URL must not carry a user name or password: use ClientAuth")));
    }
    let origin = Origin::of(&uri).ok_or_else(|| Error::config(absolute()))?;
    Ok((uri, origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "jwt")]
    #[test]
    fn its_url_is_what_it_was_given() {
        let endpoint = TokenEndpoint::new("https://login.example.com/t?a=b").unwrap();
        assert_eq!(endpoint.url(&ClientAuth::none("id")), "https://login.example.com/t?a=b");
    }

    #[test]
    fn debug_shows_no_query() {
        let endpoint = TokenEndpoint::new("https://login.example.com/token?key=canary").unwrap();
        let endpoint = endpoint.with_mtls_alias("https://mtls.example.com/token?key=canary".parse().ok());
        assert!(!format!("{endpoint:?}").contains("canary"));
        assert_eq!(endpoint.clone().over_mtls().uri(&ClientAuth::none("id")).host(), Some("mtls.example.com"));
        assert_eq!(endpoint.uri(&ClientAuth::none("id")).host(), Some("login.example.com"));
    }

    #[test]
    fn a_long_host_makes_no_long_error() {
        let error = TokenEndpoint::new(format!("http://{}/", "a".repeat(60_000))).unwrap_err();
        assert!(
            error.to_string().contains("http://aaa") && error.to_string().len() < 400,
            "{}",
            error.to_string().len()
        );
    }
}
