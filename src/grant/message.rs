//! What a token request says: headers, parameters, and which of them are secret.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use zeroize::Zeroizing;

use crate::{encode::encode, error::Error, token::sensitive};

/// How the parameters are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    /// `application/x-www-form-urlencoded`, RFC 6749 appendix B.
    #[default]
    Form,
    /// One JSON object of strings.
    Json,
}

/// Parameters in the order they were added; wiped when it was sent.
#[derive(Default)]
pub(super) struct Message {
    pairs: Vec<(String, Zeroizing<String>)>,
    authorization: Option<HeaderValue>,
    sent: Sent,
}

/// The secrets of a message in every form in which they were sent: a server may echo what it got.
#[derive(Default)]
pub(super) struct Sent {
    plain: Vec<Zeroizing<String>>,
    /// Percent-encoded, in lower case: the case of it is a matter of taste.
    encoded: Vec<Zeroizing<String>>,
    basic: Vec<Zeroizing<String>>,
}

// === impl Message ===

impl Message {
    /// Adds a parameter. One without a value is as one omitted (RFC 6749 §3.2).
    pub(super) fn push(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.pairs.push((name.to_owned(), Zeroizing::new(value.to_owned())));
        }
    }

    /// As [`push`](Self::push), for what must not be shown.
    pub(super) fn push_secret(&mut self, name: &str, value: &str) {
        self.push(name, value);
        self.sent.add(value);
    }

    /// What must not be shown though it is not sent as it is.
    #[cfg(feature = "jwt")]
    pub(super) fn secret(&mut self, secret: &str) {
        self.sent.add(secret);
    }

    /// Basic authentication with what was encoded already, if it has to be.
    pub(super) fn basic(&mut self, id: &str, secret: &str, encoded: bool) -> Result<(), Error> {
        self.sent.add(secret);
        let raw = Zeroizing::new(format!("{id}:{secret}"));
        let pair = Zeroizing::new(format!("{}:{}", *encode(id), *encode(secret)));
        for pair in [&raw, &pair] {
            self.sent.basic.push(Zeroizing::new(STANDARD.encode(pair.as_bytes())));
        }
        let pair = if encoded { pair } else { raw };
        // Sized beforehand, so that no shorter copy is left behind by a reallocation.
        let mut basic = String::with_capacity(2 * pair.len() + 16);
        basic.push_str("Basic ");
        STANDARD.encode_string(pair.as_bytes(), &mut basic);
        let value = sensitive(basic.into_bytes()).ok_or_else(|| Error::config("the client secret cannot be sent"))?;
        self.authorization = Some(value);
        Ok(())
    }

    /// The headers and the body, and what must not be shown of them.
    pub(super) fn finish(self, encoding: Encoding) -> (HeaderMap, Bytes, Sent) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let (kind, body) = match encoding {
            Encoding::Form => ("application/x-www-form-urlencoded", form(&self.pairs)),
            Encoding::Json => ("application/json", json(&self.pairs)),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.extend(self.authorization.map(|value| (AUTHORIZATION, value)));
        (headers, Bytes::from_owner(body), self.sent)
    }
}

// === impl Sent ===

impl Sent {
    pub(super) fn add(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        self.plain.push(Zeroizing::new(secret.to_owned()));
        let form = Zeroizing::new(form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>());
        self.encoded.extend([&encode(secret), &form].map(|secret| Zeroizing::new(secret.to_ascii_lowercase())));
    }

    /// Whether `text` has a secret in it, as it is, or escaped as within JSON or a form.
    pub(super) fn is_echoed_in(&self, text: &str) -> bool {
        if self.is_found_in(text) {
            return true;
        }
        // A string of JSON within a string of JSON, and so on: a server may quote what a proxy quoted.
        let mut unescaped = Zeroizing::new(text.to_owned());
        for _ in 0..MAX_DEPTH {
            if !unescaped.contains('\\') {
                break;
            }
            unescaped = unescape(&unescaped);
            if self.is_found_in(&unescaped) {
                return true;
            }
        }
        false
    }

    fn is_found_in(&self, text: &str) -> bool {
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        let has =
            |text: &str, secrets: &[Zeroizing<String>]| secrets.iter().any(|secret| text.contains(secret.as_str()));
        has(text, &self.plain) || has(&lower, &self.encoded) || has(text, &self.basic)
    }
}

