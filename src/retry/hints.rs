//! When a response says to come back.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::{
    decimal::{MILLI, SECOND, decimal, is_digits},
    retry_after::{retry_after, server_time},
};

/// Which fields of a response say how long the server wants to be left alone. All of them read `Retry-After`, as seconds
/// and as a date; the others are for APIs that have them.
///
/// The longest counts. What cannot be read is as if absent, and so is what says nothing about when to come back.
///
/// ```
/// use std::time::Duration;
/// use http::HeaderMap;
/// use tower_oauth2::retry::RetryHints;
///
/// let hints = RetryHints::new().retry_after_ms().rate_limit();
/// let mut headers = HeaderMap::new();
/// headers.insert("retry-after-ms", "1500".parse()?);
/// assert_eq!(hints.read(&headers), Some(Duration::from_millis(1500)));
/// headers.insert("ratelimit", r#""hourly";r=0;t=30"#.parse()?);
/// assert_eq!(hints.read(&headers), Some(Duration::from_secs(30)));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "hints do nothing until a classifier has them"]
pub struct RetryHints {
    retry_after_ms: bool,
    rate_limit: bool,
    rate_limit_reset: bool,
    grpc_pushback: bool,
}

/// Response extension: how long the server wants to be left alone, found by a layer that knows where this API says so.
///
/// Counts as a `Retry-After` does, if it is longer. For what is not in a header, such as
/// [the message of Genesys Cloud](crate::genesys::RetryHintLayer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetryHint(pub Duration);

// === impl RetryHints ===

impl RetryHints {
    /// `Retry-After` only.
    pub fn new() -> Self {
        Self::default()
    }

    /// `retry-after-ms` and `x-ms-retry-after-ms`, in milliseconds, as Azure's APIs and OpenAI's have them. Off by default.
    pub fn retry_after_ms(mut self) -> Self {
        self.retry_after_ms = true;
        self
    }

    /// `RateLimit` ([draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/)): `t` of those limits of
    /// which nothing remains (`r=0`), in seconds. Off by default.
    pub fn rate_limit(mut self) -> Self {
        self.rate_limit = true;
        self
    }

    /// `X-RateLimit-Reset`, unless `X-RateLimit-Remaining` says that something is left: seconds from now, or the time in
    /// seconds or milliseconds since 1970, whichever the number can be. Off by default.
    pub fn rate_limit_reset(mut self) -> Self {
        self.rate_limit_reset = true;
        self
    }

    /// `grpc-retry-pushback-ms`, in milliseconds. If it is negative or not a number, the request is not sent again
    /// ([gRPC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md)): that is for the classifiers, and
    /// [`read`](Self::read) says nothing then. Off by default.
    pub fn grpc_pushback(mut self) -> Self {
        self.grpc_pushback = true;
        self
    }

    /// How long the server wants to be left alone. [`Duration::MAX`] is what was too large to be a time.
    pub fn read(&self, headers: &HeaderMap) -> Option<Duration> {
        self.read_at(headers, SystemTime::now())
    }

    /// The same, with `now` for what is a date, if the server does not say what time it is there.
    pub(crate) fn read_at(&self, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
        let longest = |name: &HeaderName, parse: &dyn Fn(&str) -> Option<Duration>| {
            headers.get_all(name).iter().filter_map(|field| parse(text(field)?)).max()
        };
        let mut wait = retry_after(headers, now);
        if self.retry_after_ms {
            for name in &RETRY_AFTER_MS {
                wait = wait.max(longest(name, &|field| decimal(field, MILLI)));
            }
        }
        if self.rate_limit {
            wait = wait.max(longest(&RATE_LIMIT, &rate_limit));
        }
        if self.rate_limit_reset && (is_spent(headers) || !headers.contains_key(REMAINING)) {
            let now = server_time(headers).unwrap_or(now);
            wait = wait.max(longest(&RESET, &|field| reset(field, now)));
        }
        if let Some(Pushback::Wait(pushback)) = self.pushback(headers) {
            wait = wait.max(Some(pushback));
        }
        wait
    }

