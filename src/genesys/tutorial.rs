//! The two shapes that widely copied tutorials expect of the conversation query. The real one is
//! [`ConversationDetails`](super::ConversationDetails); gateways and mock servers exist that speak these.

use serde_json::Value;

use super::{details::details_url, error::explain};
use crate::pager::{Error, Place, Query, Rule};

/// `{"results": […], "nextPage": "/api/v2/…?pageToken=…"}`: a POST of `body`, then GETs of the URL in `nextPage`.
///
/// ```
/// let body = serde_json::json!({"dateFrom": "2023-10-01T00:00:00.000Z", "dateTo": "2023-10-02T00:00:00.000Z", "size": 50});
/// let query = tower_oauth2::genesys::results("https://api.mypurecloud.com", body)?;
/// # Ok::<(), tower_oauth2::pager::Error>(())
/// ```
///
/// # Errors
///
/// If the API is not an absolute http or https URL.
pub fn results(api: &str, body: Value) -> Result<Query, Error> {
    let rule = Rule::next_url("/nextPage").follow_with_get();
    Ok(Query::post(details_url(api), body, "/results", rule)?.explain_errors(explain))
}

/// `{"entities": […], "next_page": "…"}`: a POST of `body`, then the same with `?page_token=…`.
///
/// ```
/// let body = serde_json::json!({"time_filter": {"from_date": "2023-10-01T00:00:00+00:00"}, "size": 100});
/// let query = tower_oauth2::genesys::entities("https://api.mypurecloud.com", body)?;
/// # Ok::<(), tower_oauth2::pager::Error>(())
/// ```
///
/// # Errors
///
/// If the API is not an absolute http or https URL.
pub fn entities(api: &str, body: Value) -> Result<Query, Error> {
    let rule = Rule::cursor("/next_page", Place::query("page_token"));
    Ok(Query::post(details_url(api), body, "/entities", rule)?.explain_errors(explain))
}
