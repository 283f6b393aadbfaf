//! Offsets.

use serde_json::{Value, json};
use tower_oauth2::pager::{ErrorKind, Pager, Place, Query, Rule};

use crate::scripted_api::{ScriptedApi, drain, kind, ok, status};

const URL: &str = "https://api.example.com/u?top=2";

#[tokio::test(start_paused = true)]
async fn an_offset_counts_what_came_and_not_what_was_asked_for() {
    let pages = [r#"{"i":[1,2],"n":4}"#, r#"{"i":[3],"n":4}"#, r#"{"i":[4],"n":4}"#];
    for (rule, offsets) in [
        (Rule::offset(Place::query("skip")), [0, 2, 3]),
        (Rule::offset(Place::query("skip")).first(1), [1, 3, 4]),
        (Rule::offset(Place::query("skip")).step(2), [0, 2, 4]),
        (Rule::offset(Place::query("skip")).step(0), [0, 1, 2]),
    ] {
        let api = ScriptedApi::of_pages(pages);
        let query = Query::get(URL, "/i", rule.total("/n")).unwrap();
        let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
        assert!(error.is_none() && items == [1, 2, 3, 4], "{error:?}");
        assert_eq!(api.uris(), offsets.map(|offset| format!("{URL}&skip={offset}")));
    }
}

#[tokio::test(start_paused = true)]
async fn an_offset_in_the_body_ends_at_the_first_empty_page_or_without_content() {
    for last in [ok(r#"{"i":[]}"#), status(204, "")] {
        let api = ScriptedApi::new([ok(r#"{"i":[1,2]}"#), ok(r#"{"i":[3]}"#), last]);
        let query = Query::post(URL, json!({"size": 2}), "/i", Rule::offset(Place::body("/from"))).unwrap();
        let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
        assert!(error.is_none() && items == [1, 2, 3], "{error:?}");
        let sent: Vec<Value> = api.bodies().iter().map(|body| serde_json::from_str(body).unwrap()).collect();
        assert_eq!(sent, [0, 2, 3].map(|from| json!({"size": 2, "from": from})));
    }
}

#[test]
fn what_says_nothing_of_a_rule_is_refused() {
    let to = || Place::query("p");
    for (rule, says) in [
        (Rule::offset(to()).page_count("/c"), "page_count"),
        (Rule::page_number(to()).step(2), "step"),
        (Rule::cursor("/c", to()).first(0), "first"),
        (Rule::next_url("/c").page_count("/c"), "page_count"),
    ] {
        let error = Query::get(URL, "/i", rule).unwrap_err();
        assert!(error.to_string().starts_with(says), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_leaves_items_out_is_found_out_by_the_total() {
    // The server puts one item on a page, whatever it is asked for.
    let api = ScriptedApi::of_pages([r#"{"i":[1],"n":3}"#, r#"{"i":[3],"n":3}"#, r#"{"i":[],"n":3}"#]);
    let query = Query::get(URL, "/i", Rule::offset(Place::query("skip")).step(2).total("/n")).unwrap();
    let (pages, error) = drain(&mut Pager::new(api.service(), query)).await;
    assert_eq!((pages.len(), kind(error)), (2, Some(ErrorKind::Incomplete)));
}

#[tokio::test(start_paused = true)]
async fn an_offset_goes_on_in_another_process() {
    let query = || Query::get(URL, "/i", Rule::offset(Place::query("skip")).total("/n")).unwrap();
    let api = ScriptedApi::of_pages([r#"{"i":[1,2],"n":3}"#]);
    let mut pager = Pager::new(api.service(), query());
    let (_, error) = drain(&mut pager).await;
    assert_eq!(kind(error), Some(ErrorKind::Send));
    let saved = serde_json::to_string(&pager.continuation()).unwrap();
    assert!(saved.contains(r#""offset":2"#), "{saved}");

    let api = ScriptedApi::of_pages([r#"{"i":[3]}"#]);
    let mut rest = Pager::resume(api.service(), query(), serde_json::from_str(&saved).unwrap()).unwrap().items::<u32>();
    let (items, error) = drain(&mut rest).await;
    assert!(error.is_none() && items == [3], "{error:?}");
    assert_eq!(api.uris(), [format!("{URL}&skip=2")]);
}
