//! What both services share: a lock that survives a panic, and a count of the requests under way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts what is under way, and remembers the largest count.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    now: AtomicUsize,
    largest: AtomicUsize,
}

/// Counts as one for as long as it lives.
#[derive(Debug)]
pub(crate) struct Entered(Arc<Gauge>);

/// A test that panicked while it held the lock must not fail every other one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Gauge ===

impl Gauge {
    pub(crate) fn enter(self: &Arc<Self>) -> Entered {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.largest.fetch_max(now, Ordering::Relaxed);
        Entered(Arc::clone(self))
    }

    pub(crate) fn largest(&self) -> usize {
        self.largest.load(Ordering::Relaxed)
    }
}

// === impl Entered ===

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}
