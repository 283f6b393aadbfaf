//! Allocations of one call, bytes of its future, and what ten million of them leave behind, which fail if they grow:
//! `cargo bench -p tower-oauth2-benches --bench allocations`.
//!
//! In a program of its own: the allocator that counts takes time, and instructions, of whatever else is measured.

#![allow(clippy::expect_used, missing_docs, reason = "a bench")]

use std::{collections::HashMap, future::ready, mem::size_of_val, process::ExitCode, time::Duration};

use harness::{Inner, NAMES, Report, SECRET, Stack, Visitor, last, request, send, verdict, visit};
use tower::{ServiceBuilder, retry::RetryLayer};
use tower_oauth2::{OAuthLayer, Token, TokenCache, retry::RetryPolicy, source_fn};

fn main() -> ExitCode {
    let mut report = Report::new("allocations", &["allocations", "future, B"]);
    let looks: HashMap<_, _> = NAMES
        .map(|name| {
            let mut look = Look::default();
            visit(name, &mut look);
            report.row(name, &[look.allocations, look.future]);
            (name, look)
        })
        .into();
    report.finish();
    let kept = kept();
    println!("\n{REQUESTS} requests and {TOKENS} tokens later: {kept} bytes more are held");
    let more = |name: &str, than: &str| looks[name].allocations - looks[than].allocations;
    verdict(&[
        ("a hit, added", more("oauth", "bare"), 0.0),
        ("a hit, a clone a request, added", more("oauth, cloned", "bare"), 0.0),
        ("RetryPolicy, added to an empty policy", more("retry policy", "empty policy"), 0.0),
        // The lease, which says on a 401 what token it was: one pointer.
        ("a hit, bytes added to the future", looks["oauth"].future - looks["bare"].future, 8.0),
        ("bytes that ten million requests leave behind", kept, 0.0),
    ])
}

/// Bytes that are held after so many requests more than before them, all layers on.
fn kept() -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let source = source_fn(|_| ready(Token::new(SECRET)));
    let tokens = TokenCache::builder(source).min_interval(Duration::from_millis(1)).build();
    let oauth = OAuthLayer::for_origin("https://api.example.com", tokens.clone()).expect("an origin");
    let mut service = ServiceBuilder::new().layer(RetryLayer::new(RetryPolicy::new())).layer(oauth).service(Inner);
    let mut run = |tokens_more| {
        for _ in 0..tokens_more {
            tokens.invalidate();
            runtime.block_on(tokens.token()).expect("a token");
            for _ in 0..REQUESTS / TOKENS {
                send(&mut service, request());
                drop(last());
            }
        }
    };
    run(2);
    allocation_counter::measure(|| run(TOKENS)).bytes_current as f64
}

const REQUESTS: u32 = 10_000_000;
const TOKENS: u32 = 100;

#[derive(Default)]
struct Look {
    allocations: f64,
    future: f64,
}

impl Visitor for Look {
    fn visit<S: Stack>(&mut self, mut service: S) {
        // By then it has its snapshot.
        for _ in 0..4 {
            send(&mut service, request());
        }
        let next = request();
        self.allocations = allocation_counter::measure(|| send(&mut service, next)).count_total as f64;
        self.future = size_of_val(&service.call(request())) as f64;
    }
}
