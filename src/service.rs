//! The service: which requests get the token, and how they come by it.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, Uri, header::AUTHORIZATION};
use tokio::time::Instant;
use tower::BoxError;
use tower_service::Service;

use crate::{
    cache::{Grant, Lease, TokenCache},
    caches::{Choice, Tokens},
    deadline::Deadline,
    error::Error,
    future::{Demand, ResponseFuture, Waiting},
    min_ttl::MinTtl,
    origin::Origin,
    readiness,
};

/// Puts a bearer token on requests; made by [`OAuthLayer`](crate::OAuthLayer), which has an example.
///
/// # Behavior
///
/// * A request to another origin, and one that has an `Authorization` header, passes through untouched.
/// * With a valid token the request is sent at once, also while the token is being replaced. This path boxes nothing,
///   spawns nothing and allocates nothing but the header's place. A clone that is kept takes no lock either from its third
///   request on, until the token changes: it has a copy of its own by then. A fresh one reads the cache under a lock that is shared by all readers.
/// * Without one, the readiness of the inner service is given up, so that no permit of it is held while the issuer is
///   asked; then a clone of it is made ready and called.
/// * If the layer has many tokens, a request chooses by its [`TokenKey`](crate::TokenKey). It reads two locks then, which
///   are shared by all readers, and allocates no more.
/// * A request with a [`MinTtl`] does not start with a token that is about to end.
/// * A request with a [`Deadline`] fails at it, wherever it goes, as long as no response has begun.
/// * No token, no request: the future fails with [`Error`](crate::Error) inside of the [`BoxError`].
/// * A 401 to a request that carried the token makes the cache drop it, unless the challenge says
///   `insufficient_scope`, and is marked with [`TokenRejected`](crate::TokenRejected); so does gRPC's, if
///   [it is told](crate::OAuthLayer::grpc). This service never sends twice.
///
/// # Cancellation
///
/// Dropping the response future drops the inner one. A token request goes on and serves whoever comes next.
pub struct OAuth<S> {
    inner: S,
    binding: Arc<Binding>,
    snapshot: Snapshot,
}

/// What all services of a layer share.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    pub(crate) tokens: Tokens,
    /// `None` binds to every origin.
    pub(crate) origins: Option<Vec<Origin>>,
    pub(crate) acquire_timeout: Duration,
    /// Whether `grpc-status: 16` counts as a 401.
    pub(crate) grpc: bool,
}

/// What this clone knows of the token. Empty in a fresh clone, and filled by its second request only: a service that is
/// cloned for every request would pay for the copy and never use it.
enum Snapshot {
    Empty,
    Used,
    Held { grant: Grant, epoch: u64 },
}

// === impl Binding ===

impl Binding {
    fn covers(&self, uri: &Uri) -> bool {
        self.origins.as_ref().is_none_or(|origins| origins.iter().any(|origin| origin.matches(uri)))
    }
}

// === impl OAuth ===

impl<S> OAuth<S> {
    pub(crate) fn new(inner: S, binding: Arc<Binding>) -> Self {
        Self { inner, binding, snapshot: Snapshot::Empty }
    }

    /// The service underneath.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service underneath.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service underneath.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for OAuth<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Never for a token: an error here means "discard this service", which a blip of the issuer is no reason for.
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let deadline = request.extensions().get().map(Deadline::instant);
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            readiness::give_up(&mut self.inner);
            return ResponseFuture::refused(Error::deadline(false));
        }
        if !self.binding.covers(request.uri()) || request.headers().contains_key(AUTHORIZATION) {
            return ResponseFuture::sending(self.inner.call(request), None, deadline, self.binding.grpc);
        }
        let min_ttl = request.extensions().get().map_or(Duration::ZERO, MinTtl::duration);
        let tokens = match self.binding.tokens.choose(request.extensions()) {
            Ok(tokens) => tokens,
            Err(error) => {
                readiness::give_up(&mut self.inner);
                return ResponseFuture::refused(error);
            }
        };
        let now = Instant::now();
        let lease = match &tokens {
            Choice::Only(tokens) => self.snapshot.lease(tokens, now, min_ttl),
            Choice::Keyed(tokens) => tokens.try_acquire(now, min_ttl).map(|(grant, _)| grant.lease),
        };
        if let Some(lease) = lease {
            tokens.as_cache().served(&lease, now);
            request.headers_mut().insert(AUTHORIZATION, lease.header().clone());
            return ResponseFuture::sending(self.inner.call(request), Some(lease), deadline, self.binding.grpc);
        }
        let demand = Demand { min_ttl, deadline, patience: self.binding.acquire_timeout };
        let tokens = tokens.into_cache();
        ResponseFuture::waiting(
            Waiting::new(tokens, readiness::give_up(&mut self.inner), request, demand),
            self.binding.grpc,
        )
    }
}

impl<S: Clone> Clone for OAuth<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.binding))
    }
}

impl<S: fmt::Debug> fmt::Debug for OAuth<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth").field("inner", &self.inner).field("binding", &self.binding).finish_non_exhaustive()
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// The token, if the request need not wait for it.
    fn lease(&mut self, tokens: &TokenCache, now: Instant, min_ttl: Duration) -> Option<Arc<Lease>> {
        if let Self::Held { grant, epoch } = self {
            if *epoch == tokens.epoch() && now < grant.recheck_at && grant.lease.satisfies(now, min_ttl) {
                return Some(Arc::clone(&grant.lease));
            }
        }
        let (grant, epoch) = tokens.try_acquire(now, min_ttl)?;
        *self = match mem::replace(self, Self::Used) {
            Self::Empty => return Some(grant.lease),
            Self::Held { grant: held, .. } if held.lease.generation() == grant.lease.generation() => {
                Self::Held { grant: Grant { lease: held.lease, ..grant }, epoch }
            }
            Self::Held { .. } | Self::Used => {
                Self::Held { grant: Grant { lease: Arc::new(grant.lease.detached()), ..grant }, epoch }
            }
        };
        match self {
            Self::Held { grant, .. } => Some(Arc::clone(&grant.lease)),
            Self::Empty | Self::Used => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{source::source_fn, token::Token};

    #[tokio::test(start_paused = true)]
    async fn a_copy_is_made_by_the_second_request_and_kept_as_long_as_the_token() {
        let source = source_fn(|_| async { Ok(Token::new("abc")?.with_lifetime(Duration::from_secs(100))) });
        let tokens = TokenCache::builder(source).refresh_before(Duration::from_secs(20)).build();
        tokens.token().await.unwrap();
        let mut snapshot = Snapshot::Empty;
        let mut lease =
            |ago| snapshot.lease(&tokens, Instant::now() + Duration::from_secs(ago), Duration::ZERO).unwrap();
        let (first, copy) = (lease(0), lease(0));
        assert!(!Arc::ptr_eq(&first, &copy), "one of its own");
        assert!(Arc::ptr_eq(&copy, &lease(0)));
        // In the refresh window it is looked at again, and copied no more.
        assert!(Arc::ptr_eq(&copy, &lease(90)));
        tokens.invalidate();
        tokens.token().await.unwrap();
        let mut lease = || snapshot.lease(&tokens, Instant::now(), Duration::ZERO).unwrap();
        let next = lease();
        assert_ne!(copy.generation(), next.generation());
        let held = tokens.peek(Instant::now(), Duration::ZERO).unwrap().0.lease;
        assert!(!Arc::ptr_eq(&next, &held), "one of its own again");
        assert!(Arc::ptr_eq(&next, &lease()));
    }
}
