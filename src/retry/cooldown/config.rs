//! What a layer is told, and what all of its services know together.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::{HeaderName, Response, StatusCode};
use tokio::time::Instant;
use tracing::debug;

use super::{
    super::{
        hints::{RetryHints, is_spent},
        metrics,
        stats::count,
    },
    key::{Credential, Hashing, Key, Place},
    pacing::Pacing,
    state::Table,
    stats::Counters,
    window::Mark,
};

#[derive(Clone)]
pub(super) struct Config {
    pub(super) max_wait: Duration,
    pub(super) unhinted: Duration,
    pub(super) max_cooldown: Duration,
    pub(super) max_keys: usize,
    pub(super) hints: RetryHints,
    pub(super) grpc: bool,
    pub(super) limited_403: bool,
    pub(super) credential: Option<Arc<Credential>>,
    pub(super) pacing: Option<Pacing>,
    rng: Arc<Mutex<fastrand::Rng>>,
    pub(super) memory: Arc<Memory>,
}

/// Shared by the clones of a layer as well.
#[derive(Debug)]
pub(super) struct Memory {
    table: Mutex<Table>,
    /// When the last of all cool-downs ends, in microseconds after `since`: until one is set, and when all are over, a request
    /// need not look further. Only ever moved on.
    horizon: AtomicU64,
    since: Instant,
    pub(super) hashing: Hashing,
    pub(super) counters: Counters,
}

// === impl Config ===

impl Config {
    pub(super) fn new() -> Self {
        Self {
            max_wait: Duration::from_secs(120),
            unhinted: Duration::from_secs(1),
            max_cooldown: DAY,
            max_keys: 1024,
            hints: RetryHints::new(),
            grpc: false,
            limited_403: false,
            credential: None,
            pacing: None,
            rng: Arc::new(Mutex::new(fastrand::Rng::new())),
            memory: Arc::default(),
        }
    }

    pub(super) fn seed(&mut self, seed: u64) {
        self.rng = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
    }

    /// From 0 to 1.
    pub(super) fn draw(&self) -> f64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }

    /// Whether nobody waits, whatever the key.
    pub(super) fn is_quiet(&self) -> bool {
        self.pacing.is_none() && self.memory.is_quiet()
    }

    /// Learns from the answer to the request that had `mark`.
    pub(super) fn heed<R>(&self, response: &Response<R>, key: Key, place: &Place, mark: Option<Mark>) {
        let wait = self.asks_for(response).map(|wait| wait.min(self.max_cooldown));
        let reading = self.pacing.as_ref().zip(mark).and_then(|(pacing, mark)| {
            let reading = pacing.read(response.headers(), SystemTime::now(), self.max_cooldown)?;
            Some((pacing, mark, reading))
        });
        if wait.is_none() && reading.is_none() {
            return;
        }
        let now = Instant::now();
        let mut news = false;
        {
            let mut table = self.memory.lock();
            if let Some((pacing, mark, reading)) = reading {
                table.read(key, now, pacing, mark, reading);
            }
            if let Some(wait) = wait {
                news = table.hold(key, wait, now, self.max_keys);
                self.memory.extend_horizon(now + wait);
            }
        }
        if let Some(wait) = wait.filter(|_| news) {
            count(&self.memory.counters.set);
            metrics::cooling_down(wait);
            debug!(origin = %place, ?wait, status = response.status().as_u16(), "cooling down");
        }
    }

    /// For how long a server wants to be left alone, if it does.
    fn asks_for<R>(&self, response: &Response<R>) -> Option<Duration> {
        let hint = || {
            let hints = self.hints.implied(self.limited_403, self.grpc);
            hints.of(response, SystemTime::now()).filter(|hint| !hint.is_zero())
        };
        match response.status() {
            StatusCode::TOO_MANY_REQUESTS => Some(hint().unwrap_or(self.unhinted)),
            StatusCode::SERVICE_UNAVAILABLE => hint(),
            StatusCode::FORBIDDEN if self.limited_403 => {
                hint().or_else(|| is_spent(response.headers()).then_some(self.unhinted))
            }
            StatusCode::OK if self.grpc => match response.headers().get(GRPC_STATUS)?.as_bytes() {
                b"8" => Some(hint().unwrap_or(self.unhinted)),
                b"14" => hint(),
                _ => None,
            },
            _ => None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("max_wait", &self.max_wait)
            .field("unhinted", &self.unhinted)
            .field("max_cooldown", &self.max_cooldown)
            .field("max_keys", &self.max_keys)
            .field("hints", &self.hints)
            .field("grpc", &self.grpc)
            .field("limited_403", &self.limited_403)
            .field("pacing", &self.pacing)
            .finish_non_exhaustive()
    }
}

// === impl Memory ===

impl Memory {
    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clear(&self) {
        let mut table = self.lock();
        table.clear();
        self.horizon.store(0, Ordering::Release);
    }

    fn is_quiet(&self) -> bool {
        let horizon = self.horizon.load(Ordering::Acquire);
        horizon == 0 || self.micros(Instant::now()) >= horizon
    }

    /// With the table locked, so that [`clear`](Self::clear) does not come in between.
    fn extend_horizon(&self, until: Instant) {
        // Rounded up.
        self.horizon.fetch_max(self.micros(until).saturating_add(1), Ordering::Release);
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.since).as_micros()).unwrap_or(u64::MAX)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            table: Mutex::default(),
            horizon: AtomicU64::new(0),
            since: Instant::now(),
            hashing: Hashing::default(),
            counters: Counters::default(),
        }
    }
}

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// In the head of a reply that has no body.
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_quiet_but_from_when_something_is_held_back_until_the_last_is_over() {
        let config = Config::new();
        let seconds = Duration::from_secs;
        assert!(config.is_quiet());
        config.memory.extend_horizon(Instant::now() + seconds(9));
        config.memory.extend_horizon(Instant::now() + seconds(5));
        for (after, quiet) in [(0, false), (6, false), (2, false), (2, true)] {
            tokio::time::advance(seconds(after)).await;
            assert_eq!(config.is_quiet(), quiet);
        }
        config.memory.extend_horizon(Instant::now() + seconds(9));
        assert!(!config.is_quiet());
        config.memory.clear();
        assert!(config.is_quiet());
        let paced = Config { pacing: Some(Pacing::genesys()), ..config };
        assert!(!paced.is_quiet());
    }
}
