//! A page of which something is missing is asked for again, and never half taken.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use tokio::time::{Instant, sleep};
use tower::{BoxError, service_fn};
use tower_oauth2::{
    pager::{ErrorKind, Pager, Query, Rule},
    retry::Repeat,
    testing::{Analytics, Body, Fault, Faults, Issuer},
};

use crate::{
    analytics_shapes::{API, assert_all_records, assert_records, authorized, shapes},
    scripted_api::{Answer, ScriptedApi, broken, drain, ok},
};

type MakeAnswer = fn() -> Answer;

const FAULTS: [Fault; 4] = [Fault::Truncate, Fault::Stall, Fault::Html, Fault::Empty];

#[tokio::test(start_paused = true)]
async fn no_broken_page_loses_or_repeats_a_record() {
    for shape in 0..3 {
        for fault in FAULTS {
            for times in 1..=3 {
                let analytics = analytics(23);
                let mut items =
                    Pager::new(authorized(&analytics), shapes(&analytics, API, 5)[shape].clone()).raw_items();
                let mut got = Vec::new();
                loop {
                    // At every page boundary, the first and the last page included.
                    if got.len() % 5 == 0 {
                        (0..times).for_each(|_| analytics.fail_next(fault));
                    }
                    match items.next().await {
                        Some(item) => got.push(item.unwrap()),
                        None => break,
                    }
                }
                assert_all_records(&analytics, &got);
                assert_eq!(analytics.stats().requests, 5 * (1 + times), "{fault:?} in shape {shape}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn random_faults_at_every_page_lose_and_repeat_nothing() {
    for seed in 0..20 {
        for shape in 0..3 {
            let faults = Faults::new().truncate(0.1).stall(0.1).html(0.1).empty(0.1);
            let analytics = Analytics::builder(&Issuer::new()).records(200).seed(seed).faults(faults).build();
            let query = shapes(&analytics, API, 7)[shape].clone();
            let mut items =
                Pager::new(authorized_for_a_day(&analytics), query).page_attempts(50).seed(seed).raw_items();
            let (items, error) = drain(&mut items).await;
            assert!(error.is_none(), "seed {seed}: {error:?}");
            assert_all_records(&analytics, &items);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_stays_broken_is_an_error_after_four_attempts() {
    for shape in 0..3 {
        for fault in FAULTS {
            let analytics = analytics(23);
            let query = shapes(&analytics, API, 5)[shape].clone();
            let mut items = Pager::new(authorized(&analytics), query).raw_items();
            let mut got: Vec<_> = items.by_ref().take(10).map(Result::unwrap).collect().await;
            (0..9).for_each(|_| analytics.fail_next(fault));
            let (more, error) = drain(&mut items).await;
            got.extend(more);

            let error = error.unwrap();
            assert_eq!((error.kind(), error.page()), (ErrorKind::Body, Some(3)), "{fault:?}: {error}");
            assert!(error.to_string().starts_with("page 3: "), "{error}");
            assert_eq!(got.len(), 10);
            assert_records(&analytics, 0, &got);
            assert_eq!(analytics.stats().requests, 2 + 4);
            assert_eq!(items.continuation().unwrap().pages(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_page_is_asked_for_again() {
    let not_pages: [(&str, MakeAnswer); 24] = [
        ("broken", || broken(r#"{"i":[1],"next""#)),
        ("broken after the last byte", || broken(r#"{"i":[1],"next":null}"#)),
        ("stalled", || Ok(Response::new(Body::stalled(r#"{"i":[1],"#)))),
        ("stalled after the last byte", || Ok(Response::new(Body::stalled(r#"{"i":[1],"next":null}"#)))),
        ("empty", || ok("")),
        ("blank", || ok(" \r\n")),
        ("html", || ok("<!DOCTYPE html><p>Sorry")),
        ("truncated", || ok(r#"{"i":[1,2"#)),
        ("truncated after the items", || ok(r#"{"i":[1,2],"next":nul"#)),
        ("two values", || ok(r#"{"i":[1]}{"i":[2]}"#)),
        ("followed by more", || ok(r#"{"i":[1]} </html>"#)),
        ("items of another kind", || ok(r#"{"i":{"a":1}}"#)),
        ("items twice", || ok(r#"{"i":[1],"i":[2]}"#)),
        ("next twice", || ok(r#"{"i":[1],"next":"/a","next":null}"#)),
        ("an error", || ok(r#"{"message":"Rate limit exceeded","code":"too.many.requests"}"#)),
        ("an error with a link that is null", || ok(r#"{"error":"internal","next":null}"#)),
        ("an error with a link that is blank", || ok(r#"{"error":"internal","next":" "}"#)),
        ("an error with a link that is false", || ok(r#"{"error":"internal","next":false}"#)),
        ("items null and twice", || ok(r#"{"i":null,"i":[1]}"#)),
        ("an empty object", || ok("{}")),
        ("an array", || ok("[]")),
        ("a string", || ok(r#""i""#)),
        ("null", || ok("null")),
        ("not UTF-8", || Ok(Response::new(Body::full(&b"{\"i\":[\"\xff\"]}"[..])))),
    ];
    for (what, not_a_page) in not_pages {
        let api = ScriptedApi::new([ok(r#"{"i":[0],"next":"/2"}"#), not_a_page(), ok(r#"{"i":[7],"next":null}"#)]);
        let (items, error) = drain(&mut Pager::new(api.service(), query()).items::<u32>()).await;
        assert!(error.is_none(), "{what}: {error:?}");
        assert_eq!((items, api.requests()), (vec![0, 7], 3), "{what}");
        assert_eq!(api.uris()[1], api.uris()[2], "{what}");

        let api = ScriptedApi::new((0..9).map(|_| not_a_page()));
        let (items, error) = drain(&mut Pager::new(api.service(), query()).items::<u32>()).await;
        let error = error.unwrap();
        assert_eq!((items.len(), error.kind(), error.page()), (0, ErrorKind::Body, Some(1)), "{what}: {error}");
        assert_eq!(api.requests(), 4, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn page_attempts_is_how_often_a_page_is_asked_for() {
    for (attempts, requests) in [(0, 1), (1, 1), (2, 2), (7, 7)] {
        let api = ScriptedApi::of_pages((0..9).map(|_| "<html>"));
        let mut pager = Pager::new(api.service(), query()).page_attempts(attempts);
        let (_, error) = drain(&mut pager).await;
        assert_eq!((error.unwrap().kind(), api.requests()), (ErrorKind::Body, requests), "{attempts}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_repeated_is_asked_for_once() {
    let requests = |query: Query| async move {
        let api = ScriptedApi::of_pages((0..9).map(|_| "<html>"));
        let mut pager = Pager::new(api.service(), query).page_attempts(5);
        let (_, error) = drain(&mut pager).await;
        assert_eq!((error.unwrap().kind(), pager.repeats()), (ErrorKind::Body, api.requests() as u64 - 1));
        api.requests()
    };
    assert_eq!(requests(query().repeat(Repeat::Never)).await, 1);
    assert_eq!(requests(query().extension(Repeat::Never)).await, 1);
    assert_eq!(requests(query().repeat(Repeat::Never).repeat(Repeat::Always)).await, 5);
    assert_eq!(requests(query()).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_pauses_is_given_thirty_seconds() {
    let patience = |limit: Option<u64>| async move {
        let api = ScriptedApi::new([Ok(Response::new(Body::stalled(r#"{"i":[1]"#)))]);
        let mut pager = Pager::new(api.service(), query()).page_attempts(1);
        if let Some(limit) = limit {
            pager = pager.idle_timeout(Duration::from_secs(limit));
        }
        let start = Instant::now();
        let (_, error) = drain(&mut pager).await;
        assert!(error.unwrap().to_string().contains("stalled"));
        (Instant::now() - start).as_secs()
    };
    assert_eq!(patience(None).await, 30);
    assert_eq!(patience(Some(5)).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_is_given_three_hundred_seconds_in_all() {
    let start = Instant::now();
    let mut pager = Pager::new(trickle(usize::MAX, 29), query()).page_attempts(1);
    let (_, error) = drain(&mut pager).await;
    let error = error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Body);
    assert!(error.to_string().contains("300s"), "{error}");
    assert_eq!((Instant::now() - start).as_secs(), 300);

    let start = Instant::now();
    let mut pager = Pager::new(trickle(usize::MAX, 1), query()).page_attempts(2).body_timeout(Duration::from_secs(10));
    assert!(drain(&mut pager).await.1.is_some());
    assert_eq!((Instant::now() - start).as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_slow_but_comes_is_waited_for() {
    let page = br#"{"i":[1],"next":null}"#.len();
    let (items, error) = drain(&mut Pager::new(trickle(page, 14), query()).items::<u32>()).await;
    assert!(error.is_none() && items == [1], "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_timeout_of_any_length_does_not_panic() {
    let api = ScriptedApi::of_pages([r#"{"i":[1]}"#]);
    let pager = Pager::new(api.service(), query()).idle_timeout(Duration::MAX).body_timeout(Duration::MAX);
    assert!(drain(&mut pager.items::<u32>()).await.1.is_none());
}

#[tokio::test(start_paused = true)]
async fn pauses_between_attempts_grow_and_can_be_repeated() {
    let run = |seed| async move {
        let api = ScriptedApi::of_pages((0..30).map(|_| ""));
        let start = Instant::now();
        drain(&mut Pager::new(api.service(), query()).page_attempts(30).seed(seed)).await;
        Instant::now() - start
    };
    let took = run(1).await;
    assert_eq!(took, run(1).await);
    assert_ne!(took, run(2).await);
    // 29 pauses of up to 10 s, half that on the average.
    assert!((60..240).contains(&took.as_secs()), "{took:?}");
}

/// A page, byte by byte with a pause of so many seconds before each; after so many bytes the end.
fn trickle(
    bytes: usize,
    pause: u64,
) -> impl tower::Service<
    Request<Full<Bytes>>,
    Response = Response<impl http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static>,
    Error = BoxError,
    Future: Send,
> + Clone
+ Send
+ Unpin {
    let page = br#"{"i":[1],"next":null}"#;
    service_fn(move |_: Request<Full<Bytes>>| async move {
        let bytes = page.iter().cycle().take(bytes);
        let frames = stream::iter(bytes).then(move |byte| async move {
            sleep(Duration::from_secs(pause)).await;
            Ok(Frame::data(Bytes::copy_from_slice(&[*byte])))
        });
        Ok(Response::new(StreamBody::new(frames)))
    })
}

fn analytics(records: u64) -> Analytics {
    Analytics::builder(&Issuer::new()).records(records).build()
}

/// Stalls take half a minute each: more than the hour that tokens are good for.
fn authorized_for_a_day(
    analytics: &Analytics,
) -> impl tower::Service<Request<Full<Bytes>>, Response = Response<Body>, Error = BoxError, Future: Send>
+ Clone
+ Send
+ Unpin
+ use<> {
    analytics.issuer().set_lifetime(Duration::from_secs(24 * 60 * 60));
    authorized(analytics)
}

fn query() -> Query {
    Query::get("https://api.example.com/1", "/i", Rule::next_url("/next")).unwrap()
}
