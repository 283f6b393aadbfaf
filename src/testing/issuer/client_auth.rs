//! How a client says who it is: RFC 6749, section 2.3.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap};

use super::Dialect;
use super::answer::{Refusal, Why};

/// What the client says it is, not yet compared with anything.
#[derive(PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: String,
}

/// Takes the credentials from the header or the form, and from one of them only.
pub(super) fn credentials(
    dialect: Dialect,
    headers: &HeaderMap,
    form: &[(String, String)],
) -> Result<Credentials, Refusal> {
    let posted = |name: &str| {
        let found = form.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone())
    };
    match (headers.get(AUTHORIZATION), posted("client_secret")) {
        (Some(_), Some(_)) => Err(Refusal::new(Why::Request, "more than one client authentication")),
        (Some(value), None) => value
            .to_str()
            .ok()
            .and_then(|value| basic(dialect, value))
            .ok_or(Refusal::new(Why::WrongSecret, "authentication failed")),
        (None, Some(secret)) => posted("client_id")
            .map(|id| Credentials { id, secret })
            .ok_or(Refusal::new(Why::Request, "client_id is missing")),
        (None, None) => Err(Refusal::new(Why::NoClient, "no client authentication")),
    }
}

fn basic(dialect: Dialect, value: &str) -> Option<Credentials> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some(Credentials { id: dialect.basic_part(id)?, secret: dialect.basic_part(secret)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(dialect: Dialect, raw: &str) -> Option<(String, String)> {
        let found = basic(dialect, &format!("bAsIc {}", STANDARD.encode(raw)))?;
        Some((found.id, found.secret))
    }

    #[test]
    fn plus_and_percent_twenty_are_both_a_space() {
        let dialect = Dialect::default();
        let expected = Some(("a b".to_owned(), "c d:é&=".to_owned()));
        assert_eq!(parse(dialect, "a+b:c%20d%3a%C3%A9%26="), expected);
        assert_eq!(parse(dialect, "a%20b:c+d:é&="), expected);
    }

    #[test]
    fn some_decode_less_of_it_or_nothing() {
        let pair = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        assert_eq!(parse(Dialect::Authlib, "a%20b:c+d"), pair("a b", "c+d"));
        assert_eq!(parse(Dialect::Glewlwyd, "a%20b:c+d"), pair("a%20b", "c+d"));
    }

    #[test]
    fn broken_escapes_and_a_missing_colon_are_no_credentials() {
        let dialect = Dialect::default();
        assert_eq!(parse(dialect, "a:b%2"), None);
        assert_eq!(parse(dialect, "a:%zz"), None);
        assert_eq!(parse(dialect, "a"), None);
        assert!(basic(dialect, "Bearer YTpi").is_none());
    }
}
