//! Private keys in PEM (RFC 7468). Written out here, so that every copy of the key is wiped.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::error::Error;

/// A private key in DER, in one of the three wrappings that tools write.
pub(super) enum PrivateKey {
    Pkcs8(Zeroizing<Vec<u8>>),
    /// RSA only.
    Pkcs1(Zeroizing<Vec<u8>>),
    /// Elliptic curves only.
    Sec1(Zeroizing<Vec<u8>>),
}

/// The one private key in `text`, whatever else is there.
pub(super) fn private_key(text: &[u8]) -> Result<PrivateKey, Error> {
    let problem = |problem| Err(Error::config(problem));
    let Ok(mut rest) = std::str::from_utf8(text) else { return problem("the key is not PEM: it is not even text") };
    let (mut key, mut other) = (None, "the key is not PEM: there is no -----BEGIN … PRIVATE KEY----- in it");
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let Some((label, begun)) = begun.split_once("-----") else { break };
        let Some((body, after)) = begun.split_once("-----END ").filter(|(_, end)| end.starts_with(label)) else {
            return problem("the PEM of the key is cut off");
        };
        rest = after;
        let wrapping = match label {
            "PRIVATE KEY" => PrivateKey::Pkcs8,
            "RSA PRIVATE KEY" => PrivateKey::Pkcs1,
            "EC PRIVATE KEY" => PrivateKey::Sec1,
            "ENCRYPTED PRIVATE KEY" => return problem(ENCRYPTED),
            "OPENSSH PRIVATE KEY" => {
                return problem("the key is in the format of OpenSSH: convert it with `ssh-keygen -p -m PKCS8`");
            }
            "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => {
                other = "the PEM has a public key or a certificate in it, but no private key";
                continue;
            }
            // `EC PARAMETERS`, which OpenSSL writes in front of a key.
            _ => continue,
        };
        // The header of an encrypted key of old: `Proc-Type: 4,ENCRYPTED`.
        if body.contains("ENCRYPTED") {
            return problem(ENCRYPTED);
        }
        let Some(der) = decode(body) else { return problem("the PEM of the key is damaged: it is not base64") };
        if key.replace(wrapping(der)).is_some() {
            return problem("the PEM has more than one private key in it");
        }
    }
    key.ok_or_else(|| Error::config(other))
}

fn decode(body: &str) -> Option<Zeroizing<Vec<u8>>> {
    // Both sized beforehand, so that no shorter copy is left behind by a reallocation.
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    base64.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Zeroizing::new(Vec::with_capacity(base64.len()));
    STANDARD.decode_vec(base64.as_slice(), &mut der).ok()?;
    Some(der)
}

const ENCRYPTED: &str =
    "the key is encrypted: decrypt it with `openssl pkey`, and keep it where only this program can read";
