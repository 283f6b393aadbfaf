//! Where the next page is, and what is sent to get it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[allow(dead_code, reason = "not all of it is wanted here")]
#[path = "support/scripted_api.rs"]
mod scripted_api;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::ServiceBuilder;
use tower_oauth2::{
    Deadline,
    pager::{Pager, Place, Query, Rule},
    retry::Repeat,
};

use scripted_api::{ScriptedApi, drain};

const URL: &str = "https://api.example.com/v2/users?page=1";

#[tokio::test(start_paused = true)]
async fn a_total_below_what_has_come_is_not_the_end() {
    let rule = || Rule::page_number(Place::query("page")).total("/total");
    for pages in
        [[r#"{"i":[1,2],"total":0}"#, r#"{"i":[3],"total":3}"#], [r#"{"i":[1,2],"total":1}"#, r#"{"i":[3],"total":1}"#]]
    {
        let api = ScriptedApi::of_pages([pages[0], pages[1], r#"{"i":[],"total":0}"#]);
        let query = Query::get(URL, "/i", rule()).unwrap();
        let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(items, [1, 2, 3], "{pages:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_resolves_against_the_page_that_it_is_on_and_keeps_method_and_body() {
    let links = [
        r#""?page=2&x=a%20b""#,
        r#""../v3/list""#,
        r#""more/4""#,
        r#""/v2/./a/../5?z""#,
        r#""https://api.example.com/6""#,
        r#""HTTPS://API.Example.COM:443/7""#,
        r#""//api.example.com/8""#,
        r#"" /9 ""#,
        r#""?a#fragment""#,
        "null",
    ];
    let api = ScriptedApi::of_pages(links.map(|link| format!(r#"{{"i":[1],"next":{link}}}"#)));
    let query = Query::post(URL, json!({"q": 1}), "/i", Rule::next_url("/next")).unwrap();
    let (pages, error) = drain(&mut Pager::new(api.service(), query)).await;

    assert!(error.is_none(), "{error:?}");
    assert_eq!(pages.len(), 10);
    let expected = [
        URL,
        "https://api.example.com/v2/users?page=2&x=a%20b",
        "https://api.example.com/v3/list",
        "https://api.example.com/v3/more/4",
        "https://api.example.com/v2/5?z",
        "https://api.example.com/6",
        "https://API.Example.COM:443/7",
        "https://api.example.com/8",
        "https://api.example.com/9",
        "https://api.example.com/9?a",
    ];
    for (seen, expected) in api.seen().iter().zip(expected) {
        assert_eq!(seen.uri.to_lowercase(), expected.to_lowercase());
        assert_eq!((&seen.method, seen.body.as_str()), (&Method::POST, r#"{"q":1}"#));
        assert_eq!(seen.headers["content-type"], "application/json");
        assert_eq!(seen.repeat, Some(Repeat::Always));
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_followed_with_get_has_no_body() {
    let api = ScriptedApi::of_pages([r#"{"i":[1],"next":"/2"}"#, r#"{"i":[2],"next":"/3"}"#, r#"{"i":[3]}"#]);
    let query = Query::post(URL, json!({"q": 1}), "/i", Rule::next_url("/next").follow_with_get()).unwrap();
    let query = query.header(HeaderName::from_static("x-version"), HeaderValue::from_static("7"));
    drain(&mut Pager::new(api.service(), query)).await;

    let seen = api.seen();
    let methods: Vec<_> = seen.iter().map(|seen| (seen.method.as_str(), seen.body.as_str())).collect();
    assert_eq!(methods, [("POST", r#"{"q":1}"#), ("GET", ""), ("GET", "")]);
    assert!(seen[0].headers.contains_key("content-type"));
    for follow in &seen[1..] {
        assert!(!follow.headers.contains_key("content-type"));
        assert_eq!(follow.headers["accept"], "application/json");
    }
    assert!(seen.iter().all(|seen| seen.headers["x-version"] == "7"));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_is_encoded_once_and_replaces_its_predecessor() {
    let cursors = ["a b&c=d+/=%41#?é", "bmV4dA==", "%2F"];
    let mut pages: Vec<_> =
        cursors.iter().map(|cursor| json!({"i": [1], "c": {"after": cursor}}).to_string()).collect();
    pages.push(r#"{"i":[1],"c":{"after":12345678901234567890123}}"#.into());
    pages.push(r#"{"i":[1],"c":{}}"#.into());
    let api = ScriptedApi::of_pages(pages);
    let url = "https://api.example.com/scan?limit=1&after=old&filter=a%20b";
    let query = Query::get(url, "/i", Rule::cursor("/c/after", Place::query("after"))).unwrap();
    let (pages, error) = drain(&mut Pager::new(api.service(), query)).await;

    assert!(error.is_none() && pages.len() == 5, "{error:?}");
    let uris = api.uris();
    assert_eq!(uris[0], url);
    for (uri, cursor) in uris[1..].iter().zip(cursors.iter().copied().chain(["12345678901234567890123"])) {
        let sent = uri.strip_prefix("https://api.example.com/scan?limit=1&filter=a%20b&after=").unwrap();
        assert!(!sent.contains('+'), "not every server takes it for a space: {uri}");
        let decoded: Vec<_> = form_urlencoded::parse(format!("v={sent}").as_bytes()).into_owned().collect();
        assert_eq!(decoded, [("v".to_owned(), cursor.to_owned())], "{uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_goes_into_the_body_as_what_it_was() {
    let api = ScriptedApi::of_pages([
        r#"{"i":[1],"next":"a\"\u0041"}"#,
        r#"{"i":[1],"next":42}"#,
        r#"{"i":[1],"next":"42"}"#,
        r#"{"i":[1],"next":null}"#,
    ]);
    let rule = Rule::cursor("/next", Place::body("/page/after"));
    let query = Query::post(URL, json!({"q": [1], "page": {"size": 5}}), "/i", rule).unwrap();
    let (_, error) = drain(&mut Pager::new(api.service(), query)).await;

    assert!(error.is_none(), "{error:?}");
    let sent: Vec<Value> = api.bodies().iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    let after = |after: Value| json!({"q": [1], "page": {"size": 5, "after": after}});
    assert_eq!(
        sent,
        [json!({"q": [1], "page": {"size": 5}}), after(json!("a\"A")), after(json!(42)), after(json!("42"))]
    );
}

#[test]
fn a_rule_that_would_lose_its_cursor_is_refused() {
    let rule = Rule::cursor("/next", Place::body("/cursor")).follow_with_get();
    let error = Query::post(URL, json!({}), "/i", rule).unwrap_err();
    assert!(error.to_string().contains("GET"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_can_be_followed_with_get() {
    let api = ScriptedApi::of_pages([r#"{"i":[1],"next":"t=="}"#, r#"{"i":[1]}"#]);
    let rule = Rule::cursor("/next", Place::query("q64")).follow_with_get();
    let query = Query::post("https://api.example.com/search", json!({}), "/i", rule).unwrap();
    drain(&mut Pager::new(api.service(), query)).await;
    let seen = &api.seen()[1];
    assert_eq!((seen.method.as_str(), seen.body.as_str()), ("GET", ""));
    assert_eq!(seen.uri, "https://api.example.com/search?q64=t%3D%3D");
}

#[tokio::test(start_paused = true)]
async fn a_page_number_in_the_body_ends_with_the_total_and_not_with_a_short_page() {
    // The second page is short: the server has its own mind about sizes.
    let api =
        ScriptedApi::of_pages([r#"{"i":[1,2,3],"total":6}"#, r#"{"i":[4],"total":6}"#, r#"{"i":[5,6],"total":6}"#]);
    let rule = Rule::page_number(Place::body("/paging/pageNumber")).total("/total");
    let query = Query::post(URL, json!({"paging": {"pageSize": 3}}), "/i", rule).unwrap();
    let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;

    assert!(error.is_none(), "{error:?}");
    assert_eq!(items, [1, 2, 3, 4, 5, 6]);
    let sent: Vec<Value> = api.bodies().iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(sent, [1, 2, 3].map(|n| json!({"paging": {"pageSize": 3, "pageNumber": n}})));
}

#[tokio::test(start_paused = true)]
async fn a_page_number_in_the_query_ends_with_the_page_count_and_not_with_a_short_or_empty_page() {
    let pages = [r#"{"i":[1],"n":4}"#, r#"{"i":[],"n":4}"#, r#"{"i":[2,3],"n":4}"#, r#"{"i":[4],"n":4}"#];
    let api = ScriptedApi::of_pages(pages);
    let rule = Rule::page_number(Place::query("p")).first_page(0).page_count("/n");
    let query = Query::get("https://api.example.com/u?s=2", "/i", rule).unwrap();
    let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;

    assert!(error.is_none(), "{error:?}");
    assert_eq!(items, [1, 2, 3, 4]);
    assert_eq!(api.uris(), [0, 1, 2, 3].map(|n| format!("https://api.example.com/u?s=2&p={n}")));
}

#[tokio::test(start_paused = true)]
async fn a_page_number_without_total_or_count_ends_at_the_first_empty_page() {
    let api = ScriptedApi::of_pages([r#"{"i":[1,2]}"#, r#"{"i":[3]}"#, r#"{"i":[]}"#, "never asked for"]);
    let query = Query::get("https://api.example.com/u", "/i", Rule::page_number(Place::query("p"))).unwrap();
    let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
    assert!(error.is_none() && items == [1, 2, 3] && api.left() == 1, "{error:?} {items:?}");
}

#[tokio::test(start_paused = true)]
async fn a_total_or_count_of_another_kind_counts_as_none_and_never_cuts_short() {
    for odd in [r#""3""#, "null", "-1", "1e0", "{}", "99999999999999999999999"] {
        let page = |items: &str| format!(r#"{{"i":[{items}],"total":{odd},"count":{odd}}}"#);
        let api = ScriptedApi::of_pages([page("1"), page("2"), page("")]);
        let rule = Rule::page_number(Place::query("p")).total("/total").page_count("/count");
        let query = Query::get("https://api.example.com/u", "/i", rule).unwrap();
        let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
        assert!(error.is_none() && items == [1, 2], "{odd}: {error:?} {items:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_page_number_there_is_does_not_panic() {
    let api = ScriptedApi::of_pages([r#"{"i":[1]}"#, r#"{"i":[2]}"#]);
    let rule = Rule::page_number(Place::query("p")).first_page(u64::MAX);
    let query = Query::get("https://api.example.com/u", "/i", rule).unwrap();
    let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
    assert_eq!(items, [1]);
    assert!(error.unwrap().to_string().contains("there before"));
}

#[tokio::test(start_paused = true)]
async fn a_single_page_is_one_page_whatever_it_says() {
    let api = ScriptedApi::of_pages([r#"{"i":[1],"next":"/2","total":1}"#]);
    let query = Query::get(URL, "/i", Rule::single().total("/total")).unwrap();
    let (pages, error) = drain(&mut Pager::new(api.service(), query)).await;
    assert!(error.is_none() && api.requests() == 1);
    assert_eq!(pages[0].total(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn an_extension_is_on_every_request_and_the_last_of_its_type_counts() {
    #[derive(Clone, Debug, PartialEq)]
    struct Tenant(&'static str);
    let deadline = Deadline::within(Duration::from_secs(60));
    let api = ScriptedApi::of_pages([r#"{"i":[1],"next":"/2"}"#, "<html>", r#"{"i":[2]}"#]);
    let checked = ServiceBuilder::new()
        .map_request(move |request: Request<Full<Bytes>>| {
            assert_eq!(request.extensions().get(), Some(&deadline));
            assert_eq!(request.extensions().get(), Some(&Tenant("b")));
            request
        })
        .service(api.service());
    let query = Query::get(URL, "/i", Rule::next_url("/next")).unwrap();
    let query = query.extension(Tenant("a")).extension(deadline).extension(Tenant("b"));
    let (items, error) = drain(&mut Pager::new(checked, query).items::<u32>()).await;
    assert!(error.is_none() && items == [1, 2], "{error:?}");
    assert_eq!(api.requests(), 3);
    assert!(api.seen().iter().all(|seen| seen.repeat == Some(Repeat::Always)));
}

#[test]
fn debug_shows_no_header_value_and_no_body_and_no_query_of_a_url() {
    let query = Query::post(format!("{URL}&key=hunter2"), json!({"key": "hunter2"}), "/i", Rule::single()).unwrap();
    let query = query.header(HeaderName::from_static("x-api-key"), HeaderValue::from_static("hunter2"));
    let pager = Pager::new(ScriptedApi::default().service(), query.clone());
    let debug = format!("{query:?} {pager:?}");
    assert!(!debug.contains("hunter2"), "{debug}");
    assert!(debug.contains("x-api-key") && debug.contains("POST"), "{debug}");
    assert_eq!(debug.matches("https://api.example.com/v2/users").count(), 2, "{debug}");
}

#[test]
fn credentials_in_the_url_of_a_query_are_refused() {
    let error = Query::get("https://user:hunter2@api.example.com/u", "/i", Rule::single()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test(start_paused = true)]
async fn page_numbers_can_be_followed_with_get() {
    let api = ScriptedApi::of_pages([r#"{"i":[1],"n":2}"#, r#"{"i":[2],"n":2}"#]);
    let rule = Rule::page_number(Place::query("p")).page_count("/n").follow_with_get();
    let query = Query::post("https://api.example.com/u", json!({"q": 1}), "/i", rule).unwrap();
    drain(&mut Pager::new(api.service(), query)).await;
    let sent: Vec<_> = api.seen().into_iter().map(|seen| (seen.method, seen.uri, seen.body)).collect();
    let url = |n: u32| format!("https://api.example.com/u?p={n}");
    assert_eq!(sent[0], (Method::POST, url(1), r#"{"q":1}"#.to_owned()));
    assert_eq!(sent[1], (Method::GET, url(2), String::new()));
}
