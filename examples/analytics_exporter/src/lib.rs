//! The exporter's parts; `analytics_exporter` and `analytics_simulator` are made of them.

pub mod api;
pub mod args;
pub mod checkpoint;
pub mod client;
pub mod config;
pub mod disk;
pub mod encode;
pub mod export;
pub mod failure;
pub mod fields;
pub mod form;
pub mod frame;
pub mod lane;
pub mod lines;
pub mod output;
pub mod period;
pub mod progress;
pub mod pump;
pub mod sieve;
pub mod simulator;
pub mod source;
pub mod spool;
pub mod stack;
pub mod stop;
pub mod summary;

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

/// Tells the runtime that this thread waits for a disk.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(work),
        _ => work(),
    }
}
