//! An HTTP API as a service that takes its contract at its word: it may be called only when it was made ready.

use std::{
    collections::HashSet,
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use tower::Service;

/// Answers 200, or 401 to the tokens that it refuses. Clones are the same API.
#[derive(Debug, Default)]
pub(crate) struct Api {
    inner: Arc<Mutex<Inner>>,
    ready: bool,
}

#[derive(Debug, Default)]
struct Inner {
    seen: Vec<Seen>,
    clones: usize,
    refused: HashSet<String>,
    refuses_all: bool,
    redirect: Option<String>,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) uri: String,
    pub(crate) authorization: Vec<HeaderValue>,
}

impl Api {
    /// Answers 401 to that token.
    pub(crate) fn refuse(&self, secret: &str) {
        self.inner.lock().unwrap().refused.insert(format!("Bearer {secret}"));
    }

    pub(crate) fn refuse_all(&self) {
        self.inner.lock().unwrap().refuses_all = true;
    }

    /// Redirects whatever has the path `/from`.
    pub(crate) fn redirect(&self, to: &str) {
        self.inner.lock().unwrap().redirect = Some(to.to_owned());
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.inner.lock().unwrap().seen.clone()
    }

    /// The tokens of all requests so far; an empty string for one without.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.seen().iter().map(Seen::token).collect()
    }

    pub(crate) fn clones(&self) -> usize {
        self.inner.lock().unwrap().clones
    }
}

impl Seen {
    /// What stands behind `Bearer`; it must be one header at the most.
    pub(crate) fn token(&self) -> String {
        assert!(self.authorization.len() <= 1, "{self:?}");
        let value = self.authorization.first().map_or("", |value| value.to_str().unwrap());
        value.trim_start_matches("Bearer ").to_owned()
    }
}

impl<B> Service<Request<B>> for Api {
    type Response = Response<&'static str>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been made ready");
        let mut inner = self.inner.lock().unwrap();
        let authorization: Vec<_> = request.headers().get_all(AUTHORIZATION).iter().cloned().collect();
        let refused = authorization.iter().any(|value| inner.refused.contains(value.to_str().unwrap()));
        inner.seen.push(Seen { uri: request.uri().to_string(), authorization });
        let mut response = Response::new("the body");
        if refused || inner.refuses_all {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        } else if let Some(to) = inner.redirect.as_deref().filter(|_| request.uri().path() == "/from") {
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            response.headers_mut().insert("location", to.parse().unwrap());
        }
        ready(Ok(response))
    }
}

impl Clone for Api {
    fn clone(&self) -> Self {
        self.inner.lock().unwrap().clones += 1;
        Self { inner: Arc::clone(&self.inner), ready: false }
    }
}
