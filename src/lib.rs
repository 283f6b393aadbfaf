//! OAuth 2.0 bearer tokens, retries and paging for tower HTTP clients.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(missing_docs)]

#[cfg(feature = "testing")]
pub mod testing;
