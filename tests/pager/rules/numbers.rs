//! Page numbers.

use http::Method;
use serde_json::{Value, json};
use tower_oauth2::pager::{ErrorKind, Pager, Place, Query, Rule};

use crate::{
    rules::URL,
    scripted_api::{ScriptedApi, drain},
};

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
    let rule = Rule::page_number(Place::query("p")).first(0).page_count("/n");
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
async fn a_count_of_pages_below_what_has_come_is_not_the_end() {
    let api = ScriptedApi::of_pages([r#"{"i":[1],"n":0}"#, r#"{"i":[2],"n":1}"#, r#"{"i":[],"n":1}"#]);
    let query = Query::get("https://api.example.com/u", "/i", Rule::page_number(Place::query("p")).page_count("/n"));
    let (items, error) = drain(&mut Pager::new(api.service(), query.unwrap()).items::<u32>()).await;
    assert!(error.is_none() && items == [1, 2], "{error:?} {items:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_know_the_place_of_the_number_is_found_out() {
    let page = r#"{"i":[1,2],"total":4}"#;
    for rule in [Rule::page_number(Place::body("/paging/pageNumber")), Rule::offset(Place::body("/skip"))] {
        let query = Query::post(URL, json!({"page": 1}), "/i", rule.total("/total")).unwrap();
        let api = ScriptedApi::of_pages([page; 4]);
        let mut pager = Pager::new(api.service(), query.clone());
        let (pages, error) = drain(&mut pager).await;
        let error = error.unwrap();
        assert_eq!((pages.len(), error.kind(), error.page()), (1, ErrorKind::Loop, Some(2)), "{error}");
        assert_eq!(pager.continuation().unwrap().pages(), 1, "the page that failed");

        let api = ScriptedApi::of_pages([page; 4]);
        let (pages, error) = drain(&mut Pager::new(api.service(), query).no_repeat_check()).await;
        assert!(error.is_none() && pages.len() == 2, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_page_number_there_is_does_not_panic() {
    let api = ScriptedApi::of_pages([r#"{"i":[1]}"#, r#"{"i":[2]}"#]);
    let rule = Rule::page_number(Place::query("p")).first(u64::MAX);
    let query = Query::get("https://api.example.com/u", "/i", rule).unwrap();
    let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
    assert_eq!(items, [1]);
    assert!(error.unwrap().to_string().contains("there before"));
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
