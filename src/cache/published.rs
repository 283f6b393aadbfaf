//! Which cache a token is of, for a response that knows no more of its token than a number.
//!
//! A request that is under way could hold its token, or its cache. Both would be a count that is moved up and down for each
//! request, for the sake of a 401, of which there are few: a tenth of the time that a hit adds, and a fifth among 64 tasks.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    num::NonZeroU64,
    sync::{
        PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The number of the token that a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Carried(NonZeroU64);

/// Whom a response tells that its token was refused.
pub(super) trait Refuse: fmt::Debug + Send + Sync {
    /// Whether a replay can carry another token.
    fn refuse(&self, generation: u64, now: Instant) -> bool;
}

/// The tokens that a cache published last, of which it hears when they are refused.
#[derive(Debug)]
pub(super) struct Recent(VecDeque<Published>);

/// A number under which its cache is found, until this is dropped.
#[derive(Debug)]
struct Published {
    carried: Carried,
    asked_at: Instant,
}

// === impl Carried ===

impl Carried {
    pub(super) fn generation(self) -> u64 {
        self.0.get()
    }

    /// Tells the cache that a resource server refused the token. Whether a replay can carry another one: so it does if the
    /// cache is gone, because there was no room for it, and whoever comes next has another; and if many tokens came since.
    pub(crate) fn reject(self) -> bool {
        let cache = CACHES.read().unwrap_or_else(PoisonError::into_inner).get(&self).and_then(Weak::upgrade);
        cache.is_none_or(|cache| cache.refuse(self.generation(), Instant::now()))
    }
}

// === impl Recent ===

impl Recent {
    pub(super) fn new() -> Self {
        Self(VecDeque::with_capacity(REMEMBERED))
    }

    /// A number that no token had before, of this cache or another, for one that was asked for at that time.
    pub(super) fn publish(&mut self, asked_at: Instant, cache: Weak<dyn Refuse>) -> Carried {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        let generation = NEXT_GENERATION.fetch_add(1, Ordering::Relaxed);
        // It does not come round in a thousand years.
        let carried = Carried(NonZeroU64::new(generation).unwrap_or(NonZeroU64::MAX));
        CACHES.write().unwrap_or_else(PoisonError::into_inner).insert(carried, cache);
        self.0.push_back(Published { carried, asked_at });
        carried
    }

    /// How long ago the token of that number was asked for, if it is one of these.
    pub(super) fn age(&self, generation: u64, now: Instant) -> Option<Duration> {
        let published = self.0.iter().find(|published| published.carried.generation() == generation)?;
        Some(now.saturating_duration_since(published.asked_at))
    }
}

// === impl Published ===

impl Drop for Published {
    fn drop(&mut self) {
        CACHES.write().unwrap_or_else(PoisonError::into_inner).remove(&self.carried);
    }
}

/// Of how many tokens a late refusal is heard. One of a token before them is taken for what it is nearly always: of one that
/// was replaced.
const REMEMBERED: usize = 8;
/// Written when a token comes, and read at a 401. No foreign code runs under it, and no other lock is taken.
static CACHES: RwLock<BTreeMap<Carried, Weak<dyn Refuse>>> = RwLock::new(BTreeMap::new());
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
    fn a_cache_hears_of_its_last_tokens_as_long_as_it_is_there() {
        let caches = [Cache::default(), Cache::default()].map(Arc::new);
        let mut recent = [Recent::new(), Recent::new()];
        let mut publish = |index: usize| {
            let cache: Weak<Cache> = Arc::downgrade(&caches[index]);
            recent[index].publish(Instant::now(), cache)
        };
        let heard = || caches.each_ref().map(|cache| cache.0.load(Ordering::Relaxed));
        let (old, other) = (publish(0), publish(1));
        assert!(!old.reject());
        assert_eq!(heard(), [old.generation(), 0]);
        assert!(!other.reject());
        assert_eq!(heard(), [old.generation(), other.generation()]);
        let last: Vec<_> = (0..REMEMBERED).map(|_| publish(0)).collect();
        assert!(old.reject(), "others came since");
        assert_eq!(heard(), [old.generation(), other.generation()], "it is not told");
        for carried in &last {
            assert!(!carried.reject());
            assert_eq!(heard()[0], carried.generation());
        }
        drop(caches);
        assert!(other.reject(), "whoever comes next has another cache");
    }

    #[tokio::test(start_paused = true)]
    async fn the_age_of_its_last_tokens_is_known() {
        let mut recent = Recent::new();
        let nobody = || Weak::<Cache>::new();
        let old = recent.publish(Instant::now(), nobody());
        tokio::time::advance(Duration::from_secs(60)).await;
        let new = recent.publish(Instant::now(), nobody());
        let age = |carried: Carried| recent.age(carried.generation(), Instant::now()).map(|age| age.as_secs());
        assert_eq!((age(old), age(new)), (Some(60), Some(0)));
        assert_eq!(recent.age(0, Instant::now()), None);
    }
}
