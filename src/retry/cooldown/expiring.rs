//! What is known of many keys, for as long as it says something.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use super::key::Key;

/// A map with an upper bound: a new key takes the place of the one that ends first, as those do that are over. Nothing looks
/// through all of them, however many keys come and go.
#[derive(Debug)]
pub(super) struct Expiring<V> {
    entries: HashMap<Key, (Instant, V)>,
    /// All of them, those that end first in front.
    ends: BTreeSet<(Instant, Key)>,
}

// === impl Expiring ===

impl<V> Expiring<V> {
    pub(super) fn get(&self, key: Key) -> Option<&V> {
        self.entries.get(&key).map(|(_, value)| value)
    }

    /// One that ends at once, until it is [changed](Self::change); nothing, if the key is there. At most `capacity` are left
    /// then, but 1 at the least.
    pub(super) fn insert(&mut self, key: Key, now: Instant, capacity: usize, new: impl FnOnce() -> V) {
        if self.entries.contains_key(&key) {
            return;
        }
        while self.entries.len() >= capacity.max(1) {
            let Some((_, first)) = self.ends.pop_first() else { break };
            self.entries.remove(&first);
        }
        self.entries.insert(key, (now, new()));
        self.ends.insert((now, key));
    }

    /// What `change` makes of it, and when it ends from now on.
    pub(super) fn change<T>(&mut self, key: Key, change: impl FnOnce(&mut V) -> (Instant, T)) -> Option<T> {
        let (ends, value) = self.entries.get_mut(&key)?;
        let (end, told) = change(value);
        if end != *ends {
            self.ends.remove(&(*ends, key));
            self.ends.insert((end, key));
            *ends = end;
        }
        Some(told)
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.ends.clear();
    }
}

impl<V> Default for Expiring<V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), ends: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;
    use proptest::prelude::*;

    use super::*;
    use crate::retry::cooldown::key::Hashing;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(usize),
        Change(usize, u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..8_usize).prop_map(Op::Insert),
            (0..8_usize, 0..20_u64).prop_map(|(key, end)| Op::Change(key, end))
        ]
    }

    proptest! {
        #[test]
        fn the_one_that_ends_first_makes_room_and_no_other(
            capacity in 0..6_usize,
            ops in proptest::collection::vec(op(), 1..100),
        ) {
            let hashing = Hashing::default();
            let key = |n| hashing.key(Request::get(format!("https://{n}.example")).body(()).unwrap(), None).0;
            let keys: Vec<_> = (0..8).map(key).collect();
            let start = Instant::now();
            let mut map = Expiring::default();
            let mut model: Vec<(Instant, usize)> = Vec::new();
            for (step, op) in ops.into_iter().enumerate() {
                // No two end together, or either could go.
                let at = |seconds: u64| start + Duration::from_secs(seconds) + Duration::from_nanos(step as u64);
                match op {
                    Op::Insert(n) => {
                        map.insert(keys[n], at(0), capacity, || n);
                        if model.iter().all(|(_, known)| *known != n) {
                            model.sort_unstable();
                            model.drain(..(model.len() + 1).saturating_sub(capacity.max(1)));
                            model.push((at(0), n));
                        }
                    }
                    Op::Change(n, end) => {
                        let told = map.change(keys[n], |value| (at(end), *value));
                        let known = model.iter_mut().find(|(_, known)| *known == n);
                        prop_assert_eq!(told, known.as_ref().map(|_| n));
                        if let Some(known) = known {
                            known.0 = at(end);
                        }
                    }
                }
                prop_assert_eq!(map.entries.len(), map.ends.len());
                for (n, key) in keys.iter().enumerate() {
                    prop_assert_eq!(map.get(*key).is_some(), model.iter().any(|(_, known)| *known == n));
                }
            }
            map.clear();
            prop_assert!(keys.iter().all(|key| map.get(*key).is_none()) && map.ends.is_empty());
        }
    }
}
