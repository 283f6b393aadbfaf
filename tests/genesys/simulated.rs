//! What the simulated API has besides conversations, read as an exporter reads it.

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{ServiceBuilder, ServiceExt};
use tower_oauth2::{
    OAuthLayer, TokenCache, TokenSource,
    client::HttpsClient,
    cxone::{self, AccessKey, Tenant},
    genesys,
    grant::{Metadata, TokenRequest},
    pager::{Error, ErrorKind, Pager, Query, RawItem},
    testing::{Analytics, AnalyticsBuilder, Fault, Issuer, TokenStatus},
};

use crate::analytics_shapes::{API, authorized};

const PERIOD: &str = "2026-03-01T00:00:00.000Z/2026-03-02T00:00:00.000Z";
const SCAN: &str = "/api/v2/externalcontacts/scan/contacts";
const COMPLETED: &str = "/incontactapi/services/v30.0/contacts/completed";

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

#[tokio::test(start_paused = true)]
async fn a_report_has_every_contact_once_and_byte_for_byte() {
    let analytics = analytics(|it| it.records(53));
    let expected: Vec<String> = (0..53).map(|index| analytics.cxone_contact(index)).collect();
    for query in ["", "?top=10", "?top=53", "?updatedSince=2026-01-01T00:00:00Z&top=7", "?orderBy=contactStart%20asc"] {
        let items = all(&analytics, report(query)).await.unwrap();
        assert_eq!(items, expected, "{query}");
    }
    let mut newest_first = all(&analytics, report("?orderBy=contactId%20desc&top=20")).await.unwrap();
    newest_first.reverse();
    assert_eq!(newest_first, expected);
    let stats = analytics.stats();
    assert_eq!((stats.pages, stats.records), (1 + 6 + 1 + 8 + 1 + 3, 6 * 53));
}

#[tokio::test(start_paused = true)]
async fn a_report_has_the_order_of_the_updates_if_it_is_asked_for() {
    // So many that one begins before the one before it has ended.
    let analytics = analytics(|it| it.records(500));
    let expected: Vec<String> = (0..500).map(|index| analytics.cxone_contact(index)).collect();
    let by_update = all(&analytics, report("?orderBy=lastUpdateTime&top=200")).await.unwrap();
    assert!(by_update.iter().map(|item| text_at(item, "lastUpdateTime")).is_sorted());
    let mut by_start = by_update.clone();
    by_start.sort_unstable_by_key(|item| text_at(item, "contactStartDate"));
    assert!(by_start == expected && by_update != expected);
}

