//! How a client shows who it is (RFC 6749 §2.3).

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION};
use zeroize::Zeroizing;

use super::form::Form;
use crate::{encode::encode, error::Error, token::sensitive};

/// The client's id and how it proves to be that client. Exactly one method is used (RFC 6749 §2.3).
///
/// `Debug` shows the id and the method, never the secret, which is wiped on drop.
#[derive(Clone)]
pub struct ClientAuth {
    id: String,
    method: Method,
}

#[derive(Clone)]
enum Method {
    Basic(Zeroizing<String>),
    RawBasic(Zeroizing<String>),
    Post(Zeroizing<String>),
    None,
}

// === impl ClientAuth ===

impl ClientAuth {
    /// `client_secret_basic`: id and secret form-encoded, with a space as `%20`, in the `Authorization` header
    /// (RFC 6749 §2.3.1). What every authorization server has to support.
    pub fn basic(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), method: Method::Basic(Zeroizing::new(secret.into())) }
    }

    /// As [`basic`](Self::basic), but without form encoding: for servers that do not decode it, such as Glewlwyd, if the
    /// id or the secret has characters other than letters, digits, `*`, `-`, `.` and `_`.
    pub fn basic_raw(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), method: Method::RawBasic(Zeroizing::new(secret.into())) }
    }

    /// `client_secret_post`: id and secret in the body.
    pub fn post(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), method: Method::Post(Zeroizing::new(secret.into())) }
    }

    /// No secret, the id in the body only: for public clients, and where TLS or the network says who is calling.
    pub fn none(id: impl Into<String>) -> Self {
        Self { id: id.into(), method: Method::None }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.id.is_empty() {
            return Err(Error::config("the client id is empty"));
        }
        if self.secret().is_some_and(str::is_empty) {
            return Err(Error::config("the client secret is empty"));
        }
        match self.method {
            Method::RawBasic(_) if self.id.contains(':') => {
                Err(Error::config("a client id with a colon cannot be sent with raw Basic authentication"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap, form: &mut Form) -> Result<(), Error> {
        let pair = match &self.method {
            Method::Basic(secret) => Zeroizing::new(format!("{}:{}", *encode(&self.id), *encode(secret))),
            Method::RawBasic(secret) => Zeroizing::new(format!("{}:{}", self.id, **secret)),
            Method::Post(secret) => {
                form.push("client_id", &self.id);
                form.push("client_secret", secret);
                return Ok(());
            }
            Method::None => {
                form.push("client_id", &self.id);
                return Ok(());
            }
        };
        // Sized beforehand, so that no shorter copy is left behind by a reallocation.
        let mut basic = String::with_capacity(2 * pair.len() + 16);
        basic.push_str("Basic ");
        STANDARD.encode_string(pair.as_bytes(), &mut basic);
        let value = sensitive(basic.into_bytes()).ok_or_else(|| Error::config("the client secret cannot be sent"))?;
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// Whether `text` has the secret in it, in any form in which it could have been sent: a server may echo what it got.
    pub(super) fn is_echoed_in(&self, text: &str) -> bool {
        let Some(secret) = self.secret() else { return false };
        let form = Zeroizing::new(form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>());
        let encoded = [&*encode(secret), &*form].map(|secret| Zeroizing::new(secret.to_ascii_lowercase()));
        // The case of a percent-encoding is a matter of taste.
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        let headers = [format!("{}:{secret}", self.id), format!("{}:{}", *encode(&self.id), *encode(secret))]
            .map(|pair| Zeroizing::new(STANDARD.encode(Zeroizing::new(pair).as_bytes())));
        text.contains(secret)
            || encoded.iter().any(|secret| lower.contains(secret.as_str()))
            || headers.iter().any(|header| text.contains(header.as_str()))
    }

    fn secret(&self) -> Option<&str> {
        match &self.method {
            Method::Basic(secret) | Method::RawBasic(secret) | Method::Post(secret) => Some(secret),
            Method::None => None,
        }
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method {
            Method::Basic(_) => "client_secret_basic",
            Method::RawBasic(_) => "client_secret_basic (raw)",
            Method::Post(_) => "client_secret_post",
            Method::None => "none",
        };
        f.debug_struct("ClientAuth").field("id", &self.id).field("method", &method).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(auth: &ClientAuth) -> (Option<String>, String) {
        let (mut headers, mut form) = (HeaderMap::new(), Form::default());
        auth.apply(&mut headers, &mut form).unwrap();
        let basic = headers.get(AUTHORIZATION).map(|value| {
            assert!(value.is_sensitive());
            let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
            String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
        });
        (basic, String::from_utf8(form.into_bytes().to_vec()).unwrap())
    }

    #[test]
    fn basic_encodes_id_and_secret_before_joining_them() {
        let auth = ClientAuth::basic("a:b c", "p+w%/=é");
        assert_eq!(sent(&auth), (Some("a%3Ab%20c:p%2Bw%25%2F%3D%C3%A9".into()), String::new()));
        let raw = ClientAuth::basic_raw("id", "p w+:");
        assert_eq!(sent(&raw), (Some("id:p w+:".into()), String::new()));
    }

    #[test]
    fn post_and_none_use_the_body_only() {
        assert_eq!(sent(&ClientAuth::post("i d", "s&t")), (None, "client_id=i+d&client_secret=s%26t".into()));
        assert_eq!(sent(&ClientAuth::none("id")), (None, "client_id=id".into()));
    }

    #[test]
    fn what_cannot_work_is_refused_before_it_is_sent() {
        assert!(ClientAuth::basic("", "x").check().is_err());
        assert!(ClientAuth::post("x", "").check().is_err());
        assert!(ClientAuth::basic_raw("a:b", "x").check().is_err());
        assert!(ClientAuth::basic("a:b", "x").check().is_ok());
        assert!(ClientAuth::none("x").check().is_ok());
    }

    #[test]
    fn debug_shows_no_secret() {
        for auth in
            [ClientAuth::basic("id", "canary"), ClientAuth::basic_raw("id", "canary"), ClientAuth::post("id", "canary")]
        {
            assert!(!format!("{auth:?} {auth:#?}").contains("canary"));
        }
    }
}
