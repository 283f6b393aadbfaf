//! The two shapes that tutorials show: `results` with a link, and `entities` with a token.

use http::request;
use serde_json::Value;

use super::details::push_list;
use super::error_body::ErrorBody;
use super::handle::Inner;
use super::interval::Interval;
use super::page_token::PageToken;
use super::record_text::SIZE;
use super::route::{DETAILS, Reply};
use crate::testing::reply::quoted;
use crate::testing::target::{base_url, param};

const DEFAULT_SIZE: u64 = 25;

/// `dateFrom`, `dateTo` and `size` in; `results` and `nextPage`, a link, out.
pub(super) fn results(inner: &Inner, head: &request::Parts, query: &Value) -> Result<Reply, ErrorBody> {
    let interval = between(query, "dateFrom", "dateTo")?;
    let size = size(inner, query)?;
    Ok(results_page(inner, head, PageToken { interval, size, offset: 0 }))
}

/// The GET that follows such a link.
pub(super) fn follow(inner: &Inner, head: &request::Parts) -> Result<Reply, ErrorBody> {
    let token = param(head, "pageToken")
        .and_then(|text| PageToken::decode(&text))
        .ok_or_else(|| ErrorBody::bad_request("The pageToken is invalid."))?;
    Ok(results_page(inner, head, token))
}

/// `time_filter` and `size` in; `entities` and `next_page`, a token for the query string, out.
pub(super) fn entities(inner: &Inner, head: &request::Parts, query: &Value) -> Result<Reply, ErrorBody> {
    let filter = query.get("time_filter").unwrap_or(&Value::Null);
    let interval = between(filter, "from_date", "to_date")?;
    let size = size(inner, query)?;
    let offset = match param(head, "page_token") {
        None => 0,
        Some(text) => PageToken::decode(&text)
            .filter(|token| token.interval == interval)
            .map(|token| token.offset)
            .ok_or_else(|| ErrorBody::bad_request("The page_token is not of this query."))?,
    };
    let (mut out, count, next) = page(inner, "entities", PageToken { interval, size, offset });
    let next = next.map(PageToken::encode).unwrap_or_default();
    out.push_str(",\"next_page\":\"");
    out.push_str(&next);
    out.push_str("\"}");
    Ok(Reply::page(out, count))
}

fn results_page(inner: &Inner, head: &request::Parts, at: PageToken) -> Reply {
    let (mut out, count, next) = page(inner, "results", at);
    out.push_str(",\"nextPage\":");
    match next {
        Some(next) => {
            let base = inner.config.absolute_links.then(|| base_url(head));
            let base = base.unwrap_or_default();
            let link = format!("{base}{DETAILS}?pageToken={}", next.encode());
            out.push_str(&quoted(&link));
        }
        None => out.push_str("null"),
    }
    out.push('}');
    Reply::page(out, count)
}

/// The object up to its list, how long that is, and where the next page begins.
fn page(inner: &Inner, name: &str, at: PageToken) -> (String, u64, Option<PageToken>) {
    let range = inner.records.within(at.interval);
    let first = range.start.saturating_add(at.offset).min(range.end);
    let last = first.saturating_add(at.size).min(range.end);
    let indices: Vec<u64> = (first..last).collect();
    let mut out = String::with_capacity(indices.len() * SIZE + 512);
    out.push_str("{\"");
    out.push_str(name);
    out.push_str("\":[");
    push_list(&mut out, &inner.records, &indices);
    out.push(']');
    let next = (last < range.end).then(|| PageToken { offset: last - range.start, ..at });
    (out, last - first, next)
}

fn between(query: &Value, from: &str, to: &str) -> Result<Interval, ErrorBody> {
    let text = |name: &str| query.get(name).and_then(Value::as_str).unwrap_or_default();
    Interval::between(text(from), text(to))
        .map_err(|_| ErrorBody::bad_request(format!("{from} and {to} must be RFC 3339 times, in order.")))
}

/// Clamped without a word: the tutorials ask for 250.
fn size(inner: &Inner, query: &Value) -> Result<u64, ErrorBody> {
    let size = match query.get("size") {
        None => DEFAULT_SIZE,
        Some(size) => size
            .as_u64()
            .filter(|size| *size > 0)
            .ok_or_else(|| ErrorBody::bad_request("size must be a positive number."))?,
    };
    Ok(size.min(inner.config.max_page_size))
}
