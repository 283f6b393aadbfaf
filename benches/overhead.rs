//! What a valid token costs a request: `cargo bench --bench overhead`.
//!
//! A request with six headers and a `Full<Bytes>` body goes through a service that does nothing: bare, with tower-http's
//! static `AddAuthorizationLayer`, and with `OAuthLayer` on a hit; once with a service that is held, once with a clone of
//! it for each request. First come allocations and ratios, measured in interleaved rounds of this one run; then
//! criterion's own figures. Compare ratios: nanoseconds are the machine's mood.
//!
//! What it showed on two shared cores of a virtual machine, rustc 1.95, November 2026, in three runs: the static header and
//! `OAuthLayer` allocate twice each, where the header map grows for its seventh entry, so that a hit adds none of its own.
//! Time added to the bare service, divided by what the static header adds: 1.92, 1.78 and 1.93 for a service that is held,
//! 1.99, 1.97 and 2.09 for a clone a request. About a quarter of it is the clock (`Instant::now`).

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a bench")]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::Full;
use tower::{BoxError, Layer, Service};
use tower_http::auth::AddAuthorizationLayer;
use tower_oauth2::{OAuthLayer, Token, TokenCache, source_fn};

criterion_main!(benches);
criterion_group!(benches, ratios, overhead);

/// The service at the end of the stack.
#[derive(Clone, Copy)]
struct Noop;

impl Service<Request<Full<Bytes>>> for Noop {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        black_box(request);
        ready(Ok(Response::new(())))
    }
}

/// What all three stacks can do.
trait Stack: Service<Request<Full<Bytes>>, Response = Response<()>> + Clone {}

impl<S: Service<Request<Full<Bytes>>, Response = Response<()>> + Clone> Stack for S {}

fn fixed() -> impl Stack<Error = Infallible> {
    AddAuthorizationLayer::bearer(SECRET).layer(Noop)
}

fn oauth() -> impl Stack<Error = BoxError> {
    let source = source_fn(|_| async { Ok(Token::new(SECRET)?.with_lifetime(Duration::from_secs(24 * 60 * 60))) });
    let tokens = TokenCache::new(source);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokens.token()).unwrap();
    OAuthLayer::for_origin("https://api.example.com", tokens).unwrap().layer(Noop)
}

fn request() -> Request<Full<Bytes>> {
    Request::post("https://api.example.com/api/v2/analytics/conversations/details/query")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip")
        .header("content-type", "application/json")
        .header("user-agent", "bench/1.0")
        .header("x-request-id", "0123456789")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .body(Full::new(Bytes::from_static(b"{}")))
        .unwrap()
}

fn send<S: Stack>(service: &mut S, request: Request<Full<Bytes>>) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let mut response = std::pin::pin!(service.call(request));
    assert!(black_box(response.as_mut().poll(&mut cx)).is_ready());
}

fn overhead(c: &mut Criterion) {
    let mut group = c.benchmark_group("overhead");
    let mut bench = |name: &str, mut run: Box<dyn FnMut(Request<Full<Bytes>>)>| {
        group.bench_function(name, |b| b.iter_batched(request, &mut run, BatchSize::SmallInput));
    };
    let (mut a, mut b, mut c) = (Noop, fixed(), oauth());
    bench("bare", Box::new(move |request| send(&mut a, request)));
    bench("static header", Box::new(move |request| send(&mut b, request)));
    bench("oauth", Box::new(move |request| send(&mut c, request)));
    let (a, b, c) = (Noop, fixed(), oauth());
    bench("bare, cloned", Box::new(move |request| send(&mut a.clone(), request)));
    bench("static header, cloned", Box::new(move |request| send(&mut b.clone(), request)));
    bench("oauth, cloned", Box::new(move |request| send(&mut c.clone(), request)));
    group.finish();
}

/// Allocations, which no mood changes, and times of interleaved rounds, whose medians are compared.
fn ratios(_: &mut Criterion) {
    let (mut bare, mut fixed, mut oauth) = (Noop, fixed(), oauth());
    let held = [
        measure(|request| send(&mut bare, request)),
        measure(|request| send(&mut fixed, request)),
        measure(|request| send(&mut oauth, request)),
    ];
    let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
    let mut cloned = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        rounds[0].push(round(|request| send(&mut bare, request)));
        rounds[1].push(round(|request| send(&mut fixed, request)));
        rounds[2].push(round(|request| send(&mut oauth, request)));
        cloned[0].push(round(|request| send(&mut bare.clone(), request)));
        cloned[1].push(round(|request| send(&mut fixed.clone(), request)));
        cloned[2].push(round(|request| send(&mut oauth.clone(), request)));
    }
    let (held_ns, cloned_ns) = (rounds.map(median), cloned.map(median));
    println!(
        "\n{:<16}{:>14}{:>12}{:>16}{:>12}{:>16}",
        "", "allocations", "ns, held", "added/static", "ns, cloned", "added/static"
    );
    for (index, name) in ["bare", "static header", "oauth"].into_iter().enumerate() {
        let added = |ns: [f64; 3]| (ns[index] - ns[0]) / (ns[1] - ns[0]);
        println!(
            "{name:<16}{:>14}{:>12.1}{:>16.2}{:>12.1}{:>16.2}",
            held[index],
            held_ns[index],
            added(held_ns),
            cloned_ns[index],
            added(cloned_ns)
        );
    }
    println!();
}

/// Allocations of one call, after the first two, which a lazy snapshot is filled by.
fn measure(mut run: impl FnMut(Request<Full<Bytes>>)) -> u64 {
    run(request());
    run(request());
    let request = request();
    allocation_counter::measure(|| run(request)).count_total
}

/// Nanoseconds a call, making the request not included.
fn round(mut run: impl FnMut(Request<Full<Bytes>>)) -> f64 {
    let requests: Vec<_> = (0..CALLS).map(|_| request()).collect();
    let started = tokio::time::Instant::now();
    for request in requests {
        run(request);
    }
    let ended = tokio::time::Instant::now();
    ended.duration_since(started).as_nanos() as f64 / f64::from(CALLS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// 86 characters, as opaque tokens have.
const SECRET: &str = "Zx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2h12";
const CALLS: u32 = 1_000;
const ROUNDS: usize = 301;
