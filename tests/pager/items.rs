//! Items come as the API wrote them, or as values of the caller's type.

use std::{collections::HashMap, error::Error as _};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use serde::Deserialize;
use serde_json::Value;
use tower::{BoxError, service_fn};
use tower_oauth2::{
    pager::{ErrorKind, Pager, Query, Rule},
    testing::{Analytics, Issuer},
};

use crate::{
    analytics_shapes::{API, assert_all_records, authorized, shapes},
    scripted_api::{ScriptedApi, drain},
};

const ODD: [&str; 12] = [
    "1.10",
    "-0",
    "1e2",
    "123456789012345678901234567890.000",
    r#""\u0041\/""#,
    r#"{ "a" : [ 1 ,2 ],"a":3 }"#,
    "null",
    "true",
    r#""é 𝄞""#,
    "[]",
    r#""]}""#,
    r#""\ud800""#,
];

#[tokio::test(start_paused = true)]
async fn raw_items_are_what_the_api_wrote_digit_for_digit() {
    let page = format!("{{\"x\":{{\"i\":[ {} ]}}}}", ODD.join(" ,\n\t"));
    let query = Query::get("https://api.example.com/u", "/x/i", Rule::single()).unwrap();
    let (items, error) = drain(&mut Pager::new(ScriptedApi::of_pages([page]).service(), query).raw_items()).await;
    assert!(error.is_none(), "{error:?}");
    let items: Vec<_> = items.iter().map(|item| std::str::from_utf8(item.as_bytes()).unwrap()).collect();
    assert_eq!(items, ODD);
}

#[tokio::test(start_paused = true)]
async fn the_records_of_every_shape_are_served_byte_for_byte() {
    for shape in 0..3 {
        for (records, size) in [(0, 5), (1, 5), (5, 5), (6, 5), (250, 100), (250, 1)] {
            let analytics = Analytics::builder(&Issuer::new()).records(records).build();
            let query = shapes(&analytics, API, size)[shape].clone();
            let (items, error) = drain(&mut Pager::new(authorized(&analytics), query).raw_items()).await;
            assert!(error.is_none(), "{error:?}");
            assert_all_records(&analytics, &items);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_comes_in_small_pieces_is_the_same_page() {
    let page = format!(r#"{{"i":[{}],"next":null}}"#, ODD.join(","));
    for size in [1, 2, 7, 1000] {
        let text = Bytes::from(page.clone());
        let api = service_fn(move |_: Request<Full<Bytes>>| {
            let pieces: Vec<_> = text.chunks(size).map(Bytes::copy_from_slice).collect();
            let frames = pieces.into_iter().map(|piece| Ok::<_, BoxError>(Frame::data(piece)));
            let trailers = Frame::trailers(http::HeaderMap::new());
            let body = StreamBody::new(stream::iter(frames.chain([Ok(trailers)])));
            async { Ok::<_, BoxError>(Response::new(body)) }
        });
        let pages: Vec<_> = Pager::new(api, query()).try_collect().await.unwrap();
        assert_eq!((pages[0].bytes(), pages[0].len()), (&Bytes::from(page.clone()), ODD.len()));
    }
}

#[tokio::test(start_paused = true)]
async fn items_become_values_of_any_type() {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Conversation {
        conversation_id: String,
        participants: Vec<HashMap<String, Value>>,
    }
    let analytics = Analytics::builder(&Issuer::new()).records(7).build();
    for query in shapes(&analytics, API, 3) {
        let items = Pager::new(authorized(&analytics), query).items::<Conversation>();
        let items: Vec<_> = items.try_collect().await.unwrap();
        assert_eq!(items.len(), 7);
        for (index, item) in (0..).zip(&items) {
            assert_eq!(item.conversation_id, analytics.conversation_id(index));
            assert!(!item.participants.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_of_another_type_is_named_and_ends_the_stream() {
    let api = ScriptedApi::of_pages([
        r#"{"i":[1,2],"next":"/2"}"#,
        r#"{"i":[3,"four",5],"next":"/3"}"#,
        r#"{"i":[6]}"#,
        r#"{"i":[3,4,5]}"#,
    ]);
    let mut items = Pager::new(api.service(), query()).items::<u32>();
    let (good, error) = drain(&mut items).await;
    let error = error.unwrap();
    assert_eq!(good, [1, 2, 3]);
    assert_eq!((error.kind(), error.page()), (ErrorKind::Decode, Some(2)));
    assert_eq!(error.to_string(), "page 2: item 2 is not of the type asked for");
    assert!(error.source().unwrap().is::<serde_json::Error>());
    for _ in 0..3 {
        assert!(items.next().await.is_none(), "it goes on after the error");
    }
    assert_eq!(api.requests(), 2);

    let continuation = items.continuation().unwrap();
    assert_eq!((continuation.pages(), continuation.items()), (1, 2));
    let resumed = Pager::resume(api.service(), query(), continuation).unwrap();
    drain(&mut resumed.raw_items()).await;
    assert_eq!(api.uris()[2], api.uris()[1]);
}

#[tokio::test(start_paused = true)]
async fn the_last_item_of_the_last_page_is_no_exception() {
    let api = ScriptedApi::of_pages([r#"{"i":[1,"two"]}"#]);
    let mut items = Pager::new(api.service(), query()).items::<u32>();
    let (good, error) = drain(&mut items).await;
    assert_eq!((good, error.unwrap().kind()), (vec![1], ErrorKind::Decode));
    assert_eq!(items.continuation().unwrap().pages(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_page_has_its_items_fields_and_total() {
    let text = r#"{"i":[1,"x",3],"total":3,"a":{"b~/c":[{"d":"e"}],"n":1.50},"next":null}"#;
    let query = Query::get("https://api.example.com/u", "/i", Rule::next_url("/next").total("/total")).unwrap();
    let pages: Vec<_> = Pager::new(ScriptedApi::of_pages([text]).service(), query).try_collect().await.unwrap();
    let page = &pages[0];
    assert_eq!((page.number(), page.len(), page.is_empty(), page.total()), (1, 3, false, Some(3)));
    assert_eq!(page.bytes(), text);
    assert_eq!(page.field::<String>("/a/b~0~1c/0/d").as_deref(), Some("e"));
    assert_eq!(page.field::<Box<serde_json::value::RawValue>>("/a/n").unwrap().get(), "1.50");
    assert_eq!(page.field::<u64>("/total"), Some(3));
    assert_eq!(page.field::<u64>("/none"), None);
    assert_eq!(page.field::<u64>("/a"), None);
    assert_eq!(page.field::<u64>("no pointer"), None);
    assert_eq!(page.field::<Option<u64>>("/next"), Some(None));

    let items: Vec<_> = page.items::<u32>().collect();
    assert!(matches!(items[..], [Ok(1), Err(_), Ok(3)]));
    let error = items[1].as_ref().unwrap_err();
    assert_eq!(error.to_string(), "page 1: item 2 is not of the type asked for");
    assert!(!format!("{page:?}").contains("\"e\""), "Debug shows the page");
}

fn query() -> Query {
    Query::get("https://api.example.com/1", "/i", Rule::next_url("/next")).unwrap()
}
