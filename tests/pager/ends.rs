//! Where a pager ends, and what is an error instead.

use serde_json::json;
use tower_oauth2::pager::{ErrorKind, Pager, Place, Query, Rule};

use crate::scripted_api::{Answer, ScriptedApi, drain, kind, ok, status};

const URL: &str = "https://api.example.com/u";

#[tokio::test(start_paused = true)]
async fn no_next_page_is_the_end() {
    for end in [
        r#"{"i":[2],"next":null}"#,
        r#"{"i":[2]}"#,
        r#"{"i":[2],"next":""}"#,
        r#"{"i":[2],"next":" \t\n"}"#,
        r#"{"i":[2],"next":false}"#,
        r#"{"i":[2],"other":{"next":"/3"}}"#,
    ] {
        for rule in rules() {
            let api = ScriptedApi::of_pages([r#"{"i":[1],"next":"/2"}"#, end, "never asked for"]);
            let mut pager = Pager::new(api.service(), query(rule));
            let (pages, error) = drain(&mut pager).await;
            assert!(error.is_none(), "{end}: {error:?}");
            assert_eq!((pages.len(), api.left()), (2, 1), "{end}");
            assert_eq!(pager.continuation(), None, "{end}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_content_is_the_end() {
    for rule in rules() {
        let api = ScriptedApi::new([ok(r#"{"i":[1],"next":"/2"}"#), status(204, "")]);
        let mut pager = Pager::new(api.service(), query(rule));
        let (pages, error) = drain(&mut pager).await;
        assert!(error.is_none() && pages.len() == 1 && pager.continuation().is_none());
    }
    let api = ScriptedApi::new([status(204, "")]);
    let (pages, error) = drain(&mut Pager::new(api.service(), query(Rule::single()))).await;
    assert!(error.is_none() && pages.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_page_without_a_list_says_something_of_pages() {
    let rule = || Rule::page_number(Place::query("p")).total("/total").page_count("/count");
    for (rule, page) in [
        (rule(), r#"{"total":0}"#),
        (rule(), r#"{"count":0}"#),
        (rule(), r#"{"i":null}"#),
        (cursor(), r#"{"i":null,"next":null}"#),
        (cursor().total("/total"), r#"{"next":null,"total":0}"#),
        (Rule::single(), r#"{"i":null}"#),
    ] {
        let api = ScriptedApi::of_pages([page]);
        let (pages, error) = drain(&mut Pager::new(api.service(), query(rule)).page_attempts(1)).await;
        assert!(error.is_none() && pages.len() == 1 && pages[0].is_empty(), "{page}: {error:?}");
    }
    let api = ScriptedApi::of_pages([r#"{"next":"/2"}"#, r#"{"i":[1]}"#]);
    let (items, error) = drain(&mut Pager::new(api.service(), query(cursor())).items::<u32>()).await;
    assert!(error.is_none() && items == [1], "{error:?}");

    for (rule, page) in [
        (rule(), r#"{"error":"x","total":null,"count":null}"#),
        (rule(), r#"{"error":"x","total":"3","count":-1}"#),
        (cursor().total("/total"), r#"{"error":"x","next":"","total":null}"#),
        (Rule::next_url("/next"), r#"{"error":"internal","next":null}"#),
        (Rule::single(), r#"{"error":"x"}"#),
    ] {
        let api = ScriptedApi::of_pages([page]);
        let (pages, error) = drain(&mut Pager::new(api.service(), query(rule)).page_attempts(1)).await;
        assert_eq!((pages.len(), kind(error)), (0, Some(ErrorKind::Body)), "{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_content_before_the_total_is_no_end() {
    for rule in rules().into_iter().chain([Rule::page_number(Place::query("p"))]) {
        let api = ScriptedApi::new([ok(r#"{"i":[1],"next":"/2","total":3}"#), status(204, "")]);
        let mut items = Pager::new(api.service(), query(rule.total("/total"))).items::<u32>();
        let (good, error) = drain(&mut items).await;
        assert_eq!((good, kind(error)), (vec![1], Some(ErrorKind::Incomplete)));
        assert_eq!(items.continuation().unwrap().pages(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_before_the_total_is_incomplete_whatever_the_rule() {
    for rule in rules() {
        for last in [r#"{"i":[2],"next":null,"total":3}"#, r#"{"i":[2]}"#, r#"{"i":[],"total":null}"#] {
            let api = ScriptedApi::of_pages([r#"{"i":[1],"next":"/2","total":3}"#, last]);
            let mut pager = Pager::new(api.service(), query(rule.clone().total("/total")));
            let (pages, error) = drain(&mut pager).await;
            let error = error.unwrap();
            // The last page is not handed out, so that whoever goes on asks for it again.
            assert_eq!((pages.len(), error.kind(), error.page()), (1, ErrorKind::Incomplete, Some(2)), "{last}");
            assert_eq!((api.requests(), pager.continuation().unwrap().pages()), (2, 1), "{last}");
        }
        let api = ScriptedApi::of_pages([r#"{"i":[1],"next":"/2","total":3}"#, r#"{"i":[2],"total":2}"#]);
        let (items, error) = drain(&mut Pager::new(api.service(), query(rule.total("/total"))).items::<u32>()).await;
        assert!(error.is_none() && items == [1, 2], "the last total counts: {error:?}");
    }
    let api = ScriptedApi::of_pages([r#"{"i":[1],"total":9}"#]);
    let (pages, error) = drain(&mut Pager::new(api.service(), query(Rule::single().total("/total")))).await;
    assert_eq!((pages.len(), kind(error)), (0, Some(ErrorKind::Incomplete)));
}

#[tokio::test(start_paused = true)]
async fn an_empty_page_without_a_total_does_not_forget_the_one_before() {
    let api = ScriptedApi::of_pages([r#"{"i":[1],"total":3}"#, r#"{"i":[]}"#]);
    let rule = Rule::page_number(Place::query("p")).total("/total");
    let (items, error) = drain(&mut Pager::new(api.service(), query(rule)).items::<u32>()).await;
    assert_eq!((items, kind(error)), (vec![1], Some(ErrorKind::Incomplete)));
}

#[tokio::test(start_paused = true)]
async fn an_empty_page_before_the_total_is_incomplete() {
    for empty in [r#"{"i":[],"total":3}"#, r#"{"total":3}"#, r#"{"i":null,"total":3}"#] {
        let api = ScriptedApi::of_pages([r#"{"i":[1,2],"total":3}"#, empty]);
        let rule = Rule::page_number(Place::query("p")).total("/total");
        let mut items = Pager::new(api.service(), query(rule)).items::<u32>();
        let (good, error) = drain(&mut items).await;
        let error = error.unwrap();
        assert_eq!((good, error.kind(), error.page()), (vec![1, 2], ErrorKind::Incomplete, Some(2)));
        assert_eq!(error.to_string(), "page 2: the answers end after 2 of 3 items");
        assert_eq!(items.continuation().unwrap().items(), 2);
        assert_eq!(api.requests(), 2, "asked for again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_total_that_shrinks_ends_and_one_that_grows_goes_on() {
    let rule = || Rule::page_number(Place::query("p")).total("/total");
    let shrinks = ScriptedApi::of_pages([r#"{"i":[1,2],"total":5}"#, r#"{"i":[3],"total":3}"#]);
    let (items, error) = drain(&mut Pager::new(shrinks.service(), query(rule())).items::<u32>()).await;
    assert!(error.is_none() && items == [1, 2, 3]);
    let grows = ScriptedApi::of_pages([r#"{"i":[1],"total":2}"#, r#"{"i":[2],"total":3}"#, r#"{"i":[3],"total":3}"#]);
    let (items, error) = drain(&mut Pager::new(grows.service(), query(rule())).items::<u32>()).await;
    assert!(error.is_none() && items == [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_next_that_cannot_be_read_is_no_end() {
    // Each says that there is more, and not where.
    for next in [r#""\ud800abc""#, "{}", "[]", r#"{"href":"/2"}"#, "true"] {
        for rule in rules() {
            let pages: Vec<_> = (0..4).map(|_| format!(r#"{{"i":[1],"next":{next}}}"#)).collect();
            let api = ScriptedApi::of_pages(pages);
            let (pages, error) = drain(&mut Pager::new(api.service(), query(rule))).await;
            assert!(pages.is_empty(), "{next}");
            assert_eq!(kind(error), Some(ErrorKind::Body), "{next}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn empty_pages_with_a_cursor_go_on() {
    let mut pages: Vec<_> = (1..=16).map(|n| json!({"i": [], "next": n.to_string()}).to_string()).collect();
    pages.push(r#"{"i":[7],"next":"a"}"#.into());
    // A page with an item begins a new count.
    pages.extend((17..=32).map(|n| json!({"i": [], "next": n.to_string()}).to_string()));
    pages.push(r#"{"i":[8]}"#.into());
    let api = ScriptedApi::of_pages(pages);
    let (items, error) = drain(&mut Pager::new(api.service(), query(cursor())).items::<u32>()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!((items, api.left()), (vec![7, 8], 0));
}

#[tokio::test(start_paused = true)]
async fn too_many_empty_pages_in_a_row_are_an_error() {
    let pages = |count: u32| (0..count).map(|n| json!({"i": [], "next": n.to_string()}).to_string());
    let api = ScriptedApi::of_pages(pages(100));
    let (good, error) = drain(&mut Pager::new(api.service(), query(cursor()))).await;
    assert_eq!((good.len(), kind(error), api.requests()), (17, Some(ErrorKind::EmptyPages), 17));

    let api = ScriptedApi::of_pages(pages(100));
    let mut pager = Pager::new(api.service(), query(cursor())).max_empty_pages(2);
    let (good, error) = drain(&mut pager).await;
    assert_eq!((good.len(), kind(error)), (3, Some(ErrorKind::EmptyPages)));
    assert_eq!(pager.continuation().unwrap().pages(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_next_that_was_there_before_is_a_loop_after_the_good_pages() {
    for (nexts, good) in [(&["a", "a"][..], 2), (&["a", "b", "a"], 3), (&["a", "b", "c", "b"], 4)] {
        for rule in rules() {
            let page = |next: &&str| json!({"i": [1], "next": next}).to_string();
            let api = ScriptedApi::of_pages(nexts.iter().map(page).chain(nexts.iter().map(page)));
            let (pages, error) = drain(&mut Pager::new(api.service(), query(rule))).await;
            assert_eq!((pages.len(), kind(error)), (good, Some(ErrorKind::Loop)), "{nexts:?}");
            assert_eq!(api.requests(), good, "{nexts:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_back_to_the_first_page_is_a_loop() {
    for url in [URL, "https://API.example.com/u"] {
        let api = ScriptedApi::of_pages([r#"{"i":[1],"next":"/2"}"#, r#"{"i":[2],"next":"/u"}"#, r#"{"i":[1]}"#]);
        let query = Query::get(url, "/i", Rule::next_url("/next")).unwrap();
        let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
        assert_eq!((items, kind(error)), (vec![1, 2], Some(ErrorKind::Loop)), "{url}");
    }
    // A GET of the place that a POST went to is another request.
    let api = ScriptedApi::of_pages([r#"{"i":[1],"next":"/u"}"#, r#"{"i":[2]}"#]);
    let rule = Rule::next_url("/next").follow_with_get();
    let post = Query::post(URL, json!({}), "/i", rule).unwrap();
    let (items, error) = drain(&mut Pager::new(api.service(), post).items::<u32>()).await;
    assert!(error.is_none() && items == [1, 2], "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn more_pages_than_allowed_are_an_error_after_the_allowed_ones() {
    let page = |n: u32| json!({"i": [n], "next": n.to_string()}).to_string();
    let api = ScriptedApi::of_pages((0..9).map(page));
    let mut items = Pager::new(api.service(), query(cursor())).max_pages(3).items::<u32>();
    let (good, error) = drain(&mut items).await;
    let error = error.unwrap();
    assert_eq!((good, error.kind(), error.page()), (vec![0, 1, 2], ErrorKind::MaxPages, Some(4)));
    assert_eq!(api.requests(), 3);
    assert_eq!(items.continuation().unwrap().pages(), 3);

    // As many as allowed are no error.
    let api = ScriptedApi::of_pages([page(0), page(1), r#"{"i":[2]}"#.to_owned()]);
    let (good, error) = drain(&mut Pager::new(api.service(), query(cursor())).max_pages(3).items::<u32>()).await;
    assert!(error.is_none() && good == [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_not_a_success_is_never_an_end() {
    for code in [301, 304, 400, 404, 418, 500] {
        let answers: [Answer; 2] = [ok(r#"{"i":[1],"next":"/2"}"#), status(code, r#"{"i":[],"next":null}"#)];
        let (pages, error) = drain(&mut Pager::new(ScriptedApi::new(answers).service(), query(cursor()))).await;
        assert_eq!((pages.len(), kind(error)), (1, Some(ErrorKind::Status)), "{code}");
    }
}

fn rules() -> [Rule; 3] {
    [Rule::next_url("/next"), cursor(), Rule::next_url("/next").follow_with_get()]
}

fn cursor() -> Rule {
    Rule::cursor("/next", Place::query("c"))
}

fn query(rule: Rule) -> Query {
    Query::get(URL, "/i", rule).unwrap()
}
