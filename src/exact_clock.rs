//! The clock that is read at every request, where there is none that is coarse and cheap; see `clock.rs`.

use tokio::time::Instant;

/// Until when something holds that is asked about at every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until(Instant);

/// When a span began whose exact length matters to nobody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since(Instant);

// === impl Until ===

impl Until {
    pub(crate) fn new(at: Instant, _: Instant) -> Self {
        Self(at)
    }

    #[inline]
    pub(crate) fn holds(self) -> bool {
        Instant::now() < self.0
    }
}

// === impl Since ===

impl Since {
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn instant(self, _: Instant) -> Instant {
        self.0
    }
}
