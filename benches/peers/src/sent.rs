//! What a token costs a request that is really sent: over loopback, to a server in a process of its own.

use cpu_time::ProcessTime;
use harness::interleaved;
use tokio::runtime::Runtime;

use crate::client::{Bare, Client};

/// One contestant: CPU time of a round, divided by that of the same requests without a token, just before it or after.
pub(crate) struct Sent<'a>(Box<dyn FnMut() -> f64 + 'a>);

pub(crate) fn measure(contestants: &mut [Sent<'_>]) -> Vec<f64> {
    let mut rounds: Vec<&mut dyn FnMut() -> f64> = Vec::new();
    for Sent(round) in contestants {
        rounds.push(round);
    }
    interleaved(ROUNDS, &mut rounds)
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

// === impl Sent ===

impl<'a> Sent<'a> {
    pub(crate) fn new<C: Client>(runtime: &'a Runtime, mut client: C) -> Self {
        let mut bare = Bare(client.clone());
        runtime.block_on(async {
            let request = bare.request();
            bare.send(request).await.expect("an answer");
            let request = client.request();
            client.send(request).await.expect("an answer");
        });
        let mut bare_first = false;
        Self(Box::new(move || {
            bare_first = !bare_first;
            runtime.block_on(async {
                if bare_first {
                    let bare = round(&bare).await;
                    round(&client).await / bare
                } else {
                    let sent = round(&client).await;
                    sent / round(&bare).await
                }
            })
        }))
    }
}
