//! Several pages at once.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneService};
use tower_oauth2::pager::{ErrorKind, Page, Pager, Place, Query, Rule};

use crate::scripted_api::{drain, kind};

const URL: &str = "https://api.example.com/u";
type Client = BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError>;
const SECOND: Duration = Duration::from_secs(1);

/// Answers each page with its own number; the later a page, the sooner.
#[derive(Clone)]
struct Api {
    pages: u64,
    /// What is on a page besides its item.
    says: &'static str,
    broken: Option<u64>,
    slow: Option<u64>,
    asked: Arc<Mutex<Vec<u64>>>,
    under_way: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

/// Counts down however it ends.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Api {
    fn new(pages: u64, says: &'static str) -> Self {
        let (asked, under_way, most) = Default::default();
        Self { pages, says, broken: None, slow: None, asked, under_way, most }
    }

    fn pager(&self, rule: Rule) -> Pager<Client> {
        Pager::new(self.service(), Query::get(URL, "/i", rule).unwrap())
    }

    fn service(&self) -> Client {
        let api = self.clone();
        let service = service_fn(move |request: Request<Full<Bytes>>| {
            let api = api.clone();
            async move {
                let page: u64 = request.uri().query().unwrap().strip_prefix("p=").unwrap().parse()?;
                api.asked.lock().unwrap().push(page);
                let under_way = api.under_way.fetch_add(1, Ordering::SeqCst) + 1;
                let _under_way = UnderWay(Arc::clone(&api.under_way));
                api.most.fetch_max(under_way, Ordering::SeqCst);
                let longer = if api.slow == Some(page) { 1000 } else { 0 };
                sleep(SECOND * (longer + u32::try_from(100 - page)?)).await;
                if page > api.pages || api.broken == Some(page) {
                    return Ok(Response::builder().status(400).body(Full::default())?);
                }
                Ok(Response::new(format!(r#"{{"i":[{page}]{}}}"#, api.says).into()))
            }
        });
        BoxCloneService::new(service)
    }

    fn asked(&self) -> Vec<u64> {
        self.asked.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn pages_come_in_their_order_and_none_is_asked_for_behind_the_last() {
    let numbered = || Rule::page_number(Place::query("p"));
    for (rule, says) in [
        (numbered().total("/n"), r#","n":9"#),
        (numbered().page_count("/c"), r#","c":9"#),
        (Rule::offset(Place::query("p")).first(1).step(1).total("/n"), r#","n":9"#),
    ] {
        let api = Api::new(9, says);
        let begun = Instant::now();
        let (items, error) = drain(&mut api.pager(rule.clone()).concurrency(4).items::<u64>()).await;
        assert!(error.is_none() && items == (1..=9).collect::<Vec<_>>(), "{rule:?}: {error:?} {items:?}");
        assert_eq!(api.asked(), items, "in order, each once");
        assert_eq!((api.most.load(Ordering::SeqCst), api.under_way.load(Ordering::SeqCst)), (4, 0));
        // The first alone, then four at a time: the slowest of those is the first of them.
        assert!(Instant::now() - begun <= SECOND * (99 + 98 + 94), "{:?}", Instant::now() - begun);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_total_what_is_behind_the_last_page_counts_for_nothing() {
    let api = Api { pages: 3, ..Api::new(3, r#","more":true"#) };
    let mut pager = api.pager(Rule::page_number(Place::query("p")).has_more("/more")).concurrency(4);
    // The flag never says no: here the refusal of the fourth page is an error, as it would be with one page at a time.
    let (pages, error) = drain(&mut pager).await;
    assert_eq!((pages.len(), kind(error)), (3, Some(ErrorKind::Status)));
    assert_eq!(serde_json::to_value(pager.continuation()).unwrap()["page"], 4);
    assert_eq!(api.under_way.load(Ordering::SeqCst), 0, "what was under way behind it is dropped");

    let api = Api::new(3, r#","more":false"#);
    let (items, error) =
        drain(&mut api.pager(Rule::page_number(Place::query("p")).has_more("/more")).concurrency(4)).await;
    assert!(error.is_none() && items.len() == 1 && api.asked() == [1], "{error:?}: the first page comes alone");
}

#[tokio::test(start_paused = true)]
async fn a_failure_comes_after_the_pages_before_it_and_can_be_resumed() {
    let rule = || Rule::page_number(Place::query("p")).total("/n");
    let api = Api { broken: Some(3), ..Api::new(5, r#","n":5"#) };
    let mut pager = api.pager(rule()).concurrency(8);
    let (pages, error) = drain(&mut pager).await;
    let error = error.unwrap();
    assert_eq!((pages.len(), error.kind(), error.page()), (2, ErrorKind::Status, Some(3)));
    assert_eq!(api.asked(), [1, 2, 3, 4, 5]);
    assert_eq!(api.under_way.load(Ordering::SeqCst), 0);
    assert_eq!(serde_json::to_value(pager.continuation()).unwrap()["page"], 3);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_drops_all_that_is_under_way() {
    let api = Api::new(9, r#","n":9"#);
    let mut pager = api.pager(Rule::page_number(Place::query("p")).total("/n")).concurrency(3);
    pager.next().await.unwrap().unwrap();
    assert!(tokio_test::task::spawn(pager.next()).poll().is_pending());
    tokio::task::yield_now().await;
    assert_eq!(api.under_way.load(Ordering::SeqCst), 3);
    drop(pager);
    tokio::task::yield_now().await;
    assert_eq!(api.under_way.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn neither_the_limit_of_pages_nor_a_rule_that_leads_from_page_to_page_is_run_past() {
    let api = Api::new(9, r#","n":9"#);
    let pager = api.pager(Rule::page_number(Place::query("p")).total("/n")).concurrency(8).max_pages(3);
    let (pages, error) = drain(&mut { pager }).await;
    assert_eq!((pages.len(), kind(error), api.asked().len()), (3, Some(ErrorKind::MaxPages), 3));

    let api = Api::new(9, r#","n":3"#);
    let pager = api.pager(Rule::offset(Place::query("p")).first(1).total("/n")).concurrency(8);
    let (pages, error) = drain(&mut { pager }).await;
    assert!(error.is_none() && pages.len() == 3 && api.asked() == [1, 2, 3]);
    assert_eq!(api.most.load(Ordering::SeqCst), 1, "how far to step is known from the page before");
}

#[tokio::test(start_paused = true)]
async fn reading_ahead_asks_for_several_as_well() {
    let api = Api::new(9, r#","n":9"#);
    let mut pages = api.pager(Rule::page_number(Place::query("p")).total("/n")).concurrency(3).read_ahead(1);
    pages.next().await.unwrap().unwrap();
    sleep(SECOND).await;
    assert_eq!(api.under_way.load(Ordering::SeqCst), 3);
    let (rest, error) = drain(&mut pages).await;
    assert!(error.is_none() && rest.len() == 8, "{error:?}");
    assert_eq!(rest.iter().map(Page::number).collect::<Vec<_>>(), (2..=9).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_not_polled_for_does_not_keep_a_place_that_another_one_needs() {
    let api = Api::new(9, r#","n":9"#);
    let query = Query::get(URL, "/i", Rule::page_number(Place::query("p")).total("/n")).unwrap();
    let limited = ServiceBuilder::new().concurrency_limit(1).service(api.service());
    let mut pages = Pager::new(limited.clone(), query).concurrency(4);
    let mut came = 0;
    while let Some(page) = pages.next().await {
        page.unwrap();
        came += 1;
        // The consumer asks the same client for something of its own.
        let own = Request::get(format!("{URL}?p=1")).body(Full::default()).unwrap();
        limited.clone().oneshot(own).await.unwrap();
    }
    assert_eq!(came, 9);
}

#[tokio::test(start_paused = true)]
async fn as_many_are_under_way_as_may_be_however_slow_the_first_of_them_is() {
    let api = Api { slow: Some(2), ..Api::new(9, r#","n":9"#) };
    let mut pages = api.pager(Rule::page_number(Place::query("p")).total("/n")).concurrency(4);
    for _ in 0..2 {
        pages.next().await.unwrap().unwrap();
    }
    // The three behind it came long ago. What takes its place is under way as soon as it was taken.
    assert_eq!(api.asked().len(), 5);
    for _ in 0..2 {
        pages.next().await.unwrap().unwrap();
    }
    tokio::task::yield_now().await;
    assert_eq!(api.asked().len(), 7);
    assert_eq!(api.under_way.load(Ordering::SeqCst), 2);
}
