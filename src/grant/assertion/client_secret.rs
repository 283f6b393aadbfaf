//! The client secret as a key.

use std::fmt;

use ring::hmac;

use super::algorithm::Algorithm;
use crate::error::Error;

/// Stands for the client secret, which the grant has: `client_secret_jwt`.
#[derive(Clone)]
pub struct ClientSecret {
    pub(super) algorithm: Algorithm,
    /// Whether it may be shorter than the algorithm's hash.
    pub(super) short: bool,
}

// === impl ClientSecret ===

impl ClientSecret {
    pub(super) fn check(&self, secret: &[u8]) -> Result<(), Error> {
        let (algorithm, least) = (self.algorithm, self.hash().digest_algorithm().output_len());
        if secret.is_empty() {
            return Err(Error::config("the client secret is empty"));
        }
        if secret.len() < least && !self.short {
            return Err(Error::config(format!(
                "the client secret is shorter than {least} bytes, which {algorithm} needs: get a longer one, or see \
                 ClientAssertion::danger_short_secret"
            )));
        }
        Ok(())
    }

    pub(super) fn sign(&self, secret: &[u8], message: &[u8]) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(self.hash(), secret), message)
    }

    fn hash(&self) -> hmac::Algorithm {
        match self.algorithm {
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        }
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSecret").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
