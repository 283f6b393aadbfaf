//! Pages as streams.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../support/analytics_shapes.rs"]
mod analytics_shapes;
mod broken_pages;
mod continuation;
mod ends;
mod errors;
mod items;
mod job;
#[path = "../support/log.rs"]
mod log;
mod origin;
mod read_ahead;
mod rules;
#[path = "../support/scripted_api.rs"]
mod scripted_api;
mod stream;
