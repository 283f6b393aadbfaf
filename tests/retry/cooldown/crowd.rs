//! Many who wait for one moment.

use std::{collections::BTreeMap, time::Duration};

use http::{Response, StatusCode};
use tokio::{task::JoinSet, time::sleep};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt};
use tower_oauth2::retry::{CooldownLayer, RetryLayer, RetryPolicy};

use crate::cooldown::server::{HERE, Server, answer, busy, get, millis, secs};

#[tokio::test(start_paused = true)]
async fn of_a_thousand_clients_under_one_429_none_is_early_none_is_lost_and_they_do_not_come_at_once() {
    let (layer, server) = (CooldownLayer::new().seed(1), Server::new([busy(5)]));
    let api = layer.layer(server.service());
    assert_eq!(api.clone().oneshot(get(HERE)).await.unwrap().status(), 429);
    let mut clients = JoinSet::new();
    for n in 0..1000_u64 {
        let api = api.clone();
        clients.spawn(async move {
            sleep(millis(n * 4)).await;
            api.oneshot(get(HERE)).await.unwrap().status()
        });
    }
    let statuses = clients.join_all().await;
    assert!(statuses.iter().all(|status| *status == StatusCode::OK));
    let times = &server.times()[1..];
    assert_eq!(times.len(), 1000);
    spread(times, secs(5), millis(400), 0.02);
    assert_eq!((layer.stats().waited, layer.stats().refused, layer.stats().set), (1000, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_that_were_all_told_come_back_spread_and_are_told_no_more() {
    let server = Server::new((0..1000).map(|_| busy(5))).latency(millis(20));
    let layer = CooldownLayer::new().seed(2);
    let policy = RetryPolicy::new().budget_capacity(100_000).seed(3);
    let api = ServiceBuilder::new().layer(RetryLayer::new(policy)).layer(layer.clone()).service(server.service());
    let mut clients = JoinSet::new();
    for _ in 0..1000 {
        clients.spawn(api.clone().oneshot(get(HERE)));
    }
    let responses: Vec<Response<()>> = clients.join_all().await.into_iter().map(Result::unwrap).collect();
    assert!(responses.iter().all(|response| response.status() == StatusCode::OK));
    assert_eq!(server.seen(), 2000, "each of them twice");
    spread(&server.times()[1000..], millis(5020), millis(400), 0.02);
    assert_eq!(layer.stats().set, 1);
}

#[tokio::test(start_paused = true)]
async fn the_wait_of_a_policy_outside_and_the_one_here_do_not_add_up() {
    for seed in 0..200 {
        let server = Server::new([busy(5)]);
        let policy = RetryPolicy::new().seed(seed);
        let layer = CooldownLayer::new().seed(seed + 1);
        let api = ServiceBuilder::new().layer(RetryLayer::new(policy)).layer(layer).service(server.service());
        assert!(api.oneshot(get(HERE)).await.unwrap().status().is_success());
        let times = server.times();
        assert_eq!(times.len(), 2);
        // Timers round up to a millisecond.
        assert!((secs(5)..=millis(5501)).contains(&times[1]), "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_back_off_that_ends_sooner_waits_for_the_rest_only() {
    for seed in 0..50 {
        let server = Server::new([answer(429, &[])]);
        let policy = RetryPolicy::new().seed(seed).backoff(millis(200), secs(10));
        let layer = CooldownLayer::new().seed(seed).unhinted(secs(2));
        let api = ServiceBuilder::new().layer(RetryLayer::new(policy)).layer(layer).service(server.service());
        api.oneshot(get(HERE)).await.unwrap();
        assert!((secs(2)..=millis(2201)).contains(&server.times()[1]), "{:?}", server.times());
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_is_released_with_the_others_and_who_comes_after_at_once() {
    let server = Server::new([busy(50)]);
    let api = CooldownLayer::new().seed(1).layer(server.service());
    api.clone().oneshot(get(HERE)).await.unwrap();
    sleep(millis(49_999)).await;
    let mut clients = JoinSet::new();
    for _ in 0..200 {
        clients.spawn(api.clone().oneshot(get(HERE)));
    }
    sleep(millis(2)).await;
    let before = server.seen();
    api.oneshot(get(HERE)).await.unwrap();
    assert_eq!((server.seen(), *server.times().last().unwrap()), (before + 1, millis(50_001)));
    clients.join_all().await;
    spread(&server.times()[1..], secs(50), secs(4), 0.05);
}

#[tokio::test(start_paused = true)]
async fn a_time_that_is_moved_on_while_they_wait_holds_all_of_them() {
    // The second, to another caller who was under way already, asks for more.
    let server = Server::new([busy(5)]);
    let layer = CooldownLayer::new().seed(1);
    let api = layer.layer(server.service());
    let slow = layer.layer(Server::new([busy(20)]).latency(secs(3)).service());
    let slow = tokio::spawn(slow.oneshot(get(HERE)));
    tokio::task::yield_now().await;
    api.clone().oneshot(get(HERE)).await.unwrap();
    let mut clients = JoinSet::new();
    for _ in 0..100 {
        clients.spawn(api.clone().oneshot(get(HERE)));
    }
    assert_eq!(slow.await.unwrap().unwrap().status(), 429);
    assert!(clients.join_all().await.into_iter().all(|response| response.is_ok()));
    spread(&server.times()[1..], secs(23), secs(1), 0.1);
    assert_eq!((layer.stats().waited, layer.stats().set), (100, 2), "each counts once, however often it waits");
}

#[tokio::test(start_paused = true)]
async fn a_time_that_is_moved_on_again_and_again_holds_until_its_end() {
    let server = Server::new([busy(5), busy(5), busy(5), busy(5)]);
    let layer = CooldownLayer::new();
    let api = layer.layer(server.service());
    api.clone().oneshot(get(HERE)).await.unwrap();
    let mut clients = JoinSet::new();
    for _ in 0..20 {
        clients.spawn(api.clone().oneshot(get(HERE)));
    }
    clients.join_all().await;
    let times = server.times();
    assert_eq!(times.len(), 21);
    // Each time the first who comes is told for all; the others go on waiting.
    for n in 1..4 {
        assert!(times[n] >= times[n - 1] + secs(5), "{times:?}");
    }
    assert!(times[4] >= times[3] + secs(5) && times[20] <= times[3] + millis(5501), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn those_who_give_up_are_no_hindrance_to_those_who_do_not() {
    let server = Server::new([busy(5)]);
    let layer = CooldownLayer::new();
    let api = layer.layer(server.service());
    api.clone().oneshot(get(HERE)).await.unwrap();
    let mut clients = JoinSet::new();
    for n in 0..100_u64 {
        let call = api.clone().oneshot(get(HERE));
        clients.spawn(async move {
            let patience = if n % 2 == 0 { millis(n * 50) } else { secs(60) };
            tokio::time::timeout(patience, call).await.is_ok()
        });
    }
    let sent = clients.join_all().await.into_iter().filter(|sent| *sent).count();
    assert_eq!((sent, server.seen()), (50, 51));
    sleep(secs(100)).await;
    assert_eq!(server.seen(), 51, "nothing goes on behind a caller's back");
}

#[tokio::test(start_paused = true)]
async fn a_seed_repeats_the_release_and_none_does_not() {
    let mut releases = Vec::new();
    for seed in [Some(1), Some(1), Some(2), None, None] {
        let server = Server::new([busy(100)]);
        let layer = seed.map_or_else(CooldownLayer::new, |seed| CooldownLayer::new().seed(seed));
        let api = layer.layer(server.service());
        for _ in 0..2 {
            api.clone().oneshot(get(HERE)).await.unwrap();
        }
        releases.push(server.times()[1]);
    }
    assert_eq!(releases[0], releases[1]);
    assert!(releases[1..].windows(2).all(|pair| pair[0] != pair[1]), "{releases:?}");
}

#[tokio::test(start_paused = true)]
async fn it_is_over_when_it_is_cleared() {
    let server = Server::new([busy(100)]);
    let layer = CooldownLayer::new();
    let api = layer.layer(server.service());
    api.clone().oneshot(get(HERE)).await.unwrap();
    layer.clear();
    api.clone().oneshot(get(HERE)).await.unwrap();
    assert_eq!(server.times()[1], Duration::ZERO);
    server.next(busy(7));
    api.clone().oneshot(get(HERE)).await.unwrap();
    api.oneshot(get(HERE)).await.unwrap();
    assert!((secs(7)..secs(8)).contains(&server.times()[3]), "and works as before, and the hundred are forgotten");
}

#[test]
fn threads_see_what_others_were_told() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime
        .block_on(async {
            let server = Server::new([busy(1)]);
            let layer = CooldownLayer::new();
            let api = layer.layer(server.service());
            api.clone().oneshot(get(HERE)).await.unwrap();
            let mut clients = JoinSet::new();
            for _ in 0..200 {
                clients.spawn(api.clone().oneshot(get(HERE)));
            }
            assert!(clients.join_all().await.into_iter().all(|response| response.is_ok()));
            assert!(server.times()[1..].iter().all(|at| *at >= secs(1)));
            Ok::<_, BoxError>(())
        })
        .unwrap();
}

/// None before `from`, all within a tenth after it, over `over` at least, and no more than a part of them in any millisecond.
#[track_caller]
fn spread(times: &[Duration], from: Duration, over: Duration, part: f64) {
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*first >= from, "{first:?} is early");
    assert!(*last <= from + (from / 10).min(secs(5)) + millis(2), "{last:?} is late");
    assert!(*last - *first >= over, "{first:?} to {last:?}");
    let mut crowds = BTreeMap::<_, usize>::new();
    for at in times {
        *crowds.entry(at.as_millis()).or_default() += 1;
    }
    let most = crowds.values().max().unwrap();
    assert!((*most as f64) <= (times.len() as f64 * part).max(3.0), "{most} at once");
}
