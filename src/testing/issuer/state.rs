//! What changes while an issuer runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::store::Store;
use super::{IssuerStats, Outage, SeenTokenRequest};

/// How many requests are remembered.
const SEEN: usize = 1_000;
const TOKEN_LENGTH: usize = 43;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What the builder sets, some of which can be set again later.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) clients: Vec<(Arc<str>, String)>,
    pub(super) lifetime: Duration,
    pub(super) expires_in: ExpiresIn,
    pub(super) token_type: String,
    pub(super) latency: Duration,
    pub(super) fields: Vec<(String, String)>,
    pub(super) seed: Option<u64>,
    pub(super) same_token_per_second: bool,
}

#[derive(Clone)]
pub(super) enum ExpiresIn {
    Lifetime,
    Raw(String),
    Absent,
}

pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) outage: Option<Outage>,
    pub(super) script: VecDeque<Outage>,
    pub(super) stats: IssuerStats,
    pub(super) seen: VecDeque<SeenTokenRequest>,
    rng: fastrand::Rng,
    started: Instant,
    last: Option<(u64, Arc<str>, String)>,
}

// === impl State ===

impl State {
    pub(super) fn new(settings: Settings) -> Self {
        let rng = settings.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Self {
            settings,
            store: Store::new(),
            outage: None,
            script: VecDeque::new(),
            stats: IssuerStats::default(),
            seen: VecDeque::new(),
            rng,
            started: Instant::now(),
            last: None,
        }
    }

    pub(super) fn remember(&mut self, request: SeenTokenRequest) {
        if self.seen.len() == SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(request);
    }

    pub(super) fn mint(&mut self, client: &Arc<str>, now: Instant) -> String {
        let second = now.saturating_duration_since(self.started).as_secs();
        let again = match &self.last {
            Some((at, whose, token)) if *at == second && whose == client => Some(token.clone()),
            _ => None,
        };
        let token = again.filter(|_| self.settings.same_token_per_second).unwrap_or_else(|| {
            (0..TOKEN_LENGTH).map(|_| char::from(ALPHABET[self.rng.usize(..ALPHABET.len())])).collect()
        });
        self.last = Some((second, Arc::clone(client), token.clone()));
        self.stats.minted += 1;
        let life = self.settings.lifetime;
        self.store.insert(token.clone(), Arc::clone(client), life, now);
        token
    }
}
