//! `POST /api/v2/analytics/users/details/query`.

use serde_json::{Map, Value, json};

use super::{error::explain, filters};
use crate::pager::{Error, Place, Query, Rule};

/// A user details query: what users did within an interval, their presence and routing status.
///
/// Pages are numbered in the body; the pager counts what it got against `totalHits`.
#[derive(Clone, Debug)]
#[must_use]
pub struct UserDetails {
    api: String,
    interval: String,
    page_size: u32,
    filters: Value,
}

// === impl UserDetails ===

impl UserDetails {
    /// At the API `api`, such as [`Region::api_url`](super::Region::api_url), for `interval`: two instants of ISO 8601 with
    /// a slash between, the first included, the second not.
    pub fn query(api: impl Into<String>, interval: impl Into<String>) -> Self {
        let filters = Value::Object(Map::new());
        Self { api: api.into(), interval: interval.into(), page_size: Self::MAX_PAGE_SIZE, filters }
    }

    /// Users a page, 1 to [`MAX_PAGE_SIZE`](Self::MAX_PAGE_SIZE), which is the default.
    pub fn page_size(mut self, size: u32) -> Self {
        self.page_size = size.clamp(1, Self::MAX_PAGE_SIZE);
        self
    }

    /// Members of the request body, such as `userFilters`: a JSON object. None by default.
    pub fn filters(mut self, filters: Value) -> Self {
        self.filters = filters;
        self
    }

    /// The query for a [`Pager`](crate::pager::Pager).
    ///
    /// # Errors
    ///
    /// If the API is not an absolute http or https URL, or the filters are no object, or have a member that is set here:
    /// `interval`, `order` or `paging`.
    pub fn build(self) -> Result<Query, Error> {
        let mut body = Map::new();
        body.insert("interval".into(), self.interval.into());
        body.insert("order".into(), "asc".into());
        body.insert("paging".into(), json!({"pageSize": self.page_size, "pageNumber": 1}));
        filters::add(&mut body, self.filters, &[])?;
        let rule = Rule::page_number(Place::body("/paging/pageNumber")).total("/totalHits");
        let url = filters::url(&self.api, "/api/v2/analytics/users/details/query");
        Ok(Query::post(url, Value::Object(body), "/userDetails", rule)?.explain_errors(explain))
    }

    /// What the API takes.
    pub const MAX_PAGE_SIZE: u32 = 100;
}
