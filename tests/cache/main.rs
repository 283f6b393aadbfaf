//! The token cache: what its callers, its source and its issuer see of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod events;
mod failure;
mod figures;
mod invalidate;
#[path = "../support/log.rs"]
mod listener;
mod log;
mod many;
mod min_ttl;
mod outage;
mod runtime;
mod single_flight;
#[path = "../support/mod.rs"]
mod support;
