//! Flags that say whether there is more.

use tower_oauth2::pager::{ErrorKind, Pager, Place, Query, Rule};

use crate::{
    rules::URL,
    scripted_api::{ScriptedApi, drain, kind},
};

#[tokio::test(start_paused = true)]
async fn false_ends_any_rule_whatever_else_is_said() {
    let to = || Place::query("p");
    for rule in [
        Rule::next_url("/next"),
        Rule::cursor("/next", to()),
        Rule::keyset("", to()),
        Rule::page_number(to()),
        Rule::offset(to()),
    ] {
        for no in ["false", r#""false""#, r#""False""#] {
            let api = ScriptedApi::of_pages([
                r#"{"i":[1],"next":"/2","more":true}"#.to_owned(),
                format!(r#"{{"i":[2],"next":"/3","more":{no}}}"#),
            ]);
            let query = Query::get(URL, "/i", rule.clone().has_more("/more")).unwrap();
            let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
            assert!(error.is_none() && items == [1, 2], "{rule:?} {no}: {error:?} {items:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn true_goes_on_counting_over_empty_pages_and_past_the_total() {
    let api = ScriptedApi::of_pages([
        r#"{"i":[1],"n":1,"more":true}"#,
        r#"{"i":[],"n":1,"more":"TRUE"}"#,
        r#"{"i":[2],"n":2,"more":false}"#,
    ]);
    let query = Query::get(URL, "/i", Rule::page_number(Place::query("p")).total("/n").has_more("/more")).unwrap();
    let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
    assert!(error.is_none() && items == [1, 2], "{error:?} {items:?}");
}

#[tokio::test(start_paused = true)]
async fn true_without_a_way_to_the_rest_is_a_broken_page() {
    for rule in [Rule::next_url("/next"), Rule::cursor("/next", Place::query("c")), Rule::link_header("next")] {
        let half = r#"{"i":[1],"next":null,"more":true}"#;
        let api = ScriptedApi::of_pages([half, r#"{"i":[1],"next":null,"more":false}"#]);
        let query = Query::get(URL, "/i", rule.has_more("/more")).unwrap();
        let (items, error) = drain(&mut Pager::new(api.service(), query.clone()).items::<u32>()).await;
        assert!(error.is_none() && items == [1] && api.requests() == 2, "{error:?}");

        let api = ScriptedApi::of_pages([half]);
        let (pages, error) = drain(&mut Pager::new(api.service(), query).page_attempts(1)).await;
        assert!(pages.is_empty() && error.unwrap().to_string().contains("not where"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_page_that_says_that_there_are_more_is_incomplete() {
    let query = || Query::get(URL, "/i", Rule::single().has_more("/more")).unwrap();
    let api = ScriptedApi::of_pages([r#"{"i":[1],"more":true}"#]);
    let (pages, error) = drain(&mut Pager::new(api.service(), query())).await;
    assert_eq!((pages.len(), kind(error)), (0, Some(ErrorKind::Incomplete)));
    let api = ScriptedApi::of_pages([r#"{"i":[1],"more":false}"#]);
    let (pages, error) = drain(&mut Pager::new(api.service(), query())).await;
    assert!(error.is_none() && pages.len() == 1, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn anything_else_says_nothing() {
    for odd in ["null", "1", r#""yes""#, "{}", "[false]"] {
        let api = ScriptedApi::of_pages([
            format!(r#"{{"i":[1],"next":"x","more":{odd}}}"#),
            format!(r#"{{"i":[2],"next":null,"more":{odd}}}"#),
        ]);
        let query = Query::get(URL, "/i", Rule::cursor("/next", Place::query("c")).has_more("/more")).unwrap();
        let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
        assert!(error.is_none() && items == [1, 2], "{odd}: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_before_the_total_is_incomplete_also_where_a_flag_says_so() {
    let api = ScriptedApi::of_pages([r#"{"i":[1],"n":2,"more":false}"#]);
    let query = Query::get(URL, "/i", Rule::offset(Place::query("o")).total("/n").has_more("/more")).unwrap();
    let (pages, error) = drain(&mut Pager::new(api.service(), query)).await;
    assert_eq!((pages.len(), kind(error)), (0, Some(ErrorKind::Incomplete)));
}
