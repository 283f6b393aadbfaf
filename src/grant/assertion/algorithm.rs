//! How an assertion is signed.

use std::fmt;

use super::der;
use crate::error::Error;

/// A signature algorithm of JOSE (RFC 7518, RFC 8037).
///
/// What the authorization server has registered for the client decides. Where it leaves the choice: [`ES256`](Self::ES256)
/// and [`RS256`](Self::RS256) are what nearly every server knows; FAPI 2.0 allows `PS256`, `ES256` and `EdDSA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSA with PKCS #1 v1.5 padding and SHA-256.
    RS256,
    /// RSA with PSS padding and SHA-256.
    PS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
    /// HMAC with SHA-256: `client_secret_jwt`.
    HS256,
    /// HMAC with SHA-384: `client_secret_jwt`.
    HS384,
    /// HMAC with SHA-512: `client_secret_jwt`.
    HS512,
}

// === impl Algorithm ===

impl Algorithm {
    /// As the `alg` header spells it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::PS256 => "PS256",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
        }
    }

    /// Turns the ECDSA signature of a key service into that of a JWT: `r` and `s` at full length, one after the other
    /// (RFC 7518 §3.4). AWS KMS, Google Cloud KMS and PKCS #11 wrappers answer in DER; Azure Key Vault does not.
    ///
    /// # Errors
    ///
    /// If the algorithm is not `ES256` or `ES384`, or `der` is not the DER encoding of two integers of its size.
    pub fn signature_from_der(&self, der: &[u8]) -> Result<Vec<u8>, Error> {
        let half = match self {
            Self::ES256 => 32,
            Self::ES384 => 48,
            _ => return Err(Error::config(format!("a signature of {self} has no DER form"))),
        };
        der::two_integers(der, half).ok_or_else(|| {
            Error::config(format!("this is no {self} signature in DER: it may be in its final form already"))
        })
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    pub(super) const fn is_hmac(&self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }

    /// Refuses a signature that no server could verify, before it costs a request and a back-off.
    pub(super) fn check(&self, signature: &[u8]) -> Result<(), Error> {
        let (expected, actual) = (self.signature_length(), signature.len());
        match expected {
            Some(expected) if actual != expected => Err(Error::config(format!(
                "the key answered with a signature of {actual} bytes where one of {self} has {expected}{}",
                if self.is_ecdsa() { ": r and s, not DER (see Algorithm::signature_from_der)" } else { "" }
            ))),
            None if actual < 256 => Err(Error::config(format!(
                "the key answered with a signature of {actual} bytes: {self} needs an RSA key of 2048 bits or more"
            ))),
            _ => Ok(()),
        }
    }

    /// In bytes; `None` if it is that of the key.
    const fn signature_length(&self) -> Option<usize> {
        match self {
            Self::RS256 | Self::PS256 => None,
            Self::HS256 => Some(32),
            Self::HS384 => Some(48),
            Self::ES256 | Self::EdDSA | Self::HS512 => Some(64),
            Self::ES384 => Some(96),
        }
    }

    const fn is_ecdsa(&self) -> bool {
        matches!(self, Self::ES256 | Self::ES384)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const ALL: [Algorithm; 8] = [
    Algorithm::RS256,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
];
