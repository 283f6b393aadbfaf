//! The query, in each of the shapes.

use serde_json::{Map, Value, json};
use tower_oauth2::{
    genesys::{self, ConversationDetails},
    pager::{Error, Query},
};

use crate::{args::Shape, checkpoint::Subject, config::Period};

/// The query for a part of what is exported.
///
/// # Errors
///
/// If the API is no absolute URL.
pub fn build(subject: &Subject, part: &Period) -> Result<Query, Error> {
    let Subject { api, shape, page_size, filters, .. } = subject.clone();
    let [from, to] = part.bounds();
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
    if shape == Shape::Results { genesys::results(&api, body) } else { genesys::entities(&api, body) }
}

fn merge(mut body: Value, filters: Map<String, Value>) -> Value {
    if let Value::Object(members) = &mut body {
        members.extend(filters);
    }
    body
}
