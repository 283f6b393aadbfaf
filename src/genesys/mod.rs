//! Genesys Cloud: its regions, its queries, each way in which it pages, and what its errors say.
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
//! # Queries
//!
//! | answer | next page | query |
//! |---|---|---|
//! | `conversations`, `totalHits` | `paging.pageNumber` in the body | [`ConversationDetails`] |
//! | `userDetails`, `totalHits` | `paging.pageNumber` in the body | [`UserDetails`] |
//! | `conversations`, `cursor`, of a job | `?cursor=` | [`ConversationJob`] |
//! | `entities`, `nextUri` | that URL | [`listing`] |
//! | `entities`, `cursors.after` | `?after=` | [`cursor_listing`] |
//! | the same, of a scan | `?cursor=` | [`scan`] |
//! | `results`, `nextPage`, a token | GET with `?q64=` | [`search`] |
//! | `Resources`, `totalResults` (SCIM) | `?startIndex=` | [`scim`] |
//! | `results`, `nextPage`, a URL; `entities`, `next_page` (widely copied tutorials) | that URL; `?page_token=` | [`results`], [`entities`] |
//! | any of these | found out from the first page | [`Query::auto_get`](crate::pager::Query::auto_get), [`auto_post`](crate::pager::Query::auto_post) |
//! | anything else | | a [`Rule`](crate::pager::Rule) and [`explain`] |
//!
//! Give `query` to a [`Pager`](crate::pager::Pager). Scopes do not apply to the client credentials of Genesys Cloud: what
//! a client may do is said by its roles there. A query needs `analytics:conversationDetail:view`.

mod details;
mod error;
mod filters;
mod job;
mod region;
mod retry_hint;
mod styles;
mod tutorial;
mod users;

#[cfg(fuzzing)]
pub(crate) use self::retry_hint::hint;
pub use self::{
    details::ConversationDetails,
    error::explain,
    job::ConversationJob,
    region::{Region, UnknownRegion},
    retry_hint::{RetryHintBody, RetryHintFuture, RetryHintLayer, RetryHintService},
    styles::{cursor_listing, listing, scan, scim, search},
    tutorial::{entities, results},
    users::UserDetails,
};
