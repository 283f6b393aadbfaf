//! How long to wait before the next attempt.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Full jitter: random between zero and a bound that doubles. One generator for all requests: a clone of it in each
/// would make all of them wait for the same "random" time.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    pub(super) base: Duration,
    pub(super) cap: Duration,
    rng: Arc<Mutex<fastrand::Rng>>,
}

// === impl Backoff ===

impl Backoff {
    pub(super) fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, rng: Arc::new(Mutex::new(fastrand::Rng::new())) }
    }

    pub(super) fn seed(&mut self, seed: u64) {
        self.rng = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
    }

    /// Before attempt `attempts + 1`, where the server asked for `hint`: never less than that, and a little more, so that
    /// those who were told the same time do not come back at the same time.
    pub(super) fn wait(&self, attempts: u32, hint: Option<Duration>) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let bound = self.base.saturating_mul(1 << doublings).min(self.cap);
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let backoff = bound.mul_f64(rng.f64());
        match hint {
            Some(hint) if hint > Duration::ZERO => {
                let spread = (hint / 10).min(MAX_SPREAD).mul_f64(rng.f64());
                hint.max(backoff).saturating_add(spread)
            }
            _ => backoff,
        }
    }
}

const MAX_SPREAD: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff() -> Backoff {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        backoff.seed(7);
        backoff
    }

    #[test]
    fn waits_fill_the_whole_range_up_to_the_doubling_bound() {
        let backoff = backoff();
        for (attempts, bound) in [(1, 200), (2, 400), (3, 800), (7, 10_000), (40, 10_000), (u32::MAX, 10_000)] {
            let waits: Vec<_> = (0..1000).map(|_| backoff.wait(attempts, None).as_millis()).collect();
            assert!(waits.iter().all(|wait| *wait <= bound));
            assert!(waits.iter().any(|wait| *wait < bound / 10) && waits.iter().any(|wait| *wait > bound * 9 / 10));
        }
    }

    #[test]
    fn clones_do_not_repeat_each_other() {
        let (a, b) = (backoff(), backoff());
        let of_clones: Vec<_> = (0..8).map(|_| a.clone().wait(5, None)).collect();
        let in_turn: Vec<_> = (0..8).map(|_| b.wait(5, None)).collect();
        assert_eq!(of_clones, in_turn, "clones share one sequence, which a seed repeats");
        assert!(of_clones.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_hint_is_a_lower_bound_with_a_little_spread() {
        let backoff = backoff();
        let waits: Vec<_> = (0..1000).map(|_| backoff.wait(1, Some(Duration::from_secs(20)))).collect();
        let second = Duration::from_secs(1);
        assert!(waits.iter().all(|wait| (20 * second..22 * second).contains(wait)));
        assert!(waits.iter().max().unwrap().saturating_sub(*waits.iter().min().unwrap()) > second);
        assert_eq!(backoff.wait(1, Some(Duration::MAX)), Duration::MAX);
        assert!(backoff.wait(1, Some(Duration::ZERO)) < second, "zero is no hint");
    }
}
