//! Pages that are fetched while the ones before them are worked on.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, sleep};
use tower::ServiceBuilder;
use tower_oauth2::pager::{ErrorKind, Page, Pager, Query, Rule};

use crate::scripted_api::ScriptedApi;

#[tokio::test(start_paused = true)]
async fn the_next_page_comes_while_the_one_before_it_is_worked_on() {
    for (ahead, seconds) in [(0, 12), (1, 7), (4, 7)] {
        let api = ScriptedApi::of_pages(pages(6));
        let slow = ServiceBuilder::new().map_future(|answer| async {
            sleep(SECOND).await;
            answer.await
        });
        let pager = Pager::new(slow.service(api.service()), query());
        let started = Instant::now();
        let numbers = match ahead {
            0 => work_on(pager).await,
            ahead => work_on(pager.read_ahead(ahead)).await,
        };
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        assert_eq!((Instant::now() - started).as_secs(), seconds, "read-ahead {ahead}");
        assert_eq!(api.seen().len(), 6);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_before_the_first_poll_nor_more_than_allowed() {
    let api = ScriptedApi::of_pages(pages(9));
    let mut pages = Pager::new(api.service(), query()).read_ahead(2);
    sleep(SECOND).await;
    assert_eq!(api.seen().len(), 0);
    pages.next().await.unwrap().unwrap();
    sleep(SECOND).await;
    assert_eq!(api.seen().len(), 3, "one in hand and two ahead");
    drop(pages);
    sleep(SECOND).await;
    assert_eq!(api.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_continuation_is_that_of_the_page_in_hand_and_resumes_there() {
    let api = ScriptedApi::of_pages(pages(5));
    let mut ahead = Pager::new(api.service(), query()).read_ahead(3);
    assert_eq!(ahead.continuation().unwrap().pages(), 0);
    ahead.next().await.unwrap().unwrap();
    ahead.next().await.unwrap().unwrap();
    sleep(SECOND).await;
    let continuation = ahead.continuation().unwrap();
    assert_eq!((continuation.pages(), continuation.items()), (2, 2));
    let rest = ScriptedApi::of_pages(pages(5).split_off(2));
    let numbers = work_on(Pager::resume(rest.service(), query(), continuation).unwrap().read_ahead(1)).await;
    assert_eq!(numbers, [3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn an_error_comes_after_the_pages_before_it_and_ends_the_stream() {
    let api = ScriptedApi::of_pages([r#"{"i":[1],"next":"/2"}"#, r#"{"i":[2],"next":"https://evil.example/"}"#]);
    let mut pages = Pager::new(api.service(), query()).read_ahead(4);
    assert!(pages.next().await.unwrap().is_ok());
    assert!(pages.next().await.unwrap().is_ok());
    assert_eq!(pages.next().await.unwrap().unwrap_err().kind(), ErrorKind::Origin);
    assert!(pages.continuation().is_some());
    assert!(pages.next().await.is_none());
}

#[test]
fn a_runtime_that_ends_is_an_error_and_not_the_end() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let api = ScriptedApi::of_pages(pages(9));
    let mut pages = Pager::new(api.service(), query()).read_ahead(1);
    let first = runtime();
    assert!(first.block_on(pages.next()).unwrap().is_ok());
    drop(first);
    let rest: Vec<_> = runtime().block_on(async { pages.by_ref().collect().await });
    assert_eq!(rest.last().unwrap().as_ref().unwrap_err().kind(), ErrorKind::Send);
    assert!(pages.continuation().is_some());
}

async fn work_on(
    mut pages: impl futures_util::Stream<Item = Result<Page, tower_oauth2::pager::Error>> + Unpin,
) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(page) = pages.next().await {
        numbers.push(page.unwrap().number());
        sleep(SECOND).await;
    }
    numbers
}

fn pages(count: usize) -> Vec<String> {
    let next = |number| if number < count { format!(r#""/{number}""#) } else { "null".to_owned() };
    (1..=count).map(|number| format!(r#"{{"i":[{number}],"next":{}}}"#, next(number))).collect()
}

fn query() -> Query {
    Query::get("https://api.example.com/0", "/i", Rule::next_url("/next")).unwrap()
}

const SECOND: Duration = Duration::from_secs(1);
