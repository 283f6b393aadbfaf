//! Genesys Cloud: its pages, its errors and its regions, in the shapes that it sends.

use serde_json::{Value, json};
use tower_oauth2::{
    genesys::{self, ConversationDetails, Region},
    pager::{Error, ErrorKind, Pager, Place, Query, Rule},
};

use crate::scripted_api::{ScriptedApi, drain, status};

const API: &str = "https://api.mypurecloud.ie";
const DETAILS: &str = "https://api.mypurecloud.ie/api/v2/analytics/conversations/details/query";
const INTERVAL: &str = "2026-03-01T00:00:00.000Z/2026-03-08T00:00:00.000Z";

/// Two of three; the second is not over yet.
const DETAILS_PAGE_1: &str = r#"{
  "conversations": [
    {
      "conversationId": "11111111-0000-4000-8000-000000000001",
      "conversationStart": "2026-03-01T08:15:00.250Z",
      "conversationEnd": "2026-03-01T08:19:30.000Z",
      "originatingDirection": "inbound",
      "participants": [{"purpose": "customer", "sessions": [{"mediaType": "voice", "metrics": [
        {"emitDate": "2026-03-01T08:15:00.250Z", "name": "tTalk", "value": 1.0e5}
      ]}]}]
    },
    {
      "conversationId": "11111111-0000-4000-8000-000000000002",
      "conversationStart": "2026-03-01T08:16:00.000Z",
      "originatingDirection": "outbound",
      "participants": []
    }
  ],
  "totalHits": 3
}"#;

const DETAILS_PAGE_2: &str = r#"{
  "conversations": [{"conversationId": "11111111-0000-4000-8000-000000000003"}],
  "totalHits": 3
}"#;

