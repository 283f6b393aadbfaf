//! What an issuer is made of.

use std::sync::Arc;
use std::time::Duration;

use super::Issuer;
use super::state::{ExpiresIn, Settings};

/// Builds an [`Issuer`].
#[derive(Clone)]
#[must_use]
pub struct IssuerBuilder {
    settings: Settings,
    default_client: bool,
}

// === impl IssuerBuilder ===

impl IssuerBuilder {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings {
                clients: vec![("test-client".into(), "test-secret".to_owned())],
                lifetime: Duration::from_secs(3600),
                expires_in: ExpiresIn::Lifetime,
                token_type: "Bearer".to_owned(),
                latency: Duration::ZERO,
                fields: Vec::new(),
                seed: None,
                same_token_per_second: false,
            },
            default_client: true,
        }
    }

    /// Registers a client. The first call replaces the default, `test-client` with `test-secret`; further calls add.
    pub fn client(mut self, id: &str, secret: &str) -> Self {
        if std::mem::take(&mut self.default_client) {
            self.settings.clients.clear();
        }
        self.settings.clients.push((id.into(), secret.to_owned()));
        self
    }

    /// How long a token lives (3600 s). Reported as `expires_in` in seconds: a whole number if it is one, else with a
    /// fraction.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.lifetime = lifetime;
        self
    }

    /// Reports this JSON text as `expires_in`, whatever the lifetime is, such as `null`, `"3600"` in quotes, or `1e300`.
    pub fn expires_in_json(mut self, json: &str) -> Self {
        self.settings.expires_in = ExpiresIn::Raw(json.to_owned());
        self
    }

    /// Reports no `expires_in`.
    pub fn without_expires_in(mut self) -> Self {
        self.settings.expires_in = ExpiresIn::Absent;
        self
    }

    /// The `token_type` of the response (`Bearer`).
    pub fn token_type(mut self, token_type: &str) -> Self {
        token_type.clone_into(&mut self.settings.token_type);
        self
    }

    /// How long every request takes (0 s).
    pub fn latency(mut self, latency: Duration) -> Self {
        self.settings.latency = latency;
        self
    }

    /// Adds a member to the response, or replaces one, with this JSON text.
    pub fn field(mut self, name: &str, json: &str) -> Self {
        self.settings.fields.push((name.to_owned(), json.to_owned()));
        self
    }

    /// Mints the same tokens in every run (by default they are random).
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// Whether two tokens minted for a client within a second are the same string (false). A revoked one is live again
    /// when it is minted again.
    pub fn same_token_per_second(mut self, same: bool) -> Self {
        self.settings.same_token_per_second = same;
        self
    }

    /// The issuer.
    pub fn build(self) -> Issuer {
        Issuer::from_settings(self.settings)
    }
}

impl std::fmt::Debug for IssuerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let clients: Vec<&Arc<str>> = self.settings.clients.iter().map(|(id, _)| id).collect();
        f.debug_struct("IssuerBuilder")
            .field("clients", &clients)
            .field("lifetime", &self.settings.lifetime)
            .field("latency", &self.settings.latency)
            .finish_non_exhaustive()
    }
}
