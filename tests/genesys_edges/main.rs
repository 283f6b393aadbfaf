//! Genesys Cloud and NICE CXone at their edges.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod cxone;
mod jobs;
#[path = "../support/log.rs"]
mod log;
mod paging;
mod refusals;
#[allow(dead_code, reason = "not all of it is wanted here")]
#[path = "../support/scripted_api.rs"]
mod scripted_api;
mod states;
mod stops;
mod styles;
mod tokens;
mod ways;
mod world;
