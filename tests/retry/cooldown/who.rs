//! Whom a cool-down concerns, and what sets one.

use bytes::Bytes;
use http::{Request, header::AUTHORIZATION};
use http_body::Body;
use http_body_util::StreamBody;
use tower::{BoxError, Layer, Service, ServiceExt};
use tower_oauth2::{
    TokenKey,
    retry::{CooldownLayer, RetryHint, RetryHints},
};

use crate::cooldown::server::{HERE, Server, answer, busy, get, millis, secs};

/// How long the second request has to wait after the first was told.
async fn wait_of(layer: CooldownLayer, first: Request<()>, second: Request<()>) -> u64 {
    let server = Server::new([busy(5)]);
    let api = layer.seed(1).layer(server.service());
    api.clone().oneshot(first).await.unwrap();
    api.oneshot(second).await.unwrap();
    server.times()[1].as_secs()
}

#[tokio::test(start_paused = true)]
async fn other_origins_do_not_wait() {
    for (other, waits) in [
        ("https://api.example.com:443/other?path", true),
        ("https://API.EXAMPLE.COM", true),
        ("https://files.example.com/v1", false),
        ("http://api.example.com/v1", false),
        ("https://api.example.com:8443/v1", false),
        ("/v1", false),
    ] {
        assert_eq!(wait_of(CooldownLayer::new(), get(HERE), get(other)).await, if waits { 5 } else { 0 }, "{other}");
    }
    assert_eq!(wait_of(CooldownLayer::new(), get("/a"), get("/b")).await, 5, "relative ones go to one server");
}

