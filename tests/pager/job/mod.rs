//! Jobs as streams of pages.

mod api;
mod ends;
mod fails;
mod goes_on;
mod plan;
mod simulator;
mod whole;
