//! The feature `metrics`: every name that the docs promise, with its labels, and nothing secret or unbounded in them.

use std::{
    collections::BTreeMap,
    future::ready,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::time::{sleep, sleep_until, timeout};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_oauth2::{
    MinTtl, OAuthLayer, TokenCache, TokenRejected,
    retry::{CooldownLayer, ReplayBody, ReplayBodyLayer, RetryLayer, RetryPolicy},
};

use crate::support::{Answer, Issuer, millis, secs};

#[tokio::test(start_paused = true)]
async fn every_request_is_counted_once_by_how_it_came_by_its_token() {
    let metrics = Metrics::record();
    let issuer = Issuer::new(secs(100)).latency(secs(2));
    let tokens = TokenCache::builder(issuer.clone()).name("genesys").refresh_before(secs(20)).build();
    let (first, second) = tokio::join!(tokens.token(), tokens.token());
    assert_eq!(first.unwrap().generation(), second.unwrap().generation());
    let api = ServiceBuilder::new()
        .layer(OAuthLayer::for_origin("https://api.example.com", tokens.clone()).unwrap())
        .service(service_fn(|_| async { Ok::<_, BoxError>(Response::new(())) }));
    let get = || Request::get("https://api.example.com/").body(()).unwrap();
    let mut kept = api.clone();
    for _ in 0..3 {
        (&mut kept).oneshot(get()).await.unwrap();
    }
    tokens.token().await.unwrap();
    let elsewhere = Request::get("https://other.example.com/").body(()).unwrap();
    api.clone().oneshot(elsewhere).await.unwrap();
    metrics.counters("requests_total", &[("genesys,hit", 4), ("genesys,waited", 2)]);
    assert_eq!(metrics.histogram("wait_seconds", "genesys,waited"), [2.0, 2.0]);

    // In the window before its end they go on with the old one, the service's own copy included.
    sleep(secs(80)).await;
    api.oneshot(get()).await.unwrap();
    kept.oneshot(get()).await.unwrap();
    tokens.token().await.unwrap();
    metrics.counters("requests_total", &[("genesys,hit", 4), ("genesys,stale", 3), ("genesys,waited", 2)]);

    sleep(secs(200)).await;
    assert!(timeout(secs(1), tokens.token()).await.is_err());
    sleep(secs(120)).await;
    issuer.always(Answer::Permanent);
    assert!(tokens.token().await.is_err());
    assert!(tokens.token().await.is_err());
    let all = [
        ("genesys,failed", 2),
        ("genesys,gave_up", 1),
        ("genesys,hit", 4),
        ("genesys,stale", 3),
        ("genesys,waited", 2),
    ];
    metrics.counters("requests_total", &all);
    assert_eq!(metrics.histogram("wait_seconds", "genesys,gave_up"), [1.0]);
    assert_eq!(metrics.histogram("wait_seconds", "genesys,failed"), [2.0, 0.0]);
}

#[tokio::test(start_paused = true)]
async fn refreshes_are_counted_by_reason_and_outcome_with_how_long_and_for_how_many() {
    let metrics = Metrics::record();
    let issuer = Issuer::new(secs(100)).latency(millis(500));
    let tokens = TokenCache::builder(issuer.clone()).refresh_before(secs(20)).build();
    let _ = tokio::join!(tokens.token(), tokens.token(), tokens.token());
    sleep(secs(85)).await;
    tokens.token().await.unwrap(); // early
    metrics.counters("requests_total", &[("default,stale", 1), ("default,waited", 3)]);
    sleep(secs(200)).await;
    tokens.token().await.unwrap(); // expired
    let token = tokens.token_with(MinTtl::new(secs(10))).await.unwrap();
    sleep(secs(60)).await;
    tokens.token_with(MinTtl::new(secs(50))).await.unwrap();
    assert!(tokens.reject(&tokens.token().await.unwrap()));
    assert!(tokens.reject(&token), "a late one");
    tokens.token().await.unwrap();
    tokens.invalidate();
    tokens.token().await.unwrap();
    issuer.next([Answer::Transient, Answer::Permanent]);
    sleep(secs(101)).await;
    let error = tokens.token().await.unwrap_err();
    sleep_until(error.retry_at().unwrap()).await;
    assert!(tokens.token().await.is_err());
    metrics.counters(
        "refreshes_total",
        &[
            ("default,early,refreshed", 1),
            ("default,expired,permanent", 1),
            ("default,expired,refreshed", 1),
            ("default,expired,transient", 1),
            ("default,first,refreshed", 1),
            ("default,invalidated,refreshed", 1),
            ("default,min_ttl,refreshed", 1),
            ("default,rejected,refreshed", 1),
        ],
    );
    assert!(metrics.histogram("refresh_seconds", "default,refreshed").iter().all(|took| *took == 0.5));
    assert_eq!(metrics.histogram("refresh_seconds", "default,refreshed").len(), 6);
    assert_eq!(metrics.histogram("refresh_seconds", "default,transient"), [0.5]);
    assert_eq!(metrics.histogram("refresh_waiters", "default")[..3], [3.0, 0.0, 1.0]);
}

#[tokio::test(start_paused = true)]
async fn rejections_are_counted_by_what_became_of_the_token_with_its_age() {
    let metrics = Metrics::record();
    let issuer = Issuer::new(secs(100));
    let tokens = TokenCache::new(issuer.clone());
    let first = tokens.token().await.unwrap();
    sleep(secs(30)).await;
    assert!(tokens.reject(&first));
    let second = tokens.token().await.unwrap();
    assert!(tokens.reject(&first));
    assert!(!tokens.reject(&second), "it was refused right after it came");
    metrics.counters("rejections_total", &[("default,dropped", 1), ("default,kept", 1), ("default,superseded", 1)]);
    assert_eq!(metrics.histogram("rejected_token_age_seconds", "default"), [30.0, 30.0, 0.0]);
}

#[tokio::test(start_paused = true)]
async fn the_expiry_is_there_to_be_watched_and_over_when_the_token_is_dropped() {
    let metrics = Metrics::record();
    let tokens = TokenCache::new(Issuer::new(secs(3600)));
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
    // Set anew, that is: reading a gauge here sets it to zero.
    let is_over = || {
        let at = metrics.gauge("token_expires_at_seconds", "default");
        assert!((now() - 60.0..=now()).contains(&at), "{at}");
    };
    let token = tokens.token().await.unwrap();
    let left = metrics.gauge("token_expires_at_seconds", "default") - now();
    assert!((3590.0..=3600.0).contains(&left), "{left}");
    tokens.reject(&token);
    is_over();
    tokens.token().await.unwrap();
    assert!(metrics.gauge("token_expires_at_seconds", "default") > now() + 3000.0);
    tokens.invalidate();
    is_over();
}

#[tokio::test(start_paused = true)]
async fn a_recorder_may_come_after_the_cache_and_finds_no_secret() {
    let issuer = Issuer::new(secs(100));
    issuer.always(Answer::Spell("canary"));
    let tokens = TokenCache::builder(issuer).name(String::from("made at run time")).build();
    let metrics = Metrics::record();
    let token = tokens.token().await.unwrap();
    tokens.token().await.unwrap();
    tokens.reject(&token);
    let all = format!("{:?}", metrics.all());
    assert!(all.contains("made at run time") && !all.contains("canary"), "{all}");
}

#[tokio::test(start_paused = true)]
async fn what_is_tried_again_given_up_and_held_back_is_counted_by_why() {
    let metrics = Metrics::record();
    let cooldown = CooldownLayer::new().max_wait(secs(20));
    let send = |policy: RetryPolicy, method: &'static str, script: &[(u16, &'static str)]| {
        let mut script = script.to_vec();
        script.reverse();
        let script = Arc::new(Mutex::new(script));
        let api = service_fn(move |_: Request<()>| {
            let (status, wait) = script.lock().unwrap().pop().unwrap_or((200, "0"));
            let mut response = Response::builder().status(status).header("retry-after", wait).body(()).unwrap();
            response.extensions_mut().insert(TokenRejected::new(true));
            ready(Ok::<_, BoxError>(response))
        });
        let stack = ServiceBuilder::new().layer(RetryLayer::new(policy)).layer(cooldown.clone()).service(api);
        stack.oneshot(Request::builder().method(method).uri("https://api.example.com/").body(()).unwrap())
    };
    let policy = || RetryPolicy::new().backoff(secs(2), secs(2));
    send(policy(), "GET", &[(401, "0"), (500, "0"), (429, "10")]).await.unwrap();
    send(policy(), "POST", &[(500, "0")]).await.unwrap();
    send(policy(), "GET", &[(500, "0"); 4]).await.unwrap();
    send(policy(), "GET", &[(401, "0"); 2]).await.unwrap();
    send(policy().budget_capacity(0), "GET", &[(500, "0")]).await.unwrap();
    send(policy().deadline(Duration::ZERO), "GET", &[(500, "0")]).await.unwrap();
    send(policy(), "GET", &[(503, "600")]).await.unwrap();
    send(policy(), "GET", &[]).await.unwrap_err();
    let retries = [("failed", 4), ("throttled", 1), ("unauthorized", 2)];
    metrics.counters("retries_total", &retries);
    assert_eq!(metrics.histogram("retry_wait_seconds", "unauthorized"), [0.0, 0.0]);
    let throttled = metrics.histogram("retry_wait_seconds", "throttled")[0];
    assert!((10.0..=11.0).contains(&throttled), "{throttled}");
    let given_up = [
        ("budget", 1),
        ("deadline", 1),
        ("exhausted", 1),
        ("hint_too_long", 1),
        ("not_repeatable", 1),
        ("unauthorized", 1),
    ];
    metrics.counters("given_up_total", &given_up);
    metrics.counters("cooldowns_total", &[("", 2)]);
    assert_eq!(metrics.histogram("cooldown_seconds", ""), [10.0, 600.0]);
    metrics.counters("held_back_total", &[("refused", 1)]);

    cooldown.clear();
    let other = cooldown.layer(service_fn(|_: Request<()>| {
        ready(Response::builder().status(429).header("retry-after", "5").body(()).map_err(BoxError::from))
    }));
    other.oneshot(Request::get("https://api.example.com/").body(()).unwrap()).await.unwrap();
    send(policy(), "GET", &[]).await.unwrap();
    metrics.counters("held_back_total", &[("refused", 1), ("waited", 1)]);
    let body = Full::<Bytes>::from("body").map_err(BoxError::from).boxed_unsync();
    let failing = service_fn(|request: Request<ReplayBody<_>>| async move {
        request.into_body().collect().await?;
        Response::builder().status(500).body(()).map_err(BoxError::from)
    });
    let stack =
        ServiceBuilder::new().layer(ReplayBodyLayer::new().cap(1)).layer(RetryLayer::new(policy())).service(failing);
    stack.oneshot(Request::put("/").body(body).unwrap()).await.unwrap();
    let given_up = [&given_up[..4], &[("not_repeatable", 1), ("not_replayable", 1), ("unauthorized", 1)]].concat();
    metrics.counters("given_up_total", &given_up);
}

