//! NICE CXone: its tokens in each form, and its reports.

use std::convert::Infallible;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower::ServiceBuilder;
use tower_oauth2::{
    TokenCache, TokenSource,
    cxone::{self, AccessKey},
    grant::ClientAuth,
    pager::{ErrorKind, Job, Pager, Place, Query, Rule},
    retry::{RetryLayer, RetryPolicy},
};

use crate::{
    edges::world::{secs, with},
    scripted_api::{Answer, ScriptedApi, broken, drain, kind, ok, status},
};

const BASE: &str = "https://api-na1.niceincontact.com";
const TOKEN_URL: &str = "https://cxone.niceincontact.com/auth/token";
/// What is between the dots says `{"tenantId":"22ff"}`.
const JWT: &str = "eyJhbGciOiJub25lIn0.eyJ0ZW5hbnRJZCI6IjIyZmYifQ.TEST";

fn key() -> AccessKey {
    AccessKey::new("KEYID====", "KEY+SECRET====")
}

fn token() -> Answer {
    ok(json!({"access_token": "a1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r1"}).to_string())
}

#[tokio::test(start_paused = true)]
async fn an_access_key_is_encoded_wherever_the_client_stands() {
    let pair = "grant_type=password&username=KEYID%3D%3D%3D%3D&password=KEY%2BSECRET%3D%3D%3D%3D";
    for (auth, authorization, body) in [
        (ClientAuth::basic("app", "s3cr3t"), Some("Basic YXBwOnMzY3IzdA=="), pair.to_owned()),
        (ClientAuth::post("app", "s3cr3t"), None, format!("{pair}&client_id=app&client_secret=s3cr3t")),
    ] {
        let login = ScriptedApi::new([token()]);
        let grant = cxone::access_key_grant(login.service(), TOKEN_URL, auth, key()).unwrap();
        assert_eq!(grant.token(None).await.unwrap().lifetime(), Some(secs(3600)));
        let asked = login.seen().remove(0);
        assert_eq!(asked.headers.get("authorization").map(|field| field.to_str().unwrap()), authorization);
        assert_eq!((asked.method.as_str(), asked.uri.as_str(), asked.body), ("POST", TOKEN_URL, body));
    }
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_calls_takes_one_token() {
    let login = ScriptedApi::new([token(), token()]);
    let auth = ClientAuth::basic("app", "s3cr3t");
    let tokens = TokenCache::new(cxone::access_key_grant(login.service(), TOKEN_URL, auth, key()).unwrap());
    for _ in 0..320 {
        tokens.token().await.unwrap();
        sleep(secs(10)).await;
    }
    assert_eq!(login.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn user_hub_is_where_the_tenant_is_and_spells_lifetimes_as_it_likes() {
    for area in ["na1", "au1", "eu1", "uk1"] {
        for lifetime in [json!(3600), json!("3600")] {
            let hub = ScriptedApi::new([
                ok(json!({"access_token": "a1", "refresh_token": "r1", "expires_in": lifetime}).to_string()),
                ok(json!({
                    "token": "a2", "refreshToken": "r2", "tokenExpirationTimeSec": lifetime,
                    "refreshTokenExpirationTimeSec": "7200",
                })
                .to_string()),
            ]);
            let minted = cxone::user_hub_grant(hub.service(), area, key()).unwrap().token(None).await.unwrap();
            let keep = |_: String| async { Ok::<_, Infallible>(()) };
            let grant = cxone::user_hub_refresh(hub.service(), area, "r1", keep).unwrap();
            let refreshed = grant.token(None).await.unwrap();
            assert_eq!((minted.secret(), refreshed.secret()), ("a1", "a2"));
            assert_eq!([minted.lifetime(), refreshed.lifetime()], [Some(secs(3600)); 2], "{lifetime}");
            let at = format!("https://{area}.nice-incontact.com");
            assert_eq!(
                hub.uris(),
                [format!("{at}/authentication/v1/token/access-key"), format!("{at}/public/user/refresh")]
            );
            let sent: Vec<Value> = hub.bodies().iter().map(|body| serde_json::from_str(body).unwrap()).collect();
            assert_eq!(sent[0], json!({"accessKeyId": "KEYID====", "accessKeySecret": "KEY+SECRET===="}));
            assert_eq!(sent[1], json!({"token": "r1"}));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_tenant_is_named_by_the_answer_or_by_a_token_in_it() {
    for (answer, tenant) in [
        (json!({"access_token": "a1", "tenantId": "11ee"}), Some("11ee")),
        (json!({"access_token": JWT, "tenantId": "11ee", "id_token": JWT}), Some("11ee")),
        (json!({"access_token": "a1", "id_token": JWT}), Some("22ff")),
        (json!({"access_token": JWT}), Some("22ff")),
        (json!({"access_token": JWT, "id_token": "no.jwt"}), Some("22ff")),
        (json!({"access_token": JWT, "tenantId": 7}), Some("22ff")),
        (json!({"access_token": "a1"}), None),
        (json!({"access_token": "a.e30.b"}), None),
        (json!({"access_token": "a.b"}), None),
        (json!({"access_token": "a1", "tenantId": ""}), None),
    ] {
        let login = ScriptedApi::new([ok(answer.to_string())]);
        let grant = cxone::access_key_grant(login.service(), TOKEN_URL, ClientAuth::anonymous(), key()).unwrap();
        let token = grant.token(None).await.unwrap();
        assert_eq!(cxone::tenant_id(&token).as_deref(), tenant, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_items_of_a_report_are_where_they_are_said_to_be_and_instants_stay_as_they_are() {
    for items in ["completedContacts", "contacts", "agentStateHistory", "skillSummaries"] {
        let path =
            "/incontactapi/services/v30.0/x?updatedSince=2026-02-02T00:00:00Z&orderBy=lastUpdateTime%20asc&top=1";
        let next = format!("{BASE}{path}&skip=1");
        let page =
            |item: &str, links: Value| ok(json!({items: [item], "totalRecords": 2, "_links": links}).to_string());
        for (last, all) in
            [(page("PT1H2M", json!({"self": next})), 2), (page("PT1H2M", Value::Null), 2), (status(204, ""), 1)]
        {
            let api = ScriptedApi::new([page("PT2S", json!({"next": next})), last]);
            let query = cxone::report(BASE, path, &format!("/{items}")).unwrap();
            let (came, error) = drain(&mut Pager::new(api.service(), query).items::<String>()).await;
            assert!(error.is_none() && came == ["PT2S", "PT1H2M"][..all], "{error:?}");
            assert_eq!(api.uris(), [format!("{BASE}{path}"), next.clone()]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_is_counted_with_skip_until_there_is_no_content() {
    let url = format!("{BASE}/incontactapi/services/v30.0/contacts/completed?startDate=2026-02-02T00:00:00Z&top=2");
    let rule = Rule::offset(Place::query("skip"));
    let api =
        ScriptedApi::new([ok(r#"{"completedContacts":[1,2]}"#), ok(r#"{"completedContacts":[3]}"#), status(204, "")]);
    let query = Query::get(&url, "/completedContacts", rule).unwrap().explain_errors(cxone::explain);
    let mut pager = Pager::new(api.service(), query);
    let (pages, error) = drain(&mut pager).await;
    assert!(error.is_none() && pages.len() == 2 && pager.continuation().is_none(), "{error:?}");
    assert_eq!(api.uris(), [0, 2, 3].map(|skip| format!("{url}&skip={skip}")));
}

fn report() -> Query {
    cxone::report(BASE, "/services/v30.0/contacts?top=1", "/contacts").unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_error_is_told_by_the_body_or_else_by_the_header() {
    let described = |body: &str, text: &str| with(status(400, body), "icstatusdescription", text);
    for (answer, code, message) in [
        (described("", "Invalid updatedSince"), None, Some("Invalid updatedSince")),
        (described("<html>", "Invalid updatedSince"), None, Some("Invalid updatedSince")),
        (described(r#"{"error":"","error_description":" "}"#, "Invalid"), None, Some("Invalid")),
        (described(r#"{"error_description":"","message":"No top"}"#, "Invalid"), None, Some("No top")),
        (described(r#"{"errorCode":"E7","errorDescription":"No top"}"#, "Invalid"), Some("E7"), Some("No top")),
        (described(r#"{"error":"","errorCode":"E7"}"#, " "), Some("E7"), None),
        (status(400, ""), None, None),
    ] {
        let api = ScriptedApi::new([with(answer, "correlationid", "0000c0de-8")]);
        let (_, error) = drain(&mut Pager::new(api.service(), report())).await;
        let error = error.unwrap();
        let said = error.api().unwrap();
        assert_eq!((said.code.as_deref(), said.message.as_deref()), (code, message));
        assert_eq!(error.correlation_id(), Some("0000c0de-8"));
    }
    // And a page that is broken has an id as well.
    let api = ScriptedApi::new([with(broken(r#"{"contacts":["#), "correlationid", "0000c0de-9")]);
    let (_, error) = drain(&mut Pager::new(api.service(), report()).page_attempts(1)).await;
    assert_eq!(error.unwrap().correlation_id(), Some("0000c0de-9"));
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_waited_for_without_a_word_of_when_and_a_mistake_is_not_repeated() {
    let page = || ok(r#"{"contacts":[1],"_links":{}}"#);
    for (code, requests) in [(429, 2), (500, 2), (503, 2), (400, 1), (403, 1), (404, 1)] {
        let api = ScriptedApi::new([status(code, ""), page()]);
        let client = ServiceBuilder::new().layer(RetryLayer::new(RetryPolicy::new().seed(1))).service(api.service());
        let begun = Instant::now();
        let (_, error) = drain(&mut Pager::new(client, report())).await;
        assert_eq!((error.is_none(), api.requests()), (requests == 2, requests), "{code}");
        assert!(Instant::now() - begun <= secs(2));
    }
}

#[tokio::test(start_paused = true)]
async fn an_extraction_can_be_asked_after_no_more_often_than_each_thirty_seconds() {
    let jobs = format!("{BASE}/data-extraction/v1/jobs");
    let running = json!({"jobStatus": {"id": "j1", "status": "RUNNING"}}).to_string();
    let failed = json!({"jobStatus": {"id": "j1", "status": "FAILED", "result": {"errorMessage": "No such entity"}}});
    let states = (0..20).map(|_| ok(running.clone())).chain([ok(failed.to_string())]);
    let api = ScriptedApi::new([status(202, r#""j1""#)].into_iter().chain(states));
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let client = ServiceBuilder::new()
        .map_request({
            let asked = std::sync::Arc::clone(&asked);
            move |request| {
                asked.lock().unwrap().push(Instant::now());
                request
            }
        })
        .service(api.service());
    // Half of each pause is chance.
    let query = Job::post(&jobs, json!({"entityName": "qm-workflows"}), "")
        .status(format!("{jobs}/{{id}}"), "/jobStatus/status")
        .message("/jobStatus/result/errorMessage")
        .poll_every(secs(60), secs(60))
        .results(Query::get(format!("{jobs}/{{id}}/rows"), "/rows", Rule::single()).unwrap())
        .unwrap();
    let error = Pager::new(client, query).next().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the job is FAILED: No such entity");
    let asked = asked.lock().unwrap();
    let pauses: Vec<_> = asked[1..].windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert!(pauses.len() == 20 && pauses.iter().all(|pause| (30..=60).contains(pause)), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_report_whose_items_are_elsewhere_is_no_empty_report() {
    let next = format!("{BASE}/services/v30.0/contacts?top=1&skip=1");
    let first = json!({"completedContacts": [1], "_links": {"next": next}}).to_string();
    let last = json!({"completedContacts": [2], "_links": {}}).to_string();
    let api = ScriptedApi::of_pages([first, last]);
    let (_, error) = drain(&mut Pager::new(api.service(), report()).page_attempts(1)).await;
    assert_eq!(kind(error), Some(ErrorKind::Body));
}
