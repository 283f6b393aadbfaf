//! What the retry policy costs a request that succeeds: `cargo bench -p tower-oauth2-benches --bench retry`.
//!
//! tower's `Retry` clones the service, the policy and the request for each, and so it does with a policy that never sends
//! anything again, which is what ours is compared with; the instructions of both are held in `instructions.rs`.
//!
//! What it showed on two shared cores of a virtual machine, rustc 1.95, November 2026: 1.09 times the empty policy.

#![allow(clippy::disallowed_types, missing_docs, reason = "a bench")]

use std::time::Instant;

use harness::{Inner, Report, SECRET, Stack, empty, fixed, interleaved, last, layer, request, send};
use tower::{Layer, ServiceBuilder, retry::RetryLayer};
use tower_oauth2::retry::RetryPolicy;

fn main() {
    let retry = || RetryLayer::new(RetryPolicy::new());
    let (mut bare, mut header, mut nothing) = (Inner, fixed(), empty());
    let mut policy = retry().layer(Inner);
    let mut both = ServiceBuilder::new().layer(retry()).layer(layer(SECRET)).service(Inner);
    let medians = interleaved(
        ROUNDS,
        &mut [
            &mut || round(&mut bare),
            &mut || round(&mut header),
            &mut || round(&mut nothing),
            &mut || round(&mut policy),
            &mut || round(&mut both),
        ],
    );
    let mut report = Report::new("retry", &["ns", "÷ empty policy"]);
    for (name, ns) in
        ["bare", "static header", "empty policy", "RetryPolicy", "RetryPolicy, OAuthLayer"].iter().zip(&medians)
    {
        report.row(name, &[*ns, ns / medians[2]]);
    }
    report.finish();
}

fn round<S: Stack>(service: &mut S) -> f64 {
    let requests: Vec<_> = (0..CALLS).map(|_| request()).collect();
    let started = Instant::now();
    for request in requests {
        send(service, request);
        drop(last());
    }
    started.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

const CALLS: u32 = 32;
const ROUNDS: usize = 5_001;
