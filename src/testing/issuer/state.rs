//! What changes while an issuer runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::family::{Families, FamilyId};
use super::metadata::Published;
use super::store::Store;
use super::{Dialect, IssuerStats, Outage, SeenTokenRequest, tenant};

/// How many requests are remembered.
const SEEN: usize = 1_000;
const TOKEN_LENGTH: usize = 43;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What the builder sets, some of which can be set again later.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) clients: Vec<(Arc<str>, String)>,
    pub(super) access_keys: Vec<(String, String)>,
    pub(super) lifetime: Duration,
    pub(super) expires_in: ExpiresIn,
    pub(super) token_type: String,
    pub(super) latency: Duration,
    pub(super) fields: Vec<(String, String)>,
    pub(super) seed: Option<u64>,
    pub(super) same_token_per_second: bool,
    pub(super) dialect: Dialect,
    pub(super) first_secret_expired: bool,
    /// None: all.
    pub(super) scopes: Option<Vec<String>>,
    pub(super) rotation: bool,
    pub(super) refresh_grace: Duration,
    pub(super) published: Option<Published>,
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
    pub(super) families: Families,
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
            families: Families::default(),
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

    pub(super) fn first_client(&self) -> Arc<str> {
        self.settings.clients.first().map_or_else(|| "".into(), |(id, _)| Arc::clone(id))
    }

    /// The first refresh token of a family of its own.
    pub(super) fn sign_in(&mut self, client: Arc<str>) -> String {
        let family = self.families.found(client);
        let token = self.random_token();
        self.families.add(token.clone(), family);
        token
    }

    pub(super) fn mint(&mut self, client: &Arc<str>, family: Option<FamilyId>, now: Instant) -> String {
        let second = now.saturating_duration_since(self.started).as_secs();
        let again = match &self.last {
            Some((at, whose, token)) if *at == second && whose == client => Some(token.clone()),
            _ => None,
        };
        let again = again.filter(|_| self.settings.same_token_per_second);
        let token = again.unwrap_or_else(|| self.access_token());
        self.last = Some((second, Arc::clone(client), token.clone()));
        self.stats.minted += 1;
        self.store.insert(token.clone(), Arc::clone(client), family, self.expiry(now), now);
        token
    }

    fn access_token(&mut self) -> String {
        let random = self.random_token();
        if self.settings.access_keys.is_empty() { random } else { tenant::token(&random) }
    }

    pub(super) fn random_token(&mut self) -> String {
        (0..TOKEN_LENGTH).map(|_| char::from(ALPHABET[self.rng.usize(..ALPHABET.len())])).collect()
    }

    fn expiry(&self, now: Instant) -> Option<Instant> {
        let expires = now.checked_add(self.settings.lifetime)?;
        if self.settings.dialect != Dialect::OidcProvider {
            return Some(expires);
        }
        let seconds = expires.saturating_duration_since(self.started).as_secs();
        self.started.checked_add(Duration::from_secs(seconds))
    }
}
