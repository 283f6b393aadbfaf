//! Keys that are in the memory of this process.

use std::{fmt, sync::Arc};

use ring::{
    error::KeyRejected,
    rand::SystemRandom,
    rsa::{KeyPairComponents, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    },
};
use zeroize::Zeroizing;

use super::{
    algorithm::Algorithm,
    der,
    jwk::Jwk,
    pem::{self, PrivateKey},
    sign::SignAssertion,
};
use crate::error::Error;

/// A private key that was read from PEM or a JWK.
///
/// Everything is checked when it is read: a key of the wrong kind, that is too short, or whose parts do not belong
/// together is refused there. `Clone` is cheap. `Debug` shows the algorithm and the key id only.
///
/// What is decoded on the way is wiped. The key itself is kept by *ring*, which does not wipe it: where that matters, keep
/// it in a key service and implement [`SignAssertion`].
///
/// ```
/// use tower_oauth2::grant::assertion::{Algorithm, SigningKey};
///
/// # let pem = "-----BEGIN PRIVATE KEY-----
/// # MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
/// # -----END PRIVATE KEY-----"; // the example of RFC 8410
/// let key = SigningKey::from_pem(Algorithm::EdDSA, pem)?.with_key_id("2026-03");
/// assert_eq!(format!("{key:?}"), r#"SigningKey { algorithm: EdDSA, key_id: Some("2026-03"), .. }"#);
/// # Ok::<(), tower_oauth2::Error>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    key_id: Option<String>,
    pair: Arc<Pair>,
}

enum Pair {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// What an algorithm needs.
enum Kind {
    Rsa(&'static dyn RsaEncoding),
    Ecdsa(Curve),
    Ed25519,
}

struct Curve {
    /// As a JWK names it.
    name: &'static str,
    oid: &'static [u8],
    signing: &'static EcdsaSigningAlgorithm,
}

// === impl SigningKey ===

impl SigningKey {
    /// The one private key in `pem`, of which the caller keeps, and should wipe, the text. PKCS #8 (`PRIVATE KEY`); for RSA
    /// also PKCS #1 (`RSA PRIVATE KEY`), for elliptic curves also SEC 1 (`EC PRIVATE KEY`). It has no key id until
    /// [`with_key_id`](Self::with_key_id) gives it one.
    ///
    /// # Errors
    ///
    /// If there is no private key in it or more than one, if it is encrypted or damaged, or not one that `algorithm` can use:
    /// RSA of 2048, 3072 or 4096 bits, the curve in the algorithm's name, with the public key beside the private one.
    pub fn from_pem(algorithm: Algorithm, pem: impl AsRef<[u8]>) -> Result<Self, Error> {
        let kind = Kind::of(algorithm)?;
        let rejected = |error| rejected(algorithm, error);
        let pair = match (pem::private_key(pem.as_ref())?, kind) {
            (PrivateKey::Pkcs8(key), Kind::Rsa(encoding)) => {
                Pair::Rsa(RsaKeyPair::from_pkcs8(&key).map_err(rejected)?, encoding)
            }
            (PrivateKey::Pkcs1(key), Kind::Rsa(encoding)) => {
                Pair::Rsa(RsaKeyPair::from_der(&key).map_err(rejected)?, encoding)
            }
            (PrivateKey::Pkcs8(key), Kind::Ecdsa(curve)) => curve.pkcs8(&key).map_err(rejected)?,
            (PrivateKey::Sec1(key), Kind::Ecdsa(curve)) => {
                curve.pkcs8(&der::pkcs8_from_sec1(curve.oid, &key)).map_err(rejected)?
            }
            // Of either version: OpenSSL writes the one without the public key.
            (PrivateKey::Pkcs8(key), Kind::Ed25519) => {
                Pair::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key).map_err(rejected)?)
            }
            _ => return Err(wrong_kind(algorithm)),
        };
        Self::new(algorithm, pair)
    }

