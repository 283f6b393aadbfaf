//! HTTP clients under the layers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod grpc;
#[path = "../support/grpc.rs"]
mod grpc_server;
mod https;
mod reqwest;
#[path = "../support/scenario.rs"]
mod scenario;
mod stack;
#[path = "../support/tls_server.rs"]
mod tls_server;
