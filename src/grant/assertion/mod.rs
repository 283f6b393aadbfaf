//! Client authentication with a signed JWT (RFC 7521, RFC 7523): `private_key_jwt` and `client_secret_jwt`.
//!
//! No secret is sent, and what is sent serves one minute, once. RFC 9700 §2.5 recommends it over client secrets.
//!
//! ```
//! use std::time::Duration;
//! use tower_oauth2::grant::assertion::{Audience, ClientAssertion, SigningKey};
//!
//! # let jwk = r#"{"kty":"OKP","crv":"Ed25519","kid":"2026-03","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
//! #     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#; // the example of RFC 8037
//! let key = SigningKey::from_jwk(jwk)?; // a secret of this program; the server has the public half
//! let assertion = ClientAssertion::new(key)
//!     .audience(Audience::token_endpoint()) // by default the issuer, which the server's metadata say
//!     .lifetime(Duration::from_secs(30));
//! # Ok::<(), tower_oauth2::Error>(())
//! ```
//!
//! # A key in a key service
//!
//! The key stays where it is: [`SignAssertion`] gets what to sign, and answers with the signature.
//!
//! ```
//! use tower_oauth2::{Error, grant::assertion::{Algorithm, ClientAssertion, SignAssertion}};
//!
//! # #[derive(Clone)] struct KeyService;
//! # impl KeyService {
//! #     async fn sign(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, std::io::Error> { Ok(Vec::new()) }
//! # }
//! struct Remote {
//!     service: KeyService,
//!     key: String,
//! }
//!
//! impl SignAssertion for Remote {
//!     fn algorithm(&self) -> Algorithm {
//!         Algorithm::ES256
//!     }
//!
//!     fn key_id(&self) -> Option<&str> {
//!         Some(&self.key)
//!     }
//!
//!     async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
//!         let der = self.service.sign(&self.key, message).await.map_err(Error::transient)?;
//!         self.algorithm().signature_from_der(&der)
//!     }
//! }
//!
//! # let service = KeyService;
//! let assertion = ClientAssertion::new(Remote { service, key: "exporter-2026-03".to_owned() });
//! ```
//!
//! # The next key
//!
//! Clones share the key: keep one, and give the grant another. First tell the server about the new public key, then replace
//! the key here, then take the old one from the server. No token request fails meanwhile, and tokens stay in use.
//!
//! ```
//! use tower_oauth2::grant::assertion::{Algorithm, ClientAssertion, SigningKey};
//!
//! # let pem = "-----BEGIN PRIVATE KEY-----
//! # MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
//! # -----END PRIVATE KEY-----"; // the example of RFC 8410
//! # let next_pem = pem;
//! let assertion = ClientAssertion::new(SigningKey::from_pem(Algorithm::EdDSA, pem)?.with_key_id("2026-03"));
//! let in_use = assertion.clone(); // by a grant
//!
//! assertion.replace_key(SigningKey::from_pem(Algorithm::EdDSA, next_pem)?.with_key_id("2026-04"));
//! assert!(format!("{in_use:?}").contains("2026-04"));
//! # Ok::<(), tower_oauth2::Error>(())
//! ```
//!
//! # What servers want
//!
//! | server | needs |
//! |---|---|
//! | any that knows RFC 7523bis | the issuer as [`Audience`], which is the default |
//! | PingFederate 13.1, HelseID | [`header_type("client-authentication+jwt")`](ClientAssertion::header_type) |
//! | Glewlwyd | [`Audience::token_endpoint`], and a key with an id |
//! | Authlib | `RS256` or `ES256` |
//! | node oidc-provider | no key id with `client_secret_jwt`, which is the default |
//!
//! # Cryptography
//!
//! Signing, and the random numbers, are those of [*ring*](https://docs.rs/ring), which the feature `client` has as well.

mod algorithm;
mod audience;
mod client_assertion;
mod client_secret;
mod der;
mod jwk;
mod key;
mod pem;
mod sign;
#[cfg(test)]
mod tests;

pub use self::{
    algorithm::Algorithm,
    audience::Audience,
    client_assertion::ClientAssertion,
    client_secret::ClientSecret,
    key::SigningKey,
    sign::{SharedKey, SignAssertion},
};
