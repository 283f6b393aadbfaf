//! The layer: which requests get the token, how long they wait for it, and what answers do to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod deadline;
mod min_ttl;
mod redirect;
mod rejection;
mod requests;
#[path = "../support/mod.rs"]
mod support;
mod waiting;
