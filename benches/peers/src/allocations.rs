//! Allocations that a hit adds, counted by another program: the allocator that counts takes time.

use std::{collections::HashMap, env, hint::black_box, process::Command};

use harness::{Inner, last};
use tokio::runtime::Runtime;

use crate::{
    client::{Bare, Client, Peer, Visitor},
    contestants::visit,
    hit::now,
    issuer::Issuer,
};

/// Prints how many each contestant adds, for [`in_another_process`].
pub fn count(measure: impl Fn(&mut dyn FnMut()) -> u64) {
    visit(&mut Counter { runtime: crate::runtime(), measure });
}

/// By contestant.
pub(crate) fn in_another_process() -> HashMap<String, f64> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let mut command = Command::new(cargo);
    // What cargo sets for this program would have build scripts run again, and nearly everything built again.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "LD_LIBRARY_PATH"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&*name);
        }
    }
    let output = command
        .args(["run", "--quiet", "--release", "--manifest-path", manifest, "--bin", "allocations"])
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("names and figures");
    lines
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, added)| (name.to_owned(), added.parse().expect("a figure")))
        .collect()
}

struct Counter<F> {
    runtime: Runtime,
    measure: F,
}

// === impl Counter ===

impl<F: Fn(&mut dyn FnMut()) -> u64> Counter<F> {
    fn allocations<C: Client>(&self, mut client: C) -> f64 {
        let _within = self.runtime.enter();
        // By then whatever is made once has been made.
        for _ in 0..4 {
            let request = client.request();
            now(client.send(request));
        }
        let mut request = Some(client.request());
        let allocations = (self.measure)(&mut || now(client.send(black_box(request.take().expect("once")))));
        drop(last());
        allocations as f64
    }
}

impl<F: Fn(&mut dyn FnMut()) -> u64> Visitor for Counter<F> {
    fn visit<P: Peer>(&mut self) {
        let mut client = self.runtime.block_on(P::client(&Issuer::lasting(), Inner)).expect(P::NAME);
        self.runtime.block_on(prime(&mut client)).expect(P::NAME);
        let empty = Bare(client.clone());
        println!("{}\t{}", P::NAME, self.allocations(client) - self.allocations(empty));
    }
}

async fn prime<C: Client>(client: &mut C) -> Result<(), tower::BoxError> {
    let request = client.request();
    client.send(request).await
}
