//! Where it ends, where it goes on, and what is an error instead: each rule, each way to page.

use futures_util::StreamExt;
use serde_json::json;
use tokio::time::sleep;
use tower_oauth2::{
    genesys::{self, ConversationDetails},
    pager::{ErrorKind, Pager, Place, Query, Rule},
};

use crate::{
    edges::{
        ways::{all, counted, told},
        world::{API, INTERVAL, secs},
    },
    scripted_api::{ScriptedApi, drain, kind, ok, status},
};

#[tokio::test(start_paused = true)]
async fn a_link_or_a_cursor_that_is_null_blank_or_absent_is_the_end() {
    for way in told() {
        for none in [json!(null), json!(""), json!("  "), json!("\t\n"), json!(false)] {
            let Some(last) = way.page_saying(&[2], none.clone()) else { continue };
            let api = ScriptedApi::new([way.page(&[1], "a"), last, way.last(&[3])]);
            let (items, error) = drain(&mut Pager::new(api.service(), way.query.clone()).items::<u32>()).await;
            assert!(error.is_none() && items == [1, 2], "{:?}, {none}: {error:?}", way.query);
            assert_eq!(api.left(), 1);
        }
        let api = ScriptedApi::new([way.page(&[1], "a"), way.last(&[2]), way.last(&[3])]);
        let (items, error) = drain(&mut Pager::new(api.service(), way.query.clone()).items::<u32>()).await;
        assert!(error.is_none() && items == [1, 2] && api.left() == 1, "{:?}: {error:?}", way.query);
    }
}

