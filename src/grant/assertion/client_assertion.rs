//! What is signed, and when.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{
    algorithm::Algorithm,
    audience::Audience,
    client_secret::ClientSecret,
    sign::{SharedKey, SignAssertion},
};
use crate::error::{Error, Kind};

/// How a client proves who it is without sending a secret: a JWT that it signs anew for every token request
/// (RFC 7521, RFC 7523).
///
/// Its claims are `iss` and `sub`, both the client id; `aud`, the [`Audience`]; `jti`, 128 random bits; `iat`, the time it is
/// made at; and `exp`. There is no `nbf`: it would only make a server refuse whose clock is a second behind.
///
/// Clones share the key, so that [`replace_key`](Self::replace_key) reaches a grant that is in use. See the
/// [module](super) for examples.
#[derive(Clone)]
#[must_use = "an assertion does nothing until a grant sends it"]
pub struct ClientAssertion<K = SharedKey> {
    key: K,
    header_type: String,
    audience: Audience,
    lifetime: Duration,
    key_id: bool,
    claims: Map<String, Value>,
    clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

// === impl ClientAssertion ===

impl ClientAssertion {
    /// Signed with `key`: `private_key_jwt`.
    pub fn new(key: impl SignAssertion) -> Self {
        Self::with(SharedKey::new(key))
    }

    /// Signs with `key` from the next token request on, in all clones. One that is being made is finished with the old key,
    /// so the server has to know both for as long as a token request takes.
    pub fn replace_key(&self, key: impl SignAssertion) {
        self.key.replace(key);
    }

    /// The assertion for one token request: made anew for each, since servers take a `jti` once.
    pub(in crate::grant) async fn make(
        &self,
        client_id: &str,
        token_endpoint: &str,
        issuer: Option<&str>,
    ) -> Result<Zeroizing<String>, Error> {
        // Taken once, so that the header and the signature are of the same key.
        let key = self.key.current();
        let algorithm = key.algorithm();
        let audience = self.audience.resolve(token_endpoint, issuer)?;
        let input = self.signing_input(algorithm, key.key_id(), client_id, audience)?;
        let signature = key.sign(input.as_bytes()).await.map_err(unsigned)?;
        seal(input, algorithm, &signature)
    }
}

impl ClientAssertion<ClientSecret> {
    /// Signed with the client secret of the grant: `client_secret_jwt`. The secret itself is not sent, but the server has to
    /// keep it readable, and everybody who sees an assertion can try to guess it: prefer a private key.
    ///
    /// # Errors
    ///
    /// If `algorithm` is none of `HS256`, `HS384` and `HS512`.
    pub fn with_client_secret(algorithm: Algorithm) -> Result<Self, Error> {
        if !algorithm.is_hmac() {
            return Err(Error::config(format!("{algorithm} signs with a private key: use ClientAssertion::new")));
        }
        Ok(Self::hmac(algorithm))
    }

    pub(in crate::grant) fn hmac(algorithm: Algorithm) -> Self {
        Self::with(ClientSecret { algorithm, short: false })
    }

    /// Signs with a client secret that is shorter than the algorithm's hash (32, 48 or 64 bytes), which RFC 7518 §3.2 forbids
    /// and by default is an error: whoever sees an assertion can guess such a secret without asking the server.
    pub fn danger_short_secret(mut self) -> Self {
        self.key.short = true;
        self
    }

    /// As the other `make`, with the secret of now.
    pub(in crate::grant) fn make_hmac(
        &self,
        secret: &[u8],
        client_id: &str,
        token_endpoint: &str,
        issuer: Option<&str>,
    ) -> Result<Zeroizing<String>, Error> {
        self.check_secret(secret)?;
        let algorithm = self.key.algorithm;
        let audience = self.audience.resolve(token_endpoint, issuer)?;
        let input = self.signing_input(algorithm, None, client_id, audience)?;
        let signature = self.key.sign(secret, input.as_bytes());
        seal(input, algorithm, signature.as_ref())
    }

    /// Whether the secret can sign: for one that is known when the grant is made.
    pub(in crate::grant) fn check_secret(&self, secret: &[u8]) -> Result<(), Error> {
        self.key.check(secret)
    }
}

impl<K> ClientAssertion<K> {
    fn with(key: K) -> Self {
        Self {
            key,
            header_type: "JWT".to_owned(),
            audience: Audience::issuer(),
            lifetime: Duration::from_secs(60),
            key_id: true,
            claims: Map::new(),
            clock: Arc::new(SystemTime::now),
        }
    }

    /// The `aud` claim. Defaults to [`Audience::issuer`].
    pub fn audience(mut self, audience: Audience) -> Self {
        self.audience = audience;
        self
    }

