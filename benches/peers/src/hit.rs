//! What a valid token costs: on one thread, and with 64 tasks on two.

#![expect(clippy::disallowed_types, reason = "nobody pauses this clock")]

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Instant,
};

use harness::{interleaved, last};
use tokio::{runtime::Runtime, sync::oneshot, task::yield_now};
use tower::BoxError;

use crate::client::{Bare, Client};

/// One contestant, and the same without its token; each measures nanoseconds a call.
pub(crate) struct Hit<'a> {
    alone: [Round<'a>; 2],
    crowd: [Round<'a>; 2],
}

type Round<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// One thread and a crowd: nanoseconds that each contestant adds to a call.
pub(crate) fn measure(hits: &mut [Hit<'_>]) -> [Vec<f64>; 2] {
    let alone = added(ROUNDS_ALONE, hits.iter_mut().map(|hit| &mut hit.alone));
    let crowd = added(ROUNDS_CROWD, hits.iter_mut().map(|hit| &mut hit.crowd));
    [alone, crowd]
}

fn added<'a, 'b: 'a>(rounds: usize, pairs: impl Iterator<Item = &'a mut [Round<'b>; 2]>) -> Vec<f64> {
    let mut contestants: Vec<&mut dyn FnMut() -> f64> = Vec::new();
    for pair in pairs {
        for round in pair {
            contestants.push(round);
        }
    }
    let medians = interleaved(rounds, &mut contestants);
    medians.chunks_exact(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Asks nothing but whether it is done: a valid token is no reason to wait.
pub(crate) fn now(sent: impl Future<Output = Result<(), BoxError>>) {
    let sent = pin!(sent).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(sent, Poll::Ready(Ok(()))), "{sent:?}");
}

fn alone<C: Client>(client: &mut C) -> f64 {
    let requests: Vec<_> = (0..CALLS).map(|_| client.request()).collect();
    let started = Instant::now();
    for request in requests {
        now(client.send(request));
        drop(last());
    }
    started.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

/// Nanoseconds that a worker is busy with a call.
async fn crowd<C: Client>(client: &C) -> f64 {
    let (sender, ended) = oneshot::channel();
    let gate = Arc::new(Gate::new(sender));
    for _ in 0..TASKS {
        tokio::spawn(member(client.clone(), Arc::clone(&gate)));
    }
    let ended = ended.await.expect("they all end");
    let started = *gate.started.get().expect("they all started");
    let calls = TASKS as f64 * f64::from(CALLS);
    (ended - started).as_nanos() as f64 * WORKERS as f64 / calls
}

async fn member<C: Client>(mut client: C, gate: Arc<Gate>) {
    // Whatever a clone has yet to find out, it has by then.
    for _ in 0..2 {
        let request = client.request();
        client.send(request).await.expect("a token");
    }
    let requests: Vec<_> = (0..CALLS).map(|_| client.request()).collect();
    gate.pass().await;
    for request in requests {
        client.send(request).await.expect("a token");
        drop(last());
    }
    gate.leave();
}

/// Lets all of a crowd go at once, while nobody sleeps: to be woken takes longer than what is measured.
struct Gate {
    missing: AtomicUsize,
    inside: AtomicUsize,
    started: OnceLock<Instant>,
    ended: Mutex<Option<oneshot::Sender<Instant>>>,
}

/// The cores of the machine that this was made for.
pub(crate) const WORKERS: usize = 2;
const TASKS: usize = 64;
const CALLS: u32 = 32;
const ROUNDS_ALONE: usize = 3_001;
const ROUNDS_CROWD: usize = 501;

// === impl Hit ===

impl<'a> Hit<'a> {
    pub(crate) fn new<C: Client>(runtime: &'a Runtime, client: C) -> Self {
        let (mut bare, empty) = (Bare(client.clone()), Bare(client.clone()));
        let (mut one, other) = (client.clone(), client);
        runtime.block_on(async {
            for _ in 0..4 {
                let request = one.request();
                one.send(request).await.expect("a token");
            }
        });
        Self {
            // Within the runtime, where some make timers that they never need.
            alone: [
                Box::new(move || alone(&mut bare)),
                Box::new(move || {
                    let _within = runtime.enter();
                    alone(&mut one)
                }),
            ],
            crowd: [
                Box::new(move || runtime.block_on(crowd(&empty))),
                Box::new(move || runtime.block_on(crowd(&other))),
            ],
        }
    }
}

// === impl Gate ===

impl Gate {
    fn new(ended: oneshot::Sender<Instant>) -> Self {
        Self {
            missing: AtomicUsize::new(TASKS),
            inside: AtomicUsize::new(TASKS),
            started: OnceLock::new(),
            ended: Mutex::new(Some(ended)),
        }
    }

    async fn pass(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.started.get_or_init(Instant::now);
        }
        while self.started.get().is_none() {
            yield_now().await;
        }
    }

    fn leave(&self) {
        if self.inside.fetch_sub(1, Ordering::AcqRel) == 1 {
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
            ended.expect("the last one").send(Instant::now()).expect("somebody waits");
        }
    }
}
