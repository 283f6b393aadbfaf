//! What all contestants can do.

use std::{
    future::{Future, poll_fn},
    time::Duration,
};

use tower::{BoxError, Service};

use crate::{
    end::{End, Request},
    issuer::Issuer,
};

/// Puts a token on a request, and hands it on to its end.
pub(crate) trait Client: Clone + Send + 'static {
    /// [`Request`], wherever it takes one.
    type Request: Send + 'static;

    fn request(&self) -> Self::Request;

    /// What all else is compared with: the request handed on as it is.
    fn bare(&mut self, request: Self::Request) -> impl Future<Output = Result<(), BoxError>> + Send;

    fn send(&mut self, request: Self::Request) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// A contestant.
pub(crate) trait Peer {
    const NAME: &'static str;
    /// How it comes to have no token; none if that never happens to it.
    const COLD: Option<Scene>;
    /// How it comes to have one that it would replace, though it holds.
    const DUE: Option<Scene>;

    /// One that gets its tokens from `issuer`, and hands its requests on to `end`.
    fn client<E: End>(issuer: &Issuer, end: E) -> impl Future<Output = Result<impl Client, BoxError>>;
}

/// Sees every contestant, whatever its type.
pub(crate) trait Visitor {
    fn visit<P: Peer>(&mut self);
}

/// How 10,000 tasks come to want a token.
#[derive(Clone, Copy)]
pub(crate) struct Scene {
    /// How long the token holds that is there before they come; none: there is none.
    pub(crate) first: Option<Duration>,
    pub(crate) start: Start,
}

/// When they come.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    AtOnce,
    After(Duration),
    /// As soon as the next token is asked for, by those who do so in the background.
    NextAsked,
}

/// Puts the token's header on a request that somebody else sends.
pub(crate) trait Authorize: Clone + Send + 'static {
    fn authorize(&self, request: &mut Request) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// A contestant that is no client: what it has put its header on is handed on.
#[derive(Clone)]
pub(crate) struct Authorized<A, E> {
    pub(crate) by: A,
    pub(crate) end: E,
}

/// A tower service on an end.
#[derive(Clone)]
pub(crate) struct Tower<S, E> {
    pub(crate) service: S,
    pub(crate) end: E,
}

/// The contestant without its token.
#[derive(Clone)]
pub(crate) struct Bare<C>(pub(crate) C);

// === impl Scene ===

impl Scene {
    /// Nobody ever asked for a token.
    pub(crate) const FRESH: Option<Self> = Some(Self { first: None, start: Start::AtOnce });

    pub(crate) const fn new(first: Duration, start: Start) -> Option<Self> {
        Some(Self { first: Some(first), start })
    }
}

// === impl Authorized ===

impl<A: Authorize, E: End> Client for Authorized<A, E> {
    type Request = Request;

    fn request(&self) -> Request {
        self.end.request()
    }

    async fn bare(&mut self, request: Request) -> Result<(), BoxError> {
        self.end.send(request).await
    }

    async fn send(&mut self, mut request: Request) -> Result<(), BoxError> {
        self.by.authorize(&mut request).await?;
        self.end.send(request).await
    }
}

// === impl Tower ===

impl<S, E: End> Client for Tower<S, E>
where
    S: Service<Request, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    type Request = Request;

    fn request(&self) -> Request {
        self.end.request()
    }

    async fn bare(&mut self, request: Request) -> Result<(), BoxError> {
        self.end.send(request).await
    }

    async fn send(&mut self, request: Request) -> Result<(), BoxError> {
        poll_fn(|cx| self.service.poll_ready(cx)).await.map_err(Into::into)?;
        self.service.call(request).await.map(drop).map_err(Into::into)
    }
}

// === impl Bare ===

impl<C: Client> Client for Bare<C> {
    type Request = C::Request;

    fn request(&self) -> C::Request {
        self.0.request()
    }

    fn bare(&mut self, request: C::Request) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.0.bare(request)
    }

    fn send(&mut self, request: C::Request) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.0.bare(request)
    }
}
