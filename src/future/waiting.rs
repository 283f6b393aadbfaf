//! A request that waits for a token, then for its service.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, header::AUTHORIZATION};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};
use tower::BoxError;
use tower_service::Service;

use crate::{
    cache::{Grant, Lease, TokenCache},
    error::{Error, Kind},
};

pub(crate) struct Waiting<S, B> {
    tokens: TokenCache,
    /// In a `Mutex` that is never locked: what is inside need not be `Sync`, and the future is.
    token: Mutex<Acquire>,
    lease: Option<Arc<Lease>>,
    service: S,
    request: Option<Request<B>>,
    deadline: Option<Instant>,
    /// How long to wait for a token, over all times that it does.
    patience: Duration,
    waits_since: Instant,
    started_over: u8,
}

type Acquire = Pin<Box<dyn Future<Output = Result<Grant, Error>> + Send>>;

// === impl Waiting ===

impl<S, B> Waiting<S, B> {
    pub(crate) fn new(
        tokens: TokenCache,
        service: S,
        request: Request<B>,
        patience: Duration,
        deadline: Option<Instant>,
    ) -> Self {
        let waits_since = Instant::now();
        let token = Mutex::new(acquire(tokens.clone(), patience, waits_since));
        let request = Some(request);
        Self { tokens, token, lease: None, service, request, deadline, patience, waits_since, started_over: 0 }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl<S, B> Waiting<S, B>
where
    S: Service<Request<B>> + Clone,
    S::Error: Into<BoxError>,
{
    #[allow(clippy::type_complexity, reason = "the two parts of the next state")]
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(S::Future, Arc<Lease>), BoxError>> {
        loop {
            let lease = match &self.lease {
                Some(lease) => Arc::clone(lease),
                None => {
                    let token = self.token.get_mut().unwrap_or_else(PoisonError::into_inner);
                    let grant = ready!(token.as_mut().poll(cx))?;
                    let waited = Instant::now().saturating_duration_since(self.waits_since);
                    self.patience = self.patience.saturating_sub(waited);
                    Arc::clone(self.lease.insert(grant.lease))
                }
            };
            ready!(self.service.poll_ready(cx)).map_err(Into::into)?;
            let now = Instant::now();
            if self.deadline.is_some_and(|deadline| now >= deadline) {
                return Poll::Ready(Err(Error::deadline(false).into()));
            }
            let Some(lease) = self.still_good(lease, now) else {
                self.start_over();
                continue;
            };
            let Some(mut request) = self.request.take() else {
                return Poll::Ready(Err("the response future was polled after completion".into()));
            };
            request.headers_mut().insert(AUTHORIZATION, lease.header().clone());
            return Poll::Ready(Ok((self.service.call(request), lease)));
        }
    }

    /// Becoming ready may have taken a while: a token that was replaced, refused or outlived meanwhile is not sent. A service
    /// that takes longer each time than tokens live gets one all the same in the end: its 401 says more than a wait
    /// without end.
    fn still_good(&self, lease: Arc<Lease>, now: Instant) -> Option<Arc<Lease>> {
        match self.tokens.try_acquire(now, Duration::ZERO) {
            Some((grant, _)) => Some(grant.lease),
            None => (lease.is_for_once() || self.started_over >= MAX_START_OVERS).then_some(lease),
        }
    }

    /// Waits for a token again, and gives readiness up again meanwhile.
    fn start_over(&mut self) {
        self.service = self.service.clone();
        self.lease = None;
        self.started_over += 1;
        self.waits_since = Instant::now();
        self.token = Mutex::new(acquire(self.tokens.clone(), self.patience, self.waits_since));
    }
}

fn acquire(tokens: TokenCache, patience: Duration, since: Instant) -> Acquire {
    Box::pin(async move {
        // A hit or a stored error needs no timer, which there is none of outside of a runtime.
        let acquire = tokens.acquire(Duration::ZERO);
        if Handle::try_current().is_err() {
            return acquire.await;
        }
        timeout_at(since + patience, acquire).await.unwrap_or_else(|_| {
            Err(Error::new(Kind::Timeout { what: "waiting for a token", after: patience }).with_transient(true))
        })
    })
}

const MAX_START_OVERS: u8 = 3;