    /// The same, or what a layer has found in the body.
    pub(crate) fn of<R>(&self, response: &Response<R>, now: SystemTime) -> Option<Duration> {
        let found = response.extensions().get().map(|RetryHint(wait)| *wait);
        self.read_at(response.headers(), now).max(found)
    }

    /// These, and what is meant by them if a 403 can be a limit, and with gRPC.
    pub(crate) fn implied(&self, limited_403: bool, grpc: bool) -> Self {
        let hints = self.clone();
        let hints = if limited_403 { hints.rate_limit_reset() } else { hints };
        if grpc { hints.grpc_pushback() } else { hints }
    }

    /// Whether the server says not to come back.
    pub(crate) fn forbids(&self, headers: &HeaderMap) -> bool {
        matches!(self.pushback(headers), Some(Pushback::Never))
    }

    fn pushback(&self, headers: &HeaderMap) -> Option<Pushback> {
        let mut fields = headers.get_all(PUSHBACK).iter();
        let first = fields.next().filter(|_| self.grpc_pushback)?;
        let wait = text(first).filter(|field| is_digits(field)).and_then(|field| decimal(field, MILLI));
        Some(wait.filter(|_| fields.next().is_none()).map_or(Pushback::Never, Pushback::Wait))
    }
}

enum Pushback {
    Wait(Duration),
    Never,
}

/// Whether a limit says that nothing is left of it.
pub(crate) fn is_spent(headers: &HeaderMap) -> bool {
    let zero = |field: &HeaderValue| text(field).and_then(|field| decimal(field, SECOND)) == Some(Duration::ZERO);
    headers.get_all(REMAINING).iter().any(zero)
}

/// `"name";r=0;t=30`, and more of them behind commas. A name can be anything in quotes.
fn rate_limit(field: &str) -> Option<Duration> {
    let mut wait = None;
    for limit in split(field, ',') {
        let (mut remaining, mut reset) = (None, None);
        for parameter in split(limit, ';').skip(1) {
            match parameter.trim_matches(BLANK).split_once('=') {
                Some(("r", value)) => remaining = whole(value),
                Some(("t", value)) => reset = whole(value),
                _ => {}
            }
        }
        if remaining == Some(Duration::ZERO) {
            wait = wait.max(reset);
        }
    }
    wait
}

/// At each `separator` that is not within quotes.
pub(super) fn split(field: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    field.split(move |character| {
        let inside = quoted;
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        !inside && character == separator
    })
}

fn reset(field: &str, now: SystemTime) -> Option<Duration> {
    let whole = field.split('.').next()?.parse().unwrap_or(u64::MAX);
    let unit = if whole < FIRST_TIME_IN_MS { SECOND } else { MILLI };
    let value = decimal(field, unit)?;
    if whole < FIRST_TIME {
        return Some(value);
    }
    // A time that no clock shows is for ever.
    let at = SystemTime::UNIX_EPOCH.checked_add(value);
    Some(at.map_or(Duration::MAX, |at| at.duration_since(now).unwrap_or_default()))
}

/// Seconds without a fraction.
fn whole(field: &str) -> Option<Duration> {
    if is_digits(field) { decimal(field, SECOND) } else { None }
}

fn text(field: &HeaderValue) -> Option<&str> {
    field.to_str().ok().map(|field| field.trim_matches(BLANK))
}

const BLANK: [char; 2] = [' ', '\t'];
/// In 2001; as a time to wait it would be 31 years.
const FIRST_TIME: u64 = 1_000_000_000;
const FIRST_TIME_IN_MS: u64 = 1_000_000_000_000;
const RETRY_AFTER_MS: [HeaderName; 2] =
    [HeaderName::from_static("retry-after-ms"), HeaderName::from_static("x-ms-retry-after-ms")];
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

#[cfg(test)]
#[path = "hints_tests.rs"]
mod tests;
