//! What a token request carried.

use std::fmt;

use http::header::{AUTHORIZATION, HeaderMap};
use http::{Method, Uri};

/// A token request as the [`Issuer`](crate::testing::Issuer) saw it.
///
/// `Debug` hides the values of `client_secret`, `client_assertion`, `assertion`, `code`, `password`, `refresh_token`,
/// `subject_token` and `actor_token`, and the `Authorization` header.
#[derive(Clone)]
#[non_exhaustive]
pub struct SeenTokenRequest {
    /// The method.
    pub method: Method,
    /// The request target.
    pub uri: Uri,
    /// The scheme of the `Authorization` header as it was written, if there was one.
    pub scheme: Option<String>,
    /// The form parameters, decoded, in their order.
    pub form: Vec<(String, String)>,
    /// All headers.
    pub headers: HeaderMap,
}

// === impl SeenTokenRequest ===

impl SeenTokenRequest {
    pub(super) fn new(method: Method, uri: Uri, mut headers: HeaderMap, form: Vec<(String, String)>) -> Self {
        let scheme = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(' ').next())
            .map(str::to_owned);
        for (name, value) in &mut headers {
            if name == AUTHORIZATION {
                value.set_sensitive(true);
            }
        }
        Self { method, uri, scheme, form, headers }
    }

    /// The first form parameter of this name.
    pub fn param(&self, name: &str) -> Option<&str> {
        let found = self.form.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for SeenTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form: Vec<(&str, &str)> = self
            .form
            .iter()
            .map(|(name, value)| (name.as_str(), if secret(name) { "[redacted]" } else { value }))
            .collect();
        f.debug_struct("SeenTokenRequest")
            .field("method", &self.method)
            .field("uri", &self.uri)
            .field("scheme", &self.scheme)
            .field("form", &form)
            .field("headers", &self.headers)
            .finish()
    }
}

fn secret(name: &str) -> bool {
    matches!(name, "client_secret" | "client_assertion" | "assertion" | "code" | "password")
        || matches!(name, "refresh_token" | "subject_token" | "actor_token")
}
