//! The tokens that were minted.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::family::FamilyId;

/// How many tokens are kept before the dead ones are dropped.
const SWEEP_AT: usize = 10_000;

/// What an [`Issuer`](crate::testing::Issuer) knows about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenStatus {
    /// Minted, not expired, not revoked.
    Valid,
    /// Its lifetime is over.
    Expired,
    /// It was revoked before its lifetime was over.
    Revoked,
    /// Never minted here, or dead for so long that it was forgotten.
    Unknown,
}

/// Live tokens, and as many dead ones as there is room for.
#[derive(Debug)]
pub(super) struct Store {
    tokens: HashMap<String, Entry>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry {
    client: Arc<str>,
    family: Option<FamilyId>,
    /// None: never.
    expires: Option<Instant>,
    revoked: bool,
}

// === impl Store ===

impl Store {
    pub(super) fn new() -> Self {
        Self { tokens: HashMap::new(), sweep_at: SWEEP_AT }
    }

    /// A token minted a second time is live again.
    pub(super) fn insert(
        &mut self,
        token: String,
        client: Arc<str>,
        family: Option<FamilyId>,
        expires: Option<Instant>,
        now: Instant,
    ) {
        if self.tokens.len() >= self.sweep_at {
            self.tokens.retain(|_, entry| entry.status(now) == TokenStatus::Valid);
            self.sweep_at = SWEEP_AT.max(self.tokens.len() * 2);
        }
        let entry = Entry { client, family, expires, revoked: false };
        self.tokens.insert(token, entry);
    }

    pub(super) fn inspect(&self, token: &str, now: Instant) -> (TokenStatus, Option<Arc<str>>) {
        match self.tokens.get(token) {
            Some(entry) => (entry.status(now), Some(Arc::clone(&entry.client))),
            None => (TokenStatus::Unknown, None),
        }
    }

    pub(super) fn revoke(&mut self, token: &str) -> bool {
        self.tokens.get_mut(token).map(|entry| entry.revoked = true).is_some()
    }

    pub(super) fn revoke_family(&mut self, family: FamilyId) {
        for entry in self.tokens.values_mut().filter(|entry| entry.family == Some(family)) {
            entry.revoked = true;
        }
    }

    pub(super) fn revoke_all(&mut self) {
        for entry in self.tokens.values_mut() {
            entry.revoked = true;
        }
    }
}

// === impl Entry ===

impl Entry {
    fn status(&self, now: Instant) -> TokenStatus {
        if self.expires.is_some_and(|expires| now >= expires) {
            TokenStatus::Expired
        } else if self.revoked {
            TokenStatus::Revoked
        } else {
            TokenStatus::Valid
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dead_tokens_are_forgotten_and_live_ones_are_not() {
        let mut store = Store::new();
        let now = Instant::now();
        let second = Duration::from_secs(1);
        for n in 0..SWEEP_AT {
            let life = if n == 0 { second * 3600 } else { second };
            store.insert(n.to_string(), "c".into(), None, Some(now + life), now);
        }
        assert_eq!(store.inspect("1", now + second).0, TokenStatus::Expired);
        store.insert("new".into(), "c".into(), None, Some(now + second * 2), now + second);
        assert_eq!(store.tokens.len(), 2);
        assert_eq!(store.inspect("1", now + second).0, TokenStatus::Unknown);
        assert_eq!(store.inspect("0", now + second).0, TokenStatus::Valid);
    }
}
