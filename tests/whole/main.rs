//! What is true of the crate as a whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[allow(dead_code, reason = "not all of it is wanted here")]
#[path = "../support/analytics_shapes.rs"]
mod analytics_shapes;
mod auto_traits;
mod debug;
mod end_to_end;
mod metrics;
#[path = "../support/mod.rs"]
mod support;
