//! The query as the real API has it: page numbers in the body, and no link to the next page.

use std::fmt::Write as _;

use serde_json::Value;

use super::error_body::ErrorBody;
use super::filter::Filters;
use super::handle::Inner;
use super::interval::Interval;
use super::record_text::{SIZE, push_record};
use super::records::Records;
use super::route::Reply;

const DEFAULT_PAGE_SIZE: u64 = 25;
const MAX_MILLIS: i64 = 31 * 24 * 3_600_000;
const MAX_RESULTS: u64 = 100_000;

const TOO_LONG: &str = "You must specify a search interval as part of your query that does not exceed 31 days.";
const TOO_DEEP: &str = "Pagination may not exceed 100000 results.\n\nTip: When extracting large chunks of data \
                        (multiple days/weeks), maximize pagination performance by querying in smaller intervals.";

pub(super) fn query(inner: &Inner, query: &Value) -> Result<Reply, ErrorBody> {
    let interval = query
        .get("interval")
        .and_then(Value::as_str)
        .and_then(|text| Interval::parse(text).ok())
        .ok_or_else(|| ErrorBody::bad_request(TOO_LONG))?;
    if interval.millis() > MAX_MILLIS {
        return Err(ErrorBody::bad_request(TOO_LONG));
    }
    let size = paging(query, "pageSize", DEFAULT_PAGE_SIZE)?;
    let number = paging(query, "pageNumber", 1)?;
    let max = inner.config.max_page_size;
    if size > max {
        let message = format!("The page size {size} exceeds the maximum of {max}.");
        return Err(ErrorBody::bad_request(message));
    }
    if size.saturating_mul(number) > MAX_RESULTS {
        return Err(ErrorBody::bad_request(TOO_DEEP));
    }
    let descending = match query.get("order").map(Value::as_str) {
        None | Some(Some("asc" | "unordered")) => false,
        Some(Some("desc")) => true,
        Some(_) => return Err(ErrorBody::bad_request("The order is invalid.")),
    };
    let offset = size * (number - 1);
    let filters = Filters::of_query(query);
    let (total, indices) = select(&inner.records, interval, &filters, descending, offset, size);

    let mut out = String::with_capacity(indices.len() * SIZE + 64);
    out.push('{');
    // An empty page has no such member at all, as the real API does it.
    if !indices.is_empty() {
        out.push_str("\"conversations\":[");
        push_list(&mut out, &inner.records, &indices);
        out.push_str("],");
    }
    let _ = write!(out, "\"totalHits\":{total}}}");
    Ok(Reply::page(out, indices.len() as u64))
}

/// Appends the records, with commas between them.
pub(super) fn push_list(out: &mut String, records: &Records, indices: &[u64]) {
    for (at, index) in indices.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_record(out, records, *index);
    }
}

fn paging(query: &Value, name: &str, default: u64) -> Result<u64, ErrorBody> {
    match query.get("paging").and_then(|paging| paging.get(name)) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value
            .as_u64()
            .filter(|number| *number > 0)
            .ok_or_else(|| ErrorBody::bad_request(format!("paging.{name} must be a positive number."))),
    }
}

/// How many match, and the indices of those on the page.
fn select(
    records: &Records,
    interval: Interval,
    filters: &Filters,
    descending: bool,
    offset: u64,
    size: u64,
) -> (u64, Vec<u64>) {
    let range = records.within(interval);
    let count = range.end - range.start;
    let nth = |n: u64| {
        if descending { range.end - 1 - n } else { range.start + n }
    };
    if filters.is_empty() {
        let page = offset.min(count)..(offset + size).min(count);
        return (count, page.map(nth).collect());
    }
    let mut total = 0;
    let mut picked = Vec::new();
    for index in (0..count).map(nth) {
        if filters.pass(&records.kind(index)) {
            if (offset..offset + size).contains(&total) {
                picked.push(index);
            }
            total += 1;
        }
    }
    (total, picked)
}