#[tokio::test(start_paused = true)]
async fn cursors_that_go_round_are_a_loop() {
    // The page whose successor was there before is good, and the last.
    for (tokens, good) in [(&["a", "a"][..], 2), (&["a", "b", "a", "b"], 3), (&["a", "b", "c", "b"], 4)] {
        for way in told() {
            let pages = || tokens.iter().zip(1..).map(|(next, item)| way.page(&[item], next));
            let api = ScriptedApi::new(pages().chain(pages()));
            let mut pager = Pager::new(api.service(), way.query.clone());
            let (pages, error) = drain(&mut pager).await;
            let story = format!("{tokens:?}, {:?}", way.query);
            assert_eq!((pages.len(), kind(error), api.requests()), (good, Some(ErrorKind::Loop), good), "{story}");
            assert!(pager.continuation().is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn three_empty_pages_in_a_row_are_not_the_end() {
    for way in told() {
        let pages =
            || [way.page(&[1], "a"), way.page(&[], "b"), way.page(&[], "c"), way.page(&[], "d"), way.last(&[2])];
        let api = ScriptedApi::new(pages());
        let (items, error) = drain(&mut Pager::new(api.service(), way.query.clone()).items::<u32>()).await;
        assert!(error.is_none() && items == [1, 2], "{:?}: {error:?}", way.query);

        // Whoever wants them to be, as the vendor's own program does, says so and gets an error.
        let api = ScriptedApi::new(pages());
        let mut pager = Pager::new(api.service(), way.query.clone()).max_empty_pages(2);
        let (pages, error) = drain(&mut pager).await;
        assert_eq!((pages.len(), kind(error)), (4, Some(ErrorKind::EmptyPages)), "{:?}", way.query);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_comes_again_byte_for_byte_is_found_out() {
    for way in counted() {
        let api = ScriptedApi::new((0..9).map(|_| way.page(&[7, 8], &json!(9))));
        let mut pager = Pager::new(api.service(), way.query.clone());
        let (pages, error) = drain(&mut pager).await;
        let error = error.unwrap();
        assert_eq!((pages.len(), error.kind(), error.page()), (1, ErrorKind::Loop, Some(2)), "{:?}", way.query);
        assert_eq!((api.requests(), pager.continuation().unwrap().pages()), (2, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn of_one_page_no_second_is_asked_for() {
    let page = r#"{"entities":[1],"pageCount":1,"pageNumber":1,"pageSize":25}"#;
    let counted = page.replace('}', r#","total":1}"#);
    let numbered = || Rule::page_number(Place::query("pageNumber")).page_count("/pageCount");
    let get = |rule| Query::get(format!("{API}/api/v2/x"), "/entities", rule).unwrap();
    for query in [
        get(numbered()),
        get(numbered().total("/total")),
        genesys::listing(API, "/api/v2/x").unwrap(),
        Query::auto_get(format!("{API}/api/v2/x")).unwrap(),
    ] {
        for page in [page, &counted] {
            let api = ScriptedApi::of_pages([page; 3]);
            let new = || Pager::new(api.service(), query.clone());
            for (way, (pages, error)) in [
                ("one by one", drain(&mut new()).await),
                ("several at once", drain(&mut new().concurrency(4)).await),
                ("ahead", drain(&mut new().read_ahead(4)).await),
            ] {
                assert!(error.is_none() && pages.len() == 1, "{way}, {query:?}: {error:?}");
            }
            assert_eq!(api.left(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_total_is_not_required_and_one_that_cannot_be_read_is_none() {
    for way in counted() {
        for total in [json!(null), json!("3"), json!(-1), json!({}), json!([3])] {
            let api = ScriptedApi::new([
                way.page(&[1, 2], &total),
                way.page(&[3], &total),
                way.page(&[], &total),
                way.page(&[4], &total),
            ]);
            let (items, error) = drain(&mut Pager::new(api.service(), way.query.clone()).items::<u32>()).await;
            assert!(error.is_none() && items == [1, 2, 3], "{:?}, {total}: {error:?}", way.query);
            assert_eq!(api.left(), 1, "a short page is not the end, an empty one is");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fewer_than_there_are_is_never_complete() {
    for way in counted() {
        for total in [2, 3, u64::MAX] {
            let api = ScriptedApi::new([way.page(&[1], &json!(total)), way.page(&[], &json!(total))]);
            let mut items = Pager::new(api.service(), way.query.clone()).items::<u32>();
            let (good, error) = drain(&mut items).await;
            assert_eq!((good, kind(error)), (vec![1], Some(ErrorKind::Incomplete)), "{:?}", way.query);
            assert_eq!(items.continuation().unwrap().items(), 1);
        }
        let api = ScriptedApi::new([way.page(&[1], &json!(2)), status(204, "")]);
        let (good, error) = drain(&mut Pager::new(api.service(), way.query.clone()).items::<u32>()).await;
        assert_eq!((good, kind(error)), (vec![1], Some(ErrorKind::Incomplete)), "{:?}", way.query);
    }
}

#[tokio::test(start_paused = true)]
async fn more_pages_than_allowed_are_an_error_and_not_a_cut() {
    for (query, pages) in all() {
        let api = ScriptedApi::new(pages);
        let mut items = Pager::new(api.service(), query.clone()).max_pages(2).items::<u32>();
        let (good, error) = drain(&mut items).await;
        let error = error.unwrap();
        assert_eq!((good, error.kind(), error.page()), (vec![1, 2], ErrorKind::MaxPages, Some(3)), "{query:?}");
        assert_eq!((api.requests(), items.continuation().unwrap().pages()), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_to_another_origin_is_not_followed() {
    for way in told().into_iter().filter(|way| way.is_url) {
        for elsewhere in
            ["https://api.mypurecloud.de/api/v2/x?p=a", "//login.mypurecloud.ie/x", "http://api.mypurecloud.ie/x"]
        {
            let Some(page) = way.page_saying(&[1], json!(elsewhere)) else { continue };
            let api = ScriptedApi::new([page, way.last(&[666])]);
            let (items, error) = drain(&mut Pager::new(api.service(), way.query.clone()).items::<u32>()).await;
            assert_eq!((items, kind(error), api.requests()), (vec![1], Some(ErrorKind::Origin), 1), "{elsewhere}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_before_it_is_wanted_nor_after_the_end() {
    for (query, pages) in all() {
        let api = ScriptedApi::new(pages.into_iter().chain([ok("never asked for")]));
        let mut pager = Pager::new(api.service(), query.clone());
        for asked in 0..3 {
            sleep(secs(60)).await;
            assert_eq!(api.requests(), asked, "{query:?}");
            pager.next().await.unwrap().unwrap();
        }
        for _ in 0..3 {
            assert!(pager.next().await.is_none());
        }
        assert_eq!((api.left(), pager.continuation()), (1, None), "{query:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_error_the_place_is_kept_and_another_process_goes_on_there() {
    for ((query, [first, ..]), (_, [_, second, third])) in all().into_iter().zip(all()) {
        let api = ScriptedApi::new([first, status(500, "")]);
        let mut pager = Pager::new(api.service(), query.clone());
        let (pages, error) = drain(&mut pager).await;
        assert_eq!((pages.len(), kind(error)), (1, Some(ErrorKind::Status)), "{query:?}");
        assert!(pager.next().await.is_none() && pager.next().await.is_none());
        let saved = serde_json::to_string(&pager.continuation().unwrap()).unwrap();
        let failed = api.seen().remove(1);

        let api = ScriptedApi::new([second, third]);
        let rest = Pager::resume(api.service(), query.clone(), serde_json::from_str(&saved).unwrap()).unwrap();
        let (items, error) = drain(&mut rest.items::<u32>()).await;
        assert!(error.is_none() && items == [2, 3], "{query:?}: {error:?}");
        let asked = api.seen().remove(0);
        assert_eq!((asked.method, asked.uri, asked.body), (failed.method, failed.uri, failed.body), "{query:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_parameter_whose_name_only_looks_like_it_stays() {
    let others = "dateAfter=2026-02-02&After=1&afterAll=2&xcursor=3&Cursor=4&cursors=5&firstPageNumber=6&pagenumber=7";
    let url = format!("{API}/api/v2/x?{others}");
    let cursor = |name: &str| Rule::cursor("/next", Place::query(name));
    for (rule, asked) in [
        (cursor("after"), ["", "&after=a", "&after=b"]),
        (cursor("cursor"), ["", "&cursor=a", "&cursor=b"]),
        (Rule::page_number(Place::query("pageNumber")), ["&pageNumber=1", "&pageNumber=2", "&pageNumber=3"]),
    ] {
        let last = r#"{"i":[]}"#;
        let api = ScriptedApi::of_pages([r#"{"i":[1],"next":"a"}"#, r#"{"i":[2],"next":"b"}"#, last]);
        let (_, error) = drain(&mut Pager::new(api.service(), Query::get(&url, "/i", rule).unwrap())).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(api.uris(), asked.map(|more| format!("{url}{more}")));
    }
    // A link is taken as it is.
    let link = format!("/api/v2/x?after=a&{others}");
    let api = ScriptedApi::new([ok(json!({"entities": [1], "nextUri": link}).to_string()), ok(r#"{"entities":[2]}"#)]);
    let (_, error) = drain(&mut Pager::new(api.service(), genesys::listing(API, "/api/v2/x").unwrap())).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(api.uris()[1], format!("{API}{link}"));
}

#[tokio::test(start_paused = true)]
async fn a_page_past_the_end_that_leaves_its_list_out_ends_what_has_come_and_nothing_else() {
    let page = |number: u32, total: u32| {
        ok(json!({"conversations": [{"conversationId": number}], "totalHits": total}).to_string())
    };
    let details = || ConversationDetails::query(API, INTERVAL).page_size(1).build().unwrap();
    let past = |total: u32| ok(json!({"totalHits": total}).to_string());
    for (answers, pages, error) in [
        (vec![page(1, 2), page(2, 2)], 2, None),
        (vec![page(1, 3), page(2, 3), past(2)], 3, None),
        (vec![page(1, 3), page(2, 3), past(3)], 2, Some(ErrorKind::Incomplete)),
        (vec![page(1, 2), page(2, 3), past(3)], 2, Some(ErrorKind::Incomplete)),
        // Nothing at all is no page.
        (vec![page(1, 3), ok("{}"), ok("{}"), ok("{}"), ok("{}")], 1, Some(ErrorKind::Body)),
    ] {
        let api = ScriptedApi::new(answers);
        let (came, found) = drain(&mut Pager::new(api.service(), details())).await;
        assert_eq!((came.len(), kind(found), api.left()), (pages, error, 0));
    }
}
