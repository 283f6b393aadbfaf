//! NICE CXone's report of completed contacts: by `skip` and `top`, with absolute links.

use std::fmt::Write as _;

use http::{StatusCode, request};
use jiff::Timestamp;

use super::cxone_contact::{Fields, SIZE, push_contact};
use super::error_body::ErrorBody;
use super::handle::Inner;
use super::interval::{Interval, time};
use super::records::{LONGEST, Records};
use super::route::Reply;
use crate::testing::reply::quoted;
use crate::testing::target::{base_url, param};

/// Which contacts are asked for, and in which order.
#[derive(Debug)]
struct Query {
    /// Of their starts. The end of it is excluded, as with all intervals.
    interval: Interval,
    updated_since: Option<i64>,
    by_update: bool,
    descending: bool,
}

pub(super) fn completed(inner: &Inner, head: &request::Parts) -> Result<Reply, ErrorBody> {
    let query = Query::of(head)?;
    let skip = number(head, "skip", 0)?;
    let top = number(head, "top", MAX_TOP)?;
    if !(1..=MAX_TOP).contains(&top) {
        return Err(ErrorBody::bad_request(format!("top must be between 1 and {MAX_TOP}.")));
    }
    let records = &inner.records;
    let indices = query.select(records);
    let total = indices.len();
    let (first, last) = (skip.min(total), skip.saturating_add(top).min(total));
    let page = &indices[first..last];
    if page.is_empty() {
        return Ok(Reply { status: StatusCode::NO_CONTENT, ..Reply::page(String::new(), 0) });
    }

    let mut out = format!(
        r#"{{"businessUnitId":4600001,"lastPollTime":"{:.3}","totalRecords":{total},"_links":{{"self":{}"#,
        // No contact is updated later.
        time(records.period.end.saturating_add(LONGEST)),
        quoted(&link(head, skip, top)),
    );
    if last < total {
        let _ = write!(out, ",\"next\":{}", quoted(&link(head, last, top)));
    }
    if skip > 0 {
        let _ = write!(out, ",\"previous\":{}", quoted(&link(head, skip.saturating_sub(top), top)));
    }
    out.reserve(page.len() * SIZE);
    out.push_str("},\"completedContacts\":[");
    let fields = Fields::of(param(head, "fields").as_deref());
    for (at, index) in page.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_contact(&mut out, records, *index, &fields);
    }
    out.push_str("]}");
    Ok(Reply::page(out, page.len() as u64))
}

/// Whether this is for CXone's part of the API, which has error messages and correlation ids in headers of its own.
pub(super) fn is_cxone(path: &str) -> bool {
    path.starts_with("/incontactapi/")
}

/// The same query from another place on.
fn link(head: &request::Parts, skip: usize, top: usize) -> String {
    let mut out = format!("{}{COMPLETED}?", base_url(head));
    for pair in head.uri.query().unwrap_or_default().split('&') {
        if !matches!(pair.split('=').next(), None | Some("" | "skip" | "top")) {
            out.push_str(pair);
            out.push('&');
        }
    }
    let _ = write!(out, "skip={skip}&top={top}");
    out
}

fn number(head: &request::Parts, name: &str, default: usize) -> Result<usize, ErrorBody> {
    match param(head, name).map(|text| text.parse()) {
        None => Ok(default),
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err(ErrorBody::bad_request(format!("{name} must be a number."))),
    }
}

/// With a literal `Z`: an offset is not taken, be it zero.
fn instant(head: &request::Parts, name: &str) -> Result<Option<i64>, ErrorBody> {
    let Some(text) = param(head, name) else { return Ok(None) };
    match text.parse::<Timestamp>() {
        Ok(time) if text.ends_with('Z') => Ok(Some(time.as_millisecond())),
        _ => Err(ErrorBody::bad_request(format!("{name} must be a time such as 2026-03-01T00:00:00Z."))),
    }
}

// === impl Query ===

impl Query {
    fn of(head: &request::Parts) -> Result<Self, ErrorBody> {
        let start = instant(head, "startDate")?.unwrap_or(i64::MIN);
        let end = instant(head, "endDate")?.unwrap_or(i64::MAX);
        if end < start {
            return Err(ErrorBody::bad_request("startDate must not be after endDate."));
        }
        let order = param(head, "orderBy").unwrap_or_default();
        let mut words = order.split_whitespace();
        let by_update = match words.next() {
            None | Some("contactId" | "contactStart" | "contactStartDate") => false,
            Some("lastUpdateTime") => true,
            Some(_) => return Err(ErrorBody::bad_request(UNKNOWN_ORDER)),
        };
        let descending = match (words.next(), words.next()) {
            (None | Some("asc"), None) => false,
            (Some("desc"), None) => true,
            _ => return Err(ErrorBody::bad_request(UNKNOWN_ORDER)),
        };
        Ok(Self {
            // Nobody documents whether the end belongs to it. So it does: what a client has to live with comes twice.
            interval: Interval { start, end: end.saturating_add(1) },
            updated_since: instant(head, "updatedSince")?,
            by_update,
            descending,
        })
    }

    fn select(&self, records: &Records) -> Vec<u64> {
        let update = |index: u64| records.traits(index).last_activity();
        let since = self.updated_since.unwrap_or(i64::MIN);
        let mut indices: Vec<u64> = records.within(self.interval).filter(|index| update(*index) >= since).collect();
        if self.by_update {
            indices.sort_by_cached_key(|index| update(*index));
        }
        if self.descending {
            indices.reverse();
        }
        indices
    }
}

pub(super) const COMPLETED: &str = "/incontactapi/services/v30.0/contacts/completed";
const MAX_TOP: usize = 10_000;
const UNKNOWN_ORDER: &str = "orderBy must be contactId, contactStart or lastUpdateTime, and asc or desc.";
