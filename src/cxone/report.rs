//! What the reporting API answers.

use http::HeaderMap;

use crate::pager::{ApiError, Error, Query, Rule};

/// A report, such as `/incontactapi/services/v30.0/contacts/completed?updatedSince=2026-03-01T00:00:00Z`, with its items
/// at the JSON pointer `items`: `/completedContacts`, `/contacts`, `/agentStateHistory`, ….
///
/// It goes on where `_links.next` says, and ends without one, and at an answer without content (204). Write instants with a
/// literal `Z`. `api` is [`Tenant::api_url`](super::Tenant::api_url), or [`api_url`](super::api_url) of a token.
///
/// ```
/// use tower_oauth2::cxone;
///
/// let path = "/incontactapi/services/v30.0/contacts/completed?updatedSince=2026-03-01T00:00:00Z&top=10000";
/// let query = cxone::report("https://api-na1.niceincontact.com", path, "/completedContacts")?;
/// # Ok::<(), tower_oauth2::pager::Error>(())
/// ```
///
/// # Errors
///
/// If the API is not an absolute http or https URL, or `items` is no JSON pointer.
pub fn report(api: &str, path: &str, items: &str) -> Result<Query, Error> {
    let url = format!("{}/{}", api.trim().trim_end_matches('/'), path.trim_start_matches('/'));
    Ok(Query::get(url, items, Rule::next_url("/_links/next"))?.explain_errors(explain))
}

/// Reads what an error says about itself: often in the header `icStatusDescription` only, and found again by
/// `CorrelationId`. What to give to [`Query::explain_errors`](crate::pager::Query::explain_errors) for a query of your own.
pub fn explain(headers: &HeaderMap, body: &[u8]) -> ApiError {
    let codes = ["error", "errorCode", "code"];
    let messages = ["error_description", "errorDescription", "message"];
    let mut error = ApiError::read(headers, body, &codes, &messages, &["correlationid"]);
    let described = || headers.get("icstatusdescription")?.to_str().ok().map(|text| crate::text::clean(text, 400));
    error.message = error.message.or_else(|| described().filter(|text| !text.is_empty()));
    error
}
