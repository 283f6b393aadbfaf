//! The query, in each of the shapes.

use serde_json::{Map, Value, json};
use tower_oauth2::{
    genesys::{self, ConversationDetails},
    pager::{Error, Query},
};

use crate::{args::Shape, config::Period};

/// The query for `period`, with `filters` merged in.
///
/// # Errors
///
/// If the API is no absolute URL.
pub fn build(
    shape: Shape,
    api: &str,
    period: &Period,
    page_size: u32,
    filters: Map<String, Value>,
) -> Result<Query, Error> {
    let [from, to] = period.bounds();
    let body = match shape {
        Shape::Details => {
            let query = ConversationDetails::query(api, format!("{from}/{to}"));
            return query.page_size(page_size).filters(Value::Object(filters)).build();
        }
        Shape::Results => json!({"dateFrom": from, "dateTo": to, "size": page_size}),
        Shape::Entities => json!({
            "time_filter": {"type": "dateRange", "from_date": from, "to_date": to},
            "view": "default",
            "size": page_size,
        }),
    };
    let body = merge(body, filters);
    if shape == Shape::Results { genesys::results(api, body) } else { genesys::entities(api, body) }
}

fn merge(mut body: Value, filters: Map<String, Value>) -> Value {
    if let Value::Object(members) = &mut body {
        members.extend(filters);
    }
    body
}
