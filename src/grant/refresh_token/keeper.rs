//! The refresh token in hand, and what is still to be done with it.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::{Instant, timeout},
};
use tower::BoxError;
use tracing::debug;
use zeroize::Zeroizing;

use super::RefreshToken;
use crate::{
    error::{Error, Kind},
    grant::{endpoint::Failure, params::Params, request::TokenRequest, secret::Secret},
    json,
    token::Token,
};

/// Lets one refresh at a time at it.
pub(super) struct Keeper {
    state: Arc<Mutex<State>>,
}

/// The right to refresh.
pub(super) struct Held {
    state: OwnedMutexGuard<State>,
}

struct State {
    /// Where the first one was, and where one may be again after the last was refused.
    first: Secret,
    current: Option<Zeroizing<String>>,
    /// It came with an answer, and is not kept yet where it outlives us.
    unsaved: bool,
    /// Obtained, and its caller had gone away, or it must not be used before its refresh token is kept.
    ready: Option<Ready>,
    /// Where the first one was it may still be, long after it was used up.
    spent: Option<Zeroizing<String>>,
    refused: Option<Refused>,
}

struct Ready {
    token: Token,
    /// What it was asked for with: a clone of the grant may ask for another scope.
    params: Params,
}

/// A refresh token that the server takes no more.
struct Refused {
    refresh_token: Zeroizing<String>,
    error: Error,
}

/// An async function without its types.
pub(super) trait Persist: Send + Sync {
    fn persist(&self, next: String) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;
}

struct Function<F>(F);

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(first: Secret) -> Self {
        let state = State { first, current: None, unsaved: false, ready: None, spent: None, refused: None };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(super) async fn lock(self: Arc<Self>) -> Held {
        Held { state: Arc::clone(&self.state).lock_owned().await }
    }
}

// === impl Held ===

impl Held {
    pub(super) fn keep(&mut self, grant: &RefreshToken, token: Token) {
        self.state.ready = Some(Ready { token, params: grant.request.params.clone() });
    }

    pub(super) async fn refresh(&mut self, grant: &RefreshToken, rejected: Option<&Token>) -> Result<Token, Error> {
        self.save(grant).await?;
        if let Some(Ready { token, params }) = self.state.ready.take() {
            let over_at = token.expires_at().unwrap_or_else(|| token.sent_at() + UNKNOWN_LIFETIME);
            let refused = rejected.is_some_and(|rejected| rejected.same_secret(&token));
            if Instant::now() < over_at && !refused && params.same_as(&grant.request.params) {
                return Ok(token);
            }
        }
        let refresh_token = self.in_hand(grant).await?;
        match self.exchange(grant, refresh_token).await {
            // Another process may have refreshed it, or the user signed in again.
            Err(error) if error.requires_sign_in() && error.oauth_code().is_some() => match self.in_hand(grant).await {
                Ok(refresh_token) => self.exchange(grant, refresh_token).await,
                Err(_) => Err(error),
            },
            result => result,
        }
    }

    async fn exchange(&mut self, grant: &RefreshToken, refresh_token: Zeroizing<String>) -> Result<Token, Error> {
        let TokenRequest { endpoint, params } = &grant.request;
        let Failure { error, refresh_token: next } =
            match endpoint.token(params, Some((&grant.name, &refresh_token))).await {
                Ok(token) => return self.rotate(grant, refresh_token, token).await,
                Err(failure) => failure,
            };
        if let Some(next) = next.filter(|next| *next != refresh_token) {
            self.adopt(refresh_token, next);
            self.save(grant).await?;
            return Err(error);
        }
        if error.oauth_code() != Some("invalid_grant") || error.is_transient() {
            return Err(error);
        }
        let error = error.with_sign_in();
        self.state.current = None;
        self.state.refused = Some(Refused { refresh_token, error: error.clone() });
        Err(error)
    }

    /// The refresh token to send: none that was refused, nor the first one again after others have come in its place.
    async fn in_hand(&self, grant: &RefreshToken) -> Result<Zeroizing<String>, Error> {
        if let Some(current) = &self.state.current {
            return Ok(current.clone());
        }
        // Everybody waits for it.
        let limit = grant.request.endpoint.timeout;
        let Ok(first) = timeout(limit, self.state.first.read()).await else {
            let timeout = Kind::Timeout { what: "looking up the refresh token", after: limit };
            return Err(Error::new(timeout).with_transient(true));
        };
        let first = first?;
        match &self.state.refused {
            Some(refused) if refused.refresh_token == first || self.state.spent.as_ref() == Some(&first) => {
                Err(refused.error.clone())
            }
            _ => Ok(first),
        }
    }

    async fn rotate(&mut self, grant: &RefreshToken, used: Zeroizing<String>, token: Token) -> Result<Token, Error> {
        let place = &grant.request.endpoint.fields.refresh_token;
        let next = token.response().and_then(|response| json::at::<String>(response, place));
        match next.filter(|next| !next.is_empty()).map(Zeroizing::new) {
            Some(next) if next != used => {
                self.adopt(used, next);
                // Beforehand: the callback may panic, and the runtime may end.
                self.keep(grant, token.clone());
                self.save(grant).await?;
                self.state.ready = None;
            }
            _ => self.state.current = Some(used),
        }
        self.state.refused = None;
        Ok(token)
    }

    fn adopt(&mut self, used: Zeroizing<String>, next: Zeroizing<String>) {
        if self.state.current.is_none() {
            self.state.spent = Some(used);
        }
        self.state.current = Some(next);
        self.state.unsaved = true;
        self.state.refused = None;
    }

    async fn save(&mut self, grant: &RefreshToken) -> Result<(), Error> {
        let Some(current) = self.state.current.as_ref().filter(|_| self.state.unsaved) else { return Ok(()) };
        let limit = grant.persist_timeout;
        match timeout(limit, grant.persist.persist(current.to_string())).await {
            Ok(Ok(())) => {
                self.state.unsaved = false;
                debug!("refresh token rotated");
                Ok(())
            }
            Ok(Err(error)) => Err(Error::new(Kind::Persist).with_source(error).with_transient(true)),
            Err(_) => {
                let timeout = Kind::Timeout { what: "keeping the new refresh token", after: limit };
                Err(Error::new(timeout).with_transient(true))
            }
        }
    }
}

// === impl Persist ===

pub(super) fn persist<F, Fut, P>(function: F) -> Arc<dyn Persist>
where
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), P>> + Send + 'static,
    P: Into<BoxError>,
{
    Arc::new(Function(function))
}

impl<F, Fut, P> Persist for Function<F>
where
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), P>> + Send + 'static,
    P: Into<BoxError>,
{
    fn persist(&self, next: String) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> {
        let answer = (self.0)(next);
        Box::pin(async move { answer.await.map_err(Into::into) })
    }
}

/// What the cache takes a lifetime for that the server does not say, by default.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(300);