#[tokio::test(start_paused = true)]
async fn other_credentials_do_not_wait() {
    let with = |own: Option<&str>, tenant: Option<&str>| {
        let mut request = get(HERE);
        request.headers_mut().extend(own.map(|own| (AUTHORIZATION, own.parse().unwrap())));
        if let Some(tenant) = tenant {
            request.extensions_mut().insert(TokenKey::new().tenant(tenant));
        }
        request
    };
    for (first, second, wait) in [
        (with(None, None), with(None, None), 5),
        (with(None, Some("a")), with(None, Some("a")), 5),
        (with(None, Some("a")), with(None, Some("b")), 0),
        (with(None, Some("a")), with(None, None), 0),
        (with(Some("Bearer x"), None), with(Some("Bearer x"), None), 5),
        (with(Some("Bearer x"), None), with(Some("Bearer y"), None), 0),
        (with(Some("Bearer x"), Some("a")), with(Some("Bearer x"), Some("b")), 5),
    ] {
        assert_eq!(wait_of(CooldownLayer::new(), first.clone(), second.clone()).await, wait, "{first:?} {second:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_credential_is_can_be_said() {
    let layer = || CooldownLayer::new().credential(|request| request.headers.get("x-key").cloned());
    let with = |api_key: &str, own: &str| {
        Request::get(HERE).header("x-key", api_key).header(AUTHORIZATION, own).body(()).unwrap()
    };
    assert_eq!(wait_of(layer(), with("1", "x"), with("1", "y")).await, 5);
    assert_eq!(wait_of(layer(), with("1", "x"), with("2", "x")).await, 0);
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_and_its_clones_know_of_each_other_and_of_no_other_layer() {
    let (layer, server) = (CooldownLayer::new(), Server::new([busy(5)]));
    layer.layer(server.service()).oneshot(get(HERE)).await.unwrap();
    CooldownLayer::new().layer(server.service()).oneshot(get(HERE)).await.unwrap();
    assert_eq!(server.times()[1].as_secs(), 0);
    layer.clone().max_wait(secs(60)).layer(server.service()).oneshot(get(HERE)).await.unwrap();
    assert_eq!(server.times()[2].as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_sets_it_and_for_how_long() {
    let retry_after = |value: &'static str| [("retry-after", value)];
    let grpc = |status: &'static str| [("grpc-status", status), ("retry-after", "5")];
    let now = httpdate::fmt_http_date(std::time::SystemTime::now());
    let then = httpdate::fmt_http_date(std::time::SystemTime::now() + secs(5));
    let date = [("date", now.as_str()), ("retry-after", then.as_str())];
    let past = [("date", then.as_str()), ("retry-after", now.as_str())];
    for (status, fields, seconds) in [
        (429, &retry_after("5")[..], 5),
        (429, &date[..], 5),
        (429, &past[..], 1),
        (429, &[], 1),
        (429, &retry_after("0"), 1),
        (429, &retry_after("soon"), 1),
        (503, &retry_after("5"), 5),
        (503, &date[..], 5),
        (503, &retry_after("0"), 0),
        (503, &past[..], 0),
        (503, &[], 0),
        (200, &retry_after("5"), 0),
        (301, &retry_after("5"), 0),
        (403, &retry_after("5"), 0),
        (413, &retry_after("5"), 0),
        (500, &retry_after("5"), 0),
        (200, &grpc("8"), 0),
    ] {
        let server = Server::new([answer(status, fields)]);
        let layer = CooldownLayer::new();
        let api = layer.layer(server.service());
        assert_eq!(api.clone().oneshot(get(HERE)).await.unwrap().status().as_u16(), status);
        api.oneshot(get(HERE)).await.unwrap();
        let expected = secs(seconds);
        let wait = server.times()[1];
        assert!((expected..=expected * 11 / 10 + millis(1)).contains(&wait), "{status} {fields:?}: {wait:?}");
        assert_eq!(layer.stats().set, u64::from(seconds > 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_403_holds_others_back_if_it_can_be_a_limit() {
    let past = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "7")];
    for (fields, seconds) in [
        (&[("retry-after", "5")][..], 5),
        (&past, 7),
        (&past[..1], 1),
        (&past[1..], 7),
        (&[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "7")], 0),
        (&[], 0),
    ] {
        for (asked, expected) in [(true, seconds), (false, 0)] {
            let server = Server::new([answer(403, fields)]);
            let layer = CooldownLayer::new();
            let api = if asked { layer.limited_403() } else { layer }.layer(server.service());
            for _ in 0..2 {
                api.clone().oneshot(get(HERE)).await.unwrap();
            }
            assert_eq!(server.times()[1].as_secs(), expected, "{fields:?} {asked}");
        }
    }
    // As the policy does, also of a 429.
    let server = Server::new([answer(429, &past[1..])]);
    let api = CooldownLayer::new().limited_403().layer(server.service());
    for _ in 0..2 {
        api.clone().oneshot(get(HERE)).await.unwrap();
    }
    assert_eq!(server.times()[1].as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn exhausted_counts_as_too_many_with_grpc_and_unavailable_if_it_says_when() {
    for (status, hint, seconds) in
        [("8", Some("5"), 5), ("8", None, 1), ("14", Some("5"), 5), ("14", None, 0), ("0", Some("5"), 0)]
    {
        let fields: Vec<_> =
            [("grpc-status", status)].into_iter().chain(hint.map(|hint| ("retry-after", hint))).collect();
        let server = Server::new([answer(200, &fields)]);
        let api = CooldownLayer::new().grpc().layer(server.service());
        for _ in 0..2 {
            api.clone().oneshot(get(HERE)).await.unwrap();
        }
        assert_eq!(server.times()[1].as_secs(), seconds, "{fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_hints_are_read_if_they_are_asked_for_and_a_layers_own_always() {
    let retry_after_ms = || answer(429, &[("retry-after-ms", "3000")]);
    let pushback = || answer(200, &[("grpc-status", "14"), ("grpc-retry-pushback-ms", "3000")]);
    let mut found = answer(429, &[("retry-after", "2")]);
    found.extensions_mut().insert(RetryHint(secs(3)));
    let ms = RetryHints::new().retry_after_ms();
    for (layer, answer, seconds) in [
        (CooldownLayer::new(), retry_after_ms(), 1),
        (CooldownLayer::new().hints(ms.clone()), retry_after_ms(), 3),
        (CooldownLayer::new(), pushback(), 0),
        (CooldownLayer::new().grpc(), pushback(), 3),
        (CooldownLayer::new().hints(ms).grpc(), retry_after_ms(), 3),
        (CooldownLayer::new(), found, 3),
    ] {
        let server = Server::new([answer]);
        let api = layer.layer(server.service());
        for _ in 0..2 {
            api.clone().oneshot(get(HERE)).await.unwrap();
        }
        assert_eq!(server.times()[1].as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_without_a_hint_holds_for_as_long_as_is_set() {
    for (setting, seconds) in [(0, 0), (3, 3), (100_000_000, 24 * 60 * 60)] {
        let server = Server::new([answer(429, &[])]);
        let api = CooldownLayer::new().unhinted(secs(setting)).max_wait(secs(100_000_000)).layer(server.service());
        for _ in 0..2 {
            api.clone().oneshot(get(HERE)).await.unwrap();
        }
        assert!((secs(seconds)..secs(seconds + 6)).contains(&server.times()[1]), "{:?}", server.times());
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_to_a_body_that_can_be_sent_only_once_holds_the_others() {
    let server = Server::new([busy(5)]);
    let mut api = CooldownLayer::new().layer(server.service());
    let upload = || {
        let chunks = futures_util::stream::iter([Ok::<_, BoxError>(http_body::Frame::data(Bytes::from("a")))]);
        Request::post(HERE).body(StreamBody::new(chunks)).unwrap()
    };
    fn is_body<B: Body>(_: &Request<B>) {}
    is_body(&upload());
    for _ in 0..2 {
        api.ready().await.unwrap().call(upload()).await.unwrap();
    }
    assert_eq!(server.times()[1].as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn of_more_keys_than_fit_the_longest_are_kept() {
    let server = Server::new([busy(50), busy(5), busy(20)]);
    let layer = CooldownLayer::new().max_keys(2);
    let api = layer.layer(server.service());
    let to = |n: u32| get(&format!("https://{n}.example"));
    for n in 0..3 {
        api.clone().oneshot(to(n)).await.unwrap();
    }
    for (n, seconds) in [(1, 0), (2, 20), (0, 50)] {
        api.clone().oneshot(to(n)).await.unwrap();
        assert_eq!(server.times().last().unwrap().as_secs() / 5 * 5, seconds);
    }
}
