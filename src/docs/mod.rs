//! Guides. There is no code in here.

pub mod composing;
pub mod layers;
