//! Every way in which Genesys Cloud and NICE CXone page, in the shapes that they send.

use http::HeaderValue;
use serde_json::{Value, json};
use tower_oauth2::{
    cxone,
    genesys::{self, ConversationJob, UserDetails},
    pager::{ErrorKind, Pager, Query},
};

use crate::scripted_api::{Answer, ScriptedApi, drain, kind, ok, status};

const API: &str = "https://api.mypurecloud.ie";
const JOBS: &str = "https://api.mypurecloud.ie/api/v2/analytics/conversations/details/jobs";
const INTERVAL: &str = "2026-03-01T00:00:00.000Z/2026-03-08T00:00:00.000Z";
const CXONE: &str = "https://api-na1.niceincontact.com";

/// The ids of all items, and what was sent.
async fn all(query: Query, answers: impl IntoIterator<Item = Answer>) -> (Vec<String>, Vec<String>) {
    let api = ScriptedApi::new(answers);
    let (items, error) = drain(&mut Pager::new(api.service(), query).items::<Value>()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(api.left(), 0);
    let sent = api.seen().into_iter().map(|seen| format!("{} {}", seen.method, seen.uri)).collect();
    (items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect(), sent)
}

#[tokio::test(start_paused = true)]
async fn a_listing_follows_its_next_uri() {
    let first = json!({
        "entities": [{"id": "a", "name": "Ada Example", "selfUri": "/api/v2/users/a"}, {"id": "b"}],
        "pageSize": 2, "pageNumber": 1, "total": 3, "pageCount": 2,
        "firstUri": "/api/v2/users?pageSize=2&pageNumber=1", "selfUri": "/api/v2/users?pageSize=2&pageNumber=1",
        "nextUri": "/api/v2/users?pageSize=2&pageNumber=2", "lastUri": "/api/v2/users?pageSize=2&pageNumber=2",
    });
    let last = json!({"entities": [{"id": "c"}], "pageNumber": 2, "total": 3, "pageCount": 2,
        "previousUri": "/api/v2/users?pageSize=2&pageNumber=1"});
    let query = genesys::listing(&format!("{API}/"), "/api/v2/users?pageSize=2").unwrap();
    let (ids, sent) = all(query, [ok(first.to_string()), ok(last.to_string())]).await;
    assert_eq!(ids, ["a", "b", "c"]);
    assert_eq!(sent, ["", "&pageNumber=2"].map(|page| format!("GET {API}/api/v2/users?pageSize=2{page}")));
}

#[tokio::test(start_paused = true)]
async fn a_listing_without_an_end_is_found_out() {
    // Some lists of the API have a next page for ever, and nothing on it.
    let pages = (2..).map(|page| ok(json!({"entities": [], "nextUri": format!("/x?pageNumber={page}")}).to_string()));
    let api = ScriptedApi::new(pages.take(40));
    let (pages, error) = drain(&mut Pager::new(api.service(), genesys::listing(API, "x").unwrap())).await;
    assert_eq!((pages.len(), kind(error)), (17, Some(ErrorKind::EmptyPages)));
}

#[tokio::test(start_paused = true)]
async fn cursors_of_a_listing_come_back_as_after() {
    let first = json!({
        "entities": [{"id": "a"}], "cursors": {"after": "bmV4dA=="}, "selfUri": "/api/v2/externalcontacts/import/jobs?pageSize=1",
        "nextUri": "/api/v2/externalcontacts/import/jobs?pageSize=1&after=bmV4dA%3D%3D",
    });
    let last = json!({"entities": [{"id": "b"}], "cursors": {"before": "YQ=="}});
    let query = genesys::cursor_listing(API, "api/v2/externalcontacts/import/jobs?pageSize=1&dateAfter=7").unwrap();
    let (ids, sent) = all(query, [ok(first.to_string()), ok(last.to_string())]).await;
    assert_eq!(ids, ["a", "b"]);
    let url = "/api/v2/externalcontacts/import/jobs?pageSize=1&dateAfter=7";
    assert_eq!(sent, [format!("GET {API}{url}"), format!("GET {API}{url}&after=bmV4dA%3D%3D")], "dateAfter stays");
}

#[tokio::test(start_paused = true)]
async fn cursors_of_a_scan_come_back_as_cursor() {
    let first = json!({
        "entities": [{"id": "a"}], "cursors": {"after": "bmV4dA=="}, "selfUri": "/api/v2/externalcontacts/scan/contacts?limit=10",
        "nextUri": "/api/v2/externalcontacts/scan/contacts?limit=10&cursor=bmV4dA%3D%3D",
    });
    let second = json!({"entities": [{"id": "b"}], "cursors": {"after": "bGFzdA=="}});
    let last = json!({"entities": [{"id": "c"}], "cursors": {}});
    let query = genesys::scan(API, "api/v2/externalcontacts/scan/contacts?limit=10").unwrap();
    let (ids, sent) = all(query, [first, second, last].map(|page| ok(page.to_string()))).await;
    assert_eq!(ids, ["a", "b", "c"]);
    let urls = ["", "&cursor=bmV4dA%3D%3D", "&cursor=bGFzdA%3D%3D"];
    assert_eq!(sent, urls.map(|page| format!("GET {API}/api/v2/externalcontacts/scan/contacts?limit=10{page}")));
}

#[tokio::test(start_paused = true)]
async fn a_search_goes_on_with_get_and_its_token() {
    let first = json!({
        "results": [{"id": "a"}], "total": 2, "pageCount": 2, "currentPage": "eyJwIjoxfQ", "nextPage": "eyJwIjoyfQ", "types": ["users"],
    });
    let last = json!({"results": [{"id": "b"}], "total": 2, "previousPage": "eyJwIjoxfQ", "currentPage": "eyJwIjoyfQ"});
    let api = ScriptedApi::of_pages([first.to_string(), last.to_string()]);
    let query = genesys::search(API, "/api/v2/users/search", json!({"query": []})).unwrap();
    let (pages, error) = drain(&mut Pager::new(api.service(), query)).await;
    assert!(error.is_none() && pages.len() == 2, "{error:?}");
    let sent: Vec<_> = api.seen().into_iter().map(|seen| (seen.method.to_string(), seen.uri, seen.body)).collect();
    let url = format!("{API}/api/v2/users/search");
    assert_eq!(sent[0], ("POST".into(), url.clone(), r#"{"query":[]}"#.into()));
    assert_eq!(sent[1], ("GET".into(), format!("{url}?q64=eyJwIjoyfQ"), String::new()));
}

#[tokio::test(start_paused = true)]
async fn scim_is_counted_from_one() {
    let page = |resources: Value, start: u32| {
        let page = json!({"totalResults": 3, "startIndex": start, "itemsPerPage": 2, "Resources": resources});
        ok(page.to_string())
    };
    let query = genesys::scim(API, "/api/v2/scim/v2/Users?count=2").unwrap();
    let (ids, sent) = all(query, [page(json!([{"id": "a"}, {"id": "b"}]), 1), page(json!([{"id": "c"}]), 3)]).await;
    assert_eq!(ids, ["a", "b", "c"]);
    assert_eq!(sent, [1, 3].map(|start| format!("GET {API}/api/v2/scim/v2/Users?count=2&startIndex={start}")));
}

#[tokio::test(start_paused = true)]
async fn user_details_are_counted_in_the_body() {
    let api = ScriptedApi::of_pages([
        r#"{"userDetails":[{"userId":"a"}],"totalHits":2}"#,
        r#"{"userDetails":[{"userId":"b"}],"totalHits":2}"#,
    ]);
    let query = UserDetails::query(API, INTERVAL).page_size(1).filters(json!({"userFilters": []})).build().unwrap();
    let (pages, error) = drain(&mut Pager::new(api.service(), query)).await;
    assert!(error.is_none() && pages.len() == 2, "{error:?}");
    for (number, seen) in (1..).zip(api.seen()) {
        assert_eq!(seen.uri, format!("{API}/api/v2/analytics/users/details/query"));
        let expected = json!({"interval": INTERVAL, "order": "asc", "paging": {"pageSize": 1, "pageNumber": number}, "userFilters": []});
        assert_eq!(serde_json::from_str::<Value>(&seen.body).unwrap(), expected);
    }
    assert!(UserDetails::query(API, INTERVAL).filters(json!({"paging": {}})).build().is_err());
    assert!(UserDetails::query(API, INTERVAL).filters(json!(7)).build().is_err());
    let api = ScriptedApi::of_pages([r#"{"totalHits":0}"#]);
    let query = UserDetails::query(API, INTERVAL).page_size(9999).build().unwrap();
    let (pages, error) = drain(&mut Pager::new(api.service(), query)).await;
    assert!(error.is_none() && pages.len() == 1 && api.bodies()[0].contains(r#""pageSize":100"#), "{error:?}");
}

fn job_answers(results: &[&str]) -> Vec<Answer> {
    let accepted = status(202, r#"{"jobId":"0000010b-1111"}"#);
    let states = [
        r#"{"state":"QUEUED"}"#,
        r#"{"state":"PENDING"}"#,
        r#"{"state":"FULFILLED","expirationDate":"2026-03-09T00:00:00Z"}"#,
    ];
    let results = results.iter().map(|&page| ok(page)).chain([status(204, "")]);
    [accepted].into_iter().chain(states.map(ok)).chain(results).collect()
}

#[tokio::test(start_paused = true)]
async fn a_conversation_job_is_one_stream() {
    let answers = job_answers(&[
        r#"{"conversations":[{"conversationId":"1"}],"cursor":"Y3Vyc29y","dataAvailabilityDate":"2026-03-08T06:15:00.000Z"}"#,
        r#"{"cursor":"Y3==","dataAvailabilityDate":"2026-03-08T06:15:00.000Z"}"#,
        r#"{"conversations":[{"conversationId":"2"}],"dataAvailabilityDate":"2026-03-08T06:15:00.000Z"}"#,
    ]);
    let api = ScriptedApi::new(answers);
    let query =
        ConversationJob::query(API, INTERVAL).filters(json!({"startOfDayIntervalMatching": true})).build().unwrap();
    let (items, error) = drain(&mut Pager::new(api.service(), query).items::<Value>()).await;
    assert!(error.is_none() && items.len() == 2, "{error:?}");
    let sent: Vec<_> = api.seen().into_iter().map(|seen| format!("{} {}", seen.method, seen.uri)).collect();
    let job = format!("{JOBS}/0000010b-1111");
    let results = format!("GET {job}/results?pageSize=1000");
    let get = format!("GET {job}");
    let expected = [
        &format!("POST {JOBS}"),
        &get,
        &get,
        &get,
        &results,
        &format!("{results}&cursor=Y3Vyc29y"),
        &format!("{results}&cursor=Y3%3D%3D"),
        &format!("DELETE {job}"),
    ];
    assert_eq!(sent.iter().collect::<Vec<_>>(), expected);
    assert_eq!(
        serde_json::from_str::<Value>(&api.bodies()[0]).unwrap(),
        json!({"interval": INTERVAL, "order": "asc", "orderBy": "conversationStart", "startOfDayIntervalMatching": true})
    );
}

#[tokio::test(start_paused = true)]
async fn a_data_lake_that_lags_behind_is_incomplete_and_one_without_hits_is_not() {
    let until = |until: &str| format!(r#"{{"dataAvailabilityDate":"{until}"}}"#);
    let api = ScriptedApi::new(job_answers(&[&until("2026-03-07T21:00:00.000Z")]));
    let query = || ConversationJob::query(API, INTERVAL).build().unwrap();
    let (pages, error) = drain(&mut Pager::new(api.service(), query())).await;
    assert_eq!((pages.len(), kind(error)), (1, Some(ErrorKind::JobIncomplete)));
    assert_eq!(api.seen().last().unwrap().method, "DELETE");

    let api = ScriptedApi::new(job_answers(&[&until("2026-03-08T00:00:00.000Z")]));
    let (pages, error) = drain(&mut Pager::new(api.service(), query())).await;
    assert!(error.is_none() && pages.len() == 1 && pages[0].is_empty(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_the_api_refuses_or_fails_is_told_in_its_words() {
    let busy = r#"{"message":"Too many jobs","code":"too.many.jobs","status":409,"contextId":"ctx-1"}"#;
    let api = ScriptedApi::new([status(409, busy)]);
    let query = || ConversationJob::query(API, INTERVAL).build().unwrap();
    let (_, error) = drain(&mut Pager::new(api.service(), query())).await;
    assert_eq!(
        error.unwrap().to_string(),
        "the API answered 409 Conflict: too.many.jobs: Too many jobs (correlation id ctx-1)"
    );

    let failed = r#"{"state":"FAILED","errorMessage":"An error occurred while executing the query"}"#;
    let api = ScriptedApi::new([status(202, r#"{"jobId":"j"}"#), ok(failed), status(204, "")]);
    let (_, error) = drain(&mut Pager::new(api.service(), query())).await;
    assert_eq!(error.unwrap().to_string(), "the job is FAILED: An error occurred while executing the query");
    assert_eq!(api.seen().last().unwrap().method, "DELETE");
}

#[test]
fn what_a_job_does_not_take_is_refused() {
    for (filters, says) in
        [(json!({"paging": {}}), "paging"), (json!({"interval": ""}), "interval"), (json!([]), "not a JSON object")]
    {
        let error = ConversationJob::query(API, INTERVAL).filters(filters).build().unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    for interval in
        ["", "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z/P1D", "2026-03-01T00:00:00Z/2026-03-08T00:00:00+01:00"]
    {
        let error = ConversationJob::query(API, interval).build().unwrap_err();
        assert!(error.to_string().contains("RFC 3339"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_of_cxone_goes_on_where_it_says_and_ends_without_content() {
    let path = "/incontactapi/services/v30.0/contacts/completed?updatedSince=2026-03-01T00:00:00Z&top=1";
    let query = || cxone::report(CXONE, path, "/completedContacts").unwrap();
    let page = |id: &str, next: Value| {
        ok(json!({"businessUnitId": 4_600_001, "totalRecords": 2, "_links": {"next": next}, "completedContacts": [{"id": id}]}).to_string())
    };
    let next = format!("{CXONE}{path}&skip=1");
    let (ids, sent) = all(query(), [page("a", json!(next)), page("b", json!(""))]).await;
    assert_eq!((ids.as_slice(), &sent[1]), (&["a".to_owned(), "b".to_owned()][..], &format!("GET {next}")));
    assert_eq!(all(query(), [page("a", json!(next)), status(204, "")]).await.0, ["a"]);
    assert!(all(query(), [status(204, "")]).await.0.is_empty(), "no data at all");

    let mut refusal = status(400, "").unwrap();
    let headers = refusal.headers_mut();
    headers.insert("icstatusdescription", HeaderValue::from_static("Invalid date"));
    headers.insert("correlationid", HeaderValue::from_static("cor-1"));
    let api = ScriptedApi::new([Ok(refusal)]);
    let (_, error) = drain(&mut Pager::new(api.service(), query())).await;
    assert_eq!(
        error.unwrap().to_string(),
        "page 1: the API answered 400 Bad Request: Invalid date (correlation id cor-1)"
    );
}
