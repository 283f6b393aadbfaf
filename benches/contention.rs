//! A hit where many tasks want it at once: `cargo bench -p tower-oauth2-benches --bench contention`.
//!
//! 64 tasks on two threads send through a service that does nothing, each through one that it holds, and each through a clone
//! of one that all share. What costs then is not a lock but the reference counts that all cores write: that of the header, of
//! what is behind the lock, and of whatever the clone of a service shares.
//!
//! What it showed on two shared cores of a virtual machine, rustc 1.95, November 2026, in four runs: 0.8 to 0.9 times what
//! the static header adds where the service is held, 1.8 to 2.0 where it is cloned; the plain lock 2.6 to 3.2, and 2.1 to 2.4.
//! When each request counted up and down the token that it carries, in the same runs: 1.0 to 1.2, and 2.3 to 2.5.

#![allow(clippy::disallowed_types, clippy::expect_used, missing_docs, reason = "a bench")]

use std::{sync::Arc, time::Instant};

use harness::{Inner, Locked, Report, SECRET, Stack, fixed, interleaved, last, layer, request, send};
use http::header::AUTHORIZATION;
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
};
use tower::{Layer, ServiceBuilder, retry::RetryLayer};
use tower_oauth2::retry::RetryPolicy;

fn main() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let oauth = layer(SECRET).layer(Inner);
    let (locked, empty) = (Locked::new(), harness::empty());
    let both = ServiceBuilder::new().layer(RetryLayer::new(RetryPolicy::new())).layer(layer(SECRET)).service(Inner);
    let medians = interleaved(
        ROUNDS,
        &mut [
            &mut || held(&runtime, &Inner),
            &mut || held(&runtime, &fixed()),
            &mut || held(&runtime, &locked),
            &mut || held(&runtime, &oauth),
            &mut || held(&runtime, &empty),
            &mut || held(&runtime, &both),
            &mut || cloned(&runtime, Inner),
            &mut || cloned(&runtime, fixed()),
            &mut || cloned(&runtime, locked.clone()),
            &mut || cloned(&runtime, oauth.clone()),
            &mut || cloned(&runtime, empty.clone()),
            &mut || cloned(&runtime, both.clone()),
        ],
    );
    let mut report = Report::new("contention", &["ns held", "÷ static", "ns cloned", "÷ static"]);
    let (held, cloned) = medians.split_at(NAMES.len());
    let added = |ns: &[f64], index: usize| (ns[index] - ns[0]) / (ns[1] - ns[0]);
    for (index, name) in NAMES.into_iter().enumerate() {
        report.row(name, &[held[index], added(held, index), cloned[index], added(cloned, index)]);
    }
    report.finish();
}

const NAMES: [&str; 6] = ["bare", "static header", "plain RwLock", "oauth", "empty policy", "retry policy, oauth"];

/// Nanoseconds from one request to the next, of all threads together, each task with a service of its own.
fn held<S: Stack + Send + 'static>(runtime: &Runtime, service: &S) -> f64 {
    run(runtime, |_| {
        let mut service = service.clone();
        move |request| send(&mut service, request)
    })
}

/// Each request with a clone of the one that all share.
fn cloned<S: Stack + Send + Sync + 'static>(runtime: &Runtime, service: S) -> f64 {
    let service = Arc::new(service);
    run(runtime, |_| {
        let service = Arc::clone(&service);
        move |request| send(&mut S::clone(&service), request)
    })
}

fn run<F: FnMut(http::Request<http_body_util::Full<bytes::Bytes>>) + Send + 'static>(
    runtime: &Runtime,
    mut sender: impl FnMut(usize) -> F,
) -> f64 {
    runtime.block_on(async {
        let senders: Vec<_> = (0..TASKS).map(&mut sender).collect();
        let started = Instant::now();
        let tasks: Vec<_> = senders
            .into_iter()
            .map(|mut send| {
                tokio::spawn(async move {
                    let mut next = Some(request());
                    for call in 0..CALLS {
                        // The same again, without what was put on it.
                        let mut request = next.take().expect("the one that came back");
                        request.headers_mut().remove(AUTHORIZATION);
                        send(request);
                        next = last();
                        if call % 64 == 63 {
                            yield_now().await;
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        started.elapsed().as_nanos() as f64 / f64::from(CALLS) / TASKS as f64
    })
}

const TASKS: usize = 64;
const CALLS: u32 = 2_000;
const ROUNDS: usize = 41;
