//! The clock that is read at every request, where a few milliseconds count for nothing.
//!
//! `Instant::now` takes 20 to 30 ns, which is half of what all else of a hit takes, and the kernel's coarse clock 4. It is
//! behind by up to a tick, 10 ms at the most, at either end of a span; so what is kept by it is looked at again two ticks
//! early, by the exact clock, and is never used for too long. Neither a coarse clock that a thread of our own moves, nor a
//! timer that ends what is kept would be right when the process was stopped for a while, or where nobody drives the runtime.
//!
//! A test that pauses tokio's clock must find every deadline where it is, so where tokio can be paused, its clock is read.
//! Whether it can is known when this is compiled. Likewise on systems other than Linux; `exact_clock.rs` is this module there,
//! and without the feature `coarse-clock`.

use std::time::Duration;

use coarsetime::Instant as Coarse;
use tokio::time::Instant;

/// Until when something holds that is asked about at every request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Exact(Instant),
    Coarse(Coarse),
}

/// When a span began whose exact length matters to nobody.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Since {
    Exact(Instant),
    Coarse(Coarse),
}

// === impl Until ===

impl Until {
    /// `at`, or a little earlier. It is `now`.
    pub(crate) fn new(at: Instant, now: Instant) -> Self {
        if CAN_BE_PAUSED { Self::Exact(at) } else { Self::coarse(at, now) }
    }

    fn coarse(at: Instant, now: Instant) -> Self {
        let left = at.saturating_duration_since(now).saturating_sub(TWO_TICKS);
        Self::Coarse(coarse() + left.into())
    }

    /// Whether it is not over. One that says so is right.
    #[inline]
    pub(crate) fn holds(self) -> bool {
        match self {
            Self::Exact(at) => Instant::now() < at,
            Self::Coarse(at) => coarse() < at,
        }
    }
}

// === impl Since ===

impl Since {
    #[inline]
    pub(crate) fn now() -> Self {
        if CAN_BE_PAUSED { Self::Exact(Instant::now()) } else { Self::Coarse(coarse()) }
    }

    /// When that was, to within 10 ms. It is `now`.
    pub(crate) fn instant(self, now: Instant) -> Instant {
        match self {
            Self::Exact(at) => at,
            Self::Coarse(at) => {
                let passed: Duration = coarse().duration_since(at).into();
                now.checked_sub(passed).unwrap_or(now)
            }
        }
    }
}

/// Nobody else's reading is moved by ours: that would be a cache line which all cores write.
#[inline]
fn coarse() -> Coarse {
    Coarse::now_without_cache_update()
}

/// Whether tokio was built with a clock that can be paused: with its feature `test-util`, which whoever builds this crate may
/// have switched on, and which is the only one that has a `pause`.
const CAN_BE_PAUSED: bool = {
    #[allow(unused_imports, reason = "it hides the function below, or has none by its name")]
    use tokio::time::*;
    returns_nothing(pause)
};

#[allow(dead_code, reason = "hidden by tokio's, where there is one")]
const fn pause() -> bool {
    false
}

const fn returns_nothing<R>(_: fn() -> R) -> bool {
    size_of::<R>() == 0
}

/// Of a kernel with 100 of them in a second, as slow as any is.
const TWO_TICKS: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn here_tokio_can_be_paused() {
        const { assert!(CAN_BE_PAUSED, "this crate's tests have its test-util") }
        assert!(!pause());
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_be_paused_is_exact() {
        let now = Instant::now();
        let (until, since) = (Until::new(now + Duration::from_millis(1), now), Since::now());
        assert!(until.holds());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!until.holds());
        assert_eq!(since.instant(Instant::now()), now);
    }

    #[test]
    fn a_coarse_clock_says_never_too_late_that_it_is_over() {
        let now = Instant::now();
        assert!(Until::coarse(now + Duration::from_secs(5), now).holds());
        for soon in [0, 1, 10, 20] {
            assert!(!Until::coarse(now + Duration::from_millis(soon), now).holds(), "{soon} ms");
        }
        let end = now + Duration::from_millis(60);
        let until = Until::coarse(end, now);
        while until.holds() {
            assert!(Instant::now() < end);
        }
    }

    #[test]
    fn a_span_is_measured_to_a_tick() {
        let (since, before) = (Since::Coarse(coarse()), Instant::now());
        while Instant::now().saturating_duration_since(before) < Duration::from_millis(30) {
            std::hint::spin_loop();
        }
        let now = Instant::now();
        let began = since.instant(now);
        let off = began.max(before).duration_since(began.min(before));
        assert!(off < Duration::from_millis(20), "{off:?}");
    }
}