/// What JSON's escapes stand for; whatever else follows a backslash stays.
fn unescape(text: &str) -> Zeroizing<String> {
    let mut units: Zeroizing<Vec<u16>> = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let escape = if c == '\\' { rest.next() } else { None };
        let plain = match escape {
            None => c,
            Some('u') => {
                let code = rest.as_str().get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
                if let Some(code) = code {
                    units.push(code);
                    rest = rest.as_str().get(4..).unwrap_or_default().chars();
                    continue;
                }
                'u'
            }
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(other) => other,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    Zeroizing::new(String::from_utf16_lossy(&units))
}

fn form(pairs: &[(String, Zeroizing<String>)]) -> Zeroizing<Vec<u8>> {
    // Sized beforehand, as above.
    let room = pairs.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut form = form_urlencoded::Serializer::new(String::with_capacity(room));
    for (name, value) in pairs {
        form.append_pair(name, value);
    }
    Zeroizing::new(form.finish().into_bytes())
}

fn json(pairs: &[(String, Zeroizing<String>)]) -> Zeroizing<Vec<u8>> {
    // Sized beforehand, as above: an escape takes six bytes for one at the most.
    let room = pairs.iter().map(|(name, value)| 6 * (name.len() + value.len()) + 6).sum::<usize>() + 2;
    let mut json = Zeroizing::new(Vec::with_capacity(room));
    json.push(b'{');
    for (index, (name, value)) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|(known, _)| known == name) {
            continue;
        }
        let mut more = pairs[index + 1..].iter().filter(|(other, _)| other == name).peekable();
        if more.peek().is_none() {
            write(&mut json, name, ":");
            write(&mut json, value, ",");
            continue;
        }
        // Such as several resources: a member twice is no JSON that everybody reads alike.
        write(&mut json, name, ":[");
        write(&mut json, value, "");
        for (_, value) in more {
            json.push(b',');
            write(&mut json, value, "");
        }
        json.extend_from_slice(b"],");
    }
    if json.last() == Some(&b',') {
        json.pop();
    }
    json.push(b'}');
    json
}

fn write(json: &mut Vec<u8>, text: &str, after: &str) {
    // Writing text into memory cannot fail.
    let _ = serde_json::to_writer(&mut *json, text);
    json.extend_from_slice(after.as_bytes());
}

const MAX_DEPTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_one_object_of_strings_and_of_lists_of_them() {
        let mut message = Message::default();
        message.push_secret("a\"b", "c\\d\n\u{e9}\u{1}");
        message.push("empty", "");
        message.push("e", "f");
        message.push("r", "1");
        message.push("g", "h");
        message.push("r", "2");
        let (headers, body, _) = message.finish(Encoding::Json);
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(read, serde_json::json!({"a\"b": "c\\d\n\u{e9}\u{1}", "e": "f", "r": ["1", "2"], "g": "h"}));
    }

    #[test]
    fn what_is_written_never_outgrows_its_place_and_leaves_no_copy_behind() {
        let pair = |name: &str, value: &str| (name.to_owned(), Zeroizing::new(value.to_owned()));
        // What takes most: an escape for every byte.
        let pairs = [pair("\u{1}", "\u{2}\u{3}"), pair("\u{4}\u{5}", "\u{6}\u{7}\u{e}\u{f}")];
        let (form, json) = (form(&pairs), json(&pairs));
        assert_eq!((form.len(), form.capacity()), (9 * 3 + 3, 9 * 3 + 4));
        assert_eq!((json.len(), json.capacity()), (9 * 6 + 13, 9 * 6 + 14));
    }

    #[test]
    fn a_secret_is_known_in_every_form_in_which_it_was_sent() {
        let mut message = Message::default();
        message.basic("id", "p+w /", true).unwrap();
        let (_, _, sent) = message.finish(Encoding::Form);
        for echo in ["x p+w / y", "p%2Bw%20%2F", "p%2bw+%2f", "aWQ6cCt3IC8=", "aWQ6cCUyQnclMjAlMkY="] {
            assert!(sent.is_echoed_in(echo), "{echo}");
        }
        assert!(!sent.is_echoed_in("p+w"));

        let mut message = Message::default();
        message.push_secret("client_secret", r#"a"b\c"#);
        let (_, _, sent) = message.finish(Encoding::Json);
        assert!(sent.is_echoed_in(r#"x a\"b\\c y"#));
    }

    #[test]
    fn a_secret_is_known_in_json_within_json() {
        let secret = "a\"b\\c/d\u{e9}\u{1f511}\ttail";
        let mut message = Message::default();
        message.push_secret("password", secret);
        let (_, body, sent) = message.finish(Encoding::Json);
        let mut echo = String::from_utf8(body.to_vec()).unwrap();
        for depth in 0..4 {
            assert!(sent.is_echoed_in(&format!("cannot read {echo}")), "{depth}: {echo}");
            echo = serde_json::to_string(&echo).unwrap();
        }
        // As others escape it.
        assert!(sent.is_echoed_in(r#"x a\u0022b\u005cc\/d\u00e9\ud83d\udd11\ttail"#));
        for harmless in [r"\", r"\u", r"\u12", r"a\x", r"\ud83d", "a\\"] {
            assert!(!sent.is_echoed_in(harmless));
        }
    }
}
