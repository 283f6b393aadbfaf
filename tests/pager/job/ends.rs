//! Whoever stops listening leaves no job behind.

use futures_util::StreamExt;
use tokio::time::{sleep, timeout};
use tower_oauth2::pager::ErrorKind;

use crate::{
    job::api::{Api, Say, job, secs},
    scripted_api::drain,
};

const PENDING: Say = Say::Page(r#"{"state":"PENDING"}"#);

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_deletes_the_job_wherever_it_is() {
    // While it is waited for.
    let api = Api::new().says("GET /j1", [PENDING]);
    let mut pager = api.pager();
    timeout(secs(10), pager.next()).await.unwrap_err();
    assert_eq!(api.count("DELETE "), 0);
    drop(pager);
    sleep(secs(1)).await;
    assert_eq!(api.lines().last().unwrap(), "DELETE /j1");

    // Amid its results, between two pages and with one under way.
    for under_way in [false, true] {
        let api = Api::new().says("GET /j1/results?cursor=c2", [Say::Never]);
        let mut pager = api.pager();
        pager.next().await.unwrap().unwrap();
        if under_way {
            timeout(secs(1), pager.next()).await.unwrap_err();
        }
        drop(pager);
        sleep(secs(1)).await;
        assert_eq!(api.lines().last().unwrap(), "DELETE /j1");
    }

    // While it is being deleted.
    let api = Api::new().says("DELETE /j1", [Say::Late(secs(5), "")]);
    let mut pager = api.pager();
    timeout(secs(1), async { while pager.next().await.is_some() {} }).await.unwrap_err();
    drop(pager);
    sleep(secs(10)).await;
    assert_eq!(api.count("DELETE /j1"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_made_after_the_stream_was_dropped_is_deleted() {
    let api = Api::new().says("POST ", [Say::Late(secs(5), r#"{"jobId":"j1"}"#)]);
    let mut pager = api.pager();
    timeout(secs(1), pager.next()).await.unwrap_err();
    drop(pager);
    assert_eq!(api.lines(), ["POST "]);
    sleep(secs(10)).await;
    assert_eq!(api.lines(), ["POST ", "DELETE /j1"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_would_be_kept_and_that_nobody_can_name_is_deleted() {
    let api = Api::new().says("POST ", [Say::Late(secs(5), r#"{"jobId":"j1"}"#)]);
    let mut pager = api.pager_of(job().keep_unfinished());
    timeout(secs(1), pager.next()).await.unwrap_err();
    assert!(pager.continuation().unwrap().job().is_none());
    drop(pager);
    sleep(secs(10)).await;
    assert_eq!(api.lines(), ["POST ", "DELETE /j1"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_closes_it_knows_that_it_is_deleted() {
    // Waited for, amid its results, at their end, and never made.
    let waiting = Api::new().says("GET /j1", [PENDING]).says("DELETE /j1", [Say::Late(secs(3), "")]);
    let mut pager = waiting.pager();
    timeout(secs(10), pager.next()).await.unwrap_err();
    let begun = tokio::time::Instant::now();
    pager.close().await;
    assert_eq!((waiting.count("DELETE"), tokio::time::Instant::now() - begun), (1, secs(3)));

    let amid = Api::new();
    let mut items = amid.pager().items::<u32>();
    items.next().await.unwrap().unwrap();
    items.close().await;
    assert_eq!(amid.count("DELETE"), 1);

    let over = Api::new();
    let mut pager = over.pager();
    while pager.next().await.is_some() {}
    pager.close().await;
    assert_eq!(over.count("DELETE"), 1);

    let new = Api::new();
    new.pager().raw_items().close().await;
    let kept = Api::new();
    let mut pager = kept.pager_of(job().keep_unfinished());
    pager.next().await.unwrap().unwrap();
    pager.close().await;
    assert_eq!((new.lines().len(), kept.count("DELETE")), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_never_polled_makes_none() {
    let api = Api::new();
    drop(api.pager());
    drop(api.pager().read_ahead(1));
    sleep(secs(1)).await;
    assert!(api.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn items_and_reading_ahead_delete_it_as_well() {
    let api = Api::new();
    let mut items = api.pager().items::<u32>();
    items.next().await.unwrap().unwrap();
    drop(items);
    sleep(secs(1)).await;
    assert_eq!(api.count("DELETE /j1"), 1);

    let api = Api::new().says("GET /j1/results?cursor=c2", [Say::Never]);
    let mut pages = api.pager().read_ahead(4);
    pages.next().await.unwrap().unwrap();
    drop(pages);
    sleep(secs(1)).await;
    assert_eq!(api.count("DELETE /j1"), 1);

    // An item that is not of the type asked for ends the items and leaves the stream as it is.
    let api = Api::new();
    let mut items = api.pager().items::<String>();
    assert_eq!(items.next().await.unwrap().unwrap_err().kind(), ErrorKind::Decode);
    drop(items);
    sleep(secs(1)).await;
    assert_eq!(api.count("DELETE /j1"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_kept_is_deleted_at_its_end_and_where_it_failed_only() {
    let kept = || job().keep_unfinished();
    let api = Api::new();
    let (_, error) = drain(&mut api.pager_of(kept())).await;
    assert!(error.is_none() && api.count("DELETE /j1") == 1);

    let api = Api::new().says("GET /j1", [Say::Page(r#"{"state":"FAILED"}"#)]);
    let (_, error) = drain(&mut api.pager_of(kept())).await;
    assert!(error.is_some() && api.count("DELETE /j1") == 1);

    let api = Api::new();
    let mut pager = api.pager_of(kept());
    pager.next().await.unwrap().unwrap();
    drop(pager);
    let api_2 = Api::new().says("GET /j1/results?cursor=c2", [Say::Status(503, "")]);
    let (_, error) = drain(&mut api_2.pager_of(kept())).await;
    assert!(error.is_some());
    sleep(secs(1)).await;
    assert_eq!((api.count("DELETE"), api_2.count("DELETE")), (0, 0));
}

#[test]
fn without_a_runtime_it_is_an_error_and_no_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (api, pager) = runtime.block_on(async {
        let api = Api::new();
        let mut pager = api.pager();
        pager.next().await.unwrap().unwrap();
        (api, pager)
    });
    drop(runtime);
    // The job cannot be deleted: that is logged.
    let log = crate::log::Log::default();
    let listening = log.listen();
    drop(pager);
    drop(listening);
    assert_eq!(api.count("DELETE"), 0);
    assert!(log.text().contains("left behind"), "{}", log.text());

    let mut pager = api.pager();
    let std::task::Poll::Ready(Some(Err(error))) = polled(&mut pager) else { panic!("it needs a runtime") };
    assert_eq!(error.kind(), ErrorKind::Config);
}

/// Polls once.
fn polled<S: futures_util::Stream + Unpin>(stream: &mut S) -> std::task::Poll<Option<S::Item>> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    stream.poll_next_unpin(&mut context)
}
