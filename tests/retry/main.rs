//! What is sent again, when, and how often; and bodies that can be sent again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod after;
mod connect;
mod cooldown;
mod events;
mod figures;
mod grpc;
mod hint_genesys;
mod limits;
#[path = "../support/log.rs"]
mod log;
mod repeatable;
mod replay_cost;
mod replay_model;
mod replay_policy;
mod replay_upload;
mod stacking;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod transport;
mod unauthorized;
