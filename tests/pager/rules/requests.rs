//! What is on every request, and what is not shown.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use serde_json::json;
use tower::ServiceBuilder;
use tower_oauth2::{
    Deadline,
    pager::{Pager, Query, Rule},
    retry::Repeat,
};

use crate::{
    rules::URL,
    scripted_api::{ScriptedApi, drain},
};

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