#[tokio::test(start_paused = true)]
async fn details_are_asked_for_page_by_page_until_all_hits_are_there() {
    let api = ScriptedApi::of_pages([DETAILS_PAGE_1, DETAILS_PAGE_2]);
    let filters = json!({
        "segmentFilters": [{"type": "and", "predicates": [{"dimension": "mediaType", "value": "voice"}]}],
    });
    let query =
        ConversationDetails::query(format!(" {API}/ "), INTERVAL).page_size(2).filters(filters).build().unwrap();
    let (items, error) = drain(&mut Pager::new(api.service(), query).items::<Value>()).await;

    assert!(error.is_none(), "{error:?}");
    assert_eq!(ids(&items, "conversationId"), ["1", "2", "3"]);
    for (number, seen) in (1..).zip(api.seen()) {
        assert_eq!((seen.method.as_str(), seen.uri.as_str()), ("POST", DETAILS));
        assert_eq!(seen.headers["content-type"], "application/json");
        assert_eq!(
            serde_json::from_str::<Value>(&seen.body).unwrap(),
            json!({
                "interval": INTERVAL,
                "order": "asc",
                "orderBy": "conversationStart",
                "paging": {"pageSize": 2, "pageNumber": number},
                "segmentFilters": [{"type": "and", "predicates": [{"dimension": "mediaType", "value": "voice"}]}],
            })
        );
    }
    assert_eq!(api.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_details_query_without_hits_is_a_complete_answer() {
    let api = ScriptedApi::of_pages([r#"{"totalHits": 0}"#]);
    let (items, error) = drain(&mut Pager::new(api.service(), details()).items::<Value>()).await;
    assert!(error.is_none() && items.is_empty() && api.requests() == 1, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_details_page_past_the_end_is_an_error_when_hits_are_missing() {
    // The second page repeats a total that was not reached, and has no conversations.
    let api = ScriptedApi::of_pages([DETAILS_PAGE_1, r#"{"totalHits": 3}"#]);
    let (items, error) = drain(&mut Pager::new(api.service(), details()).items::<Value>()).await;
    assert_eq!((items.len(), error.unwrap().kind()), (2, ErrorKind::Incomplete));

    // And none when a conversation went away meanwhile.
    let api = ScriptedApi::of_pages([DETAILS_PAGE_1, r#"{"totalHits": 2}"#]);
    let (items, error) = drain(&mut Pager::new(api.service(), details()).items::<Value>()).await;
    assert!(error.is_none() && items.len() == 2, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn the_page_size_stays_within_what_the_api_takes() {
    for (asked, sent) in [(0, 1), (1, 1), (100, 100), (101, 100), (250, 100), (u32::MAX, 100)] {
        let api = ScriptedApi::of_pages([r#"{"totalHits": 0}"#]);
        let query = ConversationDetails::query(API, INTERVAL).page_size(asked).build().unwrap();
        drain(&mut Pager::new(api.service(), query)).await;
        let body: Value = serde_json::from_str(&api.bodies()[0]).unwrap();
        assert_eq!(body["paging"]["pageSize"], sent);
    }
    assert!(ConversationDetails::query("api.mypurecloud.ie", INTERVAL).build().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_listing_is_paged_by_its_links_or_by_its_numbers() {
    let pages = [
        r#"{"entities": [{"id": "u-1", "selfUri": "/api/v2/users/u-1"}, {"id": "u-2"}], "pageSize": 2, "pageNumber": 1,
            "total": 3, "firstUri": "/api/v2/users?pageSize=2&pageNumber=1",
            "selfUri": "/api/v2/users?pageSize=2&pageNumber=1", "nextUri": "/api/v2/users?pageSize=2&pageNumber=2",
            "lastUri": "/api/v2/users?pageSize=2&pageNumber=2", "pageCount": 2}"#,
        r#"{"entities": [{"id": "u-3"}], "pageSize": 2, "pageNumber": 2, "total": 3,
            "firstUri": "/api/v2/users?pageSize=2&pageNumber=1", "selfUri": "/api/v2/users?pageSize=2&pageNumber=2",
            "previousUri": "/api/v2/users?pageSize=2&pageNumber=1",
            "lastUri": "/api/v2/users?pageSize=2&pageNumber=2", "pageCount": 2}"#,
    ];
    let number = || Rule::page_number(Place::query("pageNumber"));
    for rule in [
        Rule::next_url("/nextUri"),
        number().page_count("/pageCount"),
        number().total("/total"),
        number().page_count("/pageCount").total("/total"),
    ] {
        let api = ScriptedApi::of_pages(pages);
        let query = Query::get(format!("{API}/api/v2/users?pageSize=2"), "/entities", rule).unwrap();
        let (items, error) = drain(&mut Pager::new(api.service(), query).items::<Value>()).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(ids(&items, "id"), ["1", "2", "3"]);
        assert_eq!(api.uris()[1], format!("{API}/api/v2/users?pageSize=2&pageNumber=2"));
        assert_eq!(api.requests(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_listing_is_paged_by_its_cursor_or_by_its_links() {
    let pages = [
        r#"{"entities": [{"id": "c-1", "type": "externalContact"}],
            "nextUri": "/api/v2/externalcontacts/scan/contacts?limit=1&cursor=YWJj%3D%3D",
            "cursors": {"after": "YWJj=="}, "selfUri": "/api/v2/externalcontacts/scan/contacts?limit=1"}"#,
        r#"{"entities": [{"id": "c-2"}], "cursors": {},
            "selfUri": "/api/v2/externalcontacts/scan/contacts?limit=1&cursor=YWJj%3D%3D"}"#,
    ];
    for rule in [Rule::cursor("/cursors/after", Place::query("cursor")), Rule::next_url("/nextUri")] {
        let api = ScriptedApi::of_pages(pages);
        let url = format!("{API}/api/v2/externalcontacts/scan/contacts?limit=1");
        let (items, error) =
            drain(&mut Pager::new(api.service(), Query::get(&url, "/entities", rule).unwrap()).items::<Value>()).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(ids(&items, "id"), ["1", "2"]);
        assert_eq!(api.uris(), [url.clone(), format!("{url}&cursor=YWJj%3D%3D")]);
    }
}

#[tokio::test(start_paused = true)]
async fn user_details_and_a_search_are_queries_of_ones_own() {
    let rule = Rule::page_number(Place::body("/paging/pageNumber")).total("/totalHits");
    let url = format!("{API}/api/v2/analytics/users/details/query");
    let query = Query::post(url, json!({"paging": {"pageSize": 1}}), "/userDetails", rule).unwrap();
    let page = r#"{"userDetails": [{"userId": "u-1", "primaryPresence": []}], "totalHits": 1}"#;
    let (items, error) = drain(&mut Pager::new(ScriptedApi::of_pages([page]).service(), query).items::<Value>()).await;
    assert!(error.is_none() && items.len() == 1);

    let api = ScriptedApi::of_pages([
        r#"{"results": [{"id": "u-1"}], "total": 2, "pageCount": 2, "currentPage": "cQ==", "nextPage": "cTI="}"#,
        r#"{"results": [{"id": "u-2"}], "total": 2, "pageCount": 2, "currentPage": "cTI=", "previousPage": "cQ=="}"#,
    ]);
    let rule = Rule::cursor("/nextPage", Place::query("q64")).follow_with_get();
    let query = Query::post(format!("{API}/api/v2/users/search"), json!({"query": []}), "/results", rule).unwrap();
    let (items, error) = drain(&mut Pager::new(api.service(), query).items::<Value>()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(ids(&items, "id"), ["1", "2"]);
    assert_eq!((api.seen()[1].method.as_str(), api.uris()[1].ends_with("/search?q64=cTI%3D")), ("GET", true));
}

#[tokio::test(start_paused = true)]
async fn the_results_of_a_tutorial_follow_their_links_with_get() {
    let last = r#"{"results": [{"id": "r-2"}], "nextPage": null}"#;
    for next in ["/api/v2/analytics/conversations/details/query?pageToken=t2", &format!("{DETAILS}?pageToken=t2")] {
        let first = json!({"results": [{"id": "r-1", "type": "voice"}], "nextPage": next}).to_string();
        let api = ScriptedApi::of_pages([first.as_str(), last]);
        let body = json!({"dateFrom": "2026-03-01T00:00:00.000Z", "size": 50, "groupBy": []});
        let query = genesys::results(API, body.clone()).unwrap();
        let (items, error) = drain(&mut Pager::new(api.service(), query).items::<Value>()).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(ids(&items, "id"), ["1", "2"]);
        let sent: Vec<_> = api.seen().into_iter().map(|seen| (seen.method.to_string(), seen.uri, seen.body)).collect();
        assert_eq!(sent[0], ("POST".into(), DETAILS.into(), body.to_string()));
        assert_eq!(sent[1], ("GET".into(), format!("{DETAILS}?pageToken=t2"), String::new()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_entities_of_a_tutorial_send_their_token_with_the_same_body() {
    let api = ScriptedApi::of_pages([
        r#"{"entities": [{"id": "e-1"}], "next_page": "tok/2+"}"#,
        r#"{"entities": [{"id": "e-2"}], "next_page": ""}"#,
    ]);
    let body = json!({"time_filter": {"type": "dateRange"}, "view": "default", "size": 250});
    let query = genesys::entities(&format!("{API}/"), body.clone()).unwrap();
    let (items, error) = drain(&mut Pager::new(api.service(), query).items::<Value>()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(ids(&items, "id"), ["1", "2"]);
    let sent: Vec<_> = api.seen().into_iter().map(|seen| (seen.method.to_string(), seen.uri, seen.body)).collect();
    assert_eq!(sent[0], ("POST".into(), DETAILS.into(), body.to_string()));
    assert_eq!(sent[1], ("POST".into(), format!("{DETAILS}?page_token=tok%2F2%2B"), body.to_string()));
}

#[tokio::test(start_paused = true)]
async fn an_error_body_is_read_into_code_message_and_correlation_id() {
    let too_deep = "Pagination may not exceed 100000 results.\n\nTip: query in smaller intervals.";
    for (code, name, message) in [
        (400, "bad.request", "You must specify a search interval that does not exceed 31 days."),
        (400, "bad.request", too_deep),
        (401, "authentication.required", "No authentication bearer token specified in authorization header."),
        (401, "bad.credentials", "Invalid login credentials."),
        (403, "missing.any.permissions", "You must have one of: [analytics:conversationDetail:view]"),
        (429, "too.many.requests.retry.after", "Rate limit exceeded the maximum. Retry the request in [42] seconds"),
        (504, "request.timeout", "The request timed out."),
    ] {
        let body = json!({"message": message, "code": name, "status": code, "contextId": "ctx-1", "details": []});
        for (header, id) in
            [(None, "ctx-1"), (Some("inin-correlation-id"), "cor-1"), (Some("genesys-correlation-id"), "cor-1")]
        {
            let mut answer = status(code, &body.to_string()).unwrap();
            if let Some(header) = header {
                answer.headers_mut().insert(header, "cor-1".parse().unwrap());
            }
            let error = failure(ScriptedApi::new([Ok(answer)]), details()).await;
            assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Status, code));
            let said = error.api().unwrap();
            assert_eq!(said.code.as_deref(), Some(name));
            assert_eq!(said.message.as_deref(), Some(&*message.replace('\n', " ")));
            assert_eq!(said.correlation_id.as_deref(), Some(id));
            assert!(!error.to_string().contains('\n'));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_three_queries_explain_their_errors() {
    for query in [details(), genesys::results(API, json!({})).unwrap(), genesys::entities(API, json!({})).unwrap()] {
        let api = ScriptedApi::new([status(403, r#"{"code": "not.authorized", "contextId": "ctx-2"}"#)]);
        let error = failure(api, query).await;
        assert_eq!(error.to_string(), "page 1: the API answered 403 Forbidden: not.authorized (correlation id ctx-2)");
    }
}

#[test]
fn there_are_eighteen_regions_each_with_its_hosts() {
    assert_eq!(Region::all().len(), 18);
    for (name, api, token) in [
        ("mypurecloud", "https://api.mypurecloud.com", "https://login.mypurecloud.com/oauth/token"),
        ("us-east-1", "https://api.mypurecloud.com", "https://login.mypurecloud.com/oauth/token"),
        ("mypurecloud.com.au", "https://api.mypurecloud.com.au", "https://login.mypurecloud.com.au/oauth/token"),
        ("eu-central-1", "https://api.mypurecloud.de", "https://login.mypurecloud.de/oauth/token"),
        ("us-east-2", "https://api.use2.us-gov-pure.cloud", "https://login.use2.us-gov-pure.cloud/oauth/token"),
        ("https://apps.usw2.pure.cloud/x", "https://api.usw2.pure.cloud", "https://login.usw2.pure.cloud/oauth/token"),
        ("EUSC-DE-EAST-1", "https://api.edee1.eusc-pure.cloud", "https://login.edee1.eusc-pure.cloud/oauth/token"),
    ] {
        let region: Region = name.parse().unwrap();
        assert_eq!((region.api_url().as_str(), region.token_url().as_str()), (api, token), "{name}");
    }
    let distinct: std::collections::HashSet<_> = Region::all().map(|region| (region.aws(), region.domain())).collect();
    assert_eq!(distinct.len(), 18);
}

async fn failure(api: ScriptedApi, query: Query) -> Error {
    drain(&mut Pager::new(api.service(), query)).await.1.unwrap()
}

fn details() -> Query {
    ConversationDetails::query(API, INTERVAL).page_size(2).build().unwrap()
}

/// The last character of each.
fn ids(items: &[Value], name: &str) -> Vec<String> {
    items.iter().map(|item| item[name].as_str().unwrap().chars().next_back().unwrap().to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_broken_has_a_correlation_id_as_well() {
    let mut broken = status(200, "<html>").unwrap();
    broken.headers_mut().insert("inin-correlation-id", "cor-1".parse().unwrap());
    let (_, error) = drain(&mut Pager::new(ScriptedApi::new([Ok(broken)]).service(), details()).page_attempts(1)).await;
    let error = error.unwrap();
    assert_eq!((error.kind(), error.correlation_id()), (ErrorKind::Body, Some("cor-1")));
    assert!(error.to_string().ends_with(" (correlation id cor-1)"), "{error}");
}
