//! What the fuzz targets reach that is not public. Compiled under `--cfg fuzzing` only; no part of the API.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Uri};

pub use crate::grant::fuzzing::{Asked, endpoint, metadata};
use crate::{
    origin::Origin,
    retry::{RetryHints, cooldown::Pacing},
};

/// As [`RetryPolicy`](crate::retry::RetryPolicy) reads it.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    crate::retry_after::retry_after(headers, now)
}

/// As [`HttpClassifier`](crate::retry::HttpClassifier) reads what it was told to; and whether the server says not to come
/// back.
pub fn retry_hints(hints: &RetryHints, headers: &HeaderMap, now: SystemTime) -> (Option<Duration>, bool) {
    (hints.read_at(headers, now), hints.forbids(headers))
}

/// As [`CooldownLayer`](crate::retry::CooldownLayer) reads what is left of a limit, of how many, and until when.
pub fn pacing(
    pacing: &Pacing,
    headers: &HeaderMap,
    now: SystemTime,
    max_reset: Duration,
) -> Option<(u32, Option<u32>, Duration)> {
    pacing.told(headers, now, max_reset)
}

/// As [`RetryHintLayer`](crate::genesys::RetryHintLayer) reads the body of a 429.
pub fn genesys_hint(body: &[u8]) -> Option<Duration> {
    crate::genesys::hint(body)
}

/// As [`Rule::link_header`](crate::pager::Rule::link_header) finds the next page of `page`.
pub fn next_link(headers: &HeaderMap, page: &Uri) -> Result<Option<String>, &'static str> {
    crate::pager::next_link(headers, page)
}

/// As [`OAuth`](crate::OAuth) reads a 401.
pub fn says_insufficient_scope(headers: &HeaderMap) -> bool {
    crate::challenge::says_insufficient_scope(headers)
}

/// The origin of `url`, as it is shown, and whether a token may be sent there.
pub fn origin(url: &str) -> Option<(String, bool)> {
    Origin::parse(url).ok().map(|origin| (origin.to_string(), origin.is_trustworthy()))
}

/// The origin of `uri`, as it is shown.
pub fn origin_of(uri: &Uri) -> Option<String> {
    Origin::of(uri).map(|origin| origin.to_string())
}

/// Whether a request to `uri` gets the token that is for the origin of `url`.
pub fn origin_matches(url: &str, uri: &Uri) -> Option<bool> {
    Origin::parse(url).ok().map(|origin| origin.matches(uri))
}
