//! Allocations of one call and bytes of its future, which fail if they grow:
//! `cargo bench -p tower-oauth2-benches --bench allocations`.
//!
//! In a program of its own: the allocator that counts takes time, and instructions, of whatever else is measured.

#![allow(missing_docs, reason = "a bench")]

use std::{collections::HashMap, mem::size_of_val, process::ExitCode};

use harness::{NAMES, Report, Stack, Visitor, request, send, verdict, visit};

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
    let more = |name: &str, than: &str| looks[name].allocations - looks[than].allocations;
    verdict(&[
        ("a hit, added", more("oauth", "bare"), 0.0),
        ("a hit, a clone a request, added", more("oauth, cloned", "bare"), 0.0),
        ("RetryPolicy, added to an empty policy", more("retry policy", "empty policy"), 0.0),
        // The lease, which says on a 401 what token it was: one pointer.
        ("a hit, bytes added to the future", looks["oauth"].future - looks["bare"].future, 8.0),
    ])
}

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
