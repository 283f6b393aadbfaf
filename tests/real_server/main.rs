//! A real authorization server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod auth;
#[path = "../oidc_provider/certificates.rs"]
mod certificates;
mod discovery;
mod jwt;
mod lifetime;
#[path = "../oidc_provider/mod.rs"]
mod oidc_provider;
mod refresh;
mod tls;
