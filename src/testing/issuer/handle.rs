//! The handle of an issuer.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::state::{Settings, State};
use super::{IssuerBuilder, IssuerService, IssuerStats, Outage, SeenTokenRequest, TokenStatus};
use crate::testing::sync::{Gauge, lock};

/// An OAuth 2.0 authorization server for client credentials, refresh tokens, token exchange and access keys.
///
/// A clone is another handle of the same issuer. It authenticates clients by `client_secret_basic` and
/// `client_secret_post`, and answers on every path.
///
/// [`sign_in`](Self::sign_in) stands for a user who has signed in. By default every refresh uses up the refresh token and
/// answers with the next one; one that comes a second time counts as stolen, and all that came of that sign-in is revoked
/// (RFC 9700, section 4.14.2). Exchanged (RFC 8693) is any live access token of this issuer.
///
/// ```
/// use http::Request;
/// use std::time::Duration;
/// use tower::ServiceExt;
/// use tower_oauth2::testing::{Issuer, Outage};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let issuer = Issuer::builder().lifetime(Duration::from_secs(300)).build();
/// let request = || {
///     Request::post("https://login.example/oauth/token")
///         .header("content-type", "application/x-www-form-urlencoded")
///         .body("grant_type=client_credentials&client_id=test-client&client_secret=test-secret".to_owned())
///         .unwrap()
/// };
/// assert_eq!(issuer.service().oneshot(request()).await.unwrap().status(), 200);
///
/// issuer.set_outage(Some(Outage::Status { status: 503, retry_after: None }));
/// assert_eq!(issuer.service().oneshot(request()).await.unwrap().status(), 503);
/// assert_eq!(issuer.stats().minted, 1);
/// # }
/// ```
#[derive(Clone)]
pub struct Issuer {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    state: Mutex<State>,
    pub(super) gauge: Arc<Gauge>,
}

// === impl Issuer ===

impl Issuer {
    /// An issuer with the defaults of [`IssuerBuilder`].
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// An issuer to be set up first.
    pub fn builder() -> IssuerBuilder {
        IssuerBuilder::new()
    }

    pub(super) fn from_settings(settings: Settings) -> Self {
        let inner = Inner { state: Mutex::new(State::new(settings)), gauge: Arc::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The token endpoint as a tower service, in process.
    pub fn service(&self) -> IssuerService {
        IssuerService::new(self.clone())
    }

    /// Begins an outage, which lasts until it is set to `None`.
    pub fn set_outage(&self, outage: Option<Outage>) {
        self.inner.state().outage = outage;
    }

    /// Fails the next request that no earlier call has claimed. Goes before [`set_outage`](Self::set_outage).
    pub fn fail_next(&self, outage: Outage) {
        self.inner.state().script.push_back(outage);
    }

    /// Revokes every token minted so far, refresh tokens included.
    pub fn revoke_all(&self) {
        let mut state = self.inner.state();
        state.store.revoke_all();
        state.families.revoke_all();
    }

    /// Revokes one token, or all that came of a refresh token's sign-in; says whether it was known.
    pub fn revoke(&self, token: &str) -> bool {
        let mut state = self.inner.state();
        match state.families.revoke(token) {
            Some(family) => state.store.revoke_family(family),
            None => return state.store.revoke(token),
        }
        true
    }

    /// Sets the lifetime of the tokens minted from now on.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.inner.state().settings.lifetime = lifetime;
    }

    /// Sets how long every request takes.
    pub fn set_latency(&self, latency: Duration) {
        self.inner.state().settings.latency = latency;
    }

    /// Changes the secret of the first client. Its live tokens stay valid.
    pub fn set_secret(&self, secret: &str) {
        let mut state = self.inner.state();
        state.settings.first_secret_expired = false;
        if let Some((_, known)) = state.settings.clients.first_mut() {
            secret.clone_into(known);
        }
    }

    /// Lets the secret of the first client expire, until another is set.
    pub fn expire_secret(&self) {
        self.inner.state().settings.first_secret_expired = true;
    }

    /// The first refresh token of a user who has just signed in, for the first client.
    pub fn sign_in(&self) -> String {
        let mut state = self.inner.state();
        let client = state.first_client();
        state.sign_in(client)
    }

    /// What is known about a token now.
    pub fn check(&self, token: &str) -> TokenStatus {
        self.inspect(token).0
    }

    /// Mints a token for the first client, without a request.
    pub fn mint(&self) -> String {
        let mut state = self.inner.state();
        let client = state.first_client();
        state.mint(&client, None, Instant::now())
    }

    /// What was counted so far.
    pub fn stats(&self) -> IssuerStats {
        IssuerStats { largest_concurrency: self.inner.gauge.largest(), ..self.inner.state().stats.clone() }
    }

    /// The last 1,000 requests, oldest first.
    pub fn seen(&self) -> Vec<SeenTokenRequest> {
        self.inner.state().seen.iter().cloned().collect()
    }

    /// The status of a token, and whose it is.
    pub(crate) fn inspect(&self, token: &str) -> (TokenStatus, Option<Arc<str>>) {
        self.inner.state().store.inspect(token, Instant::now())
    }
}

impl Default for Issuer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