struct Metrics {
    snapshotter: Snapshotter,
    /// Reading takes the numbers out of the recorder.
    read: Mutex<BTreeMap<(String, String), Vec<f64>>>,
    _guard: metrics::LocalRecorderGuard<'static>,
}

impl Metrics {
    /// Everything on this thread from now on.
    fn record() -> Self {
        let recorder: &'static DebuggingRecorder = Box::leak(Box::new(DebuggingRecorder::new()));
        let guard = metrics::set_default_local_recorder(recorder);
        Self { snapshotter: recorder.snapshotter(), read: Mutex::default(), _guard: guard }
    }

    /// By name and label values, `cache` first: the sum of a counter, the last of a gauge, all of a histogram.
    fn all(&self) -> BTreeMap<(String, String), Vec<f64>> {
        let mut read = self.read.lock().unwrap();
        for (key, _, _, value) in self.snapshotter.snapshot().into_vec() {
            let labels: Vec<_> = key.key().labels().map(metrics::Label::value).collect();
            let name = key.key().name().strip_prefix("tower_oauth2_").unwrap().to_owned();
            let known = read.entry((name, labels.join(","))).or_default();
            match value {
                DebugValue::Counter(count) => *known = vec![known.first().unwrap_or(&0.0) + count as f64],
                DebugValue::Gauge(value) => *known = vec![*value],
                DebugValue::Histogram(values) => known.extend(values.iter().map(|value| **value)),
            }
        }
        read.clone()
    }

    /// All the counters of that name.
    fn counters(&self, name: &str, expected: &[(&str, u32)]) {
        let of_name = self.all().into_iter().filter(|((known, _), _)| known == name);
        let counters: Vec<_> = of_name.map(|((_, labels), value)| (labels, value[0])).collect();
        let expected: Vec<_> =
            expected.iter().map(|(labels, count)| ((*labels).to_owned(), f64::from(*count))).collect();
        assert_eq!(counters, expected, "{name}");
    }

    fn histogram(&self, name: &str, labels: &str) -> Vec<f64> {
        self.all().remove(&(name.to_owned(), labels.to_owned())).unwrap_or_default()
    }

    fn gauge(&self, name: &str, labels: &str) -> f64 {
        self.histogram(name, labels)[0]
    }
}
