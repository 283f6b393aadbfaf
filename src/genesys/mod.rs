//! Genesys Cloud: its regions, its conversation queries, and what its errors say.
//!
//! ```
//! use tower_oauth2::genesys::{ConversationDetails, Region};
//! use tower_oauth2::pager::Query;
//!
//! let region: Region = "mypurecloud.ie".parse()?;
//! assert_eq!(region.token_url(), "https://login.mypurecloud.ie/oauth/token");
//!
//! let query: Query = ConversationDetails::query(region.api_url(), "2026-03-01T00:00:00Z/2026-03-08T00:00:00Z")
//!     .page_size(100)
//!     .filters(serde_json::json!({"segmentFilters": [{
//!         "type": "and",
//!         "predicates": [{"dimension": "mediaType", "value": "voice"}],
//!     }]}))
//!     .build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Give `query` to a [`Pager`](crate::pager::Pager). Scopes do not apply to the client credentials of Genesys Cloud: what
//! a client may do is said by its roles there. A query needs `analytics:conversationDetail:view`.

mod details;
mod error;
mod region;
mod retry_hint;
mod tutorial;

#[cfg(fuzzing)]
pub(crate) use self::retry_hint::hint;
pub use self::{
    details::ConversationDetails,
    error::explain,
    region::{Region, UnknownRegion},
    retry_hint::{RetryHintBody, RetryHintFuture, RetryHintLayer, RetryHintService},
    tutorial::{entities, results},
};
