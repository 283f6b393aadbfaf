//! Which cache belongs to which key, and which one goes when there are too many.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use super::TokenKey;
use crate::cache::TokenCache;

/// Guarded by the lock of the caches.
pub(super) struct Table {
    capacity: usize,
    entries: HashMap<TokenKey, Entry>,
    /// Counts the uses of all entries: a clock that also those can move who only read.
    uses: AtomicU64,
    removals: u64,
}

struct Entry {
    cache: TokenCache,
    /// What the count was when it was last used.
    used: AtomicU64,
}

// === impl Table ===

impl Table {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, entries: HashMap::new(), uses: AtomicU64::new(0), removals: 0 }
    }

    /// The cache for `key`, which is used thereby. Allocates nothing.
    pub(super) fn get(&self, key: &TokenKey) -> Option<TokenCache> {
        let entry = self.entries.get(key)?;
        entry.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(entry.cache.clone())
    }

    /// For a key that has none. What had to go is returned, for the caller to drop when it is not locked any more.
    pub(super) fn insert(&mut self, key: &TokenKey, cache: TokenCache) -> Option<TokenCache> {
        let evicted = if self.entries.len() < self.capacity { None } else { self.evict() };
        let used = AtomicU64::new(self.uses.fetch_add(1, Ordering::Relaxed));
        let replaced = self.entries.insert(key.clone(), Entry { cache, used });
        evicted.or_else(|| replaced.map(|entry| entry.cache))
    }

    pub(super) fn remove(&mut self, key: &TokenKey) -> Option<TokenCache> {
        // Counted also if there is none: one may be in the making.
        self.removals += 1;
        self.entries.remove(key).map(|entry| entry.cache)
    }

    /// How often something was removed, other than for lack of room.
    pub(super) fn removals(&self) -> u64 {
        self.removals
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    fn evict(&mut self) -> Option<TokenCache> {
        let rank = |entry: &Entry| (entry.cache.is_held_elsewhere(), entry.used.load(Ordering::Relaxed));
        let key = self.entries.iter().min_by_key(|(_, entry)| rank(entry)).map(|(key, _)| key.clone())?;
        self.entries.remove(&key).map(|entry| entry.cache)
    }
}
