//! Refreshing an access token (RFC 6749 §6), safe with servers that rotate refresh tokens.

mod keeper;

use std::{fmt, future::Future, sync::Arc, sync::PoisonError, time::Duration};

use tokio::{runtime::Handle, sync::oneshot};
use tower::BoxError;

use self::keeper::{Keeper, Persist};
use super::{
    client_auth::ClientAuth,
    request::{TokenRequest, common_setters},
    secret::Secret,
    token_endpoint::TokenEndpoint,
    transport::HttpClient,
};
use crate::{
    error::{Error, Kind},
    source::TokenSource,
    token::Token,
};

/// A [`TokenSource`] for a user who has signed in before: exchanges a refresh token for access tokens (RFC 6749 §6).
///
/// # Rotation
///
/// Many servers answer with a new refresh token and take the old one no more; one that is used twice makes them revoke all
/// that came of it (RFC 9700 §4.14.2). Therefore:
///
/// * A new refresh token is handed to `persist`, and that has succeeded, before the access token that came with it is used.
///   If it fails, that is a transient error, and it is tried again, with the same refresh token, before anything else is
///   asked. If none comes with the answer, the old one is kept; if the access token beside it cannot be used, the new one is
///   kept all the same.
/// * A refresh runs in a task of its own, until it is persisted: no caller's cancellation, nor the cache's
///   [`fetch_timeout`](crate::cache::Builder::fetch_timeout), loses its result.
/// * There is one refresh at a time, also if several caches share clones of this grant.
/// * `invalid_grant` is final: the same refresh token is not sent again, and
///   [`Error::requires_sign_in`] says that the user has to sign in. Where `refresh_token` is a [`Secret::file`], a
///   [`Secret::from_fn`] or such, it is looked up again then, and every time until one is taken: a token that somebody else
///   has put there is used. A cache asks again after a minute, and after a quarter of an hour at the latest.
/// * One process at a time for each refresh token: of two that share a file, one sends what the other has used up.
/// * A refresh belongs to the runtime on which it began. If that is shut down in the middle, what had arrived is not lost,
///   and the next runtime goes on; while it is neither shut down nor driven, no other refresh can begin.
///
/// If the server's answer is lost on the way, the same refresh token is sent again: it is the only one there is. Servers with
/// a grace period take it (FAPI 2.0 §5.3.2.1 demands that); others answer `invalid_grant`.
///
/// ```
/// use tower_oauth2::{TokenCache, grant::{ClientAuth, RefreshToken, Secret}};
/// # let http = tower::service_fn(|_| async { Ok::<_, tower::BoxError>(http::Response::new(String::new())) });
///
/// let path = "/var/lib/exporter/refresh_token";
/// let grant = RefreshToken::new(
///     http,
///     "https://login.example.com/token",
///     ClientAuth::basic("exporter", Secret::file("/run/secrets/client_secret")),
///     Secret::file(path),
///     move |next: String| async move {
///         // Beside it first, so that a crash leaves one of the two whole; for nobody else to read.
///         let beside = format!("{path}.new");
///         let mut options = tokio::fs::OpenOptions::new();
///         let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside).await?;
///         tokio::io::AsyncWriteExt::write_all(&mut file, next.as_bytes()).await?;
///         file.sync_all().await?;
///         tokio::fs::rename(&beside, path).await?;
///         tokio::fs::File::open("/var/lib/exporter").await?.sync_all().await
///     },
/// )?;
/// let tokens = TokenCache::new(grant);
/// # Ok::<(), tower_oauth2::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a grant does nothing until a cache asks it for a token"]
pub struct RefreshToken {
    request: TokenRequest,
    name: String,
    persist: Arc<dyn Persist>,
    persist_timeout: Duration,
    keeper: Arc<Keeper>,
}

// === impl RefreshToken ===

impl RefreshToken {
    /// `refresh_token` is the first one, looked up when the first access token is needed. `persist` is given every one that
    /// comes in its place, and has to keep it so that it is there after a crash. Neither may need a token of this grant: it
    /// waits for them.
    ///
    /// # Errors
    ///
    /// As [`TokenRequest::new`]; if the refresh token is known to be empty or not there.
    pub fn new<E, F, Fut, P>(
        http: impl HttpClient,
        endpoint: E,
        auth: ClientAuth,
        refresh_token: impl Into<Secret>,
        persist: F,
    ) -> Result<Self, Error>
    where
        E: TryInto<TokenEndpoint, Error: Into<Error>>,
        F: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), P>> + Send + 'static,
        P: Into<BoxError>,
    {
        let request = TokenRequest::new(http, endpoint, auth)?.grant_type("refresh_token");
        Self::with_request(request, "refresh_token", refresh_token, persist)
    }

    /// As [`new`](Self::new), with a request of another shape: the refresh token is sent as the parameter `name`, and the next
    /// one read from where [`TokenRequest::refresh_token_at`] says.
    ///
    /// # Errors
    ///
    /// If the refresh token is known to be empty or not there, or the request has a parameter of that name already.
    pub fn with_request<F, Fut, P>(
        mut request: TokenRequest,
        name: impl Into<String>,
        refresh_token: impl Into<Secret>,
        persist: F,
    ) -> Result<Self, Error>
    where
        F: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), P>> + Send + 'static,
        P: Into<BoxError>,
    {
        let (name, refresh_token) = (name.into(), refresh_token.into());
        refresh_token.check("refresh token")?;
        request.params.reserve(&name)?;
        let keeper = Arc::new(Keeper::new(refresh_token));
        let persist_timeout = Duration::from_secs(10);
        Ok(Self { request, name, persist: keeper::persist(persist), persist_timeout, keeper })
    }

    /// How long keeping a new refresh token may take before that counts as a failure, and `persist` is dropped where it
    /// waits. Defaults to 10 s; five minutes at the most.
    pub fn persist_timeout(mut self, timeout: Duration) -> Self {
        self.persist_timeout = timeout.min(Duration::from_secs(300));
        self
    }

    common_setters!(request);
}

impl TokenSource for RefreshToken {
    async fn token(&self, rejected: Option<&Token>) -> Result<Token, Error> {
        let runtime = Handle::try_current().map_err(|_| Error::new(Kind::NoRuntime))?;
        // Whoever waits may go away; whoever refreshes may not.
        let held = Arc::clone(&self.keeper).lock().await;
        let (sender, answer) = oneshot::channel();
        let (grant, rejected) = (self.clone(), rejected.cloned());
        runtime.spawn(async move {
            let mut held = held;
            let result = held.refresh(&grant, rejected.as_ref()).await;
            if let Err(Ok(token)) = sender.send(result) {
                held.keep(&grant, token);
            }
        });
        // Dropped by a panic of the callback, or with the runtime.
        answer.await.unwrap_or_else(|_| Err(Error::new(Kind::Panicked).with_transient(true)))
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RefreshToken").field(&self.request).finish()
    }
}
