//! What a server says of its limit is kept to, so that there is no 429.

use std::{future::ready, sync::Arc, time::Duration};

use http::{Request, Response, StatusCode};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_oauth2::{
    Error,
    retry::{CooldownError, CooldownLayer, cooldown::Pacing},
    testing::{Analytics, Issuer},
};

use crate::cooldown::server::{HERE, Server, answer, get, millis, secs};

#[tokio::test(start_paused = true)]
async fn a_batch_over_several_windows_gets_no_429_with_pacing_and_many_without() {
    let none = batch(CooldownLayer::new().pace(Pacing::genesys()).seed(1), 20).await;
    assert_eq!(none.refused, 0, "{none:?}");
    // Four windows of 10 s, each with its rounding, margin and spread.
    assert!((secs(30)..secs(65)).contains(&none.took), "{none:?}");
    let many = batch(CooldownLayer::new().seed(1), 20).await;
    assert!(many.refused >= 40, "{many:?}");
}

#[tokio::test(start_paused = true)]
async fn a_larger_crowd_provokes_nothing_either() {
    let none = batch(CooldownLayer::new().pace(Pacing::genesys()).max_wait(secs(600)).seed(2), 90).await;
    assert_eq!(none.refused, 0, "{none:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_little_is_spread_over_the_window_and_what_is_much_is_not() {
    let server = limited(10, secs(60));
    let layer = CooldownLayer::new().pace(Pacing::rate_limit().spread_below(0.5).margin(Duration::ZERO));
    let api = layer.layer(server.service.clone());
    let start = Instant::now();
    let mut times = Vec::new();
    for _ in 0..12 {
        api.clone().oneshot(get(HERE)).await.unwrap();
        times.push((Instant::now() - start).as_secs());
    }
    // Five at once, then five over the minute, then the next window with its jitter of 5 s.
    assert_eq!(times[..10], [0, 0, 0, 0, 0, 0, 12, 24, 36, 48], "{times:?}");
    assert!((60..=65).contains(&times[10]) && times[11] == times[10], "{times:?}");
    assert_eq!(layer.stats().waited, 5);
}

#[tokio::test(start_paused = true)]
async fn the_places_of_those_who_give_up_go_to_others() {
    let server = limited(10, secs(60));
    let layer = CooldownLayer::new().pace(Pacing::rate_limit().spread_below(0.0)).max_wait(Duration::ZERO);
    let spread = layer.clone().pace(Pacing::rate_limit().spread_below(1.0)).max_wait(secs(100));
    let (api, patient) = (layer.layer(server.service.clone()), spread.layer(server.service.clone()));
    api.clone().oneshot(get(HERE)).await.unwrap();
    patient.clone().oneshot(get(HERE)).await.unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..8 {
        waiting.spawn(timeout(millis(10), patient.clone().oneshot(get(HERE))));
    }
    assert!(waiting.join_all().await.into_iter().all(|given_up| given_up.is_err()));
    for _ in 0..8 {
        api.clone().oneshot(get(HERE)).await.unwrap();
    }
    let error = api.oneshot(get(HERE)).await.unwrap_err();
    let text = CooldownError::find(error.as_ref()).unwrap().to_string();
    assert!(text.starts_with("the rate limit of https://api.example.com has no place for another "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn who_never_came_to_the_server_has_used_nothing_up() {
    let errors: [(fn() -> BoxError, bool); 4] = [
        (|| Error::transient("no token").into(), true),
        (|| std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into(), true),
        (|| std::io::Error::from(std::io::ErrorKind::ConnectionReset).into(), false),
        (|| "who knows".into(), false),
    ];
    let told = [("inin-ratelimit-count", "50"), ("inin-ratelimit-allowed", "100"), ("inin-ratelimit-reset", "59")];
    for (error, is_free) in errors {
        let layer = CooldownLayer::new().pace(Pacing::genesys());
        let (server, start) = (Server::new([answer(200, &told)]), Instant::now());
        layer.layer(server.service()).oneshot(get(HERE)).await.unwrap();
        let failing = layer.layer(service_fn(move |_: Request<()>| ready(Err::<Response<()>, _>(error()))));
        for _ in 0..50 {
            let result = failing.clone().oneshot(get(HERE)).await;
            assert!(result.is_err());
        }
        layer.layer(server.service()).oneshot(get(HERE)).await.unwrap();
        assert_eq!((Instant::now() - start) < secs(1), is_free, "{:?}", error());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cool_down_goes_before_a_place_in_the_line() {
    let server = Server::new([
        answer(200, &[("ratelimit-remaining", "2"), ("ratelimit-limit", "10"), ("ratelimit-reset", "9")]),
        answer(429, &[("retry-after", "30")]),
    ]);
    let api = CooldownLayer::new().pace(Pacing::rate_limit()).layer(server.service());
    api.clone().oneshot(get(HERE)).await.unwrap();
    let mut clients = JoinSet::new();
    for _ in 0..2 {
        clients.spawn(api.clone().oneshot(get(HERE)));
    }
    clients.join_all().await;
    let times = server.times();
    assert_eq!(times[1], Duration::ZERO);
    assert!(times[2] >= secs(30), "its place would have been at 5 s: {times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_tells_nothing_is_not_paced_and_one_that_tells_nonsense_stops_nobody_for_good() {
    for fields in [
        &[][..],
        &[("ratelimit-remaining", "0")],
        &[("ratelimit-remaining", "-1"), ("ratelimit-reset", "x")],
        &[("ratelimit-remaining", "0"), ("ratelimit-limit", "0"), ("ratelimit-reset", "0")],
    ] {
        let server = Server::new((0..100).map(|_| answer(200, fields)));
        let api = CooldownLayer::new().pace(Pacing::rate_limit()).layer(server.service());
        for _ in 0..20 {
            api.clone().oneshot(get(HERE)).await.unwrap();
        }
        assert_eq!(server.seen(), 20, "{fields:?}");
    }
    let forever = [("ratelimit-remaining", "0"), ("ratelimit-limit", "9"), ("ratelimit-reset", "18446744073709551615")];
    let server = Server::new([answer(200, &forever)]);
    let api = CooldownLayer::new().pace(Pacing::rate_limit()).layer(server.service());
    api.clone().oneshot(get(HERE)).await.unwrap();
    assert!(api.clone().oneshot(get(HERE)).await.is_err());
    sleep(secs(24 * 60 * 60 + 2)).await;
    api.oneshot(get(HERE)).await.unwrap();
}

#[derive(Debug)]
struct Outcome {
    refused: u64,
    took: Duration,
}

/// 400 requests to an API that allows 100 in 10 s, so many at a time; what is refused is sent again.
async fn batch(layer: CooldownLayer, workers: usize) -> Outcome {
    let issuer = Issuer::new();
    let analytics = Analytics::builder(&issuer).rate_limit(100, secs(10)).latency(millis(50)).build();
    let (token, api) = (issuer.mint(), layer.layer(analytics.service()));
    let request = move || {
        let request = Request::get("https://api.example.com/echo").header("authorization", format!("Bearer {token}"));
        request.body(String::new()).unwrap()
    };
    let (start, places) = (Instant::now(), Arc::new(Semaphore::new(workers)));
    let mut batch = JoinSet::new();
    for _ in 0..400 {
        let (api, request, places) = (api.clone(), request.clone(), Arc::clone(&places));
        batch.spawn(async move {
            let _place = places.acquire().await.unwrap();
            while api.clone().oneshot(request()).await.unwrap().status() != StatusCode::OK {}
        });
    }
    batch.join_all().await;
    assert_eq!(analytics.stats().by_status[&200], 400);
    Outcome { refused: analytics.stats().rate_limited, took: Instant::now() - start }
}

/// Tells what is left, and counts; windows begin with their first request.
struct Limited<S> {
    service: S,
}

fn limited(
    allowed: u32,
    per: Duration,
) -> Limited<impl Service<Request<()>, Response = Response<()>, Error = BoxError, Future: Send> + Clone + Send> {
    let window = Arc::new(std::sync::Mutex::new((Instant::now(), 0_u32)));
    let service = service_fn(move |_: Request<()>| {
        let mut window = window.lock().unwrap();
        let now = Instant::now();
        if now - window.0 >= per {
            *window = (now, 0);
        }
        window.1 += 1;
        let left = allowed.checked_sub(window.1);
        let reset = (window.0 + per - now).as_secs_f64().ceil();
        let response = answer(
            if left.is_some() { 200 } else { 429 },
            &[
                ("ratelimit-remaining", &left.unwrap_or(0).to_string()),
                ("ratelimit-limit", &allowed.to_string()),
                ("ratelimit-reset", &reset.to_string()),
            ],
        );
        ready(Ok(response))
    });
    Limited { service }
}
