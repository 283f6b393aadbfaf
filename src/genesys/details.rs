//! `POST /api/v2/analytics/conversations/details/query`.

use serde_json::{Map, Value, json};

use super::{error::explain, filters};
use crate::pager::{Error, Place, Query, Rule};

/// A conversation details query: conversations that began within an interval, in the order they began.
///
/// Pages are numbered in the body and there is no link to the next; the pager counts what it got against `totalHits`. The
/// API itself answers for 31 days and 100,000 results at the most.
#[derive(Clone, Debug)]
#[must_use]
pub struct ConversationDetails {
    api: String,
    body: Map<String, Value>,
    page_size: u32,
    filters: Value,
}

// === impl ConversationDetails ===

impl ConversationDetails {
    /// At the API `api`, such as [`Region::api_url`](super::Region::api_url), for `interval`: two instants of ISO 8601 with a
    /// slash between, the first included, the second not.
    pub fn query(api: impl Into<String>, interval: impl Into<String>) -> Self {
        let mut body = Map::new();
        body.insert("interval".into(), Value::from(interval.into()));
        // A fixed order: with any other one a conversation could be on two pages, or on none.
        body.insert("order".into(), "asc".into());
        body.insert("orderBy".into(), "conversationStart".into());
        Self { api: api.into(), body, page_size: Self::MAX_PAGE_SIZE, filters: Value::Object(Map::new()) }
    }

    /// Conversations a page, 1 to [`MAX_PAGE_SIZE`](Self::MAX_PAGE_SIZE), which is the default.
    pub fn page_size(mut self, size: u32) -> Self {
        self.page_size = size.clamp(1, Self::MAX_PAGE_SIZE);
        self
    }

    /// Members of the request body, such as `segmentFilters`: a JSON object. None by default.
    pub fn filters(mut self, filters: Value) -> Self {
        self.filters = filters;
        self
    }

    /// The query for a [`Pager`](crate::pager::Pager).
    ///
    /// # Errors
    ///
    /// If the API is not an absolute http or https URL, or the filters are no object, or have a member that is set here:
    /// `interval`, `order`, `orderBy` or `paging`.
    pub fn build(mut self) -> Result<Query, Error> {
        self.body.insert("paging".into(), json!({"pageSize": self.page_size, "pageNumber": 1}));
        filters::add(&mut self.body, self.filters, &[])?;
        let rule = Rule::page_number(Place::body("/paging/pageNumber")).total("/totalHits");
        let query = Query::post(details_url(&self.api), Value::Object(self.body), "/conversations", rule)?;
        Ok(query.explain_errors(explain))
    }

    /// What the API takes.
    pub const MAX_PAGE_SIZE: u32 = 100;
}

/// Also where the tutorials' queries go.
pub(super) fn details_url(api: &str) -> String {
    filters::url(api, "/api/v2/analytics/conversations/details/query")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_cannot_replace_what_the_query_is_made_of() {
        let build = |filters| ConversationDetails::query("https://api.mypurecloud.ie", "a/b").filters(filters).build();
        assert!(build(json!({"segmentFilters": []})).is_ok());
        for (filters, says) in [
            (json!({"interval": "c/d"}), "interval"),
            (json!({"paging": {"pageSize": 1000}}), "paging"),
            (json!([]), "not a JSON object"),
            (json!("x"), "not a JSON object"),
        ] {
            let error = build(filters).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
