//! What an authorization server publishes about itself (RFC 8414, OpenID Connect Discovery 1.0).

use std::fmt;

use http::Uri;
use serde::de::DeserializeOwned;

use super::{
    client_auth::ClientAuth,
    document,
    secret::Secret,
    token_endpoint::{TokenEndpoint, absolute, secure},
    transport::HttpClient,
};
use crate::{
    error::{Error, Kind},
    json,
    text::clean,
};

/// The metadata of an authorization server. Wherever a grant takes a token URL, it takes `&Metadata` as well: it asks at the
/// token endpoint that is named there, or for a client that [authenticates by TLS](ClientAuth::tls) at its alias for that
/// (RFC 8705 §5); it refuses a kind of client authentication that the server does not take; and assertions name the
/// issuer as their audience.
///
/// ```
/// use tower_oauth2::grant::{ClientCredentials, Metadata};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let http = tower::service_fn(|request: http::Request<_>| async move {
/// #     assert_eq!(request.uri(), "https://login.example.com/.well-known/oauth-authorization-server/acme");
/// #     let text = r#"{"issuer":"https://login.example.com/acme","token_endpoint":"https://login.example.com/acme/token"}"#;
/// #     Ok::<_, tower::BoxError>(http::Response::new(text.to_owned()))
/// # });
///
/// let metadata = Metadata::discover(http.clone(), "https://login.example.com/acme").await?;
/// let auth = metadata.client_secret("exporter", "s3cr3t")?;
/// let grant = ClientCredentials::new(http, &metadata, auth)?;
/// # Ok::<(), tower_oauth2::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Metadata {
    issuer: String,
    token_endpoint: TokenEndpoint,
    auth_methods: Option<Box<[String]>>,
    document: Box<[u8]>,
}

/// Whether URLs with http are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plain {
    Refused,
    Danger,
}

// === impl Metadata ===

impl Metadata {
    /// Fetches the metadata of `issuer`: an absolute URL without query and fragment, spelled as the server spells it.
    ///
    /// Asked are, until one answers with a document that can be used, the places of RFC 8414 §3.1 (`/.well-known/oauth-authorization-server`
    /// before the issuer's path), of OpenID Connect Discovery §4 (`/.well-known/openid-configuration` after it) and of
    /// RFC 8414 §5 (the same before it). At most 256 KiB are read, 10 s are waited in all, redirects are not followed, and
    /// a failure that may pass is tried three times, a second apart.
    ///
    /// # Errors
    ///
    /// Permanent, if `issuer` is no such URL, or http and not loopback; if there is no document in any of these places, or
    /// it names another issuer (RFC 8414 §3.3) or no token endpoint that is fit to be used. Transient, if the server cannot
    /// be reached, or fails, or answers with something broken.
    ///
    /// # Cancellation
    ///
    /// Safe at any point.
    pub async fn discover(http: impl HttpClient, issuer: impl AsRef<str>) -> Result<Self, Error> {
        Self::fetch(http, issuer.as_ref(), Plain::Refused).await
    }

    /// As [`discover`](Self::discover), over http to any host: everybody on the way can say where the secret is to be sent.
    ///
    /// # Errors
    ///
    /// As [`discover`](Self::discover), but for http.
    pub async fn danger_plain_http(http: impl HttpClient, issuer: impl AsRef<str>) -> Result<Self, Error> {
        Self::fetch(http, issuer.as_ref(), Plain::Danger).await
    }

    /// The issuer identifier.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where tokens are asked for, with all that the metadata says about it.
    pub fn token_endpoint(&self) -> TokenEndpoint {
        self.token_endpoint.clone()
    }

    /// The names of the kinds of client authentication that the token endpoint takes; `client_secret_basic` where the server
    /// does not say (RFC 8414 §2).
    pub fn auth_methods(&self) -> impl Iterator<Item = &str> {
        let unsaid = self.auth_methods.is_none().then_some("client_secret_basic");
        self.auth_methods.iter().flatten().map(String::as_str).chain(unsaid)
    }

    /// Authentication with a client secret, in the way that the server takes: [`basic`](ClientAuth::basic), or else
    /// [`post`](ClientAuth::post), or else, with the feature `jwt`, `client_secret_jwt`.
    ///
    /// # Errors
    ///
    /// If the server takes none of them.
    pub fn client_secret(&self, id: impl Into<String>, secret: impl Into<Secret>) -> Result<ClientAuth, Error> {
        let (id, secret) = (id.into(), secret.into());
        let ways = [
            ClientAuth::basic(id.clone(), secret.clone()),
            #[cfg(feature = "jwt")]
            ClientAuth::post(id.clone(), secret.clone()),
            #[cfg(feature = "jwt")]
            ClientAuth::client_secret_jwt(id, secret),
            #[cfg(not(feature = "jwt"))]
            ClientAuth::post(id, secret),
        ];
        let taken = |auth: &ClientAuth| self.auth_methods().any(|known| auth.names().contains(&known));
        ways.into_iter().find(taken).ok_or_else(|| {
            let known = clean(&self.auth_methods().collect::<Vec<_>>().join(", "), 200);
            Error::config(format!("the authorization server takes no client secret, but: {known}"))
        })
    }

