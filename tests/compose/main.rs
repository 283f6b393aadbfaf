//! The layers among those of others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod anywhere;
mod balance;
mod cooldown;
mod http;
mod limits;
#[path = "../support/log.rs"]
mod log;
mod redirect;
#[path = "../support/mod.rs"]
mod support;
mod timeout;
#[path = "../support/upstream.rs"]
mod upstream;
