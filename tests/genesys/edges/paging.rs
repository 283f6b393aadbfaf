//! Every style of paging, by its rule and by guess, and what is none.

use serde_json::{Value, json};
use tower::ServiceExt;
use tower_oauth2::{
    genesys::{self, ConversationDetails},
    pager::{ErrorKind, Pager, Place, Query, Rule},
};

use crate::{
    edges::{
        styles::{Style, aggregates, cxone, details, get, linked, listings, pairs, scim, search, tutorials, users},
        world::{API, INTERVAL, World, with},
    },
    scripted_api::{ScriptedApi, drain, kind, ok, status},
};

#[tokio::test(start_paused = true)]
async fn each_style_is_read_to_its_end_by_its_rule_and_by_guess() {
    let one = [details(), users(), search(), scim(), aggregates(), cxone()];
    let styles = one.into_iter().chain(listings()).chain(linked()).chain(pairs()).chain(tutorials());
    for Style { query, guessed, pages, id, ids, second } in styles {
        for (how, query) in [("rule", Some(query)), ("guess", guessed)] {
            let Some(query) = query else { continue };
            let api = ScriptedApi::of_pages(pages.iter().map(Value::to_string));
            let (items, error) = drain(&mut Pager::new(api.service(), query).items::<Value>()).await;
            let story = format!("by {how}, to {}: {error:?}", api.uris()[0]);
            assert!(error.is_none(), "{story}");
            assert_eq!(items.iter().map(|item| item[id].as_str().unwrap()).collect::<Vec<_>>(), ids, "{story}");
            assert_eq!(api.requests(), 2, "{story}");
            let sent = api.seen().remove(1);
            assert_eq!((sent.method, sent.uri), (second.0.clone(), second.1.clone()), "{story}");
            assert_eq!(serde_json::from_str(&sent.body).ok(), second.2, "{story}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_token_that_has_a_parameter_of_its_name_is_told_a_rule() {
    let path = "/api/v2/integrations/actions/drafts?pageSize=2";
    let pages = [r#"{"entities":[{"id":"d1"}],"nextPage":"tok 2"}"#, r#"{"entities":[{"id":"d2"}]}"#];
    let rule = Rule::cursor("/nextPage", Place::query("nextPage"));
    let api = ScriptedApi::of_pages(pages);
    let query = Query::get(format!("{API}{path}"), "/entities", rule).unwrap();
    let (items, error) = drain(&mut Pager::new(api.service(), query).items::<Value>()).await;
    assert!(error.is_none() && items.len() == 2, "{error:?}");
    assert_eq!(api.uris()[1], format!("{API}{path}&nextPage=tok%202"));

    // A guess takes it for that of a search, and the API, which does not know that, begins again: found out.
    let api = ScriptedApi::of_pages([pages[0]; 4]);
    let (_, error) = drain(&mut Pager::new(api.service(), get(path))).await;
    assert_eq!(kind(error), Some(ErrorKind::Loop));
}

#[tokio::test(start_paused = true)]
async fn a_redirect_to_a_file_is_no_page_and_the_token_does_not_go_there() {
    let file = "https://bucket.s3.amazonaws.example/audit/part-1.json?X-Amz-Signature=TEST";
    let body = json!({"downloadUrl": file, "cursor": "Y3Vyc29yLTI="}).to_string();
    let redirect = || with(status(303, &body), "location", file);
    let url = format!("{API}/api/v2/audits/query/a1/results?allowRedirect=true");
    let world = World::new([redirect(), redirect(), ok(r#"[{"id":"a1"}]"#)]);
    let query = Query::get(&url, "/entities", Rule::cursor("/cursor", Place::query("cursor"))).unwrap();
    let error = world.failure(query, 0).await;
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Status, 303));
    assert!(!format!("{error} {error:?}").contains("Signature"), "{error:?}");
    assert_eq!(world.api.uris(), [url.as_str()], "nothing is sent there");

    // Whoever wants the file asks for it through the same stack, which has no token for it.
    for uri in [url.as_str(), file] {
        let request = http::Request::get(uri).body(http_body_util::Full::default()).unwrap();
        world.client().oneshot(request).await.unwrap();
    }
    let seen = world.api.seen();
    assert!(seen[1].headers.contains_key("authorization") && !seen[2].headers.contains_key("authorization"));
}

#[tokio::test(start_paused = true)]
async fn nothing_found_is_a_complete_answer_in_every_style_that_says_so() {
    let no_scim = r#"{"totalResults":0,"startIndex":1,"itemsPerPage":0}"#;
    let no_users = r#"{"entities":[],"pageSize":25,"pageNumber":1,"total":0,"pageCount":0}"#;
    for (query, page) in [
        (details().query, r#"{"totalHits":0}"#),
        (details().query, r#"{"conversations":[],"totalHits":0}"#),
        (users().query, r#"{"totalHits":0}"#),
        (scim().query, no_scim),
        (get("/api/v2/scim/v2/users"), no_scim),
        (genesys::listing(API, "/api/v2/users").unwrap(), no_users),
        (get("/api/v2/users"), no_users),
        (search().query, r#"{"total":0,"pageCount":0,"results":[]}"#),
        (pairs()[0].query.clone(), r#"{"entities":[],"cursors":{}}"#),
        (aggregates().query, r#"{"results":[]}"#),
        (tutorials()[0].query.clone(), r#"{"results":[],"nextPage":null}"#),
        (cxone().query, r#"{"totalRecords":0,"_links":{},"completedContacts":[]}"#),
    ] {
        let api = ScriptedApi::of_pages([page]);
        let (pages, error) = drain(&mut Pager::new(api.service(), query).page_attempts(1)).await;
        assert!(error.is_none() && pages.len() == 1 && pages[0].is_empty(), "{page}: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_a_query_takes_is_sent_as_it_is() {
    let predicates = |dimension: &str| json!([{"type": "or", "clauses": [], "predicates": [{"dimension": dimension}]}]);
    let mut taken = json!({"aggregations": [{"type": "termFrequency", "dimension": "mediaType", "size": 1.50}]});
    for kind in ["conversation", "segment", "evaluation", "survey", "resolution"] {
        taken[format!("{kind}Filters")] = predicates(kind);
    }
    let api = ScriptedApi::of_pages([r#"{"aggregations":[],"totalHits":0}"#]);
    let query = ConversationDetails::query(API, INTERVAL).filters(taken.clone()).build().unwrap();
    let (_, error) = drain(&mut Pager::new(api.service(), query)).await;
    assert!(error.is_none(), "{error:?}");
    let sent: Value = serde_json::from_str(&api.bodies()[0]).unwrap();
    let names: Vec<_> = taken.as_object().unwrap().keys().collect();
    assert!(names.iter().all(|name| sent[*name] == taken[*name]), "{sent}");
    assert_eq!(sent["paging"], json!({"pageSize": 100, "pageNumber": 1}), "the body has it, counted from one");
    assert_eq!(sent.as_object().unwrap().len(), names.len() + 4);
}
