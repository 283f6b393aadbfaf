//! Genesys Cloud and NICE CXone. `edges` has a map of what is known of them, and of the tests that hold the crate to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[allow(dead_code, reason = "not all of it is wanted here")]
#[path = "../support/analytics_shapes.rs"]
mod analytics_shapes;
mod cxone;
mod edges;
#[path = "../support/log.rs"]
mod log;
#[path = "../support/scripted_api.rs"]
mod scripted_api;
mod shapes;
mod simulated;
mod styles;
