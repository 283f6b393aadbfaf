//! 10,000 tasks that want a token at once.

#![expect(clippy::disallowed_types, reason = "nobody pauses this clock")]

use std::time::{Duration, Instant};

use harness::{Inner, last, percentile};
use tokio::time::{sleep, timeout};

use crate::{
    client::{Client, Peer, Scene, Start},
    issuer::Issuer,
};

/// What became of them.
#[derive(Clone, Copy)]
pub(crate) struct Herd {
    /// Tokens that were asked for.
    pub(crate) requests: f64,
    /// Seconds that 99 of 100 who got one had it within.
    pub(crate) p99: f64,
    pub(crate) errors: f64,
}

pub(crate) async fn herd<P: Peer>(scene: Option<Scene>) -> Herd {
    let Some(scene) = scene else {
        return Herd { requests: f64::NAN, p99: f64::NAN, errors: f64::NAN };
    };
    // Whoever is stuck is no contestant.
    timeout(Duration::from_secs(120), run::<P>(scene)).await.expect(P::NAME)
}

async fn run<P: Peer>(scene: Scene) -> Herd {
    let issuer = Issuer::new(scene.first);
    let mut client = P::client(&issuer, Inner).await.expect(P::NAME);
    if scene.first.is_some() {
        first(&mut client, &issuer).await;
    }
    match scene.start {
        Start::AtOnce => {}
        Start::After(pause) => sleep(pause).await,
        Start::NextAsked => issuer.was_asked(2).await,
    }
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(wait(client.clone()))).collect();
    let (mut waits, mut errors) = (Vec::with_capacity(TASKS), 0);
    for task in tasks {
        match task.await.expect(P::NAME) {
            Some(wait) => waits.push(wait),
            None => errors += 1,
        }
    }
    // For what goes on in the background.
    sleep(Duration::from_millis(200)).await;
    let asked = issuer.asked() - usize::from(scene.first.is_some());
    let p99 = if waits.is_empty() { f64::NAN } else { percentile(waits, 0.99) };
    Herd { requests: asked as f64, p99, errors: f64::from(errors) }
}

/// Some have their first token from the start, and would not use it if it is as short-lived as here.
async fn first<C: Client>(client: &mut C, issuer: &Issuer) {
    if issuer.asked() == 0 {
        let request = client.request();
        client.send(request).await.expect("the first token");
        drop(last());
    }
}

/// Seconds, or none if it failed.
async fn wait<C: Client>(mut client: C) -> Option<f64> {
    let request = client.request();
    let started = Instant::now();
    let sent = client.send(request).await;
    let waited = started.elapsed().as_secs_f64();
    drop(last());
    sent.ok().map(|()| waited)
}

const TASKS: usize = 10_000;
