//! The token response (RFC 6749 §5.1, §5.2), as servers really write it. Pure.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{message::Sent, transport::Reply};
use crate::{
    error::{Error, Kind},
    json::{self, Pointer},
    retry_after::retry_after,
    text::clean,
    token::{MAX_LIFETIME, Token},
};

/// What a server answered, who it was and what it had been told.
pub(super) struct Answer<'a> {
    pub(super) host: &'a str,
    pub(super) sent: &'a Sent,
    pub(super) fields: &'a Fields,
    pub(super) reply: Reply,
}

/// Where the members of a token response are.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub(super) access_token: Pointer,
    pub(super) token_type: Pointer,
    pub(super) expires_in: Pointer,
    pub(super) refresh_token: Pointer,
    pub(super) error: Pointer,
    pub(super) error_description: Pointer,
}

#[derive(Default)]
struct Members {
    access_token: Option<Zeroizing<String>>,
    token_type: Option<String>,
    expires_in: Option<Duration>,
    error: Option<String>,
    description: Option<String>,
}

// === impl Answer ===

impl Answer<'_> {
    pub(super) fn decode(self) -> Result<Token, Error> {
        let status = self.reply.status;
        let members = Members::read(&self.reply.body, self.fields);
        if status.is_redirection() {
            let problem = format!("is a redirect ({status}), which is never followed: check the token URL");
            return Err(self.unusable(problem));
        }
        // Genesys sends an empty `error` with a good token; others an error with status 200.
        let code = members.as_ref().ok().and_then(|members| members.error.clone());
        if !status.is_success() || code.is_some() {
            let description = members.ok().and_then(|members| members.description);
            return Err(self.refused(code, description));
        }
        let members = members.map_err(|problem| self.unusable(problem).with_transient(true))?;
        if members.token_type.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(self.unusable("is of a token_type other than bearer, which this client cannot use"));
        }
        let Some(access_token) = members.access_token else {
            return Err(self.unusable(format!("has no access token at {}", self.fields.access_token)));
        };
        let token = Token::new(access_token.as_str())?.issued_at(self.reply.sent_at);
        let token = members.expires_in.into_iter().fold(token, Token::with_lifetime);
        // Not in the buffer that it was read into, which has room for the longest.
        Ok(token.with_response(Zeroizing::new(self.reply.body.to_vec())))
    }

    fn refused(&self, code: Option<String>, description: Option<String>) -> Error {
        let transient = is_transient(self.reply.status, code.as_deref(), description.as_deref());
        let description = description.and_then(|description| self.presentable(&description, 200));
        let error = Error::new(Kind::Refused {
            host: self.host.into(),
            status: self.reply.status,
            code: code.and_then(|code| self.code(code)).map(Into::into),
            description: description.map(Into::into),
        });
        let error = error.with_transient(transient);
        match retry_after(&self.reply.headers, std::time::SystemTime::now()) {
            Some(after) if transient => error.with_retry_after(after),
            _ => error,
        }
    }

    /// A code that everybody knows tells nobody a secret, even if the secret is a part of it.
    fn code(&self, code: String) -> Option<String> {
        if CODES.contains(&code.as_str()) { Some(code) } else { self.presentable(&code, 64) }
    }

    /// What a server says, fit to be shown. Looked through before it is cut: half a secret is one too.
    fn presentable(&self, text: &str, max: usize) -> Option<String> {
        let cleaned = clean(text, usize::MAX);
        let leaks = self.sent.is_echoed_in(text) || self.sent.is_echoed_in(&cleaned);
        (!leaks && !cleaned.is_empty()).then(|| cleaned.chars().take(max).collect())
    }

    fn unusable(&self, problem: impl Into<Cow<'static, str>>) -> Error {
        Error::new(Kind::Response { host: self.host.into(), problem: problem.into() })
    }
}

// === impl Fields ===

impl Fields {
    fn in_order(&self) -> [&Pointer; 5] {
        [&self.access_token, &self.token_type, &self.expires_in, &self.error, &self.error_description]
    }
}

impl Default for Fields {
    /// RFC 6749 §5.1 and §5.2.
    fn default() -> Self {
        Self {
            access_token: Pointer::member("access_token"),
            token_type: Pointer::member("token_type"),
            expires_in: Pointer::member("expires_in"),
            refresh_token: Pointer::member("refresh_token"),
            error: Pointer::member("error"),
            error_description: Pointer::member("error_description"),
        }
    }
}

// === impl Members ===

impl Members {
    /// Never says what it read: it may have read a secret.
    fn read(body: &[u8], fields: &Fields) -> Result<Self, Cow<'static, str>> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err("is empty".into());
        }
        let found = json::find(body, None, &fields.in_order()).map_err(|error| {
            format!("is not the JSON it should be (line {}, column {})", error.line(), error.column())
        })?;
        let mut values = found.values.into_iter();
        let mut next = || values.next().flatten();
        Ok(Self {
            access_token: next().and_then(text).map(Zeroizing::new),
            // What is neither a string nor null is a type that nobody knows.
            token_type: next().and_then(|value| serde_json::from_str(value.get()).unwrap_or(Some(String::new()))),
            expires_in: next().and_then(lifetime),
            error: next().and_then(text).filter(|code| !code.trim().is_empty()),
            description: next().and_then(text),
        })
    }
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// Seconds as an integer, a float, or a string of either. `None` if the server did not say anything that makes sense.
fn lifetime(value: &RawValue) -> Option<Duration> {
    let text = value.get().trim_matches('"').trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
        return None;
    }
    let seconds: f64 = text.parse().ok()?;
    // Clamped before it meets a clock, and before it meets `Duration`, which panics.
    Some(Duration::from_secs_f64(seconds.clamp(0.0, MAX_LIFETIME.as_secs_f64())))
}

/// Whether asking again may help. The `error` code of a 429 or 5xx is no verdict: a 503 with `invalid_grant` is a 503.
fn is_transient(status: StatusCode, code: Option<&str>, description: Option<&str>) -> bool {
    let overloaded = matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error();
    let says_so = matches!(code, Some("temporarily_unavailable" | "server_error" | "slow_down"));
    // Genesys Cloud limits token requests with a 400: `invalid_request`, "rate limit exceeded; …".
    let limited = code == Some("invalid_request")
        && description.is_some_and(|text| text.to_ascii_lowercase().starts_with("rate limit exceeded"));
    overloaded || says_so || limited
}

/// RFC 6749 §5.2, RFC 8628 §3.5, RFC 8693 §2.2.2, RFC 8707 §2, and two that OAuth has for the authorization endpoint.
const CODES: [&str; 12] = [
    "access_denied",
    "expired_token",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
];

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
