//! Which cache a token is of, for a response that knows no more of its token than a number.
//!
//! A request that is under way could hold its token, or its cache. Both would be a count that is moved up and down for each
//! request, for the sake of a 401, of which there are few: a tenth of the time that a hit adds, and a fifth among 64 tasks.

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroU64,
    sync::{
        PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::time::Instant;

/// The number of the token that a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Carried(NonZeroU64);

/// Whom a response tells that its token was refused.
pub(super) trait Refuse: fmt::Debug + Send + Sync {
    /// Whether a replay can carry another token.
    fn refuse(&self, generation: u64, now: Instant) -> bool;
}

/// A number under which its cache is found, until this is dropped.
#[derive(Debug)]
pub(super) struct Published(NonZeroU64);

// === impl Carried ===

impl Carried {
    /// Tells the cache that a resource server refused the token. Whether a replay can carry another one: so it does if the
    /// cache is gone, because there was no room for it, and whoever comes next has another; and if many tokens came since.
    pub(crate) fn reject(self) -> bool {
        let cache = CACHES.read().unwrap_or_else(PoisonError::into_inner).get(&self.0).and_then(Weak::upgrade);
        cache.is_none_or(|cache| cache.refuse(self.0.get(), Instant::now()))
    }
}

// === impl Published ===

impl Published {
    /// A number that no token had before, of this cache or another.
    pub(super) fn by(cache: Weak<dyn Refuse>) -> Self {
        let generation = NEXT_GENERATION.fetch_add(1, Ordering::Relaxed);
        // It does not come round in a thousand years.
        let generation = NonZeroU64::new(generation).unwrap_or(NonZeroU64::MAX);
        CACHES.write().unwrap_or_else(PoisonError::into_inner).insert(generation, cache);
        Self(generation)
    }

    pub(super) fn carried(&self) -> Carried {
        Carried(self.0)
    }

    pub(super) fn generation(&self) -> u64 {
        self.0.get()
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        CACHES.write().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Written when a token comes, and read at a 401. No foreign code runs under it, and no other lock is taken.
static CACHES: RwLock<BTreeMap<NonZeroU64, Weak<dyn Refuse>>> = RwLock::new(BTreeMap::new());
/// Unique in the process, so that no cache takes the token of another for its own.
static NEXT_GENERATION: AtomicU64 = AtomicU64::new(1);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Remembers what was refused last, and has nothing else.
    #[derive(Debug, Default)]
    struct Cache(AtomicU64);

    impl Refuse for Cache {
        fn refuse(&self, generation: u64, _: Instant) -> bool {
            self.0.store(generation, Ordering::Relaxed);
            false
        }
    }

    #[test]
    fn a_cache_hears_of_its_own_tokens_as_long_as_they_and_it_are_there() {
        let caches = [Cache::default(), Cache::default()].map(Arc::new);
        let [one, other, gone] = [0, 1, 1].map(|index: usize| {
            let cache: Weak<Cache> = Arc::downgrade(&caches[index]);
            Published::by(cache)
        });
        let heard = || caches.each_ref().map(|cache| cache.0.load(Ordering::Relaxed));
        assert!(!one.carried().reject());
        assert_eq!(heard(), [one.generation(), 0]);
        assert!(!other.carried().reject());
        assert_eq!(heard(), [one.generation(), other.generation()]);
        let late = gone.carried();
        drop(gone);
        assert!(late.reject(), "others came since");
        assert_eq!(heard(), [one.generation(), other.generation()]);
        drop(caches);
        assert!(one.carried().reject(), "whoever comes next has another cache");
    }
}
