//! So many requests per window of time and client.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::testing::reply::whole_seconds;

/// Fixed windows; a client's first request opens its window.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    rule: Option<(u32, Duration)>,
    windows: HashMap<Arc<str>, (Instant, u32)>,
}

/// Where a client stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) count: u32,
    pub(super) allowed: u32,
    pub(super) left: Duration,
}

// === impl Limiter ===

impl Limiter {
    pub(super) fn new(rule: Option<(u32, Duration)>) -> Self {
        Self { rule, windows: HashMap::new() }
    }

    pub(super) fn count(&mut self, client: &Arc<str>, now: Instant) -> Option<Tally> {
        let (allowed, per) = self.rule?;
        let window = self.windows.entry(Arc::clone(client)).or_insert((now, 0));
        if now.saturating_duration_since(window.0) >= per {
            *window = (now, 0);
        }
        window.1 = window.1.saturating_add(1);
        Some(Tally { count: window.1, allowed, left: per.saturating_sub(now.saturating_duration_since(window.0)) })
    }
}

// === impl Tally ===

impl Tally {
    pub(super) fn exceeded(&self) -> bool {
        self.count > self.allowed
    }

    /// Seconds until the window ends.
    pub(super) fn reset(&self) -> u64 {
        whole_seconds(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_ends_after_its_time_and_each_client_has_its_own() {
        let mut limiter = Limiter::new(Some((2, Duration::from_millis(2_500))));
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let start = Instant::now();
        let mut ask = |client, after| {
            let tally = limiter.count(client, start + Duration::from_millis(after));
            let tally = tally.unwrap();
            (tally.count, tally.exceeded(), tally.reset())
        };
        assert_eq!(ask(&a, 0), (1, false, 3));
        assert_eq!(ask(&a, 400), (2, false, 3));
        assert_eq!(ask(&a, 600), (3, true, 2));
        assert_eq!(ask(&b, 600), (1, false, 3));
        assert_eq!(ask(&a, 2_499), (4, true, 1));
        assert_eq!(ask(&a, 2_500), (1, false, 3));
        assert_eq!(ask(&a, 9_000), (1, false, 3));
    }
}
