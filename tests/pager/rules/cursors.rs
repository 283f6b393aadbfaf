//! Cursors and keys.

use http::HeaderValue;
use serde_json::{Value, json};
use tower_oauth2::pager::{ErrorKind, Pager, Place, Query, Rule};

use crate::{
    rules::URL,
    scripted_api::{Answer, ScriptedApi, drain, kind, ok},
};

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

fn with(header: &[u8], page: &str) -> Answer {
    let mut response = ok(page)?;
    response.headers_mut().insert("x-next", HeaderValue::from_bytes(header)?);
    Ok(response)
}

#[tokio::test(start_paused = true)]
async fn a_cursor_in_a_header_ends_where_it_is_blank_or_absent() {
    for last in [ok("[3]"), with(b" ", "[3]")] {
        let api = ScriptedApi::new([with(b"a b", "[1]"), with(b"42", "[]"), last]);
        let query = Query::get(URL, "", Rule::header_cursor("X-Next", Place::query("after"))).unwrap();
        let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
        assert!(error.is_none() && items == [1, 3], "{error:?}");
        assert_eq!(api.uris()[1..], [format!("{URL}&after=a%20b"), format!("{URL}&after=42")]);
    }

    let api = ScriptedApi::new([with(b"\xff", "[1]")]);
    let query = Query::get(URL, "", Rule::header_cursor("x-next", Place::query("after"))).unwrap();
    let (pages, error) = drain(&mut Pager::new(api.service(), query).page_attempts(1)).await;
    assert!(pages.is_empty() && error.unwrap().to_string().contains("x-next is not text"));

    let error = Query::get(URL, "", Rule::header_cursor("x next", Place::query("after"))).unwrap_err();
    assert!(error.to_string().contains("no name of a header"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_keyset_goes_on_behind_the_last_item_and_ends_without_one() {
    let api = ScriptedApi::of_pages([
        r#"{"i":[{"k":{"id":9}},{"k":{"id":3}}]}"#,
        r#"{"i":[{"k":{"id":"b&c"}}]}"#,
        r#"{"i":[]}"#,
        "never asked for",
    ]);
    let query = Query::post(URL, json!({"q": 1}), "/i", Rule::keyset("/k/id", Place::body("/after"))).unwrap();
    let (pages, error) = drain(&mut Pager::new(api.service(), query)).await;
    assert!(error.is_none() && pages.len() == 3 && api.left() == 1, "{error:?}");
    let sent: Vec<Value> = api.bodies().iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(sent, [json!({"q": 1}), json!({"q": 1, "after": 3}), json!({"q": 1, "after": "b&c"})]);
}

#[tokio::test(start_paused = true)]
async fn a_last_item_without_a_key_is_an_error_and_not_the_end() {
    for item in ["{}", r#"{"id":null}"#, r#"{"id":" "}"#, r#"{"id":{}}"#, "7"] {
        let api = ScriptedApi::of_pages([format!(r#"{{"i":[{{"id":1}},{item}]}}"#)]);
        let query = Query::get(URL, "/i", Rule::keyset("/id", Place::query("after"))).unwrap();
        let (pages, error) = drain(&mut Pager::new(api.service(), query).page_attempts(1)).await;
        assert!(pages.is_empty() && kind(error) == Some(ErrorKind::Body), "{item}");
    }
    // The same key again: the server did not understand what it was asked.
    let api = ScriptedApi::of_pages([r#"{"i":[{"id":1}]}"#, r#"{"i":[{"id":1}]}"#]);
    let query = Query::get(URL, "/i", Rule::keyset("/id", Place::query("after"))).unwrap();
    let (pages, error) = drain(&mut Pager::new(api.service(), query)).await;
    assert_eq!((pages.len(), kind(error)), (2, Some(ErrorKind::Loop)));
}
