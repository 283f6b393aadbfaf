//! Where the next page is, and what is sent to get it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod auto;
mod cursors;
mod flags;
mod links;
mod numbers;
mod offsets;
mod requests;
#[allow(dead_code, reason = "not all of it is wanted here")]
#[path = "../support/scripted_api.rs"]
mod scripted_api;
mod together;

const URL: &str = "https://api.example.com/v2/users?page=1";
