//! How long to wait before the next attempt.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Random waits whose bound doubles. One generator for all requests: a clone of it in each would make all of them wait for
/// the same "random" time.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    /// After a failure: full jitter, between zero and the bound.
    pub(super) failed: Option<Curve>,
    /// After a 429: equal jitter, between half the bound and all of it. The server is well: what it needs is time.
    pub(super) throttled: Option<Curve>,
    rng: Arc<Mutex<fastrand::Rng>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Curve {
    pub(super) base: Duration,
    pub(super) cap: Duration,
}

// === impl Backoff ===

impl Backoff {
    /// With the defaults for both.
    pub(super) fn new() -> Self {
        Self { failed: None, throttled: None, rng: Arc::new(Mutex::new(fastrand::Rng::new())) }
    }

    pub(super) fn seed(&mut self, seed: u64) {
        self.rng = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
    }

    /// After so many failures of that kind, where the server asked for `hint`: never less than that, and a little more, so
    /// that those who were told the same time do not come back at the same time.
    pub(super) fn wait(&self, throttled: bool, failures: u32, hint: Option<Duration>) -> Duration {
        let curve = match (self.throttled, self.failed) {
            (Some(curve), _) if throttled => curve,
            (_, Some(curve)) => curve,
            _ if throttled => THROTTLED,
            _ => FAILED,
        };
        let doublings = failures.saturating_sub(1).min(31);
        let bound = curve.base.saturating_mul(1 << doublings).min(curve.cap);
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let least = if throttled { bound / 2 } else { Duration::ZERO };
        let backoff = least + (bound - least).mul_f64(rng.f64());
        match hint {
            Some(hint) => {
                let spread = (hint / 10).min(MAX_SPREAD).mul_f64(rng.f64());
                hint.max(backoff).saturating_add(spread)
            }
            None => backoff,
        }
    }
}

const FAILED: Curve = Curve { base: Duration::from_millis(200), cap: Duration::from_secs(10) };
const THROTTLED: Curve = Curve { base: Duration::from_secs(1), cap: Duration::from_secs(10) };
const MAX_SPREAD: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff() -> Backoff {
        let mut backoff = Backoff::new();
        backoff.seed(7);
        backoff
    }

    #[test]
    fn waits_fill_the_whole_range_up_to_the_doubling_bound() {
        let backoff = backoff();
        for (failures, bound) in [(1, 200), (2, 400), (3, 800), (7, 10_000), (40, 10_000), (u32::MAX, 10_000)] {
            let waits: Vec<_> = (0..1000).map(|_| backoff.wait(false, failures, None).as_millis()).collect();
            assert!(waits.iter().all(|wait| *wait <= bound));
            assert!(waits.iter().any(|wait| *wait < bound / 10) && waits.iter().any(|wait| *wait > bound * 9 / 10));
        }
    }

    #[test]
    fn throttled_waits_fill_the_upper_half_of_it() {
        let backoff = backoff();
        for (failures, bound) in [(1, 1000), (2, 2000), (3, 4000), (4, 8000), (5, 10_000), (u32::MAX, 10_000)] {
            let waits: Vec<_> = (0..1000).map(|_| backoff.wait(true, failures, None).as_millis()).collect();
            assert!(waits.iter().all(|wait| (bound / 2..=bound).contains(wait)), "{waits:?}");
            assert!(
                waits.iter().any(|wait| *wait < bound * 55 / 100) && waits.iter().any(|wait| *wait > bound * 95 / 100)
            );
        }
    }

    #[test]
    fn what_is_set_holds_for_both_until_both_are_set() {
        let second = Duration::from_secs(1);
        let longest = |backoff: &Backoff, throttled| (0..100).map(|_| backoff.wait(throttled, 9, None)).max().unwrap();
        let mut backoff = backoff();
        backoff.failed = Some(Curve { base: 3 * second, cap: 3 * second });
        assert!(longest(&backoff, false) > 2 * second && longest(&backoff, false) <= 3 * second);
        assert!(longest(&backoff, true) > 2 * second && longest(&backoff, true) <= 3 * second);
        backoff.throttled = Some(Curve { base: 8 * second, cap: 20 * second });
        assert!(longest(&backoff, false) <= 3 * second && longest(&backoff, true) > 18 * second);
        backoff.failed = None;
        assert!(
            (9 * second..=10 * second).contains(&longest(&backoff, false)) && longest(&backoff, true) > 18 * second
        );
    }

    #[test]
    fn clones_do_not_repeat_each_other() {
        let (a, b) = (backoff(), backoff());
        let of_clones: Vec<_> = (0..8).map(|_| a.clone().wait(false, 5, None)).collect();
        let in_turn: Vec<_> = (0..8).map(|_| b.wait(false, 5, None)).collect();
        assert_eq!(of_clones, in_turn, "clones share one sequence, which a seed repeats");
        assert!(of_clones.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_hint_is_a_lower_bound_with_a_little_spread() {
        let backoff = backoff();
        let second = Duration::from_secs(1);
        for throttled in [false, true] {
            let waits: Vec<_> = (0..1000).map(|_| backoff.wait(throttled, 1, Some(20 * second))).collect();
            assert!(waits.iter().all(|wait| (20 * second..22 * second).contains(wait)));
            assert!(waits.iter().max().unwrap().saturating_sub(*waits.iter().min().unwrap()) > second);
            assert_eq!(backoff.wait(throttled, 1, Some(Duration::MAX)), Duration::MAX);
        }
        assert!(backoff.wait(false, 1, Some(Duration::ZERO)) < second, "zero is no hint");
    }
}
