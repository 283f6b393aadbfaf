//! OAuth 2.0 bearer tokens, retries and paging for tower HTTP clients.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(missing_docs)]

pub mod cache;
pub mod challenge;
#[cfg(feature = "client")]
pub mod client;
mod deadline;
mod error;
pub mod future;
pub mod genesys;
pub mod grant;
mod json;
mod layer;
mod origin;
pub mod pager;
mod repeat;
pub mod retry;
mod retry_after;
mod service;
mod source;
mod text;
mod token;

#[cfg(feature = "testing")]
pub mod testing;

pub use self::{
    cache::TokenCache,
    deadline::Deadline,
    error::Error,
    layer::OAuthLayer,
    service::OAuth,
    source::{SourceFn, TokenSource, source_fn},
    token::{Token, TokenRejected},
};
