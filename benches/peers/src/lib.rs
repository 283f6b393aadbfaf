//! What a valid token, an expiry and a token that is due cost with tower-oauth2, and with others that do the same:
//! `cargo run --release --manifest-path benches/peers/Cargo.toml`.
//!
//! README.md says who they are, and how to read what it prints.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot go on has nothing else to do")]

mod allocations;
mod client;
mod contestants;
mod end;
mod go;
mod herd;
mod hit;
mod issuer;
mod pipe;
mod plugin;
mod sent;

use std::collections::HashMap;

use harness::{Inner, Report, Server, serve_if_called};
use tokio::runtime::Runtime;

pub use self::{allocations::count, plugin::answered};
use self::{
    client::{Peer, Visitor},
    contestants::visit,
    end::Loopback,
    herd::{Herd, herd},
    hit::Hit,
    issuer::Issuer,
    sent::{Sent, sent},
};

/// Measures everybody, and prints the table.
pub fn compare() {
    serve_if_called();
    // In processes of their own, and before anything else: they may have to be built.
    let allocations = allocations::in_another_process();
    let server = Server::start();
    let (go, figures) = go::row(server.url());
    let runtime = runtime();
    let mut hits = Hits { runtime: &runtime, names: Vec::new(), hits: Vec::new() };
    visit(&mut hits);
    let mut sent = Requests { runtime: &runtime, url: server.url(), contestants: Vec::new() };
    visit(&mut sent);
    let [alone, crowd] = hit::measure(&mut hits.hits);
    let names = hits.names;
    let sent = sent::measure(&mut sent.contestants);
    let mut herds = Herds { runtime: &runtime, herds: HashMap::new() };
    visit(&mut herds);

    let mut report = Report::new("peers", &COLUMNS);
    for (index, name) in names.into_iter().enumerate() {
        let [cold, due] = herds.herds[name];
        report.row(
            name,
            &[
                alone[index],
                alone[index] / alone[0],
                crowd[index],
                crowd[index] / crowd[0],
                sent[index],
                allocations.get(name).copied().unwrap_or(f64::NAN),
                cold.requests,
                cold.p99 / issuer::LATENCY.as_secs_f64(),
                cold.errors,
                due.requests,
                due.p99 * 1e3,
            ],
        );
    }
    report.row(go, &figures);
    report.finish();
}

/// Two workers, as there are cores. The thread that measures a single one is another.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(hit::WORKERS).enable_all().build().expect("a runtime")
}

struct Hits<'a> {
    runtime: &'a Runtime,
    names: Vec<&'static str>,
    hits: Vec<Hit<'a>>,
}

struct Requests<'a> {
    runtime: &'a Runtime,
    url: &'a str,
    contestants: Vec<Sent<'a>>,
}

struct Herds<'a> {
    runtime: &'a Runtime,
    herds: HashMap<&'static str, [Herd; 2]>,
}

// === impl Hits ===

impl Visitor for Hits<'_> {
    fn visit<P: Peer>(&mut self) {
        let client = self.runtime.block_on(P::client(&Issuer::lasting(), Inner)).expect(P::NAME);
        self.names.push(P::NAME);
        self.hits.push(Hit::new(self.runtime, client));
    }
}

// === impl Requests ===

impl Visitor for Requests<'_> {
    fn visit<P: Peer>(&mut self) {
        let _within = self.runtime.enter();
        let end = Loopback::new(self.url);
        let client = self.runtime.block_on(P::client(&Issuer::lasting(), end)).expect(P::NAME);
        self.contestants.push(sent(self.runtime, client));
    }
}

// === impl Herds ===

impl Visitor for Herds<'_> {
    fn visit<P: Peer>(&mut self) {
        let herds = [P::COLD, P::DUE].map(|scene| self.runtime.block_on(herd::<P>(scene)));
        self.herds.insert(P::NAME, herds);
    }
}

const COLUMNS: [&str; 11] = [
    "hit ns",
    "hit ÷ static",
    "crowd ns",
    "crowd ÷ static",
    "sent ÷ bare",
    "allocations",
    "cold: asked",
    "p99 ÷ 50 ms",
    "errors",
    "due: asked",
    "p99 ms",
];
