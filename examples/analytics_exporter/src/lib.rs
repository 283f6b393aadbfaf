//! The exporter's parts; `analytics_exporter` and `analytics_simulator` are made of them.

pub mod args;
pub mod config;
pub mod export;
pub mod failure;
pub mod progress;
pub mod query;
pub mod simulator;
pub mod sink;
pub mod stop;
pub mod summary;
