//! Ways to get a token.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bodies;
mod cache;
mod dialects;
mod endpoint;
mod exchange;
mod failures;
mod issuer;
mod jwt;
mod metadata;
mod mtls;
#[path = "../support/mtls_server.rs"]
mod mtls_server;
mod refresh;
mod refresh_callers;
mod refresh_refused;
mod request;
mod request_general;
