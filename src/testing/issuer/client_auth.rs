//! How a client says who it is: RFC 6749, section 2.3.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap};

use super::answer::Refusal;

/// What the client says it is, not yet compared with anything.
#[derive(PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: String,
}

/// Takes the credentials from the header or the form, and from one of them only.
pub(super) fn credentials(headers: &HeaderMap, form: &[(String, String)]) -> Result<Credentials, Refusal> {
    let posted = |name: &str| {
        let found = form.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone())
    };
    match (headers.get(AUTHORIZATION), posted("client_secret")) {
        (Some(_), Some(_)) => Err(Refusal::request("more than one client authentication")),
        (Some(value), None) => {
            value.to_str().ok().and_then(basic).ok_or_else(|| Refusal::client("authentication failed"))
        }
        (None, Some(secret)) => posted("client_id")
            .map(|id| Credentials { id, secret })
            .ok_or_else(|| Refusal::request("client_id is missing")),
        (None, None) => Err(Refusal::client("no client authentication")),
    }
}

fn basic(value: &str) -> Option<Credentials> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some(Credentials { id: form_decode(id)?, secret: form_decode(secret)? })
}

/// Not `form_urlencoded::parse`: that would cut a raw secret at `&` or `=`.
fn form_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Option<(String, String)> {
        let found = basic(&format!("bAsIc {}", STANDARD.encode(raw)))?;
        Some((found.id, found.secret))
    }

    #[test]
    fn plus_and_percent_twenty_are_both_a_space() {
        let expected = Some(("a b".to_owned(), "c d:é&=".to_owned()));
        assert_eq!(parse("a+b:c%20d%3a%C3%A9%26="), expected);
        assert_eq!(parse("a%20b:c+d:é&="), expected);
    }

    #[test]
    fn broken_escapes_and_a_missing_colon_are_no_credentials() {
        assert_eq!(parse("a:b%2"), None);
        assert_eq!(parse("a:%zz"), None);
        assert_eq!(parse("a"), None);
        assert!(basic("Bearer YTpi").is_none());
    }
}
