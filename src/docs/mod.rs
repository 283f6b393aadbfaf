//! Guides. There is no code in here.

pub mod composing;
pub mod exporter;
pub mod exporting;
pub mod layers;
