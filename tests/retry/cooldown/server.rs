//! A server that answers as it is told, and writes down who came when.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response};
use tokio::time::{Instant, sleep};
use tower::{BoxError, Service, service_fn};

/// Clones are the same server.
#[derive(Clone)]
pub(crate) struct Server {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    start: Instant,
    answers: VecDeque<Response<()>>,
    latency: Duration,
    /// When each request came, after the start, and where it went.
    seen: Vec<(Duration, String)>,
}

impl Server {
    /// Gives these answers, then 200.
    pub(crate) fn new(answers: impl IntoIterator<Item = Response<()>>) -> Self {
        let inner = Inner {
            start: Instant::now(),
            answers: answers.into_iter().collect(),
            latency: Duration::ZERO,
            seen: Vec::new(),
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    pub(crate) fn latency(self, latency: Duration) -> Self {
        self.inner.lock().unwrap().latency = latency;
        self
    }

    pub(crate) fn next(&self, answer: Response<()>) {
        self.inner.lock().unwrap().answers.push_back(answer);
    }

    /// When the requests came so far.
    pub(crate) fn times(&self) -> Vec<Duration> {
        self.inner.lock().unwrap().seen.iter().map(|(at, _)| *at).collect()
    }

    pub(crate) fn seen(&self) -> usize {
        self.inner.lock().unwrap().seen.len()
    }

    pub(crate) fn service<B: Send + 'static>(
        &self,
    ) -> impl Service<Request<B>, Response = Response<()>, Error = BoxError, Future: Send> + Clone + Send + use<B> {
        let server = self.clone();
        service_fn(move |request: Request<B>| {
            let (answer, latency) = server.answer(request.uri().to_string());
            async move {
                if !latency.is_zero() {
                    sleep(latency).await;
                }
                Ok(answer)
            }
        })
    }

    fn answer(&self, uri: String) -> (Response<()>, Duration) {
        let mut inner = self.inner.lock().unwrap();
        let at = Instant::now() - inner.start;
        inner.seen.push((at, uri));
        (inner.answers.pop_front().unwrap_or_default(), inner.latency)
    }
}

pub(crate) fn answer(status: u16, fields: &[(&'static str, &str)]) -> Response<()> {
    let mut response = Response::builder().status(status).body(()).unwrap();
    for (name, value) in fields {
        response.headers_mut().append(*name, value.parse().unwrap());
    }
    response
}

pub(crate) fn busy(seconds: u64) -> Response<()> {
    answer(429, &[("retry-after", &seconds.to_string())])
}

pub(crate) fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const HERE: &str = "https://api.example.com/v1";
