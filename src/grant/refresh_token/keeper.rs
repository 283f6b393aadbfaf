//! The refresh token in hand, and what is still to be done with it.

use std::{future::Future, pin::Pin, sync::Arc};

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
    grant::{request::TokenRequest, secret::Secret},
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
    /// What was found there, once another has come for it: whoever sends that again has all revoked.
    spent: Option<Zeroizing<String>>,
    /// It came with an answer, and is not kept yet where it outlives us.
    unsaved: bool,
    /// Obtained, and its caller had gone away, or it must not be used before its refresh token is kept.
    ready: Option<Token>,
    refused: Option<Refused>,
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
        let state = State { first, current: None, spent: None, unsaved: false, ready: None, refused: None };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(super) async fn lock(self: Arc<Self>) -> Held {
        Held { state: Arc::clone(&self.state).lock_owned().await }
    }
}

// === impl Held ===

impl Held {
    pub(super) fn keep(&mut self, token: Token) {
        self.state.ready = Some(token);
    }

    pub(super) async fn refresh(&mut self, grant: &RefreshToken, rejected: Option<&Token>) -> Result<Token, Error> {
        self.save(grant).await?;
        if let Some(token) = self.state.ready.take() {
            let alive = token.expires_at().is_none_or(|at| Instant::now() < at);
            if alive && !rejected.is_some_and(|rejected| rejected.same_secret(&token)) {
                return Ok(token);
            }
        }
        let refresh_token = self.in_hand().await?;
        match self.exchange(grant, refresh_token).await {
            Err(error) if error.requires_sign_in() => {
                // Another process may have refreshed it, or the user signed in again.
                let refresh_token = self.in_hand().await?;
                self.exchange(grant, refresh_token).await
            }
            result => result,
        }
    }

    async fn exchange(&mut self, grant: &RefreshToken, refresh_token: Zeroizing<String>) -> Result<Token, Error> {
        let TokenRequest { endpoint, params } = &grant.request;
        match endpoint.token(params, Some((&grant.name, &refresh_token))).await {
            Ok(token) => self.rotate(grant, &refresh_token, token).await,
            Err(error) if error.oauth_code() == Some("invalid_grant") && !error.is_transient() => {
                let error = error.with_sign_in();
                self.state.current = None;
                self.state.refused = Some(Refused { refresh_token, error: error.clone() });
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The refresh token to send: none that was refused.
    async fn in_hand(&self) -> Result<Zeroizing<String>, Error> {
        if let Some(current) = &self.state.current {
            return Ok(current.clone());
        }
        let first = self.state.first.read().await?;
        match &self.state.refused {
            Some(refused) if refused.refresh_token == first || self.state.spent.as_ref() == Some(&first) => {
                Err(refused.error.clone())
            }
            _ => Ok(first),
        }
    }

    async fn rotate(&mut self, grant: &RefreshToken, used: &Zeroizing<String>, token: Token) -> Result<Token, Error> {
        self.state.refused = None;
        let place = &grant.request.endpoint.fields.refresh_token;
        let next = token.response().and_then(|response| json::at::<String>(response, place));
        match next.filter(|next| !next.is_empty()).map(Zeroizing::new) {
            Some(next) if next != *used => {
                if self.state.current.replace(next).is_none() {
                    self.state.spent = Some(used.clone());
                }
                self.state.unsaved = true;
                if let Err(error) = self.save(grant).await {
                    self.state.ready = Some(token);
                    return Err(error);
                }
            }
            _ => self.state.current = Some(used.clone()),
        }
        Ok(token)
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
