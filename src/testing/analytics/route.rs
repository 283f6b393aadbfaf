//! Which request goes where.

use bytes::Bytes;
use http::{Method, StatusCode, request};
use serde_json::Value;

use super::contacts::CONTACTS;
use super::cxone::COMPLETED;
use super::error_body::ErrorBody;
use super::handle::Inner;
use super::jobs::{self, JOBS};
use super::{contacts, cxone, details, tutorial, users};
use crate::testing::reply::quoted;

pub(super) const DETAILS: &str = "/api/v2/analytics/conversations/details/query";
pub(super) const USERS: &str = "/api/v2/users";

/// An answer before it has its headers.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// How many conversations it holds, if it is a page of them.
    pub(super) records: Option<u64>,
    /// What the header `icStatusDescription` says.
    pub(super) description: Option<String>,
}

pub(super) fn route(inner: &Inner, head: &request::Parts, body: &[u8]) -> Result<Reply, ErrorBody> {
    match head.uri.path() {
        DETAILS if head.method == Method::POST => query(inner, head, body),
        DETAILS if head.method == Method::GET => tutorial::follow(inner, head),
        USERS if head.method == Method::GET => users::list(inner, head),
        CONTACTS if head.method == Method::GET => contacts::scan(inner, head),
        COMPLETED if head.method == Method::GET => cxone::completed(inner, head),
        DETAILS | USERS | CONTACTS | COMPLETED => {
            Err(ErrorBody::new(405, "method.not.allowed", "The method is not allowed here."))
        }
        path if path.strip_prefix(JOBS).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) => {
            jobs::route(inner, head, body)
        }
        path if path == "/echo" || path.starts_with("/echo/") => {
            let (method, path, length) = (&head.method, quoted(path), body.len());
            let json = format!(r#"{{"method":"{method}","path":{path},"length":{length}}}"#);
            Ok(Reply::json(json))
        }
        _ => Err(ErrorBody::of_status(404)),
    }
}

/// The three shapes share a path; the body tells them apart.
fn query(inner: &Inner, head: &request::Parts, body: &[u8]) -> Result<Reply, ErrorBody> {
    let query: Value =
        serde_json::from_slice(body).map_err(|_| ErrorBody::bad_request("The request body is not valid JSON."))?;
    if query.get("time_filter").is_some() {
        tutorial::entities(inner, head, &query)
    } else if query.get("dateFrom").is_some() || query.get("dateTo").is_some() {
        tutorial::results(inner, head, &query)
    } else {
        details::query(inner, &query)
    }
}

// === impl Reply ===

impl Reply {
    pub(super) fn json(text: String) -> Self {
        Self { status: StatusCode::OK, body: Bytes::from(text), records: None, description: None }
    }

    pub(super) fn page(text: String, records: u64) -> Self {
        Self { records: Some(records), ..Self::json(text) }
    }
}
