//! Instructions of one call, which fail if they grow: `cargo bench -p tower-oauth2-benches --bench instructions`.
//!
//! callgrind counts them, so that they do not depend on the machine's mood. The stacks are those of `overhead.rs` and
//! `retry.rs`, which have the times. Needs valgrind, which runs this program once for each contestant; gungraun would do
//! the same, and takes over eight minutes of processor time to be installed.

#![allow(clippy::expect_used, clippy::panic, missing_docs, reason = "a bench")]

use std::{
    collections::HashMap,
    env, io,
    process::{Command, ExitCode},
};

use bytes::Bytes;
use harness::{NAMES, Report, Stack, Visitor, last, request, send, verdict, visit};
use http::Request;
use http_body_util::Full;

fn main() -> ExitCode {
    if let Some(name) = env::args().skip(1).find(|argument| argument != "--bench") {
        // Under valgrind.
        visit(&name, &mut Counted);
        return ExitCode::SUCCESS;
    }
    let counts: HashMap<_, _> = NAMES.map(|name| (name, instructions(name))).into();
    let added = |name: &str| (counts[name] - counts["bare"]) / (counts["static header"] - counts["bare"]);
    let mut report = Report::new("instructions", &["instructions", "added", "added ÷ static"]);
    for name in NAMES {
        report.row(name, &[counts[name], counts[name] - counts["bare"], added(name)]);
    }
    report.finish();
    // What a hit does beyond a static header: 60 of the 194 to see a 401 and tell whose token it was, 35 for the origin, 35 for
    // the clock, the rest for the snapshot. An empty policy looks at no clock, no response and no budget.
    verdict(&[
        ("a hit, added ÷ static", added("oauth"), 1.7),
        ("a hit, a clone a request, added ÷ static", added("oauth, cloned"), 2.05),
        ("a hit with a token of 3.4 kB ÷ one with a usual token", counts["oauth, 3.4 kB"] / counts["oauth"], 1.01),
        ("RetryPolicy ÷ an empty policy", counts["retry policy"] / counts["empty policy"], 1.12),
    ])
}

/// Calls it often, in a function that callgrind finds by its name.
struct Counted;

impl Visitor for Counted {
    fn visit<S: Stack>(&mut self, mut service: S) {
        for _ in 0..WARM {
            send(&mut service, request());
        }
        for _ in 0..CALLS {
            counted_call(&mut service, request());
            drop(last());
        }
    }
}

#[inline(never)]
fn counted_call<S: Stack>(service: &mut S, request: Request<Full<Bytes>>) {
    send(service, request);
}

/// Of one call.
fn instructions(name: &str) -> f64 {
    let itself = env::current_exe().expect("this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*counted_call*"])
        .arg(format!("--callgrind-out-file={}", env::var("CALLGRIND_OUT").as_deref().unwrap_or("/dev/null")))
        // Else malloc gives memory back now and then, which is counted for whoever it happens to.
        .env("MALLOC_TRIM_THRESHOLD_", "1000000000")
        .arg(itself)
        .arg(name)
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => panic!("valgrind is not installed"),
        Err(error) => panic!("valgrind: {error}"),
    };
    let told = String::from_utf8_lossy(&output.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected : "));
    let total: f64 = collected.and_then(|(_, number)| number.trim().parse().ok()).unwrap_or_else(|| panic!("{told}"));
    assert!(output.status.success() && total > 0.0, "{told}");
    total / f64::from(CALLS)
}

/// By then a service has its snapshot.
const WARM: u32 = 4;
const CALLS: u32 = 64;