    /// The `typ` header. Defaults to `JWT`, which nearly every server takes.
    ///
    /// RFC 7523bis has `client-authentication+jwt` instead. PingFederate and HelseID want it; Microsoft Entra ID, and what
    /// verifies with Nimbus as it comes, refuse it.
    pub fn header_type(mut self, name: impl Into<String>) -> Self {
        self.header_type = name.into();
        self
    }

    /// How long it is valid: `exp` is so much after `iat`. Defaults to 60 s; one second at the least, ten minutes at the most.
    /// Whole seconds count.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime.clamp(Duration::from_secs(1), Duration::from_secs(600));
        self
    }

    /// Leaves the `kid` header out, even if the key has an id. By default the key decides; an assertion that is signed with
    /// the client secret has none.
    pub fn without_key_id(mut self) -> Self {
        self.key_id = false;
        self
    }

    /// One more claim. None by default.
    ///
    /// # Errors
    ///
    /// If the claim is one of those that this crate sets, `nbf`, or empty, if it was given before, or if `value` cannot be
    /// JSON.
    pub fn claim(mut self, name: impl Into<String>, value: impl Serialize) -> Result<Self, Error> {
        let name = name.into();
        if RESERVED.contains(&name.as_str()) {
            return Err(Error::config(format!("the claim {name} is set by this crate")));
        }
        if name.is_empty() || self.claims.contains_key(&name) {
            return Err(Error::config(format!("the claim {name:?} is empty or was given before")));
        }
        let value = serde_json::to_value(value)
            .map_err(|error| Error::config(format!("the claim {name:?} cannot be JSON")).with_source(error))?;
        self.claims.insert(name, value);
        Ok(self)
    }

    /// Tells the time, for `iat` and `exp`. Defaults to the system's clock.
    pub fn clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(now);
        self
    }

    /// Whether there can be an assertion, for a grant to find out when it is made.
    pub(in crate::grant) fn check(&self, issuer_is_known: bool) -> Result<(), Error> {
        self.audience.check(issuer_is_known)
    }

    fn signing_input(
        &self,
        algorithm: Algorithm,
        key_id: Option<&str>,
        client_id: &str,
        audience: &str,
    ) -> Result<Zeroizing<String>, Error> {
        let now = (self.clock)().duration_since(UNIX_EPOCH);
        let now = now.map_err(|_| Error::config("the clock is before 1970: set it"))?.as_secs();
        let mut header = json!({ "alg": algorithm.as_str(), "typ": self.header_type });
        if let Some(key_id) = key_id.filter(|_| self.key_id) {
            header["kid"] = key_id.into();
        }
        let mut claims = self.claims.clone();
        for (name, value) in [
            ("iss", Value::from(client_id)),
            ("sub", client_id.into()),
            ("aud", audience.into()),
            ("jti", unguessable()?.into()),
            ("iat", now.into()),
            ("exp", (now + self.lifetime.as_secs()).into()),
        ] {
            claims.insert(name.to_owned(), value);
        }
        let (header, claims) = (header.to_string(), Zeroizing::new(Value::Object(claims).to_string()));
        // Sized for the signature as well, so that no shorter copy is left behind by a reallocation.
        let length = (header.len() + claims.len() + MAX_SIGNATURE) * 4 / 3 + 16;
        let mut input = Zeroizing::new(String::with_capacity(length));
        URL_SAFE_NO_PAD.encode_string(header, &mut input);
        input.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.as_bytes(), &mut input);
        Ok(input)
    }
}

impl<K: fmt::Debug> fmt::Debug for ClientAssertion<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claims: Vec<_> = self.claims.keys().collect();
        f.debug_struct("ClientAssertion")
            .field("key", &self.key)
            .field("audience", &self.audience)
            .field("header_type", &self.header_type)
            .field("lifetime", &self.lifetime)
            .field("claims", &claims)
            .finish_non_exhaustive()
    }
}

/// 128 bits of the system's random numbers: whoever could guess the next `jti` could use it up.
fn unguessable() -> Result<String, Error> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Error::transient("the system has no randomness for the `jti` of an assertion"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A key service may need a token of its own: a refusal of that one is none of this client.
fn unsigned(error: Error) -> Error {
    let what = || Kind::Secret("the client assertion could not be signed".into());
    if error.is_config() { error } else { Error::new(what()).caused_by(error) }
}

fn seal(mut input: Zeroizing<String>, algorithm: Algorithm, signature: &[u8]) -> Result<Zeroizing<String>, Error> {
    algorithm.check(signature)?;
    input.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut input);
    Ok(input)
}

/// Of RSA with 4096 bits, in bytes. A longer one costs a reallocation.
const MAX_SIGNATURE: usize = 512;
const RESERVED: [&str; 7] = ["iss", "sub", "aud", "jti", "iat", "exp", "nbf"];
