//! How a client shows who it is (RFC 6749 §2.3).

use std::fmt;

#[cfg(feature = "jwt")]
use super::assertion::{Algorithm, ClientAssertion, ClientSecret};
use super::{message::Message, secret::Secret, token_endpoint::TokenEndpoint};
use crate::error::Error;

/// The client's id and how it proves to be that client. Exactly one method is used (RFC 6749 §2.3).
///
/// A secret is anything that is a [`Secret`]: text, or where it is kept. `Debug` shows the id and the method, never the
/// secret, which is wiped on drop.
#[derive(Clone)]
pub struct ClientAuth {
    id: String,
    method: Method,
}

#[derive(Clone)]
enum Method {
    Basic(Secret),
    RawBasic(Secret),
    Post(Secret),
    Assertion(Secret),
    #[cfg(feature = "jwt")]
    PrivateKeyJwt(ClientAssertion),
    #[cfg(feature = "jwt")]
    SecretJwt(Secret, ClientAssertion<ClientSecret>),
    Tls,
    None,
    Anonymous,
}

// === impl ClientAuth ===

impl ClientAuth {
    /// `client_secret_basic`: id and secret form-encoded, with a space as `%20`, in the `Authorization` header
    /// (RFC 6749 §2.3.1). What every authorization server has to support.
    pub fn basic(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { id: id.into(), method: Method::Basic(secret.into()) }
    }

    /// As [`basic`](Self::basic), but without form encoding: for servers that do not decode it, such as Glewlwyd, if the
    /// id or the secret has characters other than letters, digits, `*`, `-`, `.` and `_`.
    pub fn basic_raw(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { id: id.into(), method: Method::RawBasic(secret.into()) }
    }

    /// `client_secret_post`: id and secret in the body.
    pub fn post(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { id: id.into(), method: Method::Post(secret.into()) }
    }

    /// `private_key_jwt` with an assertion that somebody else has signed (RFC 7523 §2.2), looked up for every token request:
    /// workload identity, as in Kubernetes (`Secret::file("/var/run/secrets/tokens/…")`) or GitHub Actions
    /// ([`Secret::from_fn`]).
    pub fn assertion(id: impl Into<String>, assertion: impl Into<Secret>) -> Self {
        Self { id: id.into(), method: Method::Assertion(assertion.into()) }
    }

    /// `private_key_jwt`: an assertion signed for every token request (RFC 7523 §2.2), which RFC 9700 §2.5 recommends. The
    /// server knows the public key only.
    ///
    /// ```
    /// use tower_oauth2::grant::{ClientAuth, ClientCredentials, TokenEndpoint};
    /// use tower_oauth2::grant::assertion::{Algorithm, ClientAssertion, SigningKey};
    ///
    /// # let http = tower::service_fn(|_| async { Ok::<_, tower::BoxError>(http::Response::new(String::new())) });
    /// # let pem = "-----BEGIN PRIVATE KEY-----
    /// # MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
    /// # -----END PRIVATE KEY-----"; // the example of RFC 8410
    /// let key = SigningKey::from_pem(Algorithm::EdDSA, pem)?.with_key_id("2026-11");
    /// let auth = ClientAuth::private_key_jwt("exporter", ClientAssertion::new(key));
    /// // The issuer is the audience of the assertion; metadata would know it.
    /// let endpoint = TokenEndpoint::new("https://login.example.com/token")?.issuer("https://login.example.com");
    /// let grant = ClientCredentials::new(http, endpoint, auth)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "jwt")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwt")))]
    pub fn private_key_jwt(id: impl Into<String>, assertion: ClientAssertion) -> Self {
        Self { id: id.into(), method: Method::PrivateKeyJwt(assertion) }
    }

    /// `client_secret_jwt`: an assertion signed with the client secret, HS256, so that the secret itself is not sent (OpenID
    /// Connect Core §9).
    #[cfg(feature = "jwt")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwt")))]
    pub fn client_secret_jwt(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self::client_secret_jwt_as(id, secret, ClientAssertion::hmac(Algorithm::HS256))
    }

    /// As [`client_secret_jwt`](Self::client_secret_jwt), with an assertion of another algorithm, audience or lifetime.
    #[cfg(feature = "jwt")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwt")))]
    pub fn client_secret_jwt_as(
        id: impl Into<String>,
        secret: impl Into<Secret>,
        assertion: ClientAssertion<ClientSecret>,
    ) -> Self {
        Self { id: id.into(), method: Method::SecretJwt(secret.into(), assertion) }
    }

