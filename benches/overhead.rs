//! What a valid token costs a request: `cargo bench -p tower-oauth2-benches --bench overhead`.
//!
//! A request with six headers and a `Full<Bytes>` body goes through a service that does nothing: bare, with tower-http's
//! static `AddAuthorizationLayer`, and with `OAuthLayer` on a hit, with a short, a usual and a long token; once with a
//! service that is held, once with a clone of it for each request, and once with a plain `RwLock` that is read each time.
//! Compare ratios: nanoseconds are the machine's mood.
//!
//! What it showed on two shared cores of a virtual machine that had other work to do, rustc 1.95, November 2026: the static
//! header and `OAuthLayer` allocate twice each, where the header map grows for its seventh entry, so that a hit adds none of
//! its own. Time added to the bare service, divided by what the static header adds: 1.68 held and 1.70 cloned, 1.62 and 1.64
//! with a token of 16 bytes, 1.61 and 1.65 with one of 3.4 kB.

#![allow(clippy::expect_used, missing_docs, reason = "a bench")]
#![expect(clippy::disallowed_types, reason = "nobody pauses this clock")]

use std::{
    mem::size_of_val,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use harness::{Inner, Report, SECRET, Stack, fixed, interleaved, layer, request, send};
use http::{HeaderValue, Request, header::AUTHORIZATION};
use http_body_util::Full;
use tower::{Layer, Service};

fn main() {
    let mut report = Report::new("overhead", &["ns held", "÷ static", "ns cloned", "÷ static", "allocations"]);
    let long = SECRET.repeat(40);
    let (mut bare, mut fixed, mut locked) = (Inner, fixed(), Locked::new());
    let [mut oauth, mut short, mut longer] = [SECRET, &SECRET[..16], &long].map(|secret| layer(secret).layer(Inner));
    let allocations = [
        allocations(&mut bare),
        allocations(&mut fixed),
        allocations(&mut locked),
        allocations(&mut oauth),
        allocations(&mut short),
        allocations(&mut longer),
    ];
    let (cloned_bare, cloned_fixed, cloned_locked) = (bare, fixed.clone(), locked.clone());
    let [cloned_oauth, cloned_short, cloned_longer] = [oauth.clone(), short.clone(), longer.clone()];
    let medians = interleaved(
        ROUNDS,
        &mut [
            &mut || round(|request| send(&mut bare, request)),
            &mut || round(|request| send(&mut fixed, request)),
            &mut || round(|request| send(&mut locked, request)),
            &mut || round(|request| send(&mut oauth, request)),
            &mut || round(|request| send(&mut short, request)),
            &mut || round(|request| send(&mut longer, request)),
            &mut || round(|request| send(&mut { cloned_bare }, request)),
            &mut || round(|request| send(&mut cloned_fixed.clone(), request)),
            &mut || round(|request| send(&mut cloned_locked.clone(), request)),
            &mut || round(|request| send(&mut cloned_oauth.clone(), request)),
            &mut || round(|request| send(&mut cloned_short.clone(), request)),
            &mut || round(|request| send(&mut cloned_longer.clone(), request)),
        ],
    );
    let (held, cloned) = medians.split_at(NAMES.len());
    let added = |ns: &[f64], index: usize| (ns[index] - ns[0]) / (ns[1] - ns[0]);
    for (index, name) in NAMES.into_iter().enumerate() {
        let values = [held[index], added(held, index), cloned[index], added(cloned, index), allocations[index]];
        report.row(name, &values);
    }
    report.finish();
    println!("bytes of the future: {} of the inner service, {} with OAuthLayer", future(Inner), future(oauth));
}

const NAMES: [&str; 6] = ["bare", "static header", "plain RwLock", "oauth", "oauth, 16 B token", "oauth, 3.4 kB token"];

/// What `OAuthLayer` must never be slower than: the header behind a lock, and nothing else that it does.
#[derive(Clone)]
struct Locked {
    inner: Inner,
    header: Arc<RwLock<Arc<HeaderValue>>>,
}

impl Locked {
    fn new() -> Self {
        let header = HeaderValue::try_from(format!("Bearer {SECRET}")).expect("a header");
        Self { inner: Inner, header: Arc::new(RwLock::new(Arc::new(header))) }
    }
}

impl Service<Request<Full<Bytes>>> for Locked {
    type Response = http::Response<()>;
    type Error = std::convert::Infallible;
    type Future = <Inner as Service<Request<Full<Bytes>>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> Self::Future {
        let header = Arc::clone(&self.header.read().unwrap_or_else(PoisonError::into_inner));
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::clone(&header));
        self.inner.call(request)
    }
}

/// Of one call, after the first two, by which a snapshot is filled.
fn allocations<S: Stack>(service: &mut S) -> f64 {
    send(service, request());
    send(service, request());
    let request = request();
    allocation_counter::measure(|| send(service, request)).count_total as f64
}

/// Nanoseconds a call, without the making of the request.
fn round(mut run: impl FnMut(Request<Full<Bytes>>)) -> f64 {
    let requests: Vec<_> = (0..CALLS).map(|_| request()).collect();
    let started = Instant::now();
    for request in requests {
        run(request);
    }
    started.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn future<S: Stack>(mut service: S) -> usize {
    size_of_val(&service.call(request()))
}

const CALLS: u32 = 32;
const ROUNDS: usize = 5_001;
