//! A run that was cut off goes on elsewhere, with nothing lost and nothing twice.

use futures_util::StreamExt;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tower_oauth2::pager::{Continuation, ErrorKind, Page, Pager, Place, Query, RawItem, Rule};
use tower_oauth2::testing::{Analytics, Fault, Issuer};

use crate::{
    analytics_shapes::{API, assert_all_records, assert_records, authorized, shapes},
    scripted_api::{ScriptedApi, drain, ok, status},
};

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cut_off_anywhere_goes_on_in_another_process() {
    for shape in 0..3 {
        for pages in 0..=4 {
            let analytics = analytics(23);
            let query = || shapes(&analytics, API, 5)[shape].clone();
            let mut first = Pager::new(authorized(&analytics), query());
            let mut items = take_pages(&mut first, pages).await;
            let saved = saved(&first.continuation().unwrap());
            drop(first);

            let mut second = Pager::resume(authorized(&analytics), query(), saved).unwrap();
            let (rest, error) = drain(&mut second).await;
            assert!(error.is_none(), "{error:?}");
            assert_eq!(rest[0].number(), pages as u64 + 1);
            items.extend(rest.iter().flat_map(|page| page.raw_items().collect::<Vec<_>>()));
            assert_all_records(&analytics, &items);
            assert_eq!(analytics.stats().requests, 5, "asked twice");
            assert_eq!(second.continuation(), None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_after_an_error_with_the_page_that_failed() {
    for shape in 0..3 {
        for pages in 0..=4 {
            for fault in [Fault::Status(500), Fault::Reset, Fault::Html] {
                let analytics = analytics(23);
                let query = || shapes(&analytics, API, 5)[shape].clone();
                let mut first = Pager::new(authorized(&analytics), query()).page_attempts(1);
                let mut items = take_pages(&mut first, pages).await;
                analytics.fail_next(fault);
                let (none, error) = drain(&mut first).await;
                assert!(none.is_empty());
                assert_eq!(error.unwrap().page(), Some(pages as u64 + 1));
                let saved = saved(&first.continuation().unwrap());
                assert_eq!((saved.pages(), saved.items()), (pages as u64, 5 * pages as u64));

                let second = Pager::resume(authorized(&analytics), query(), saved).unwrap();
                items.extend(drain(&mut second.raw_items()).await.0);
                assert_all_records(&analytics, &items);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_goes_on_as_well() {
    let listing = || {
        [
            Query::get("https://api.example.com/api/v2/users?pageSize=3", "/entities", Rule::next_url("/nextUri"))
                .unwrap(),
            Query::get(
                "https://api.example.com/api/v2/users?pageSize=3",
                "/entities",
                Rule::page_number(Place::query("pageNumber")).page_count("/pageCount").total("/total"),
            )
            .unwrap(),
        ]
    };
    for rule in 0..2 {
        let analytics = analytics(0);
        let (whole, _) = drain(&mut Pager::new(authorized(&analytics), listing()[rule].clone()).raw_items()).await;
        assert_eq!(whole.len(), 25);
        for pages in 0..=8 {
            let mut first = Pager::new(authorized(&analytics), listing()[rule].clone());
            let mut items = take_pages(&mut first, pages).await;
            let saved = saved(&first.continuation().unwrap());
            let second = Pager::resume(authorized(&analytics), listing()[rule].clone(), saved).unwrap();
            items.extend(drain(&mut second.raw_items()).await.0);
            assert!(items == whole, "after {pages} pages");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn items_go_on_with_the_page_in_hand() {
    for shape in 0..3 {
        for taken in 0..23 {
            let analytics = analytics(23);
            let query = || shapes(&analytics, API, 5)[shape].clone();
            let mut first = Pager::new(authorized(&analytics), query()).raw_items();
            for _ in 0..taken {
                first.next().await.unwrap().unwrap();
            }
            let saved = saved(&first.continuation().unwrap());
            // The items of the page in hand that were taken come again; none is left out.
            let begun = taken as u64 / 5 * 5;
            assert_eq!((saved.items(), saved.pages()), (begun, begun / 5), "after {taken} items");
            let second = Pager::resume(authorized(&analytics), query(), saved).unwrap();
            let (items, error) = drain(&mut second.raw_items()).await;
            assert!(error.is_none() && items.len() as u64 == 23 - begun, "{error:?}");
            assert_records(&analytics, begun, &items);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_to_go_on_with_after_the_last_item() {
    let analytics = analytics(7);
    let mut items = Pager::new(authorized(&analytics), shapes(&analytics, API, 5)[0].clone()).items::<Value>();
    let (all, error) = drain(&mut items).await;
    assert!(error.is_none() && all.len() == 7);
    assert_eq!(items.continuation(), None);
}

#[tokio::test(start_paused = true)]
async fn a_number_cursor_is_a_number_again() {
    let rule = || Rule::cursor("/next", Place::body("/after"));
    let query = || Query::post("https://api.example.com/q", json!({}), "/i", rule()).unwrap();
    for next in ["42", "\"42\"", "12345678901234567890"] {
        let api = ScriptedApi::of_pages([format!(r#"{{"i":[1],"next":{next}}}"#), r#"{"i":[2]}"#.to_owned()]);
        let mut first = Pager::new(api.service(), query());
        take_pages(&mut first, 1).await;
        let saved = saved(&first.continuation().unwrap());
        drain(&mut Pager::resume(api.service(), query(), saved).unwrap()).await;
        assert_eq!(api.bodies()[1], format!(r#"{{"after":{next}}}"#));
    }
}

#[tokio::test(start_paused = true)]
async fn another_query_refuses_it() {
    let api = ScriptedApi::of_pages([r#"{"i":[1],"next":"a"}"#]);
    let rule = || Rule::cursor("/next", Place::query("c"));
    let post = |url, body, items, rule| Query::post(url, body, items, rule).unwrap();
    let mut first = Pager::new(api.service(), post("https://a.example/q", json!({"a": 1}), "/i", rule()));
    take_pages(&mut first, 1).await;
    let saved = first.continuation().unwrap();
    for other in [
        post("https://b.example/q", json!({"a": 1}), "/i", rule()),
        post("https://a.example/q?x", json!({"a": 1}), "/i", rule()),
        post("http://a.example/q", json!({"a": 1}), "/i", rule()),
        post("https://a.example/q", json!({"a": 2}), "/i", rule()),
        post("https://a.example/q", json!({"a": 1}), "/j", rule()),
        post("https://a.example/q", json!({"a": 1}), "/i", Rule::cursor("/next", Place::query("d"))),
        post("https://a.example/q", json!({"a": 1}), "/i", Rule::cursor("/other", Place::query("c"))),
        post("https://a.example/q", json!({"a": 1}), "/i", rule().follow_with_get()),
        post("https://a.example/q", json!({"a": 1}), "/i", Rule::next_url("/next")),
        Query::get("https://a.example/q", "/i", rule()).unwrap(),
    ] {
        let error = Pager::resume(api.service(), other, saved.clone()).unwrap_err();
        assert_eq!((error.kind(), error.page()), (ErrorKind::Config, None));
    }
    assert_eq!(api.requests(), 1);
    assert!(Pager::resume(api.service(), post("https://a.example/q", json!({"a": 1}), "/i", rule()), saved).is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_total_that_was_said_is_not_forgotten() {
    for rule in
        [Rule::page_number(Place::query("p")), Rule::cursor("/next", Place::query("c")), Rule::next_url("/next")]
    {
        let query = || Query::get("https://api.example.com/q", "/i", rule.clone().total("/total")).unwrap();
        for end in [ok(r#"{"i":[]}"#), status(204, "")] {
            let api = ScriptedApi::new([ok(r#"{"i":[1],"next":"/2","total":3}"#), ok(r#"{"i":[2],"next":"/3"}"#), end]);
            let mut first = Pager::new(api.service(), query());
            take_pages(&mut first, 1).await;
            let mut second =
                Pager::resume(api.service(), query(), saved(&first.continuation().unwrap())).unwrap().raw_items();
            second.next().await.unwrap().unwrap();
            let saved = saved(&second.continuation().unwrap());
            let mut third = Pager::resume(api.service(), query(), saved).unwrap();
            let (pages, error) = drain(&mut third).await;
            assert!(pages.is_empty());
            assert_eq!(error.unwrap().kind(), ErrorKind::Incomplete);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn debug_shows_neither_a_cursor_nor_the_query_of_a_link() {
    for (rule, next) in [
        (Rule::next_url("/next"), json!("/2?token=hunter2")),
        (Rule::next_url("/next"), json!("https://u:hunter2@api.example.com/2")),
        (Rule::next_url("/next"), json!("https:\\\\u:hunter2@api.example.com")),
        (Rule::cursor("/next", Place::query("c")), json!("hunter2")),
        (Rule::cursor("/next", Place::query("c")), json!(20_252_025)),
    ] {
        let query = Query::get("https://api.example.com/q", "/i", rule).unwrap();
        let api = ScriptedApi::of_pages([json!({"i": ["hunter2"], "next": next}).to_string()]);
        let mut pager = Pager::new(api.service(), query);
        let items = take_pages(&mut pager, 1).await;
        let debug = format!("{:?} {pager:?} {items:?}", pager.continuation());
        assert!(!debug.contains("hunter2") && !debug.contains("2025"), "{debug}");
        assert!(format!("{items:?}").contains("bytes: 9"), "{debug}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_holds_nothing_of_the_headers_and_the_body() {
    let api = ScriptedApi::of_pages([r#"{"i":["hunter2"],"next":2}"#]);
    let rule = Rule::cursor("/next", Place::body("/c"));
    let query =
        Query::post("https://api.example.com/hunter2?k=hunter2", json!({"key": "hunter2"}), "/i", rule).unwrap();
    let query = query.header(HeaderName::from_static("x-api-key"), HeaderValue::from_static("hunter2"));
    let mut pager = Pager::new(api.service(), query);
    take_pages(&mut pager, 1).await;
    let continuation = pager.continuation().unwrap();
    let text = serde_json::to_string(&continuation).unwrap();
    assert!(!text.contains("hunter2") && !format!("{continuation:?}").contains("hunter2"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn forged_counts_do_not_panic() {
    let rules = [Rule::page_number(Place::query("p")), Rule::cursor("/next", Place::query("c"))];
    for (rule, place) in rules.into_iter().zip([json!({"page": u64::MAX}), json!({"cursor": "x"})]) {
        let api = ScriptedApi::new([ok(r#"{"i":[1],"next":"y"}"#), ok(r#"{"i":[]}"#), status(204, "")]);
        let query = Query::get("https://api.example.com/q", "/i", rule).unwrap();
        let mut map = serde_json::to_value(Pager::new(api.service(), query.clone()).continuation().unwrap()).unwrap();
        let map = map.as_object_mut().unwrap();
        map.retain(|name, _| name == "version" || name == "query");
        map.extend(place.as_object().unwrap().clone());
        map.extend(json!({"pages": u64::MAX - 1, "items": u64::MAX}).as_object().unwrap().clone());
        let forged: Continuation = serde_json::from_value(Value::Object(map.clone())).unwrap();
        drain(&mut Pager::resume(api.service(), query, forged).unwrap().max_pages(u64::MAX)).await;
    }
}

async fn take_pages<S>(pager: &mut Pager<S>, pages: usize) -> Vec<RawItem>
where
    Pager<S>: futures_util::Stream<Item = Result<Page, tower_oauth2::pager::Error>> + Unpin,
{
    let mut items = Vec::new();
    for _ in 0..pages {
        items.extend(pager.next().await.unwrap().unwrap().raw_items());
    }
    items
}

/// As it would come out of a file.
fn saved(continuation: &Continuation) -> Continuation {
    let back = serde_json::from_str(&serde_json::to_string(continuation).unwrap()).unwrap();
    assert_eq!(&back, continuation);
    let value = serde_json::to_value(continuation).unwrap();
    assert_eq!(&serde_json::from_value::<Continuation>(value).unwrap(), continuation);
    back
}

fn analytics(records: u64) -> Analytics {
    Analytics::builder(&Issuer::new()).records(records).build()
}
