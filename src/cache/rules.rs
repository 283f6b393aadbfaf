//! The numbers a cache goes by.

use std::time::Duration;

use crate::token::MAX_LIFETIME;

/// Set through [`Builder`](super::Builder), which documents each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) refresh_before: Option<Duration>,
    pub(super) default_lifetime: Duration,
    pub(super) min_interval: Duration,
    pub(super) fetch_timeout: Duration,
    pub(super) flap_interval: Duration,
    pub(super) transient_backoff: Backoff,
    pub(super) permanent_backoff: Backoff,
    pub(super) max_retry_after: Duration,
}

/// Grows from `base` to `cap`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) base: Duration,
    pub(super) cap: Duration,
}

// === impl Rules ===

impl Rules {
    /// How long before its expiry a token is replaced; `jitter` in 0.0..1.0 spreads a fleet by ± 10 % of it.
    pub(super) fn margin(&self, lifetime: Duration, jitter: f64) -> Duration {
        let margin = match self.refresh_before {
            // Half a life at the most: a margin of a whole life would ask for a token at every call.
            Some(before) => before.min(lifetime / 2),
            None => (lifetime / 5).min(MAX_MARGIN),
        };
        margin.mul_f64(0.9 + 0.2 * jitter).min(lifetime)
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            refresh_before: None,
            default_lifetime: Duration::from_secs(300),
            min_interval: Duration::from_secs(1),
            fetch_timeout: Duration::from_secs(30),
            flap_interval: Duration::from_secs(10),
            transient_backoff: Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(30) },
            permanent_backoff: Backoff { base: Duration::from_secs(60), cap: Duration::from_secs(15 * 60) },
            max_retry_after: Duration::from_secs(60 * 60),
        }
    }
}

// === impl Backoff ===

impl Backoff {
    /// `base` is `floor` at the least: a back-off of nothing is none.
    pub(super) fn within(floor: Duration, base: Duration, cap: Duration) -> Self {
        let base = base.clamp(floor, MAX_LIFETIME);
        Self { base, cap: cap.clamp(base, MAX_LIFETIME) }
    }

    /// The pause after the `failures`-th failure in a row, counted from 1, where each is twice as long as the one before.
    pub(super) fn after(&self, failures: u32) -> Duration {
        self.times(1 << failures.saturating_sub(1).min(31))
    }

    /// The pause after the `failures`-th failure in a row, counted from 1, for what may pass at any time. `jitter` is in
    /// 0.0..1.0.
    ///
    /// Full jitter spreads a fleet once, and a steady beat keeps it spread. Full jitter for ever would ask twice as often,
    /// and doubling for ever would notice too late that the issuer is back.
    pub(super) fn beat(&self, failures: u32, jitter: f64) -> Duration {
        let bound = |failures: u32| self.times(1 << (2 * failures.saturating_sub(1).min(15)));
        if failures > 1 && bound(failures - 1) == self.cap {
            self.cap.mul_f64(1.0 - BEAT_SPREAD * jitter)
        } else {
            bound(failures).mul_f64(jitter)
        }
    }

    fn times(&self, factor: u32) -> Duration {
        self.base.saturating_mul(factor).min(self.cap)
    }
}

const MAX_MARGIN: Duration = Duration::from_secs(5 * 60);
const BEAT_SPREAD: f64 = 0.05;

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_margin_scales_with_the_life() {
        let rules = Rules::default();
        assert_eq!(rules.margin(secs(30), 0.5), secs(6));
        assert_eq!(rules.margin(secs(3600), 0.5), secs(300));
        assert_eq!(rules.margin(secs(3600), 0.0), secs(270));
        assert!(rules.margin(secs(3600), 0.999) < secs(330));
        assert_eq!(rules.margin(Duration::ZERO, 0.9), Duration::ZERO);
    }

    #[test]
    fn an_explicit_margin_never_eats_more_than_half_the_life() {
        let rules = Rules { refresh_before: Some(secs(300)), ..Rules::default() };
        assert_eq!(rules.margin(secs(30), 0.5), secs(15));
        assert_eq!(rules.margin(secs(3600), 0.5), secs(300));
    }

    #[test]
    fn a_back_off_doubles_up_to_its_cap() {
        let backoff = Rules::default().permanent_backoff;
        let steps: Vec<_> = [1, 2, 3, 4, 5, 6, 40, u32::MAX].map(|n| backoff.after(n).as_secs()).into();
        assert_eq!(steps, [60, 120, 240, 480, 900, 900, 900, 900]);
    }

    #[test]
    fn a_beat_is_full_jitter_that_grows_fourfold_until_the_cap_and_steady_from_then_on() {
        let ends = |backoff: Backoff, failures| [1.0, 0.0].map(|jitter| backoff.beat(failures, jitter).as_secs_f64());
        let usual = Rules::default().transient_backoff;
        for (failures, [one, zero]) in [
            (1, [2.0, 0.0]),
            (2, [8.0, 0.0]),
            (3, [30.0, 0.0]),
            (4, [28.5, 30.0]),
            (5, [28.5, 30.0]),
            (17, [28.5, 30.0]),
            (u32::MAX, [28.5, 30.0]),
        ] {
            assert_eq!(ends(usual, failures), [one, zero], "failure {failures}");
        }
        let constant = Backoff { base: secs(10), cap: secs(10) };
        assert_eq!(ends(constant, 1), [10.0, 0.0]);
        assert_eq!(ends(constant, 2), [9.5, 10.0]);
        let steep = Backoff { base: Duration::from_millis(100), cap: MAX_LIFETIME };
        assert_eq!(steep.beat(u32::MAX - 1, 0.0), MAX_LIFETIME);
    }
}
