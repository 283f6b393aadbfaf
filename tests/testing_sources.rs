//! What the simulated API has besides conversations, read as an exporter reads it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "support/analytics_shapes.rs"]
#[allow(dead_code, reason = "not all of it is wanted here")]
mod analytics_shapes;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::ServiceExt;
use tower_oauth2::{
    genesys,
    pager::{Error, Pager, Query, RawItem},
    testing::{Analytics, AnalyticsBuilder, Issuer},
};

use analytics_shapes::{API, authorized};

const PERIOD: &str = "2026-03-01T00:00:00.000Z/2026-03-02T00:00:00.000Z";
const SCAN: &str = "/api/v2/externalcontacts/scan/contacts";

#[tokio::test(start_paused = true)]
async fn a_scan_has_every_contact_once_and_byte_for_byte() {
    for contacts in [0, 1, 10, 11, 25, 230] {
        let analytics = analytics(|it| it.contacts(contacts));
        let expected: Vec<String> = (0..contacts).map(|index| analytics.contact(index)).collect();
        for path in [SCAN.to_owned(), format!("{SCAN}?limit=10"), format!("{SCAN}?limit=200&divisionId=x")] {
            let items = all(&analytics, genesys::scan(API, &path).unwrap()).await.unwrap();
            assert_eq!(items, expected, "{contacts} at {path}");
        }
        let links = genesys::listing(API, &format!("{SCAN}?limit=10")).unwrap();
        assert_eq!(all(&analytics, links).await.unwrap(), expected, "{contacts} by nextUri");
        let [by_hundred, by_ten, by_two_hundred] = [100, 10, 200].map(|limit| contacts.div_ceil(limit).max(1));
        assert_eq!(analytics.stats().requests, by_hundred + 2 * by_ten + by_two_hundred);
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_is_of_the_shape_of_the_real_one() {
    let analytics = analytics(|it| it.contacts(12));
    let path = format!("{SCAN}?limit=10");
    let first: Value = serde_json::from_str(&get(&analytics, &path).await.1).unwrap();
    let cursor = first["cursors"]["after"].as_str().unwrap();
    assert_eq!(first["nextUri"], format!("{path}&cursor={cursor}"));
    assert_eq!(first["selfUri"], path);
    let (_, last) = get(&analytics, &format!("{path}&cursor={cursor}")).await;
    let (a, b) = (analytics.contact(10), analytics.contact(11));
    assert_eq!(last, format!(r#"{{"entities":[{a},{b}],"cursors":{{}},"selfUri":"{SCAN}?limit=10&cursor={cursor}"}}"#));
}

#[tokio::test(start_paused = true)]
async fn a_scan_refuses_other_limits_and_what_is_no_cursor_of_its_own() {
    let analytics = analytics(|it| it.records(20));
    let results = serde_json::json!({"dateFrom": "2026-03-01T00:00:00Z", "dateTo": "2026-03-02T00:00:00Z", "size": 5});
    let page = send(&analytics, Method::POST, "/api/v2/analytics/conversations/details/query", results.to_string());
    let page: Value = serde_json::from_str(&page.await.1).unwrap();
    let token = page["nextPage"].as_str().unwrap().split_once("pageToken=").unwrap().1;
    for bad in ["limit=9", "limit=201", "limit=", "limit=-10", "cursor=", "cursor=AAAA", &format!("cursor={token}")] {
        assert_eq!(get(&analytics, &format!("{SCAN}?{bad}")).await.0, 400, "{bad}");
    }
    for good in ["limit=10", "limit=200", "after=AAAA"] {
        assert_eq!(get(&analytics, &format!("{SCAN}?{good}")).await.0, 200, "{good}");
    }
    assert_eq!(send(&analytics, Method::POST, SCAN, String::new()).await.0, 405);
}

#[tokio::test(start_paused = true)]
async fn a_listing_has_every_user_byte_for_byte() {
    let analytics = analytics(|it| it.users(7));
    let query = genesys::listing(API, "/api/v2/users?pageSize=3").unwrap();
    let expected: Vec<String> = (0..7).map(|index| analytics.user(index)).collect();
    assert_eq!(all(&analytics, query).await.unwrap(), expected);
}

fn analytics(build: impl FnOnce(AnalyticsBuilder) -> AnalyticsBuilder) -> Analytics {
    build(Analytics::builder(&Issuer::new()).interval(PERIOD).unwrap()).build()
}

async fn all(analytics: &Analytics, query: Query) -> Result<Vec<String>, Error> {
    let items: Vec<RawItem> = Pager::new(authorized(analytics), query).raw_items().try_collect().await?;
    Ok(texts(&items))
}

fn texts(items: &[RawItem]) -> Vec<String> {
    items.iter().map(|item| String::from_utf8(item.as_bytes().to_vec()).unwrap()).collect()
}

async fn get(analytics: &Analytics, path: &str) -> (u16, String) {
    send(analytics, Method::GET, path, String::new()).await
}

async fn send(analytics: &Analytics, method: Method, path: &str, body: String) -> (u16, String) {
    let request =
        Request::builder().method(method).uri(format!("{API}{path}")).body(Full::<Bytes>::from(body)).unwrap();
    let response = authorized(analytics).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