#[tokio::test(start_paused = true)]
async fn a_report_goes_on_at_absolute_links_which_keep_the_query() {
    let analytics = analytics(|it| it.records(3));
    let path = format!("{COMPLETED}?skip=0&orderBy=lastUpdateTime%20asc&fields=contactId,abandoned&top=2");
    let (_, text) = get(&analytics, &path).await;
    let page: Value = serde_json::from_str(&text).unwrap();
    let link =
        |skip| format!("{API}{COMPLETED}?orderBy=lastUpdateTime%20asc&fields=contactId,abandoned&skip={skip}&top=2");
    assert_eq!(page["_links"], serde_json::json!({"self": link(0), "next": link(2)}));
    assert_eq!((&page["totalRecords"], &page["businessUnitId"]), (&3.into(), &4_600_001.into()));
    let first = page["completedContacts"][0].as_object().unwrap();
    assert_eq!(first.keys().collect::<Vec<_>>(), ["abandoned", "contactId"]);

    let (_, text) = get(&analytics, link(2).strip_prefix(API).unwrap()).await;
    let page: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(page["_links"], serde_json::json!({"self": link(2), "previous": link(0)}));
    assert_eq!(page["completedContacts"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_report_takes_both_of_its_ends_for_included() {
    let analytics = analytics(|it| it.records(9));
    let contacts: Vec<String> = (0..9).map(|index| analytics.cxone_contact(index)).collect();
    let start = |index: usize| text_at(&contacts[index], "contactStartDate");
    let between = |from: &str, to: &str| report(&format!("?startDate={from}&endDate={to}"));

    assert_eq!(all(&analytics, between(&start(2), &start(5))).await.unwrap(), contacts[2..=5]);
    assert_eq!(all(&analytics, between(&start(5), &start(5))).await.unwrap(), contacts[5..=5]);
    // So what begins at the boundary of two slices comes with both.
    assert_eq!(all(&analytics, between(&start(5), &start(8))).await.unwrap(), contacts[5..=8]);
    let from = all(&analytics, report(&format!("?startDate={}", start(7)))).await.unwrap();
    assert_eq!(from, contacts[7..]);

    let update = text_at(&contacts[4], "lastUpdateTime");
    let since = all(&analytics, report(&format!("?updatedSince={update}"))).await.unwrap();
    let later = contacts.iter().filter(|contact| text_at(contact, "lastUpdateTime") >= update);
    assert_eq!(since, later.cloned().collect::<Vec<_>>());
    assert!(since.contains(&contacts[4]));
}

#[tokio::test(start_paused = true)]
async fn a_report_of_nothing_has_no_content() {
    let analytics = analytics(|it| it.records(9));
    for query in [
        "?startDate=2026-04-01T00:00:00Z&endDate=2026-04-02T00:00:00Z",
        "?updatedSince=2026-04-01T00:00:00Z",
        "?skip=9",
    ] {
        assert_eq!(get(&analytics, &format!("{COMPLETED}{query}")).await, (204, String::new()), "{query}");
        assert!(all(&analytics, report(query)).await.unwrap().is_empty(), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_refuses_in_a_header_what_it_does_not_take() {
    let analytics = analytics(|it| it.records(9));
    let cases = [
        ("startDate=2026-03-01T00:00:00%2B00:00", "startDate"),
        ("startDate=2026-03-01T00:00:00+00:00", "startDate"),
        ("endDate=2026-03-01T01:00:00%2B01:00", "endDate"),
        ("updatedSince=2026-03-01", "updatedSince"),
        ("startDate=2026-03-02T00:00:00Z&endDate=2026-03-01T00:00:00Z", "startDate must not be after endDate"),
        ("top=10001", "top"),
        ("top=0", "top"),
        ("skip=-1", "skip"),
        ("orderBy=skillName", "orderBy"),
        ("orderBy=contactId%20up", "orderBy"),
        ("orderBy=contactId%20asc%20x", "orderBy"),
    ];
    for (query, says) in cases {
        let error = all(&analytics, report(&format!("?{query}"))).await.unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::Status, Some(StatusCode::BAD_REQUEST)), "{query}");
        let api = error.api().unwrap();
        assert!(api.message.as_ref().unwrap().starts_with(says), "{query}: {api:?}");
        assert!(api.correlation_id.is_some(), "{query}: {api:?}");
        assert_eq!(get(&analytics, &format!("{COMPLETED}?{query}")).await, (400, String::new()), "{query}");
    }
    analytics.fail_next(Fault::Status(403));
    let error = all(&analytics, report("")).await.unwrap_err();
    assert_eq!(error.api().unwrap().message.as_deref(), Some("Unable to perform the requested action."));
    assert_eq!(send(&analytics, Method::POST, COMPLETED, String::new()).await.0, 405);
}

#[tokio::test]
async fn an_access_key_gets_from_discovery_to_the_report() {
    let issuer = Issuer::builder().access_key("KEYID====", "KEY+SECRET====").build();
    let analytics = Analytics::builder(&issuer).interval(PERIOD).unwrap().records(53).build();
    let server = analytics.serve_with_issuer().await.unwrap();
    let http = HttpsClient::new().unwrap();

    let metadata = Metadata::discover(http.clone(), server.url("")).await.unwrap();
    let auth = metadata.client_secret("test-client", "test-secret").unwrap();
    let key = AccessKey::new("KEYID====", "KEY+SECRET====");
    let tokens = TokenCache::new(cxone::access_key_grant(http.clone(), &metadata, auth, key).unwrap());
    let token = tokens.token().await.unwrap();
    assert_eq!(issuer.check(token.secret()), TokenStatus::Valid);
    let tenant = cxone::tenant_id(&token).unwrap();
    let tenant = Tenant::discover(http.clone(), metadata.issuer(), &tenant).await.unwrap();
    assert_eq!(tenant.api_url(), server.url(""));

    let api =
        ServiceBuilder::new().layer(OAuthLayer::for_origin(tenant.api_url(), tokens).unwrap()).service(http.clone());
    let query = cxone::report(tenant.api_url(), &format!("{COMPLETED}?top=20"), "/completedContacts").unwrap();
    let items: Vec<RawItem> = Pager::new(api, query).raw_items().try_collect().await.unwrap();
    let expected: Vec<String> = (0..53).map(|index| analytics.cxone_contact(index)).collect();
    assert_eq!(texts(&items), expected);
    assert_eq!((issuer.stats().minted, analytics.stats().unauthorized), (1, 0));
    assert_eq!(issuer.seen().last().unwrap().uri.path(), "/.well-known/cxone-configuration");

    let stranger = Tenant::discover(http, metadata.issuer(), "somebody-else").await.unwrap_err();
    assert!(!stranger.is_transient(), "{stranger}");
}

#[tokio::test(start_paused = true)]
async fn no_access_key_but_the_right_one_gets_a_token() {
    let issuer = Issuer::builder().access_key("a", "1").access_key("b", "2").build();
    let ask = |request: TokenRequest| async move { request.token(None).await.map(|token| token.secret().to_owned()) };
    let with = |id: &str, secret: &str| {
        let auth = tower_oauth2::grant::ClientAuth::basic("test-client", "test-secret");
        let key = AccessKey::new(id, secret.to_owned());
        cxone::access_key_grant(issuer.service(), "https://cxone.niceincontact.com/auth/token", auth, key).unwrap()
    };
    let (first, second) = (ask(with("a", "1")).await.unwrap(), ask(with("b", "2")).await.unwrap());
    assert_ne!(first, second);
    for (id, secret) in [("a", "2"), ("c", "1")] {
        let error = ask(with(id, secret)).await.unwrap_err();
        assert!(error.to_string().contains("invalid_grant"), "{error}");
    }
    assert_eq!((issuer.stats().minted, issuer.stats().refused), (2, 2));
    assert_eq!(issuer.check(&issuer.mint()), TokenStatus::Valid);

    // Where requests go to is the issuer, in process as well.
    let metadata = Metadata::discover(issuer.service(), cxone::ISSUER).await.unwrap();
    assert_eq!(metadata.field::<String>("token_endpoint").unwrap(), "https://cxone.niceincontact.com/auth/token");
    assert!(Metadata::discover(Issuer::new().service(), cxone::ISSUER).await.is_err());
}

fn analytics(build: impl FnOnce(AnalyticsBuilder) -> AnalyticsBuilder) -> Analytics {
    build(Analytics::builder(&Issuer::new()).interval(PERIOD).unwrap()).build()
}

fn report(query: &str) -> Query {
    cxone::report(API, &format!("{COMPLETED}{query}"), "/completedContacts").unwrap()
}

async fn all(analytics: &Analytics, query: Query) -> Result<Vec<String>, Error> {
    let items: Vec<RawItem> = Pager::new(authorized(analytics), query).raw_items().try_collect().await?;
    Ok(texts(&items))
}

fn texts(items: &[RawItem]) -> Vec<String> {
    items.iter().map(|item| String::from_utf8(item.as_bytes().to_vec()).unwrap()).collect()
}

fn text_at(json: &str, name: &str) -> String {
    serde_json::from_str::<Value>(json).unwrap()[name].as_str().unwrap().to_owned()
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
