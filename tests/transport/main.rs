//! Connections that end, and answers that come, when they should not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../support/callers.rs"]
mod callers;
mod early;
#[path = "../support/frames.rs"]
mod frames;
mod goaway;
mod http1;
mod http2;
#[path = "../support/wire.rs"]
mod wire;
