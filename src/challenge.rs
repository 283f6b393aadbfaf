//! What a 401 says about itself: the challenges of `WWW-Authenticate` (RFC 9110 §11.6.1).
//!
//! ```
//! use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
//! use tower_oauth2::challenge::challenges;
//!
//! let mut headers = HeaderMap::new();
//! let value = r#"Basic realm="x", bearer error="insufficient_scope",scope="reports:read""#;
//! headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(value));
//!
//! let bearer = challenges(&headers).into_iter().find(|challenge| challenge.is("Bearer")).unwrap();
//! assert_eq!(bearer.param("error"), Some("insufficient_scope"));
//! assert_eq!(bearer.param("scope"), Some("reports:read"));
//! ```

use http::{HeaderMap, header::WWW_AUTHENTICATE};

/// One challenge: a scheme, and its parameters or its token68.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    params: Vec<(String, String)>,
    token68: Option<String>,
}

/// All challenges of all `WWW-Authenticate` fields, in order.
///
/// Reads what servers really send: several challenges in a field, several fields, any case, no space after a comma,
/// white space around `=`, empty list elements. Where a field makes no sense any more, the rest of that field is passed
/// over. Never fails, and takes time linear in the field's length.
pub fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    headers.get_all(WWW_AUTHENTICATE).iter().flat_map(|field| parse(field.as_bytes())).collect()
}

/// Whether a refresh cannot help: the token is good, and does not allow this (RFC 6750 §3.1).
pub(crate) fn says_insufficient_scope(headers: &HeaderMap) -> bool {
    challenges(headers)
        .iter()
        .any(|challenge| challenge.is("Bearer") && challenge.param("error") == Some("insufficient_scope"))
}

// === impl Challenge ===

impl Challenge {
    /// The scheme as the server spelled it.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Whether it is of that scheme, in any case.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The parameter of that name, in any case; the first, if there are more. Quotes and escapes are undone.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The token68 of schemes such as `Negotiate`.
    pub fn token68(&self) -> Option<&str> {
        self.token68.as_deref()
    }