    /// A private JWK (RFC 7517), with its `alg` and its `kid`. Without an `alg`, an elliptic curve tells the algorithm.
    ///
    /// # Errors
    ///
    /// If it is not a private JWK or damaged, if its `alg` is missing for an RSA key or is none of [`Algorithm`], or if it is
    /// not one that the algorithm can use, as in [`from_pem`](Self::from_pem). An RSA key needs all of `n`, `e`, `d`, `p`, `q`,
    /// `dp`, `dq` and `qi`.
    pub fn from_jwk(jwk: impl AsRef<[u8]>) -> Result<Self, Error> {
        let jwk = Jwk::parse(jwk.as_ref())?;
        let algorithm = match (jwk.text("alg"), jwk.text("kty"), jwk.text("crv")) {
            (Some(name), ..) => Algorithm::from_name(name)
                .ok_or_else(|| Error::config("the `alg` of the JWK is not one that this crate can sign with"))?,
            (None, Some("RSA"), _) => {
                return Err(Error::config("the JWK has no `alg`: say RS256 or PS256 with SigningKey::from_jwk_as"));
            }
            (None, _, Some("P-256")) => Algorithm::ES256,
            (None, _, Some("P-384")) => Algorithm::ES384,
            (None, _, Some("Ed25519")) => Algorithm::EdDSA,
            _ => {
                return Err(Error::config("the JWK has no `alg`, and its `kty` and `crv` are none that have one only"));
            }
        };
        Self::read_jwk(algorithm, &jwk)
    }

    /// As [`from_jwk`](Self::from_jwk), but signs with `algorithm`, whatever the JWK's `alg` says.
    ///
    /// # Errors
    ///
    /// As [`from_jwk`](Self::from_jwk), but for its `alg`.
    pub fn from_jwk_as(algorithm: Algorithm, jwk: impl AsRef<[u8]>) -> Result<Self, Error> {
        Self::read_jwk(algorithm, &Jwk::parse(jwk.as_ref())?)
    }

    /// The `kid` header, by which the authorization server finds the public key. Defaults to that of the JWK, or to none.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    fn read_jwk(algorithm: Algorithm, jwk: &Jwk<'_>) -> Result<Self, Error> {
        let rejected = |error| rejected(algorithm, error);
        let pair = match (Kind::of(algorithm)?, jwk.text("kty"), jwk.text("crv")) {
            (Kind::Rsa(encoding), Some("RSA"), _) => {
                let components = KeyPairComponents {
                    public_key: PublicKeyComponents { n: jwk.bytes("n")?, e: jwk.bytes("e")? },
                    d: jwk.bytes("d")?,
                    p: jwk.bytes("p")?,
                    q: jwk.bytes("q")?,
                    dP: jwk.bytes("dp")?,
                    dQ: jwk.bytes("dq")?,
                    qInv: jwk.bytes("qi")?,
                };
                let components = KeyPairComponents {
                    public_key: PublicKeyComponents {
                        n: components.public_key.n.as_slice(),
                        e: components.public_key.e.as_slice(),
                    },
                    d: components.d.as_slice(),
                    p: components.p.as_slice(),
                    q: components.q.as_slice(),
                    dP: components.dP.as_slice(),
                    dQ: components.dQ.as_slice(),
                    qInv: components.qInv.as_slice(),
                };
                Pair::Rsa(RsaKeyPair::from_components(&components).map_err(rejected)?, encoding)
            }
            (Kind::Ecdsa(curve), Some("EC"), Some(name)) if name == curve.name => {
                let point = [&[4][..], &jwk.bytes("x")?, &jwk.bytes("y")?].concat();
                let (private, random) = (jwk.bytes("d")?, SystemRandom::new());
                let pair = EcdsaKeyPair::from_private_key_and_public_key(curve.signing, &private, &point, &random);
                Pair::Ecdsa(pair.map_err(rejected)?)
            }
            (Kind::Ed25519, Some("OKP"), Some("Ed25519")) => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(&jwk.bytes("d")?, &jwk.bytes("x")?);
                Pair::Ed25519(pair.map_err(rejected)?)
            }
            _ => return Err(wrong_kind(algorithm)),
        };
        Ok(Self { key_id: jwk.key_id(), ..Self::new(algorithm, pair)? })
    }

    /// Signs once: whether the parts of an RSA key belong together only shows then.
    fn new(algorithm: Algorithm, pair: Pair) -> Result<Self, Error> {
        pair.sign(b"").map_err(|_| Error::config("the parts of the private key do not belong together"))?;
        Ok(Self { algorithm, key_id: None, pair: Arc::new(pair) })
    }
}

