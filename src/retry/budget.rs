//! What keeps retries from multiplying the load on a server that is in trouble.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use tower::retry::budget::Budget;

/// What retries are paid from.
#[derive(Clone)]
pub(super) enum Purse {
    Bucket(Arc<TokenBucket>),
    Custom(Arc<dyn Budget + Send + Sync>),
    Bottomless,
}

/// Every retry takes some, every first success gives one back, and so does the success that a retry led to, what that retry
/// cost.
/// An outage drains it after some dozens of retries; single failures leave no trace.
#[derive(Debug)]
pub(super) struct TokenBucket {
    capacity: u32,
    level: AtomicU32,
}

// === impl Purse ===

impl Purse {
    pub(super) fn bucket(capacity: u32) -> Self {
        Self::Bucket(Arc::new(TokenBucket { capacity, level: AtomicU32::new(capacity) }))
    }

    /// Takes the price of a retry; `false` if there is not enough.
    pub(super) fn take(&self, cost: u32) -> bool {
        match self {
            Self::Bucket(bucket) => bucket.take(cost),
            Self::Custom(budget) => budget.withdraw(),
            Self::Bottomless => true,
        }
    }

    /// The retry that was paid for is not made. Other budgets have no way to take it back.
    pub(super) fn refund(&self, cost: u32) {
        if let Self::Bucket(bucket) = self {
            bucket.give(cost);
        }
    }

    /// A request succeeded, after its last retry had cost `spent`.
    #[inline]
    pub(super) fn give(&self, spent: u32) {
        match self {
            Self::Bucket(bucket) => bucket.give(spent.max(1)),
            Self::Custom(budget) => budget.deposit(),
            Self::Bottomless => {}
        }
    }
}

impl fmt::Debug for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket(bucket) => bucket.fmt(f),
            Self::Custom(_) => f.write_str("Custom"),
            Self::Bottomless => f.write_str("Bottomless"),
        }
    }
}

// === impl TokenBucket ===

impl TokenBucket {
    fn take(&self, cost: u32) -> bool {
        self.level.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |level| level.checked_sub(cost)).is_ok()
    }

    #[inline]
    fn give(&self, amount: u32) {
        // A full bucket, which is the common case, is only looked at.
        let more = |level: u32| (level < self.capacity).then(|| level.saturating_add(amount).min(self.capacity));
        let _full = self.level.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

/// What a retry costs; the ratio is that of the AWS SDKs.
pub(super) const RETRY_COST: u32 = 14;
/// After a 429: the server is well, and said when to come back.
pub(super) const THROTTLED_COST: u32 = 5;
pub(super) const DEFAULT_CAPACITY: u32 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_exact_under_threads() {
        let purse = Purse::bucket(DEFAULT_CAPACITY);
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..64).map(|_| scope.spawn(|| (0..100).filter(|_| purse.take(RETRY_COST)).count())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 35, "500 / 14");
    }

    #[test]
    fn success_pays_back_and_never_more_than_fits() {
        let purse = Purse::bucket(20);
        purse.give(0);
        assert!(purse.take(14));
        assert!(!purse.take(14), "6 left");
        purse.give(14);
        assert!(purse.take(14));
        for _ in 0..8 {
            purse.give(0);
        }
        assert!(purse.take(14), "6 + 8");
        assert!(!purse.take(1));
    }

    #[test]
    fn any_budget_of_tower_will_do() {
        let purse = Purse::Custom(Arc::new(tower::retry::budget::TpsBudget::default()));
        purse.give(0);
        assert!(purse.take(RETRY_COST));
        assert!(Purse::Bottomless.take(u32::MAX));
    }
}
