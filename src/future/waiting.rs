//! A request that waits for a token, then for its service.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, header::AUTHORIZATION};
use tokio::time::Instant;
use tower::BoxError;
use tower_service::Service;

use crate::{
    cache::{Carried, Grant, Lease, TokenCache},
    error::{Error, Kind},
};

pub(crate) struct Waiting<S, B> {
    tokens: TokenCache,
    /// In a `Mutex` that is never locked: what is inside need not be `Sync`, and the future is.
    token: Mutex<Acquire>,
    lease: Option<Arc<Lease>>,
    service: S,
    request: Option<Request<B>>,
    demand: Demand,
    waits_since: Instant,
    started_over: u8,
}

/// What a request asks of its wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// How long its token must live on.
    pub(crate) min_ttl: Duration,
    pub(crate) deadline: Option<Instant>,
    /// How long to wait for a token, over all times that it does.
    pub(crate) patience: Duration,
}

type Acquire = Pin<Box<dyn Future<Output = Result<Grant, Error>> + Send>>;

// === impl Waiting ===

impl<S, B> Waiting<S, B> {
    pub(crate) fn new(tokens: TokenCache, service: S, request: Request<B>, demand: Demand) -> Self {
        let waits_since = Instant::now();
        let token = Mutex::new(acquire(tokens.clone(), demand, waits_since));
        Self { tokens, token, lease: None, service, request: Some(request), demand, waits_since, started_over: 0 }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.demand.deadline
    }
}

impl<S, B> Waiting<S, B>
where
    S: Service<Request<B>> + Clone,
    S::Error: Into<BoxError>,
{
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(S::Future, Carried), BoxError>> {
        loop {
            let lease = match &self.lease {
                Some(lease) => Arc::clone(lease),
                None => {
                    let token = self.token.get_mut().unwrap_or_else(PoisonError::into_inner);
                    let grant = ready!(token.as_mut().poll(cx))?;
                    let waited = Instant::now().saturating_duration_since(self.waits_since);
                    self.demand.patience = self.demand.patience.saturating_sub(waited);
                    Arc::clone(self.lease.insert(grant.lease))
                }
            };
            ready!(self.service.poll_ready(cx)).map_err(Into::into)?;
            let now = Instant::now();
            if self.demand.deadline.is_some_and(|deadline| now >= deadline) {
                return Poll::Ready(Err(Error::deadline(false).into()));
            }
            let Some(lease) = self.still_good(lease, now)? else {
                self.start_over();
                continue;
            };
            let Some(mut request) = self.request.take() else {
                return Poll::Ready(Err("the response future was polled after completion".into()));
            };
            request.headers_mut().insert(AUTHORIZATION, lease.header().clone());
            return Poll::Ready(Ok((self.service.call(request), lease.carried())));
        }
    }

    /// Becoming ready may have taken a while: a token that was replaced, refused or outlived meanwhile is not sent. A service
    /// that takes longer each time than tokens live gets one all the same in the end: its 401 says more than a wait
    /// without end. Not so if the token must live on: then it is an error.
    fn still_good(&self, lease: Arc<Lease>, now: Instant) -> Result<Option<Arc<Lease>>, Error> {
        let min_ttl = self.demand.min_ttl;
        match self.tokens.try_acquire(now, min_ttl) {
            Some((grant, _)) => Ok(Some(grant.lease)),
            None if lease.is_for_once() => Ok(Some(lease)),
            None if self.started_over < MAX_START_OVERS => Ok(None),
            None if lease.satisfies(now, min_ttl) => Ok(Some(lease)),
            None => {
                let problem = "each token had less than its `MinTtl` left when the service was ready at last";
                Err(Error::new(Kind::Token(problem.into())).with_transient(true))
            }
        }
    }

    /// Waits for a token again, and gives readiness up again meanwhile.
    fn start_over(&mut self) {
        self.service = self.service.clone();
        self.lease = None;
        self.started_over += 1;
        self.waits_since = Instant::now();
        self.token = Mutex::new(acquire(self.tokens.clone(), self.demand, self.waits_since));
    }
}

fn acquire(tokens: TokenCache, demand: Demand, since: Instant) -> Acquire {
    Box::pin(async move {
        // A hit or a stored error needs no timer, which there is none of outside of a runtime: whoever has to wait finds out.
        let after = demand.patience;
        tokens.acquire_by(demand.min_ttl, Some(since + after)).await.unwrap_or_else(|| {
            Err(Error::new(Kind::Timeout { what: "waiting for a token", after }).with_transient(true))
        })
    })
}

const MAX_START_OVERS: u8 = 3;
