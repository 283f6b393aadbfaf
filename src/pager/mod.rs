//! Pages of an API as a stream, whatever way it has to say where the next one is.
//!
//! A [`Query`] says what to ask for, where the items are and, by a [`Rule`], where the next page is. [`Pager`] sends it
//! through any service and is a stream of [`Page`]s; [`Pager::items`] and [`Pager::raw_items`] are streams of what is in
//! them. A [`Job`] is a query whose pages have to be waited for.
//!
//! ```
//! use futures_util::TryStreamExt;
//! use serde::Deserialize;
//! use tower_oauth2::pager::{Pager, Query, Rule};
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use bytes::Bytes;
//!
//! #[derive(Deserialize)]
//! struct User { id: u32 }
//!
//! # let run = async {
//! // Stands for a stack of layers on a client.
//! let api = tower::service_fn(|request: Request<Full<Bytes>>| async move {
//!     let page = match request.uri().query() {
//!         None => r#"{"users": [{"id": 1}, {"id": 2}], "next": "?after=2"}"#,
//!         _ => r#"{"users": [{"id": 3}], "next": null}"#,
//!     };
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(page))))
//! });
//! let query = Query::get("https://api.example.com/users", "/users", Rule::next_url("/next"))?;
//! let users: Vec<User> = Pager::new(api, query).items().try_collect().await?;
//! assert_eq!(users.iter().map(|user| user.id).sum::<u32>(), 6);
//! # Ok::<(), tower::BoxError>(()) };
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run)?;
//! # Ok::<(), tower::BoxError>(())
//! ```
//!
//! # Behavior
//!
//! * Nothing is sent before the first poll, nothing after the end, and one request at a time; the next one only when the
//!   page before it was taken, unless [`Pager::read_ahead`] or [`Pager::concurrency`].
//! * The end is where the [`Rule`] finds no next page. A page with fewer items than asked for is not the end, nor is an empty page of a cursor; too many of those in a row are an error, as is a next page that was there
//!   before, one of another origin, or one more than [`max_pages`](Pager::max_pages), and an end before the
//!   [`total`](Rule::total). What is not complete never looks as if it were.
//! * A page whose body breaks off, stalls, is empty, is not JSON, or has neither a list of items (which may be `null`)
//!   nor a next page, a total, a count of pages or a flag that there are more, is asked for again, up to [`page_attempts`](Pager::page_attempts)
//!   times; not so that of a query that is not to be [repeated](Query::repeat). A retry policy decides at the head of a
//!   response and never sees its body. Statuses and failures to send are left to that policy.
//! * After an error the stream ends. [`Pager::continuation`] names the page that failed, and [`Pager::resume`] goes on
//!   there, in another process if need be.
//!
//! # Cancellation
//!
//! Between polls nothing runs, unless [`Pager::read_ahead`], [`Pager::concurrency`] or a [`Job`] say so. Dropping the stream
//! drops the requests under way, but for those that submit and delete a job.

mod answer;
mod auto;
mod bare;
mod collect;
mod continuation;
mod error;
mod exchange;
mod fetch;
mod fingerprint;
mod flights;
mod items;
mod job;
mod limits;
mod link_header;
mod next;
mod page;
#[allow(clippy::module_inception, reason = "the file is named after the type in it")]
mod pager;
mod place;
mod poll;
mod position;
mod query;
mod read_ahead;
mod request;
mod rule;

pub use self::{
    continuation::Continuation,
    error::{ApiError, Error, ErrorKind},
    items::{Items, RawItems},
    job::Job,
    page::{Page, RawItem},
    pager::Pager,
    place::Place,
    query::Query,
    read_ahead::ReadAhead,
    rule::Rule,
};

#[cfg(fuzzing)]
pub(crate) fn next_link(headers: &http::HeaderMap, page: &http::Uri) -> Result<Option<String>, &'static str> {
    link_header::target(headers, "next", page)
}
