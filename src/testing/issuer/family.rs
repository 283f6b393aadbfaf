//! Refresh tokens, and what came of each sign-in.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// All that came of one sign-in: RFC 9700, section 4.14.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FamilyId(usize);

/// What a refresh token that was sent turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Good(FamilyId),
    /// It had been used up: whoever has it, one of the two who have used it has stolen it.
    Reused(FamilyId),
    Bad,
}

/// Every refresh token there ever was.
#[derive(Debug, Default)]
pub(super) struct Families {
    families: Vec<Family>,
    tokens: HashMap<String, Entry>,
}

#[derive(Debug)]
struct Family {
    client: Arc<str>,
    revoked: bool,
}

#[derive(Debug)]
struct Entry {
    family: FamilyId,
    used_at: Option<Instant>,
}

// === impl Families ===

impl Families {
    pub(super) fn found(&mut self, client: Arc<str>) -> FamilyId {
        self.families.push(Family { client, revoked: false });
        FamilyId(self.families.len() - 1)
    }

    pub(super) fn add(&mut self, token: String, family: FamilyId) {
        self.tokens.insert(token, Entry { family, used_at: None });
    }

    pub(super) fn check(&mut self, token: &str, client: &str, grace: Duration, now: Instant) -> Verdict {
        let Some(entry) = self.tokens.get(token) else { return Verdict::Bad };
        let Some(family) = self.families.get_mut(entry.family.0) else { return Verdict::Bad };
        if &*family.client != client {
            return Verdict::Bad;
        }
        if entry.used_at.is_some_and(|at| now.saturating_duration_since(at) >= grace) {
            family.revoked = true;
            return Verdict::Reused(entry.family);
        }
        if family.revoked { Verdict::Bad } else { Verdict::Good(entry.family) }
    }

    /// The time of its first use counts.
    pub(super) fn use_up(&mut self, token: &str, now: Instant) {
        if let Some(entry) = self.tokens.get_mut(token) {
            entry.used_at.get_or_insert(now);
        }
    }

    pub(super) fn revoke(&mut self, token: &str) -> Option<FamilyId> {
        let id = self.tokens.get(token)?.family;
        self.families.get_mut(id.0)?.revoked = true;
        Some(id)
    }

    pub(super) fn revoke_all(&mut self) {
        for family in &mut self.families {
            family.revoked = true;
        }
    }
}
