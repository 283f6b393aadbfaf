//! The token response: status, `Retry-After` and body, to a client with a secret that may be echoed.
//!
//! Input: a status (`STATUSES[byte % 16]`), an authentication method (`byte % 8`), `Retry-After` up to a line feed, the body.

#![no_main]

use std::{error::Error as _, fmt, sync::LazyLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER};
use libfuzzer_sys::fuzz_target;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use tower_oauth2::{Error, Token, fuzzing::Asked, grant::ClientAuth};

fuzz_target!(|data: &[u8]| {
    let [status, method, rest @ ..] = data else { return };
    let (field, body) = rest.split_at(rest.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    let status = StatusCode::from_u16(STATUSES[usize::from(*status) % STATUSES.len()]).unwrap();
    let client = &CLIENTS[usize::from(*method) % CLIENTS.len()];
    let mut headers = HeaderMap::new();
    if let Ok(field) = HeaderValue::from_bytes(field) {
        headers.insert(RETRY_AFTER, field);
    }
    let members = Members::read(body);
    match client.asked.answered(HOST, status, &headers, body) {
        Ok(token) => check_token(&token, status, &members),
        Err(error) => {
            assert!(!members.are_good(status, body), "a good token was refused: {error:?}");
            check_error(&error, client, &members);
        }
    }
});

fn check_token(token: &Token, status: StatusCode, members: &Members) {
    assert!(status.is_success(), "a token with status {status}");
    assert!(members.error().is_none(), "a token beside an error");
    for name in NAMES {
        assert!(members.all(name).count() <= 1, "{name} was there twice");
    }
    let sent = members.text("access_token").expect("a token that the server did not send");
    assert!(is_b64token(&sent));
    assert_eq!(token.header().as_bytes(), [b"Bearer ", sent.as_bytes()].concat());
    assert!(token.header().is_sensitive());
    assert_eq!(token.secret(), sent);
    assert!(sent.len() < 16 || !format!("{token:?} {token:#?}").contains(&sent), "Debug shows the token");

    assert_eq!(token.lifetime().is_some(), token.expires_at().is_some());
    assert!(token.lifetime().is_none_or(|lifetime| lifetime.as_secs_f64() <= THIRTY_DAYS as f64));
    if let Some(seconds) = members.one("expires_in").and_then(|raw| serde_json::from_str::<u64>(raw.get()).ok()) {
        assert_eq!(
            token.lifetime().map(|lifetime| lifetime.as_millis()),
            Some(u128::from(seconds.min(THIRTY_DAYS)) * 1000)
        );
    }
    assert_eq!(token.field::<String>("access_token").as_deref(), Some(sent.as_str()));
}

fn check_error(error: &Error, client: &Client, members: &Members) {
    assert!(error.oauth_code().is_none_or(|code| code.chars().count() <= 64));
    let line = error.to_string();
    assert!(line.chars().count() <= MAX_DISPLAY, "Display is long: {line}");
    assert!(!line.chars().any(steers), "Display steers a terminal: {line:?}");
    let mut shown = format!("{line} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        shown.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    assert!(!shown.chars().any(steers), "Debug steers a terminal: {shown:?}");
    assert!(shown.chars().count() <= MAX_SHOWN, "Debug is long: {shown}");

    assert!(!client.is_in(&shown), "the secret is shown: {shown}");
    let (code, description) = (members.text("error"), members.text("error_description"));
    client.check_remains(code.as_deref(), description.as_deref(), &shown);
    client.check_remains(description.as_deref(), code.as_deref(), &shown);
}

/// How the secret was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Header,
    Form,
    Json,
}

/// A client, and its secret in all the forms in which it could have been sent.
struct Client {
    asked: Asked,
    exact: Vec<String>,
    /// Where case is a matter of taste.
    lower: Vec<String>,
}

impl Client {
    fn new(auth: &ClientAuth, way: Way, secret: &str) -> Self {
        let form = percent(secret);
        let spaced = form.replace("%20", "+");
        let escaped = secret.replace('\\', "\\\\").replace('"', "\\\"");
        let basic = [format!("{ID}:{secret}"), format!("{ID}:{form}")].map(|pair| STANDARD.encode(pair));
        // A header that was not sent cannot be echoed.
        let basic = if way == Way::Header { basic.to_vec() } else { Vec::new() };
        let exact = [vec![secret.to_owned(), escaped], basic].concat();
        let lower = vec![form.to_ascii_lowercase(), spaced.to_ascii_lowercase()];
        Self { asked: Asked::with(auth, way == Way::Json).unwrap(), exact, lower }
    }

    fn public() -> Self {
        Self { asked: Asked::with(&ClientAuth::none(ID), false).unwrap(), exact: Vec::new(), lower: Vec::new() }
    }

    fn is_in(&self, text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        self.exact.iter().any(|form| text.contains(form)) || self.lower.iter().any(|form| lower.contains(form))
    }

    /// If `echo` has the secret in it, nothing of the secret is shown that `other` does not explain.
    fn check_remains(&self, echo: Option<&str>, other: Option<&str>, shown: &str) {
        let Some(echo) = echo.filter(|echo| self.is_in(echo)) else { return };
        let other: String = other.unwrap_or_default().chars().map(|c| if is_odd(c) { ' ' } else { c }).collect();
        let other = format!("{other} {other:?}").to_ascii_lowercase();
        let shown = shown.to_ascii_lowercase();
        for form in self.exact.iter().map(|form| form.to_ascii_lowercase()).chain(self.lower.iter().cloned()) {
            if !echo.to_ascii_lowercase().contains(&form) {
                continue;
            }
            for part in form.as_bytes().windows(8).filter_map(|part| std::str::from_utf8(part).ok()) {
                assert!(!shown.contains(part) || other.contains(part), "a part of the secret is shown: {part}");
            }
        }
    }
}

/// The members of the object that a body is, in order; none if it is something else.
#[derive(Default)]
struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    fn read(body: &[u8]) -> Self {
        serde_json::from_str(&String::from_utf8_lossy(body)).unwrap_or_default()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &RawValue> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| &**value)
    }

    fn one(&self, name: &str) -> Option<&RawValue> {
        self.all(name).next()
    }

    fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.one(name)?.get()).ok()
    }

    fn error(&self) -> Option<String> {
        self.text("error").filter(|code| !code.trim().is_empty())
    }

    /// Whether nothing at all is wrong with the answer.
    fn are_good(&self, status: StatusCode, body: &[u8]) -> bool {
        let bearer = self.one("token_type").is_none_or(|kind| {
            matches!(serde_json::from_str::<Option<String>>(kind.get()), Ok(kind) if kind.as_ref().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer")))
        });
        status.is_success()
            && std::str::from_utf8(body).is_ok()
            && NAMES.iter().all(|name| self.all(name).count() <= 1)
            && self.error().is_none()
            && bearer
            && self.text("access_token").is_some_and(|token| is_b64token(&token))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members::default();
                while let Some(member) = map.next_entry()? {
                    members.0.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// RFC 6750 §2.1, and no longer than 16 KiB.
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    !body.is_empty()
        && token.len() <= 16 * 1024
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Control characters, and those that turn text around or break a line.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What may have become a space: those, and what takes no room.
fn is_odd(c: char) -> bool {
    steers(c) || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

static CLIENTS: LazyLock<[Client; 8]> = LazyLock::new(|| {
    [
        Client::new(&ClientAuth::basic(ID, SECRET), Way::Header, SECRET),
        Client::new(&ClientAuth::basic_raw(ID, SECRET), Way::Header, SECRET),
        Client::new(&ClientAuth::post(ID, SECRET), Way::Form, SECRET),
        Client::new(&ClientAuth::post(ID, SECRET), Way::Json, SECRET),
        Client::new(&ClientAuth::basic(ID, ODD_SECRET), Way::Header, ODD_SECRET),
        Client::new(&ClientAuth::post(ID, ODD_SECRET), Way::Form, ODD_SECRET),
        Client::new(&ClientAuth::post(ID, ODD_SECRET), Way::Json, ODD_SECRET),
        Client::public(),
    ]
});

const HOST: &str = "login.example.com";
const ID: &str = "id";
const SECRET: &str = "canary+s3cret/w=";
const ODD_SECRET: &str = "k3y p%ss\"w\\rd \u{e9}";
const NAMES: [&str; 5] = ["access_token", "token_type", "expires_in", "error", "error_description"];
const STATUSES: [u16; 16] = [200, 201, 204, 299, 301, 307, 400, 401, 403, 408, 429, 500, 503, 520, 100, 999];
const THIRTY_DAYS: u64 = 30 * 24 * 60 * 60;
/// A code of 64 characters, a description of 200, and the sentence around them.
const MAX_DISPLAY: usize = 64 + 200 + 136;
/// `Display` and `Debug`, in which each character may take ten.
const MAX_SHOWN: usize = 4096;
