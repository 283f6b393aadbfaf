//! One 429 holds all clones of a client: none of them early, all of them in the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod crowd;
mod limits;
#[path = "../support/log.rs"]
mod listener;
mod log;
mod pacing;
mod server;
mod stack;
mod who;
