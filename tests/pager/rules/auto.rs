//! Rules that the first page decides on.

use http::Method;
use serde_json::{Value, json};
use tower_oauth2::pager::{ErrorKind, Pager, Query};

use crate::scripted_api::{Answer, ScriptedApi, drain, kind, ok, status};

const URL: &str = "https://api.example.com/v2/things";

fn get() -> Query {
    Query::auto_get(URL).unwrap()
}

fn post() -> Query {
    Query::auto_post(URL, json!({"q": 1})).unwrap()
}

/// What was sent after the first request.
async fn follow_ups(query: Query, pages: &[&str]) -> Vec<(Method, String, String)> {
    let api = ScriptedApi::of_pages(pages.iter().copied());
    let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
    assert!(error.is_none(), "{pages:?}: {error:?}");
    assert_eq!(items, (1..=u32::try_from(items.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(api.left(), 0, "{pages:?}");
    let sent = api.seen().into_iter().map(|seen| (seen.method, seen.uri, seen.body));
    sent.skip(1).collect()
}

#[tokio::test(start_paused = true)]
async fn both_shapes_of_the_tutorials_are_found() {
    let pages = [r#"{"results":[1],"nextPage":"/v2/things?pageToken=t2"}"#, r#"{"results":[2],"nextPage":null}"#];
    let url = format!("{URL}?pageToken=t2");
    assert_eq!(follow_ups(post(), &pages).await, [(Method::GET, url, String::new())]);

    let pages = [r#"{"entities":[1],"next_page":"t 2"}"#, r#"{"entities":[2],"next_page":""}"#];
    let url = format!("{URL}?page_token=t%202");
    assert_eq!(follow_ups(post(), &pages).await, [(Method::POST, url, r#"{"q":1}"#.into())]);
}

#[tokio::test(start_paused = true)]
async fn every_way_of_the_api_itself_is_found() {
    let to = |query: &str| vec![(Method::GET, format!("{URL}?{query}"), String::new())];
    let listing =
        [r#"{"entities":[1],"pageCount":2,"nextUri":"?pageNumber=2","cursors":{"after":"x"}}"#, r#"{"entities":[2]}"#];
    assert_eq!(follow_ups(get(), &listing).await, to("pageNumber=2"));
    let search = [r#"{"results":[1],"pageCount":2,"nextPage":"eyJwIjoyfQ"}"#, r#"{"results":[2]}"#];
    assert_eq!(follow_ups(post(), &search).await, to("q64=eyJwIjoyfQ"));
    let cursor = [r#"{"conversations":[1],"cursor":"a=="}"#, r#"{"conversations":[2]}"#];
    assert_eq!(follow_ups(get(), &cursor).await, to("cursor=a%3D%3D"));
    let pair = [r#"{"entities":[1],"cursors":{"after":"b"}}"#, r#"{"entities":[2],"cursors":{}}"#];
    assert_eq!(follow_ups(get(), &pair).await, to("after=b"));
    let cxone = [
        r#"{"completedContacts":[1],"_links":{"next":"https://api.example.com/v2/things?skip=1"}}"#,
        r#"{"completedContacts":[2],"_links":{"next":""}}"#,
    ];
    assert_eq!(follow_ups(get(), &cxone).await, to("skip=1"));
    let counted =
        [r#"{"entities":[1],"pageCount":2,"pageNumber":1}"#, r#"{"entities":[2],"pageCount":2,"pageNumber":2}"#];
    assert_eq!(follow_ups(get(), &counted).await, to("pageNumber=2"));
    let scim = [r#"{"Resources":[1],"totalResults":2,"startIndex":1}"#, r#"{"Resources":[2],"totalResults":2}"#];
    assert_eq!(follow_ups(get(), &scim).await, to("startIndex=2"));

    let details = [r#"{"conversations":[1],"totalHits":2}"#, r#"{"conversations":[2],"totalHits":2}"#];
    let sent = follow_ups(post(), &details).await;
    let body: Value = serde_json::from_str(&sent[0].2).unwrap();
    assert_eq!((&sent[0].0, body), (&Method::POST, json!({"q": 1, "paging": {"pageNumber": 2}})));

    let linked = |page: &'static str, link: Option<&'static str>| -> Answer {
        let mut response = ok(page)?;
        link.map(|link| response.headers_mut().insert("link", http::HeaderValue::from_static(link)));
        Ok(response)
    };
    let api =
        ScriptedApi::new([linked(r#"{"items":[1]}"#, Some("<?p=2>; rel=next")), linked(r#"{"items":[2]}"#, None)]);
    let (items, error) = drain(&mut Pager::new(api.service(), get()).items::<u32>()).await;
    assert!(error.is_none() && items == [1, 2] && api.uris()[1] == format!("{URL}?p=2"), "{error:?}");

    // An array goes before null, and a token may begin with a slash.
    let both =
        [r#"{"entities":null,"results":[1],"cursor":"/a"}"#, r#"{"results":[2],"cursor":"b"}"#, r#"{"results":[3]}"#];
    let sent = follow_ups(get(), &both).await;
    assert_eq!(
        sent.iter().map(|sent| sent.1.as_str()).collect::<Vec<_>>(),
        [format!("{URL}?cursor=%2Fa"), format!("{URL}?cursor=b")]
    );

    for alone in [r#"{"results":[1]}"#, r#"{"totalHits":0}"#, r#"{"items":null,"next":null}"#] {
        assert!(follow_ups(get(), &[alone]).await.is_empty(), "{alone}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_names_its_next_one_elsewhere_is_an_error_and_not_the_last() {
    for (first, second) in [
        (r#"{"results":[1],"nextPage":"/2"}"#, r#"{"results":[2],"next_page":"t"}"#),
        (r#"{"results":[1],"nextPage":"/2"}"#, r#"{"results":[2],"nextPage":"t"}"#),
        (r#"{"results":[1],"nextPage":"t"}"#, r#"{"results":[2],"nextPage":"https://api.example.com/2"}"#),
        (r#"{"entities":[1],"pageCount":3}"#, r#"{"entities":[2],"pageCount":3,"nextUri":"/2"}"#),
    ] {
        let api = ScriptedApi::of_pages([first, second]);
        let mut pager = Pager::new(api.service(), get()).page_attempts(1);
        let (pages, error) = drain(&mut pager).await;
        let error = error.unwrap();
        assert!(pages.len() == 1 && error.kind() == ErrorKind::Body, "{error}");
        assert!(error.to_string().contains("did not on the first page"), "{error}");
    }
    // The only page, by its own account, is not all.
    for total in ["totalHits", "total", "totalRecords"] {
        let api = ScriptedApi::of_pages([format!(r#"{{"results":[1],"{total}":2}}"#)]);
        let (pages, error) = drain(&mut Pager::new(api.service(), get())).await;
        assert_eq!((pages.len(), kind(error)), (0, Some(ErrorKind::Incomplete)), "{total}");
    }
    // So is one whose items are elsewhere, with a cursor and without one.
    for second in [r#"{"entities":[2],"cursor":"3"}"#, r#"{"results":null,"entities":[2],"cursor":"3"}"#] {
        let api = ScriptedApi::of_pages([r#"{"results":[1],"cursor":"2"}"#, second, r#"{"results":[3]}"#]);
        let (pages, error) = drain(&mut Pager::new(api.service(), get()).page_attempts(1)).await;
        assert_eq!((pages.len(), kind(error)), (1, Some(ErrorKind::Body)), "{second}");
    }
    // Once decided, the items are where they were.
    let api = ScriptedApi::of_pages([r#"{"results":[1],"cursor":"2"}"#, r#"{"entities":[2]}"#]);
    let (pages, error) = drain(&mut Pager::new(api.service(), get()).page_attempts(1)).await;
    assert_eq!((pages.len(), kind(error)), (1, Some(ErrorKind::Body)));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_guessed_is_an_error_that_says_what_to_do() {
    for (query, page, says) in [
        (get(), r#"{"things":[1]}"#, "a list at none of /conversations"),
        (get(), r#"{"results":"x"}"#, "a list at none of"),
        (get(), r#"{"error":"oops"}"#, "a list at none of"),
        (get(), r#"{"results":[1],"next":"t"}"#, "tell the query a Rule"),
        (get(), r#"{"results":[1],"next":{}}"#, "neither text nor a number"),
        (get(), r#"{"entities":[1],"pageCount":9,"pageNumber":3}"#, "begins with page 3"),
        (
            Query::auto_post(URL, json!({"paging": {"pageNumber": 4}})).unwrap(),
            r#"{"conversations":[1],"totalHits":9}"#,
            "begins with page 4",
        ),
        (get(), "<html>", "not the JSON it should be"),
        (get(), r#"{"users":[1],"pageCount":3,"pageNumber":1}"#, "a list at none of"),
        (get(), r#"{"users":[1],"pageNumber":0,"pageCount":3}"#, "a list at none of"),
        (post(), r#"{"results":[1],"pageCount":5,"pageNumber":1}"#, "there are more pages"),
        (get(), r#"{"results":[1],"has_more":true}"#, "there are more pages"),
        (get(), r#"{"results":[1],"hasMore":"true"}"#, "there are more pages"),
        (post(), r#"{"results":[1],"total":"500"}"#, "total is text"),
        (
            Query::auto_get(format!("{URL}?pageNumber=3")).unwrap(),
            r#"{"entities":[1],"pageCount":9}"#,
            "begins with page 3",
        ),
    ] {
        let api = ScriptedApi::of_pages([page]);
        let (pages, error) = drain(&mut Pager::new(api.service(), query).page_attempts(1)).await;
        let error = error.unwrap().to_string();
        assert!(pages.is_empty() && error.contains(says), "{page}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_goes_along_into_another_process() {
    let api = ScriptedApi::new([ok(r#"{"results":[1],"nextPage":"t2"}"#), status(400, "")]);
    let mut pager = Pager::new(api.service(), post());
    assert!(!serde_json::to_string(&pager.continuation()).unwrap().contains("auto"));
    let (_, error) = drain(&mut pager).await;
    assert_eq!(kind(error), Some(ErrorKind::Status));
    let saved = serde_json::to_string(&pager.continuation()).unwrap();

    let rest = [r#"{"results":[2],"nextPage":"t3"}"#, r#"{"results":[3]}"#];
    let api = ScriptedApi::of_pages(rest);
    let mut rest = Pager::resume(api.service(), post(), serde_json::from_str(&saved).unwrap()).unwrap().items::<u32>();
    let (items, error) = drain(&mut rest).await;
    assert!(error.is_none() && items == [2, 3], "{error:?}");
    assert_eq!(api.uris(), ["t2", "t3"].map(|token| format!("{URL}?q64={token}")));
    assert!(api.seen().iter().all(|seen| seen.method == Method::GET));

    // A page that does not look like that is not guessed anew.
    let api = ScriptedApi::of_pages([r#"{"entities":[2]}"#]);
    let rest = Pager::resume(api.service(), post(), serde_json::from_str(&saved).unwrap()).unwrap();
    let (pages, error) = drain(&mut rest.page_attempts(1)).await;
    assert!(pages.is_empty() && kind(error) == Some(ErrorKind::Body));
    assert!(Pager::resume(api.service(), get(), serde_json::from_str(&saved).unwrap()).is_err(), "another query");
}
