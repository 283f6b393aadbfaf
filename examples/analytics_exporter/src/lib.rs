//! The exporter's parts; `analytics_exporter` and `analytics_simulator` are made of them.

pub mod args;
pub mod checkpoint;
pub mod config;
pub mod disk;
pub mod export;
pub mod failure;
pub mod output;
pub mod progress;
pub mod pump;
pub mod query;
pub mod simulator;
pub mod stop;
pub mod summary;
