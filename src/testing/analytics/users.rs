//! An entity listing: page numbers in the query string, and a relative link to the next page.

use std::fmt::Write as _;

use http::request;

use super::error_body::ErrorBody;
use super::handle::Inner;
use super::hash::{mix, uuid};
use super::route::{Reply, USERS};
use crate::testing::target::param;

const DEFAULT_PAGE_SIZE: u64 = 25;

pub(super) fn list(inner: &Inner, head: &request::Parts) -> Result<Reply, ErrorBody> {
    let number = |name: &str, default: u64| match param(head, name) {
        None => Ok(default),
        Some(text) => match text.parse::<u64>() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(ErrorBody::bad_request(format!("{name} must be a positive number."))),
        },
    };
    let size = number("pageSize", DEFAULT_PAGE_SIZE)?.min(inner.config.max_page_size);
    let page = number("pageNumber", 1)?;
    let total = inner.config.users;
    let pages = total.div_ceil(size);
    let first = size.saturating_mul(page - 1).min(total);
    let last = first.saturating_add(size).min(total);

    let mut out = String::from("{\"entities\":[");
    for index in first..last {
        if index > first {
            out.push(',');
        }
        push_user(&mut out, index);
    }
    let link = |page: u64| format!("{USERS}?pageSize={size}&pageNumber={page}");
    let _ = write!(
        out,
        r#"],"pageSize":{size},"pageNumber":{page},"total":{total},"firstUri":"{}","selfUri":"{}""#,
        link(1),
        link(page),
    );
    if page > 1 {
        let _ = write!(out, r#","previousUri":"{}""#, link(page - 1));
    }
    if page < pages {
        let _ = write!(out, r#","nextUri":"{}""#, link(page + 1));
    }
    let _ = write!(out, r#","lastUri":"{}","pageCount":{pages}}}"#, link(pages.max(1)));
    Ok(Reply::json(out))
}

/// Appends the user to `out`.
pub(super) fn push_user(out: &mut String, index: u64) {
    // The records' agents have these ids.
    let id = uuid(mix(7, index));
    let _ = write!(out, r#"{{"id":"{id}","name":"Ägent {index}","selfUri":"{USERS}/{id}"}}"#);
}
