//! What an issuer is made of.

use std::sync::Arc;
use std::time::Duration;

use super::metadata::Published;
use super::state::{ExpiresIn, Settings};
use super::{Dialect, Issuer};

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
                access_keys: Vec::new(),
                lifetime: Duration::from_secs(3600),
                expires_in: ExpiresIn::Lifetime,
                token_type: "Bearer".to_owned(),
                latency: Duration::ZERO,
                fields: Vec::new(),
                seed: None,
                same_token_per_second: false,
                dialect: Dialect::default(),
                first_secret_expired: false,
                scopes: None,
                rotation: true,
                refresh_grace: Duration::ZERO,
                published: None,
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

    /// Takes the id and the secret of an access key as `username` and `password` of the password grant (by default that grant
    /// is not known), and does the rest as CXone's authorization server does it: tokens have the form of a JWT with a
    /// `tenantId`, `/.well-known/cxone-configuration` answers for that tenant, and where no [`metadata`](Self::metadata) is
    /// set, `/.well-known/openid-configuration` names `/auth/token`. Issuer and API are both where a request for these
    /// documents went to, as it is with [`Analytics::serve_with_issuer`](crate::testing::Analytics::serve_with_issuer).
    /// Further calls add.
    pub fn access_key(mut self, id: &str, secret: &str) -> Self {
        self.settings.access_keys.push((id.to_owned(), secret.to_owned()));
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

    /// Whose manners it has ([`Dialect::GenesysCloud`]). Sets [`token_type`](Self::token_type) and
    /// [`same_token_per_second`](Self::same_token_per_second) as well.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.settings.dialect = dialect;
        self.settings.same_token_per_second = dialect == Dialect::Oauth2MockServer;
        self.token_type(dialect.token_type())
    }

    /// The scopes that are known, separated by spaces; any other is refused (by default all are known).
    pub fn scopes(mut self, scopes: &str) -> Self {
        self.settings.scopes = Some(scopes.split_whitespace().map(str::to_owned).collect());
        self
    }

    /// Whether a refresh answers with a new refresh token and uses up the old one (true), or answers with none.
    pub fn rotation(mut self, rotation: bool) -> Self {
        self.settings.rotation = rotation;
        self
    }

    /// How long after its first use a refresh token is still taken (0 s). After that it counts as stolen.
    pub fn refresh_grace(mut self, grace: Duration) -> Self {
        self.settings.refresh_grace = grace;
        self
    }

    /// Serves its metadata as this issuer, an absolute URL, with the token endpoint at `/oauth/token` below it (by default
    /// it serves none, unless it takes an [`access_key`](Self::access_key)): below `/.well-known/oauth-authorization-server`
    /// and as `/.well-known/openid-configuration`.
    pub fn metadata(mut self, issuer: &str) -> Self {
        self.settings.published = Some(Published { issuer: issuer.to_owned(), fields: Vec::new() });
        self
    }

    /// Adds a member to the metadata, or replaces one, with this JSON text. Without effect before
    /// [`metadata`](Self::metadata).
    pub fn metadata_field(mut self, name: &str, json: &str) -> Self {
        if let Some(published) = &mut self.settings.published {
            published.fields.push((name.to_owned(), json.to_owned()));
        }
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