impl SignAssertion for SigningKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Takes some milliseconds for an RSA key of 4096 bits: not worth a thread, as rare as it is.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.pair.sign(message).map_err(|_| Error::transient("the system has no randomness to sign with"))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

// === impl Pair ===

impl Pair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ring::error::Unspecified> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)?;
                Ok(signature)
            }
            Self::Ecdsa(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

// === impl Kind ===

impl Kind {
    fn of(algorithm: Algorithm) -> Result<Self, Error> {
        match algorithm {
            Algorithm::RS256 => Ok(Self::Rsa(&RSA_PKCS1_SHA256)),
            Algorithm::PS256 => Ok(Self::Rsa(&RSA_PSS_SHA256)),
            Algorithm::ES256 => Ok(Self::Ecdsa(P256)),
            Algorithm::ES384 => Ok(Self::Ecdsa(P384)),
            Algorithm::EdDSA => Ok(Self::Ed25519),
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Err(Error::config(format!(
                "{algorithm} signs with the client secret, not with a private key: use ClientAssertion::with_client_secret"
            ))),
        }
    }
}

// === impl Curve ===

impl Curve {
    fn pkcs8(&self, key: &Zeroizing<Vec<u8>>) -> Result<Pair, KeyRejected> {
        EcdsaKeyPair::from_pkcs8(self.signing, key, &SystemRandom::new()).map(Pair::Ecdsa)
    }
}

/// The names in a [`KeyRejected`] say nothing of the key.
fn rejected(algorithm: Algorithm, error: KeyRejected) -> Error {
    match error.to_string().as_str() {
        "WrongAlgorithm" => wrong_kind(algorithm),
        "TooSmall" => Error::config("the RSA key is too short: use one of 2048, 3072 or 4096 bits"),
        "TooLarge" | "PrivateModulusLenNotMultipleOf512Bits" => {
            Error::config("an RSA key of this length cannot be used: use one of 2048, 3072 or 4096 bits")
        }
        "InconsistentComponents" | "InvalidComponent" => {
            Error::config("the private key is damaged: its parts do not belong together")
        }
        name => Error::config(format!(
            "the private key cannot be read ({name}); if other programs can, write it anew with `openssl pkey`, which adds the \
             public key where that is missing"
        )),
    }
}

fn wrong_kind(algorithm: Algorithm) -> Error {
    let needed = match algorithm {
        Algorithm::ES256 => "a key on the curve P-256",
        Algorithm::ES384 => "a key on the curve P-384",
        Algorithm::EdDSA => "an Ed25519 key",
        // Not one whose own header allows nothing but PSS, which ring does not read.
        _ => "an RSA key (rsaEncryption)",
    };
    Error::config(format!("the private key is of the wrong kind: {algorithm} needs {needed}"))
}

const P256: Curve = Curve { name: "P-256", oid: der::P256, signing: &ECDSA_P256_SHA256_FIXED_SIGNING };
const P384: Curve = Curve { name: "P-384", oid: der::P384, signing: &ECDSA_P384_SHA384_FIXED_SIGNING };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_the_wrong_kind_is_told_what_is_needed() {
        for (algorithm, needed) in [
            (Algorithm::ES256, "P-256"),
            (Algorithm::ES384, "P-384"),
            (Algorithm::EdDSA, "Ed25519"),
            (Algorithm::RS256, "RSA"),
            (Algorithm::PS256, "RSA"),
        ] {
            let error = wrong_kind(algorithm).to_string();
            assert!(error.contains(needed) && error.contains(algorithm.as_str()), "{error}");
        }
    }
}
