//! The ways in which other parts of the API page.

use serde_json::Value;

use super::{error::explain, filters::url};
use crate::pager::{Error, Place, Query, Rule};

/// A listing, such as `/api/v2/users?pageSize=100`: `{"entities": […], "nextUri": "/api/v2/…"}`.
///
/// # Errors
///
/// If the API is not an absolute http or https URL.
pub fn listing(api: &str, path: &str) -> Result<Query, Error> {
    get(api, path, "/entities", Rule::next_url("/nextUri"))
}

/// A listing with cursors, such as `/api/v2/externalcontacts/import/jobs`: `{"entities": […], "cursors": {"after": "…"}}`,
/// where the cursor is sent as `after`. Scans look the same, and take it as something else: [`scan`].
///
/// # Errors
///
/// If the API is not an absolute http or https URL.
pub fn cursor_listing(api: &str, path: &str) -> Result<Query, Error> {
    get(api, path, "/entities", Rule::cursor("/cursors/after", Place::query("after")))
}

/// A scan, such as `/api/v2/externalcontacts/scan/contacts?limit=200`: `{"entities": […], "cursors": {"after": "…"}}`, where
/// the cursor is sent as `cursor`.
///
/// ```
/// use tower_oauth2::genesys::{self, Region};
///
/// let region: Region = "mypurecloud.ie".parse()?;
/// let query = genesys::scan(&region.api_url(), "/api/v2/externalcontacts/scan/contacts?limit=200")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// If the API is not an absolute http or https URL.
pub fn scan(api: &str, path: &str) -> Result<Query, Error> {
    get(api, path, "/entities", Rule::cursor("/cursors/after", Place::query("cursor")))
}

/// A search, such as `/api/v2/users/search`: `{"results": […], "nextPage": "…"}`, where `nextPage` is a token that is
/// asked for with GET, as `q64`.
///
/// # Errors
///
/// If the API is not an absolute http or https URL.
pub fn search(api: &str, path: &str, body: Value) -> Result<Query, Error> {
    let rule = Rule::cursor("/nextPage", Place::query("q64")).follow_with_get();
    Ok(Query::post(url(api, path), body, "/results", rule)?.explain_errors(explain))
}

/// A listing of SCIM (RFC 7644 §3.4.2.4), such as `/api/v2/scim/v2/Users`: `{"Resources": […], "totalResults": 3}`, counted
/// by `startIndex`.
///
/// # Errors
///
/// If the API is not an absolute http or https URL.
pub fn scim(api: &str, path: &str) -> Result<Query, Error> {
    get(api, path, "/Resources", Rule::offset(Place::query("startIndex")).first(1).total("/totalResults"))
}

fn get(api: &str, path: &str, items: &str, rule: Rule) -> Result<Query, Error> {
    Ok(Query::get(url(api, path), items, rule)?.explain_errors(explain))
}
