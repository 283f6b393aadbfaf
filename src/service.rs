//! The service: which requests get the token, and how they come by it.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Extensions, HeaderMap, HeaderValue, Request, Response, Uri, header::AUTHORIZATION};
use tokio::time::Instant;
use tower::BoxError;
use tower_service::Service;

use crate::{
    cache::{Carried, TokenCache},
    caches::Tokens,
    deadline::Deadline,
    error::Error,
    future::{Demand, ResponseFuture, Waiting},
    min_ttl::MinTtl,
    origin::Origin,
    readiness,
    snapshot::{Seen, Snapshot},
    token_key::TokenKey,
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

/// What a request says of itself.
struct Wishes {
    deadline: Option<Instant>,
    min_ttl: Duration,
    /// Whether it chooses its token.
    keyed: bool,
}

/// Why a request cannot be sent now.
enum Missing {
    /// It has to wait for it.
    Token(TokenCache),
    /// Nobody knows which.
    Choice(Error),
}

// === impl Binding ===

impl Binding {
    #[inline(always)]
    fn covers(&self, uri: &Uri) -> bool {
        // Nearly always there is one, and the request has it in the same spelling.
        match self.origins.as_deref() {
            None => true,
            Some([origin, ..]) if origin.is_written_in(uri) => true,
            Some(origins) => covers_in_any_spelling(origins, uri),
        }
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

    /// The token that was put on the request, if there is one cache for all, which has it.
    #[inline(always)]
    fn put_at_once<B>(&mut self, request: &mut Request<B>, min_ttl: Duration) -> Option<Carried> {
        let tokens = self.binding.tokens.only()?;
        let Some(held) = self.snapshot.held(tokens, min_ttl) else { return self.look(request.headers_mut(), min_ttl) };
        if !put(request.headers_mut(), held.header.clone()) {
            return None;
        }
        tokens.served(|| held.lease.is_due(Instant::now()));
        Some(held.carried)
    }

    /// Asks the cache. Who is used again has a binding of its own as well by then: tower's `Retry` clones what is under it for
    /// each request, and a count that all of them share is what costs then.
    #[inline(never)]
    fn look(&mut self, headers: &mut HeaderMap, min_ttl: Duration) -> Option<Carried> {
        let again = matches!(self.snapshot, Snapshot::Used);
        let Seen { header, carried, is_due } = self.snapshot.look(self.binding.tokens.only()?, min_ttl)?;
        if again {
            self.binding = Arc::new(Binding::clone(&self.binding));
        }
        if !put(headers, header) {
            return None;
        }
        self.binding.tokens.only()?.served(|| is_due);
        Some(carried)
    }

    /// The token that was put on the request, if it is to have one of ours.
    fn put<B>(&mut self, request: &mut Request<B>, wishes: &Wishes) -> Result<Option<Carried>, Missing> {
        if !self.binding.covers(request.uri()) || request.headers().contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        if !wishes.keyed {
            if let Some(carried) = self.put_at_once(request, wishes.min_ttl) {
                return Ok(Some(carried));
            }
        }
        let tokens = self.binding.tokens.choose(request.extensions()).map_err(Missing::Choice)?;
        let now = Instant::now();
        let Some((grant, _)) = tokens.try_acquire(now, wishes.min_ttl) else { return Err(Missing::Token(tokens)) };
        tokens.served(|| grant.lease.is_due(now));
        request.headers_mut().insert(AUTHORIZATION, grant.lease.header().clone());
        Ok(Some(grant.lease.carried()))
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
        // What most requests are, and all that it costs them.
        if request.extensions().is_empty() && !self.binding.grpc && self.binding.covers(request.uri()) {
            if let Some(carried) = self.put_at_once(&mut request, Duration::ZERO) {
                return ResponseFuture::sending(self.inner.call(request), Some(carried), None, false);
            }
        }
        self.call_any(request)
    }
}

impl<S> OAuth<S> {
    #[inline(never)]
    fn call_any<B, R>(&mut self, mut request: Request<B>) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone,
    {
        let (wishes, grpc) = (Wishes::of(request.extensions()), self.binding.grpc);
        let deadline = wishes.deadline;
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            readiness::give_up(&mut self.inner);
            return ResponseFuture::refused(Error::deadline(false));
        }
        let carried = match self.put(&mut request, &wishes) {
            Ok(carried) => carried,
            Err(Missing::Token(tokens)) => {
                let demand = Demand { min_ttl: wishes.min_ttl, deadline, patience: self.binding.acquire_timeout };
                let service = readiness::give_up(&mut self.inner);
                return ResponseFuture::waiting(Waiting::new(tokens, service, request, demand), grpc);
            }
            Err(Missing::Choice(error)) => {
                readiness::give_up(&mut self.inner);
                return ResponseFuture::refused(error);
            }
        };
        ResponseFuture::sending(self.inner.call(request), carried, deadline, grpc)
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

// === impl Wishes ===

impl Wishes {
    fn of(extensions: &Extensions) -> Self {
        Self {
            deadline: extensions.get().map(Deadline::instant),
            min_ttl: extensions.get().map_or(Duration::ZERO, MinTtl::duration),
            keyed: extensions.get::<TokenKey>().is_some(),
        }
    }
}

#[inline(never)]
fn covers_in_any_spelling(origins: &[Origin], uri: &Uri) -> bool {
    origins.iter().any(|origin| origin.is_written_in(uri) || origin.matches(uri))
}

/// Whether it was put there: a header of the caller's own wins. Looking for that first would cost as much again.
#[inline(always)]
fn put(headers: &mut HeaderMap, token: HeaderValue) -> bool {
    let own_before = headers.append(AUTHORIZATION, token);
    if own_before {
        take_back(headers);
    }
    !own_before
}

/// Takes the last one away, and leaves the others where they are.
#[cold]
fn take_back(headers: &mut HeaderMap) {
    let mut all: Vec<_> = headers.get_all(AUTHORIZATION).iter().cloned().collect();
    all.pop();
    let mut own = all.into_iter();
    if let Some(first) = own.next() {
        headers.insert(AUTHORIZATION, first);
    }
    own.for_each(|next| {
        headers.append(AUTHORIZATION, next);
    });
}

#[cfg(test)]
mod tests {
    use tower::{Layer, service_fn};

    use super::*;
    use crate::{source::source_fn, token::Token};

    #[test]
    fn a_header_of_the_callers_own_wins_and_stays_where_it_is() {
        let token = HeaderValue::from_static("Bearer ours");
        for own in [&["Basic a"][..], &["Basic a", "Digest b"], &["Basic a", "Digest b", "Bearer ours"]] {
            let mut headers = HeaderMap::new();
            headers.append("a", HeaderValue::from_static("1"));
            for own in own {
                headers.append(AUTHORIZATION, HeaderValue::from_static(own));
            }
            headers.append("b", HeaderValue::from_static("2"));
            let before: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            assert!(!put(&mut headers, token.clone()));
            let after: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            assert_eq!(before, after);
        }
        let mut headers = HeaderMap::new();
        assert!(put(&mut headers, token.clone()));
        assert_eq!(headers[AUTHORIZATION], token);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_used_again_shares_no_count_with_the_others() {
        let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
        tokens.token().await.unwrap();
        let api = crate::OAuthLayer::for_origin("https://h", tokens)
            .unwrap()
            .layer(service_fn(|_: Request<()>| std::future::ready(Ok::<_, BoxError>(Response::new(())))));
        let mut held = api.clone();
        let mut is_shared = || {
            drop(held.call(Request::get("https://h/").body(()).unwrap()));
            Arc::ptr_eq(&held.binding, &api.binding)
        };
        assert_eq!([is_shared(), is_shared(), is_shared()], [true, false, false]);
        assert!(Arc::ptr_eq(&held.binding, &held.clone().binding), "a clone is not the place to copy it");
    }
}