    /// `tls_client_auth` or `self_signed_tls_client_auth`: the certificate of the TLS connection says who is calling, and the
    /// id is sent in the body (RFC 8705 §2). The HTTP client has to present the certificate, also to the API: a token
    /// obtained this way may be bound to it (§3). An `mtls_endpoint_aliases` of [`Metadata`](super::Metadata) is used (§5).
    pub fn tls(id: impl Into<String>) -> Self {
        Self { id: id.into(), method: Method::Tls }
    }

    /// No secret, the id in the body only: for public clients, and where the network says who is calling.
    pub fn none(id: impl Into<String>) -> Self {
        Self { id: id.into(), method: Method::None }
    }

    /// Neither id nor secret: for token endpoints that know no clients, where a parameter says it all.
    pub fn anonymous() -> Self {
        Self { id: String::new(), method: Method::Anonymous }
    }

    /// The client's id; empty for [`anonymous`](Self::anonymous).
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self.method, Method::Tls)
    }

    /// The names of RFC 7591 and RFC 8705 that a server may know the method by.
    pub(super) fn names(&self) -> &'static [&'static str] {
        match self.method {
            Method::Basic(_) | Method::RawBasic(_) => &["client_secret_basic"],
            Method::Post(_) => &["client_secret_post"],
            Method::Assertion(_) => &["private_key_jwt"],
            #[cfg(feature = "jwt")]
            Method::PrivateKeyJwt(_) => &["private_key_jwt"],
            #[cfg(feature = "jwt")]
            Method::SecretJwt(..) => &["client_secret_jwt"],
            Method::Tls => &["tls_client_auth", "self_signed_tls_client_auth"],
            Method::None => &["none"],
            Method::Anonymous => &[],
        }
    }

    /// What can be known to be wrong before anything is asked.
    pub(super) fn check(&self, endpoint: &TokenEndpoint) -> Result<(), Error> {
        if self.id.is_empty() && !matches!(self.method, Method::Anonymous) {
            return Err(Error::config("the client id is empty"));
        }
        match &self.method {
            Method::RawBasic(_) if self.id.contains(':') => {
                return Err(Error::config("a client id with a colon cannot be sent with raw Basic authentication"));
            }
            Method::Basic(secret) | Method::RawBasic(secret) | Method::Post(secret) => secret.check("client secret")?,
            Method::Assertion(assertion) => assertion.check("client assertion")?,
            #[cfg(feature = "jwt")]
            Method::PrivateKeyJwt(assertion) => assertion.check(endpoint.known_issuer().is_some())?,
            #[cfg(feature = "jwt")]
            Method::SecretJwt(secret, assertion) => {
                secret.check("client secret")?;
                secret.text().map_or(Ok(()), |secret| assertion.check_secret(secret.as_bytes()))?;
                assertion.check(endpoint.known_issuer().is_some())?;
            }
            Method::Tls | Method::None | Method::Anonymous => {}
        }
        endpoint.check(self.names())
    }

    /// Says who we are, anew for every message: an assertion must not be sent twice.
    pub(super) async fn apply(&self, message: &mut Message, endpoint: &TokenEndpoint) -> Result<(), Error> {
        match &self.method {
            Method::Basic(secret) => return message.basic(&self.id, &secret.read().await?, true),
            Method::RawBasic(secret) => return message.basic(&self.id, &secret.read().await?, false),
            Method::Post(secret) => {
                message.push("client_id", &self.id);
                message.push_secret("client_secret", &secret.read().await?);
            }
            Method::Assertion(assertion) => self.assert(message, &assertion.read().await?),
            #[cfg(feature = "jwt")]
            Method::PrivateKeyJwt(assertion) => {
                let jwt = assertion.make(&self.id, &endpoint.url(self), endpoint.known_issuer()).await?;
                self.assert(message, &jwt);
            }
            #[cfg(feature = "jwt")]
            Method::SecretJwt(secret, assertion) => {
                let secret = secret.read().await?;
                message.secret(&secret);
                let jwt =
                    assertion.make_hmac(secret.as_bytes(), &self.id, &endpoint.url(self), endpoint.known_issuer())?;
                self.assert(message, &jwt);
            }
            Method::Tls | Method::None => message.push("client_id", &self.id),
            Method::Anonymous => {}
        }
        let _only_assertions_name_it = endpoint;
        Ok(())
    }

    /// RFC 7521 §4.2. The id may be left out, and some servers want it.
    fn assert(&self, message: &mut Message, assertion: &str) {
        message.push("client_id", &self.id);
        message.push("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        message.push_secret("client_assertion", assertion);
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match &self.method {
            Method::RawBasic(_) => "client_secret_basic (raw)",
            _ => self.names().first().copied().unwrap_or("anonymous"),
        };
        f.debug_struct("ClientAuth").field("id", &self.id).field("method", &method).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use http::header::AUTHORIZATION;

    use super::*;
    use crate::grant::message::Encoding;

    fn endpoint() -> TokenEndpoint {
        TokenEndpoint::new("https://login.example.com/token").unwrap()
    }

    async fn sent(auth: &ClientAuth) -> (Option<String>, String) {
        let mut message = Message::default();
        auth.apply(&mut message, &endpoint()).await.unwrap();
        let (headers, body, _) = message.finish(Encoding::Form);
        let basic = headers.get(AUTHORIZATION).map(|value| {
            assert!(value.is_sensitive());
            let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
            String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
        });
        (basic, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn basic_encodes_id_and_secret_before_joining_them() {
        let auth = ClientAuth::basic("a:b c", "p+w%/=é");
        assert_eq!(sent(&auth).await, (Some("a%3Ab%20c:p%2Bw%25%2F%3D%C3%A9".into()), String::new()));
        let raw = ClientAuth::basic_raw("id", "p w+:");
        assert_eq!(sent(&raw).await, (Some("id:p w+:".into()), String::new()));
    }

    #[tokio::test]
    async fn what_is_sent_in_the_body_is_sent_there_only() {
        assert_eq!(sent(&ClientAuth::post("i d", "s&t")).await, (None, "client_id=i+d&client_secret=s%26t".into()));
        assert_eq!(sent(&ClientAuth::none("id")).await, (None, "client_id=id".into()));
        assert_eq!(sent(&ClientAuth::tls("id")).await, (None, "client_id=id".into()));
        assert_eq!(sent(&ClientAuth::anonymous()).await, (None, String::new()));
        let assertion = "client_id=id&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3A\
                         jwt-bearer&client_assertion=a.b.c";
        assert_eq!(sent(&ClientAuth::assertion("id", "a.b.c")).await, (None, assertion.into()));
    }

    #[test]
    fn what_cannot_work_is_refused_before_it_is_sent() {
        let check = |auth: ClientAuth| auth.check(&endpoint());
        assert!(check(ClientAuth::basic("", "x")).is_err());
        assert!(check(ClientAuth::post("x", "")).is_err());
        assert!(check(ClientAuth::assertion("x", "")).is_err());
        assert!(check(ClientAuth::tls("")).is_err());
        assert!(check(ClientAuth::basic_raw("a:b", "x")).is_err());
        assert!(check(ClientAuth::basic("a:b", "x")).is_ok());
        assert!(check(ClientAuth::none("x")).is_ok());
        assert!(check(ClientAuth::anonymous()).is_ok());
    }

    #[cfg(feature = "jwt")]
    #[tokio::test]
    async fn an_assertion_is_made_anew_for_every_message_and_known_as_a_secret() {
        let secret = "a secret of at least thirty-two bytes";
        let auth = ClientAuth::client_secret_jwt("id", secret);
        assert!(auth.check(&endpoint()).unwrap_err().is_config(), "nobody knows the issuer");
        let endpoint = endpoint().issuer("https://login.example.com");
        auth.check(&endpoint).unwrap();
        assert!(ClientAuth::client_secret_jwt("id", "short").check(&endpoint).unwrap_err().is_config());
        let mut bodies = Vec::new();
        for _ in 0..2 {
            let mut message = Message::default();
            auth.apply(&mut message, &endpoint).await.unwrap();
            let (_, body, sent) = message.finish(Encoding::Form);
            let body = String::from_utf8(body.to_vec()).unwrap();
            let assertion = body.rsplit_once("&client_assertion=").unwrap().1.to_owned();
            assert!(sent.is_echoed_in(&assertion) && sent.is_echoed_in(secret) && !body.contains(secret));
            bodies.push(body);
        }
        assert_ne!(bodies[0], bodies[1]);
    }

    #[test]
    fn debug_shows_no_secret() {
        for auth in [
            ClientAuth::basic("id", "canary"),
            ClientAuth::basic_raw("id", "canary"),
            ClientAuth::post("id", "canary"),
            ClientAuth::assertion("id", "canary"),
        ] {
            assert!(!format!("{auth:?} {auth:#?}").contains("canary"));
        }
    }
}
