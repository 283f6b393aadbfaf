//! What the benches share: the stacks they measure, how they measure, and how they tell.
//!
//! A bench runs its contestants in turn, one round each, many times over, so that whatever the machine does meanwhile
//! happens to all of them; it compares medians, as ratios. What a ratio of times is worth depends on the machine's mood
//! and on where code happens to lie; counts of allocations and instructions depend on neither.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot go on has nothing else to do")]

mod contestants;
mod report;
mod rounds;
#[cfg(feature = "server")]
mod server;
mod stack;

#[cfg(feature = "server")]
pub use self::server::{ANSWER, Server, serve_if_called};
pub use self::{
    contestants::{Clonable, Locked, NAMES, NoPolicy, Visitor, empty, visit},
    report::{Check, Report, verdict},
    rounds::{Pair, Paired, interleaved, median, paired, percentile},
    stack::{Answer, Inner, SECRET, Stack, StaticHeader, cached, fixed, last, layer, request, send},
};
