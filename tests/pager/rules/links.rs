//! URLs of next pages, in the body and in the Link header.

use http::{HeaderName, HeaderValue, Method};
use serde_json::json;
use tower_oauth2::{
    pager::{ErrorKind, Pager, Query, Rule},
    retry::Repeat,
};

use crate::{
    rules::URL,
    scripted_api::{Answer, ScriptedApi, drain, kind, ok},
};

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

fn linked(link: &[&str], page: &str) -> Answer {
    let mut response = ok(page)?;
    for link in link {
        response.headers_mut().append("link", HeaderValue::from_str(link)?);
    }
    Ok(response)
}

#[tokio::test(start_paused = true)]
async fn the_link_header_leads_from_page_to_page() {
    let api = ScriptedApi::new([
        linked(&[r#"<?page=2>; rel="next", <?page=4>; rel="last""#], "[1]"),
        linked(&[r#"<?page=1>; rel="prev""#, r#"</v2/users?page=3>; rel="next""#], "[]"),
        linked(&[r#"<?page=2>; rel="prev""#], "[3]"),
    ]);
    let query = Query::get(URL, "", Rule::link_header("Next")).unwrap();
    let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
    assert!(error.is_none() && items == [1, 3], "{error:?}");
    assert_eq!(api.uris(), [1, 2, 3].map(|page| format!("https://api.example.com/v2/users?page={page}")));
}

#[tokio::test(start_paused = true)]
async fn a_link_header_to_another_origin_is_not_followed_and_one_that_cannot_be_read_is_no_end() {
    let query = || Query::get(URL, "", Rule::link_header("next")).unwrap();
    let api = ScriptedApi::new([linked(&["<https://evil.example/2>; rel=next"], "[1]"), ok("[2]")]);
    let (pages, error) = drain(&mut Pager::new(api.service(), query())).await;
    assert_eq!((pages.len(), kind(error), api.requests()), (1, Some(ErrorKind::Origin), 1));

    for bad in ["<?page=2", "</2>; rel=next, </3>; rel=next"] {
        let api = ScriptedApi::new([linked(&[bad], "[1]"), linked(&[bad], "[1]"), ok("[1]")]);
        let (items, error) = drain(&mut Pager::new(api.service(), query()).items::<u32>()).await;
        assert!(error.is_none() && items == [1] && api.requests() == 3, "{bad}: {error:?}");

        let api = ScriptedApi::new([linked(&[bad], "[1]")]);
        let (pages, error) = drain(&mut Pager::new(api.service(), query()).page_attempts(1)).await;
        assert!(pages.is_empty() && error.unwrap().to_string().contains("Link header"), "{bad}");
    }
}
