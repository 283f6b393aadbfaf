//! What users add to the body of a query.

use serde_json::{Map, Value};

use crate::pager::Error;

/// Adds the members of `filters` to `body`.
///
/// # Errors
///
/// If they are no object, or have a member that is there already or that `reserved` names.
pub(super) fn add(body: &mut Map<String, Value>, filters: Value, reserved: &[&str]) -> Result<(), Error> {
    let Value::Object(filters) = filters else {
        return Err(Error::config("the filters of a query are not a JSON object"));
    };
    for (name, value) in filters {
        if reserved.contains(&name.as_str()) || body.insert(name.clone(), value).is_some() {
            return Err(Error::config(format!("{name} is no filter: it is set by this crate")));
        }
    }
    Ok(())
}

/// `path` of the API `api`.
pub(super) fn url(api: &str, path: &str) -> String {
    format!("{}/{}", api.trim().trim_end_matches('/'), path.trim_start_matches('/'))
}
