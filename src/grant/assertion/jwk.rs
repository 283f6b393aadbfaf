//! Private keys as JWK (RFC 7517, RFC 7518 §6, RFC 8037).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::{
    error::Error,
    json::{self, Pointer},
};

/// The members of a JWK, as slices of its text: nothing is copied but what is decoded.
pub(super) struct Jwk<'a> {
    values: Vec<Option<&'a RawValue>>,
}

// === impl Jwk ===

impl<'a> Jwk<'a> {
    /// The errors of the parser are not passed on: they quote what they stumbled over.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, Error> {
        let pointers: Vec<_> = MEMBERS.iter().filter_map(|name| Pointer::parse(&format!("/{name}"))).collect();
        let found = json::find(text, None, &pointers.iter().collect::<Vec<_>>())
            .map_err(|_| Error::config("the JWK is not JSON, or has a member twice"))?;
        let jwk = Self { values: found.values };
        if jwk.raw("keys").is_some() {
            return Err(Error::config("this is a set of keys: give the one JWK to sign with"));
        }
        if jwk.text("use").is_some_and(|usage| usage != "sig") {
            return Err(Error::config("the JWK is not for signatures: its `use` is not `sig`"));
        }
        if jwk.raw("d").is_none() && jwk.text("kty") != Some("oct") {
            return Err(Error::config("the JWK has no private key in it: there is no `d`"));
        }
        if jwk.raw("oth").is_some() {
            return Err(Error::config("an RSA key of more than two primes cannot be used"));
        }
        Ok(jwk)
    }

    /// `None` if it is absent, no string, or written with escapes, which none of these needs.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        serde_json::from_str(self.raw(name)?.get()).ok()
    }

    pub(super) fn key_id(&self) -> Option<String> {
        serde_json::from_str(self.raw("kid")?.get()).ok()
    }

    /// The bytes of a member in base64url.
    pub(super) fn bytes(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let text = self.text(name).ok_or_else(|| Error::config(format!("the JWK has no string `{name}`")))?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
        URL_SAFE_NO_PAD
            .decode_vec(text, &mut bytes)
            .map_err(|_| Error::config(format!("the `{name}` of the JWK is not base64url without padding")))?;
        Ok(bytes)
    }

    fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let at = MEMBERS.iter().position(|member| *member == name)?;
        *self.values.get(at)?
    }
}

const MEMBERS: [&str; 17] =
    ["keys", "use", "kty", "crv", "alg", "kid", "n", "e", "d", "p", "q", "dp", "dq", "qi", "oth", "x", "y"];
