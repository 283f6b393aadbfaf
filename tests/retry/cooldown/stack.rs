//! Among other layers.

use std::{
    future::{Ready, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, header::AUTHORIZATION};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt, buffer::Buffer, limit::ConcurrencyLimit, service_fn,
};
use tower_oauth2::{
    OAuthLayer, Token, TokenCache,
    retry::{CooldownError, CooldownLayer, RetryLayer, RetryPolicy},
    source_fn,
};

use crate::cooldown::server::{HERE, Server, busy, get, millis, secs};

#[tokio::test(start_paused = true)]
async fn a_permit_is_not_held_while_waiting() {
    let server = Server::new([busy(5)]).latency(millis(1));
    let layer = CooldownLayer::new();
    let limited = ConcurrencyLimit::new(server.service::<()>(), 1);
    let api = layer.layer(limited.clone());
    api.clone().oneshot(get(HERE)).await.unwrap();
    let mut clients = JoinSet::new();
    for _ in 0..20 {
        clients.spawn(api.clone().oneshot(get(HERE)));
    }
    sleep(secs(1)).await;
    assert_eq!(layer.stats().waited, 20, "each could become ready, and gave it up again");
    // Somebody else, to whom the limit belongs as well.
    limited.oneshot(get("https://other.example")).await.unwrap();
    assert_eq!(server.times()[1], millis(1001));
    clients.join_all().await;
    assert_eq!(server.seen(), 22);
    assert!(server.times()[2..].iter().all(|at| *at >= secs(5)));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_made_ready_and_not_called_gives_its_permit_up() {
    for max_wait in [0, 60] {
        let server = Server::new([busy(5)]);
        let limited = ConcurrencyLimit::new(server.service::<()>(), 1);
        let mut api = CooldownLayer::new().max_wait(secs(max_wait)).layer(limited.clone());
        api.ready().await.unwrap().call(get(HERE)).await.unwrap();
        let response = api.ready().await.unwrap().call(get(HERE));
        // Before it is polled, and whether it is refused or waits.
        let other = tokio::time::timeout(secs(1), limited.oneshot(get(HERE))).await;
        assert!(other.is_ok(), "{max_wait}");
        drop(response);
        assert!(api.ready().await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_queues_for_a_permit_when_the_time_is_moved_on_waits_again() {
    // The first who is released holds the only permit for 2 s, and is told then to come back in 10 s.
    let server = Server::new([busy(5), busy(10)]).latency(secs(2));
    let layer = CooldownLayer::new().seed(4);
    let api = layer.layer(ConcurrencyLimit::new(server.service(), 1));
    api.clone().oneshot(get(HERE)).await.unwrap();
    let mut clients = JoinSet::new();
    for _ in 0..3 {
        clients.spawn(api.clone().oneshot(get(HERE)));
    }
    clients.join_all().await;
    let times = server.times();
    assert!((secs(7)..=millis(7501)).contains(&times[1]), "{times:?}");
    assert!(times[2..].iter().all(|at| *at >= times[1] + secs(12)), "{times:?}");
    assert_eq!(times.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn behind_a_buffer_all_of_a_buffers_clients_wait_and_none_blocks_the_others() {
    let server = Server::new([busy(5)]);
    let api = Buffer::new(CooldownLayer::new().layer(server.service()), 1);
    api.clone().oneshot(get(HERE)).await.unwrap();
    let mut clients = JoinSet::new();
    for _ in 0..50 {
        clients.spawn(api.clone().oneshot(get(HERE)));
    }
    sleep(secs(1)).await;
    api.oneshot(get("https://other.example")).await.unwrap();
    assert_eq!(server.times()[1].as_secs(), 1, "it does not stand in their line");
    assert!(clients.join_all().await.into_iter().all(|response| response.is_ok()));
    assert!(server.times()[2..].iter().all(|at| *at >= secs(5)));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_to_become_ready_after_the_wait_is_the_error() {
    let server = Server::new([busy(5)]);
    let layer = CooldownLayer::new();
    layer.layer(server.service()).oneshot(get(HERE)).await.unwrap();
    let start = Instant::now();
    let error = layer.layer(Strict::broken()).call(get(HERE)).await.unwrap_err();
    assert_eq!(error.to_string(), "out of order");
    assert!(Instant::now() - start >= secs(5), "asked after the wait");
}

#[tokio::test(start_paused = true)]
async fn what_is_called_was_made_ready_each_time() {
    let strict = Strict::default();
    let mut api = CooldownLayer::new().layer(strict.clone());
    for n in 0..4 {
        strict.busy.store(usize::from(n % 2 == 0), Ordering::SeqCst);
        api.ready().await.unwrap().call(get(HERE)).await.unwrap();
    }
    assert_eq!(strict.calls.load(Ordering::SeqCst), 4, "it panics if it is not");
}

#[tokio::test(start_paused = true)]
async fn a_policy_outside_never_sends_again_after_a_refusal() {
    let server = Server::new([busy(500)]);
    let layer = CooldownLayer::new();
    let policy = RetryPolicy::new();
    let stats = policy.clone();
    let api = ServiceBuilder::new().layer(RetryLayer::new(policy)).layer(layer.clone()).service(server.service());
    assert_eq!(api.clone().oneshot(get(HERE)).await.unwrap().status(), 429, "too long for the policy");
    let start = Instant::now();
    let error = api.oneshot(get(HERE)).await.unwrap_err();
    assert!(CooldownError::find(error.as_ref()).is_some() && Instant::now() == start);
    assert_eq!((server.seen(), layer.stats().refused, stats.stats().retries), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_token_is_taken_after_the_wait() {
    let minted = Arc::new(AtomicU32::new(0));
    let mint = Arc::clone(&minted);
    let tokens = TokenCache::new(source_fn(move |_| {
        let number = mint.fetch_add(1, Ordering::SeqCst) + 1;
        async move { Ok(Token::new(format!("t{number}"))?.with_lifetime(secs(20))) }
    }));
    let seen: Arc<Mutex<Vec<(Duration, String)>>> = Arc::default();
    let (log, start) = (Arc::clone(&seen), Instant::now());
    let api = service_fn(move |request: Request<()>| {
        let token = request.headers()[AUTHORIZATION].to_str().unwrap().to_owned();
        let mut log = log.lock().unwrap();
        log.push((Instant::now() - start, token));
        let (status, hint) = match log.len() {
            1 => (429, "60"),
            2 => (401, "0"),
            _ => (200, "0"),
        };
        ready(Response::builder().status(status).header("retry-after", hint).body(()).map_err(BoxError::from))
    });
    let api = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new()))
        .layer(CooldownLayer::new())
        .layer(OAuthLayer::for_origin(HERE, tokens).unwrap())
        .service(api);
    assert!(api.oneshot(get(HERE)).await.unwrap().status().is_success());
    let seen = seen.lock().unwrap();
    assert_eq!(
        seen.iter().map(|(_, token)| token.as_str()).collect::<Vec<_>>(),
        ["Bearer t1", "Bearer t2", "Bearer t3"]
    );
    assert!((secs(60)..=millis(65_001)).contains(&seen[1].0), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replay_waits_too() {
    let tokens = TokenCache::new(source_fn(|_| async { Token::new("abc") }));
    let layer = CooldownLayer::new();
    let seen: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let (log, start) = (Arc::clone(&seen), Instant::now());
    let refusing = service_fn(move |_: Request<()>| {
        let log = Arc::clone(&log);
        async move {
            log.lock().unwrap().push(Instant::now() - start);
            let status = if log.lock().unwrap().len() == 1 { 401 } else { 200 };
            sleep(secs(3)).await;
            Response::builder().status(status).body(()).map_err(BoxError::from)
        }
    });
    let api = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new()))
        .layer(layer.clone())
        .layer(OAuthLayer::for_origin(HERE, tokens).unwrap())
        .service(refusing);
    let request = tokio::spawn(api.oneshot(get(HERE)));
    // Before the 401 comes somebody else is told to come back in a minute.
    sleep(secs(2)).await;
    layer.layer(Server::new([busy(60)]).service()).oneshot(get(HERE)).await.unwrap();
    assert!(request.await.unwrap().unwrap().status().is_success());
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0], Duration::ZERO);
    assert!((secs(62)..=millis(67_001)).contains(&seen[1]), "after the 401 at 3 s: {seen:?}");
}

/// Panics if it is called without having been made ready; busy as often as it is told.
#[derive(Default)]
struct Strict {
    ready: bool,
    broken: bool,
    busy: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl Strict {
    fn broken() -> Self {
        Self { broken: true, ..Self::default() }
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false, broken: self.broken, busy: Arc::clone(&self.busy), calls: Arc::clone(&self.calls) }
    }
}

impl Service<Request<()>> for Strict {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = Ready<Result<Response<()>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.broken {
            return Poll::Ready(Err("out of order".into()));
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been made ready");
        self.calls.fetch_add(1, Ordering::SeqCst);
        let busy_now = self.busy.swap(0, Ordering::SeqCst) > 0;
        ready(Ok(if busy_now { busy(1) } else { Response::new(()) }))
    }
}