    /// All parameters, in order.
    #[cfg(fuzzing)]
    #[doc(hidden)]
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// `challenge = auth-scheme [ 1*SP ( token68 / [ auth-param *( OWS "," OWS auth-param ) ] ) ]`, in a list.
fn parse(field: &[u8]) -> Vec<Challenge> {
    let mut cursor = Cursor { rest: field };
    let mut found = Vec::new();
    loop {
        cursor.skip(|byte| is_space(byte) || byte == b',');
        let scheme = cursor.token();
        if scheme.is_empty() {
            return found;
        }
        let mut challenge = Challenge { scheme, ..Challenge::default() };
        let whole = cursor.challenge(&mut challenge);
        found.push(challenge);
        if !whole {
            return found;
        }
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

// === impl Cursor ===

impl Cursor<'_> {
    /// Reads what belongs to a scheme. `false` if the rest of the field makes no sense.
    fn challenge(&mut self, challenge: &mut Challenge) -> bool {
        if !self.rest.first().is_none_or(|byte| is_space(*byte) || *byte == b',') {
            return false;
        }
        self.skip(is_space);
        if let Some(token68) = self.token68() {
            challenge.token68 = Some(token68);
            return true;
        }
        loop {
            self.skip(|byte| is_space(byte) || byte == b',');
            let before = self.rest;
            let name = self.token();
            self.skip(is_space);
            if name.is_empty() {
                return self.rest.is_empty();
            }
            if self.rest.first() != Some(&b'=') {
                // A token without a value is the next scheme.
                self.rest = before;
                return true;
            }
            self.rest = &self.rest[1..];
            self.skip(is_space);
            let Some(value) = self.value() else { return false };
            challenge.params.push((name, value));
            self.skip(is_space);
            if self.rest.first().is_some_and(|byte| *byte != b',') {
                return false;
            }
        }
    }

    /// `token68 = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`, if that is all up to the comma.
    fn token68(&mut self) -> Option<String> {
        let body = self.count(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
        let padding = self.rest[body..].iter().take_while(|byte| **byte == b'=').count();
        let (token, after) = self.rest.split_at(body + padding);
        let spaces = after.iter().take_while(|byte| is_space(**byte)).count();
        let ends = after.get(spaces).is_none_or(|byte| *byte == b',');
        if body == 0 || !ends {
            return None;
        }
        self.rest = after;
        Some(String::from_utf8_lossy(token).into_owned())
    }

    fn value(&mut self) -> Option<String> {
        if self.rest.first() != Some(&b'"') {
            let value = self.token();
            return (!value.is_empty()).then_some(value);
        }
        let mut value = Vec::new();
        let mut bytes = self.rest[1..].iter().enumerate();
        while let Some((index, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.rest = &self.rest[index + 2..];
                    return Some(String::from_utf8_lossy(&value).into_owned());
                }
                b'\\' => value.push(*bytes.next()?.1),
                _ => value.push(*byte),
            }
        }
        None
    }

    fn token(&mut self) -> String {
        let length = self.count(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        String::from_utf8_lossy(token).into_owned()
    }

    fn skip(&mut self, what: impl Fn(u8) -> bool) {
        self.rest = &self.rest[self.count(what)..];
    }

    fn count(&self, what: impl Fn(u8) -> bool) -> usize {
        self.rest.iter().take_while(|byte| what(**byte)).count()
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(field: &str) -> Vec<String> {
        let of = |challenge: Challenge| {
            let params: Vec<_> = challenge.params.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("{}[{}]{}", challenge.scheme(), params.join(";"), challenge.token68().unwrap_or_default())
        };
        parse(field.as_bytes()).into_iter().map(of).collect()
    }

    #[test]
    fn what_servers_send_is_read() {
        assert_eq!(show("Bearer"), ["Bearer[]"]);
        assert_eq!(show(r#"Bearer realm="a", error="invalid_token""#), ["Bearer[realm=a;error=invalid_token]"]);
        assert_eq!(show("bearer error=invalid_token,scope = x"), ["bearer[error=invalid_token;scope=x]"]);
        assert_eq!(show("Negotiate,Bearer realm=x"), ["Negotiate[]", "Bearer[realm=x]"]);
        assert_eq!(show("Negotiate YWJj==, Basic realm=\"b\""), ["Negotiate[]YWJj==", "Basic[realm=b]"]);
        assert_eq!(
            show("Basic realm=a, Digest nonce=\"n\", qop=auth,Bearer"),
            ["Basic[realm=a]", "Digest[nonce=n;qop=auth]", "Bearer[]"]
        );
        assert_eq!(show(" , ,Bearer ,"), ["Bearer[]"]);
        assert_eq!(show(""), Vec::<String>::new());
    }

    #[test]
    fn quoted_text_is_text_and_nothing_else() {
        assert_eq!(
            show(r#"Bearer realm="Basic x, error=\"insufficient_scope\"", error=x"#),
            [r#"Bearer[realm=Basic x, error="insufficient_scope";error=x]"#]
        );
        assert_eq!(show(r#"Bearer realm="open"#), ["Bearer[]"]);
        assert_eq!(show(r#"Bearer realm="open\"#), ["Bearer[]"]);
        assert_eq!(show("Bearer a=b c=d"), ["Bearer[a=b]"]);
        assert_eq!(show("Bearer =x"), ["Bearer[]"]);
        assert_eq!(show("=,=,="), Vec::<String>::new());
    }

    #[test]
    fn only_a_bearer_challenge_can_say_insufficient_scope() {
        let says = |fields: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(WWW_AUTHENTICATE, http::HeaderValue::from_static(field));
            }
            says_insufficient_scope(&headers)
        };
        assert!(says(&["Basic realm=x", "BEARER ERROR=\"insufficient_scope\""]));
        assert!(!says(&["Basic error=insufficient_scope", "Bearer error=invalid_token"]));
        assert!(!says(&["Bearer realm=\"error=insufficient_scope\""]));
        assert!(!says(&[]));
    }
}
