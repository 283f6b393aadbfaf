//! When a pager sends, and when it does not.

use std::{
    marker::PhantomPinned,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{sleep, timeout};
use tower::{BoxError, Service, ServiceBuilder, service_fn};
use tower_oauth2::{
    pager::{Pager, Query, Rule},
    testing::{Analytics, Fault, Issuer},
};

use crate::scripted_api::{ScriptedApi, drain, status};

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_first_poll_nor_after_the_end() {
    let api = ScriptedApi::of_pages([page(1, true), page(2, false), page(3, false)]);
    let mut items = Pager::new(api.service(), query()).items::<u32>();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(api.requests(), 0);

    assert_eq!(items.next().await.unwrap().unwrap(), 1);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(api.requests(), 1, "read ahead");

    assert_eq!(items.next().await.unwrap().unwrap(), 2);
    for _ in 0..3 {
        assert!(items.next().await.is_none());
    }
    assert_eq!(api.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_an_error() {
    let api = ScriptedApi::new([status(500, ""), status(200, &page(1, false))]);
    let mut pager = Pager::new(api.service(), query());
    let (pages, error) = drain(&mut pager).await;
    assert!(pages.is_empty() && error.is_some());
    for _ in 0..3 {
        assert!(pager.next().await.is_none());
    }
    assert_eq!(api.requests(), 1);
    assert!(pager.continuation().is_some());
}

#[tokio::test(start_paused = true)]
async fn one_request_is_under_way_at_a_time() {
    let issuer = Issuer::new();
    let analytics = Analytics::builder(&issuer).users(40).latency(Duration::from_millis(50)).build();
    let bearer = http::HeaderValue::try_from(format!("Bearer {}", issuer.mint())).unwrap();
    let url = "https://api.example.com/api/v2/users?pageSize=4";
    let query = Query::get(url, "/entities", Rule::next_url("/nextUri")).unwrap();
    let query = query.header(http::header::AUTHORIZATION, bearer);
    analytics.fail_next(Fault::Html);
    let (pages, error) = drain(&mut Pager::new(analytics.service(), query)).await;
    assert!(error.is_none() && pages.len() == 10, "{error:?}");
    assert_eq!((analytics.stats().requests, analytics.stats().largest_concurrency), (11, 1));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_pager_drops_its_request_and_sends_nothing_more() {
    let (started, finished) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (Arc::clone(&started), Arc::clone(&finished));
    let api = service_fn(move |_: Request<Full<Bytes>>| {
        let (started, finished) = counters.clone();
        async move {
            started.fetch_add(1, SeqCst);
            sleep(Duration::from_secs(10)).await;
            let n = finished.fetch_add(1, SeqCst) + 1;
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(page(n, true))))
        }
    });
    let mut items = Pager::new(api, query()).items::<u32>();
    assert_eq!(items.next().await.unwrap().unwrap(), 1);
    assert!(timeout(Duration::from_secs(5), items.next()).await.is_err());
    assert_eq!((started.load(SeqCst), finished.load(SeqCst)), (2, 1));
    drop(items);
    sleep(Duration::from_secs(60)).await;
    assert_eq!((started.load(SeqCst), finished.load(SeqCst)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_was_given_up_loses_nothing() {
    let api = ScriptedApi::of_pages([page(1, true), page(2, true), page(3, false)]);
    let slow = ServiceBuilder::new()
        .map_future(|answer| async {
            sleep(Duration::from_secs(7)).await;
            answer.await
        })
        .service(api.service());
    let mut items = Pager::new(slow, query()).items::<u32>();
    let mut got = Vec::new();
    loop {
        match timeout(Duration::from_secs(2), items.next()).await {
            Ok(Some(item)) => got.push(item.unwrap()),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    assert_eq!((got, api.requests()), (vec![1, 2, 3], 3));
}

#[tokio::test(start_paused = true)]
async fn a_service_is_made_ready_before_each_call() {
    // `ConcurrencyLimit` panics if it is called without.
    let api = ScriptedApi::of_pages(["<html>".to_owned(), page(1, true), page(2, false)]);
    let limited = ServiceBuilder::new().concurrency_limit(1).service(api.service());
    let (items, error) = drain(&mut Pager::new(limited, query()).items::<u32>()).await;
    assert!(error.is_none() && items == [1, 2], "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_must_not_be_moved_once_pinned_is_no_obstacle() {
    #[derive(Clone)]
    struct NotUnpin<S>(S, PhantomPinned);
    impl<S: Service<R>, R> Service<R> for NotUnpin<S> {
        type Response = S::Response;
        type Error = S::Error;
        type Future = S::Future;
        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
            self.0.poll_ready(cx)
        }
        fn call(&mut self, request: R) -> S::Future {
            self.0.call(request)
        }
    }
    let api = ScriptedApi::of_pages([page(1, true), page(2, false)]);
    let pager = || Pager::new(NotUnpin(api.service(), PhantomPinned), query());
    assert_eq!(pager().next().await.unwrap().unwrap().len(), 1);
    assert_eq!(pager().raw_items().next().await.unwrap().unwrap().as_bytes(), "2");
    let api = ScriptedApi::of_pages([page(1, true), page(2, false)]);
    let (items, error) = drain(&mut Pager::new(NotUnpin(api.service(), PhantomPinned), query()).items::<u32>()).await;
    assert!(error.is_none() && items == [1, 2], "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn pages_are_numbered_from_one() {
    let api = ScriptedApi::of_pages([page(5, true), page(6, false)]);
    let (pages, _) = drain(&mut Pager::new(api.service(), query())).await;
    let numbers: Vec<_> = pages.iter().map(tower_oauth2::pager::Page::number).collect();
    assert_eq!(numbers, [1, 2]);
}

fn page(item: usize, more: bool) -> String {
    let next = if more { format!("\"/{}\"", item + 1) } else { "null".to_owned() };
    format!(r#"{{"i":[{item}],"next":{next}}}"#)
}

fn query() -> Query {
    Query::get("https://api.example.com/0", "/i", Rule::next_url("/next")).unwrap()
}
