//! Jobs as streams of pages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod api;
mod ends;
mod fails;
mod goes_on;
#[path = "../support/log.rs"]
mod log;
mod plan;
#[allow(dead_code, reason = "not all of it is wanted here")]
#[path = "../support/scripted_api.rs"]
mod scripted_api;
mod simulator;
mod whole;
