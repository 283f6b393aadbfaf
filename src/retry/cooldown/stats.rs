//! What a layer has done.

use std::sync::atomic::AtomicU64;

use super::super::stats::load;

/// Counters over all services of a layer and its clones; from [`CooldownLayer::stats`](super::CooldownLayer::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CooldownStats {
    /// Requests that waited, for the end of a cool-down or for their turn, those included that gave up or were refused then.
    pub waited: u64,
    /// Requests that failed with a [`CooldownError`](super::CooldownError).
    pub refused: u64,
    /// Cool-downs that were set, or became notably longer: as often as "cooling down" was told.
    pub set: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) waited: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) set: AtomicU64,
}

// === impl Counters ===

impl Counters {
    pub(super) fn read(&self) -> CooldownStats {
        CooldownStats { waited: load(&self.waited), refused: load(&self.refused), set: load(&self.set) }
    }
}