    /// A member of the document, such as `scopes_supported`. `None` if there is none by that name or it is not a `T`.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        json::member(&self.document, name)
    }

    /// Reads a document that came from the issuer's own host, https.
    #[cfg(fuzzing)]
    pub(super) fn parse(issuer: &str, document: &[u8]) -> Result<Self, Error> {
        let host = super::transport::host(places(issuer, Plain::Refused)?.first().unwrap_or(&Uri::default()));
        Self::read(issuer, &host, document, Plain::Refused)
    }

    async fn fetch(http: impl HttpClient, issuer: &str, plain: Plain) -> Result<Self, Error> {
        let places = places(issuer, plain)?;
        document::fetch(http, &places, |host, document| Self::read(issuer, host, document, plain)).await
    }

    /// Reads a document that `host` answered with. Pure.
    fn read(issuer: &str, host: &str, document: &[u8], plain: Plain) -> Result<Self, Error> {
        let unusable = |problem: String| Error::new(Kind::Metadata { host: host.into(), problem: problem.into() });
        let members = Members::read(document).map_err(|error| {
            let place = format!("(line {}, column {})", error.line(), error.column());
            unusable(format!("is not the JSON it should be {place}")).with_transient(true)
        })?;
        let Some(said) = members.issuer else { return Err(unusable("names no issuer".into())) };
        if said != issuer {
            let said = clean(&said, 200);
            return Err(unusable(format!(
                "is about {said}, not about {issuer} (RFC 8414 §3.3): they must be spelled alike"
            )));
        }
        let endpoint = |url: &str| {
            let uri =
                if plain == Plain::Danger { absolute(url, "token").map(|(uri, _)| uri) } else { secure(url, "token") };
            uri.map_err(|error| unusable("names a token endpoint that cannot be used".into()).with_source(error))
        };
        let Some(url) = members.token_endpoint else { return Err(unusable("names no token endpoint".into())) };
        let alias = members.mtls_token_endpoint.map(|url| endpoint(&url)).transpose()?;
        let token_endpoint = TokenEndpoint::at(endpoint(&url)?)
            .issuer(issuer)
            .with_mtls_alias(alias)
            .with_methods(members.auth_methods.clone());
        let document = document.into();
        Ok(Self { issuer: issuer.to_owned(), token_endpoint, auth_methods: members.auth_methods, document })
    }
}

impl From<&Metadata> for TokenEndpoint {
    fn from(metadata: &Metadata) -> Self {
        metadata.token_endpoint()
    }
}

impl From<Metadata> for TokenEndpoint {
    fn from(metadata: Metadata) -> Self {
        metadata.token_endpoint
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

struct Members {
    issuer: Option<String>,
    token_endpoint: Option<String>,
    mtls_token_endpoint: Option<String>,
    auth_methods: Option<Box<[String]>>,
}

// === impl Members ===

impl Members {
    fn read(document: &[u8]) -> Result<Self, serde_json::Error> {
        let pointers = [
            json::Pointer::member("issuer"),
            json::Pointer::member("token_endpoint"),
            json::Pointer::member("mtls_endpoint_aliases").child("token_endpoint"),
            json::Pointer::member("token_endpoint_auth_methods_supported"),
        ];
        let found = json::find(document, None, &pointers.each_ref())?;
        let [issuer, token_endpoint, mtls, methods] =
            [0, 1, 2, 3].map(|index| found.values.get(index).copied().flatten());
        let text = |value: Option<&serde_json::value::RawValue>| serde_json::from_str::<String>(value?.get()).ok();
        Ok(Self {
            issuer: text(issuer),
            token_endpoint: text(token_endpoint),
            mtls_token_endpoint: text(mtls),
            auth_methods: methods.and_then(|methods| serde_json::from_str(methods.get()).ok()),
        })
    }
}

fn places(issuer: &str, plain: Plain) -> Result<Vec<Uri>, Error> {
    let uri = if plain == Plain::Danger { absolute(issuer, "issuer")?.0 } else { secure(issuer, "issuer")? };
    if uri.query().is_some() || issuer.trim() != issuer {
        return Err(Error::config("an issuer is a URL without query, fragment and spaces (RFC 8414 §2)"));
    }
    let (base, path) = match uri.path() {
        "/" => (issuer.trim_end_matches('/'), ""),
        path => (issuer.strip_suffix(path).unwrap_or(issuer), path.trim_end_matches('/')),
    };
    let mut places = vec![
        format!("{base}/.well-known/oauth-authorization-server{path}"),
        format!("{base}{path}/.well-known/openid-configuration"),
    ];
    if !path.is_empty() {
        places.push(format!("{base}/.well-known/openid-configuration{path}"));
    }
    let place = |url: String| url.parse().map_err(|error| Error::config("the issuer is no URL").with_source(error));
    places.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_path_goes_before_the_path_of_the_issuer_and_after_it() {
        let of = |issuer: &str| -> Vec<_> {
            places(issuer, Plain::Refused).unwrap().iter().map(ToString::to_string).collect()
        };
        for root in ["https://a.example", "https://a.example/"] {
            assert_eq!(
                of(root),
                [
                    "https://a.example/.well-known/oauth-authorization-server",
                    "https://a.example/.well-known/openid-configuration"
                ]
            );
        }
        for path in ["https://a.example:8443/t/1", "https://a.example:8443/t/1/"] {
            assert_eq!(
                of(path),
                [
                    "https://a.example:8443/.well-known/oauth-authorization-server/t/1",
                    "https://a.example:8443/t/1/.well-known/openid-configuration",
                    "https://a.example:8443/.well-known/openid-configuration/t/1"
                ]
            );
        }
        for bad in ["http://a.example", "a.example", "https://a/?x", "https://a/#x", " https://a", "https://u:p@a", ""]
        {
            assert!(places(bad, Plain::Refused).is_err(), "{bad}");
        }
        assert!(places("http://a.example", Plain::Danger).is_ok());
        assert!(places("http://127.0.0.1:3000", Plain::Refused).is_ok());
    }
}
