//! What a token costs a request that is really sent: over loopback, to a server in a process of its own.

use cpu_time::ProcessTime;
use harness::{Pair, Paired, paired};
use tokio::runtime::Runtime;

use crate::client::{Bare, Client};

/// CPU of a round.
pub(crate) type Sent<'a> = Pair<'a, 1>;

/// CPU of each, divided by that of its baseline.
pub(crate) fn measure(contestants: &mut [Sent<'_>]) -> Vec<f64> {
    paired(ROUNDS, contestants).into_iter().map(|Paired { ratios: [ratio], .. }| ratio).collect()
}

/// The same requests without a token are the baseline.
pub(crate) fn sent<C: Client>(runtime: &Runtime, mut client: C) -> Sent<'_> {
    let mut bare = Bare(client.clone());
    runtime.block_on(async {
        let request = bare.request();
        bare.send(request).await.expect("an answer");
        let request = client.request();
        client.send(request).await.expect("an answer");
    });
    Pair {
        contestant: Box::new(move || [runtime.block_on(round(&client))]),
        baseline: Box::new(move || [runtime.block_on(round(&bare))]),
    }
}

/// Seconds of CPU, system calls included.
async fn round<C: Client>(client: &C) -> f64 {
    let started = ProcessTime::now();
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(member(client.clone()))).collect();
    for task in tasks {
        task.await.expect("an answer");
    }
    started.elapsed().as_secs_f64()
}

async fn member<C: Client>(mut client: C) {
    for _ in 0..CALLS {
        let request = client.request();
        client.send(request).await.expect("an answer");
    }
}

const TASKS: usize = 16;
const CALLS: usize = 250;
const ROUNDS: usize = 61;
