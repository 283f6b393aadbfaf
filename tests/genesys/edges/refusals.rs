//! What Genesys Cloud answers instead of a page.

use std::io;

use futures_util::StreamExt;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tower::{BoxError, ServiceBuilder};
use tower_oauth2::{
    genesys::{self, ConversationJob, UserDetails},
    pager::{ErrorKind, Pager, Query},
    retry::{CooldownLayer, Repeat, cooldown::Pacing},
};

use crate::{
    edges::world::{API, INTERVAL, World, details, hit, refusal, secs, with},
    log::Log,
    scripted_api::{Answer, ScriptedApi, broken, drain, ok, status},
};

#[tokio::test(start_paused = true)]
async fn what_is_forbidden_is_told_at_once_and_is_not_the_tokens_fault() {
    let needed =
        "You must have at least one of the following permissions assigned: [analytics:conversationDetail:view]";
    for code in ["missing.any.permissions", "missing.permissions", "not.authorized"] {
        let world = World::new([refusal(403, code, needed), hit(1, 1)]);
        let error = world.failure(details(), 0).await;
        assert_eq!(error.api().unwrap().code.as_deref(), Some(code));
        assert!(error.to_string().contains("[analytics:conversationDetail:view]"), "{error}");
        assert_eq!((world.api.requests(), world.login.requests()), (1, 1));
        assert!(drain(&mut world.pager(details())).await.1.is_none());
        assert_eq!(world.bearers(), ["t1", "t1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_waited_for_whichever_way_it_says_how_long() {
    let says = "Rate limit exceeded the maximum. Retry the request in [42] seconds";
    let limited = |code, message| refusal(429, code, message);
    for (answer, at_least) in [
        (with(limited("too.many.requests.retry.after", says), "retry-after", "42"), 42),
        (with(limited("too.many.requests.retry.after", "Rate limit exceeded"), "retry-after", "42"), 42),
        (limited("too.many.requests.retry.after", says), 42),
        (limited("too.many.requests", "Retry the request in 42 seconds"), 42),
        (limited("too.many.requests", "Rate limit exceeded"), 0),
    ] {
        let world = World::new([hit(1, 2), answer, hit(2, 2)]);
        let begun = Instant::now();
        let (pages, error) = drain(&mut world.pager(details())).await;
        assert!(error.is_none() && pages.len() == 2, "{error:?}");
        let waited = (Instant::now() - begun).as_secs_f64();
        // A tenth on top; without a word of when, a second at the most.
        let at_most = f64::from(at_least) * 1.1 + 1.1;
        assert!(waited >= f64::from(at_least) && waited <= at_most, "{waited}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_lasts_longer_than_is_waited_is_told_in_its_words() {
    let says = "Rate limit exceeded the maximum. Retry the request in [181] seconds";
    let limited = || refusal(429, "too.many.requests.retry.after", says);
    for answer in [with(limited(), "retry-after", "181"), limited()] {
        let world = World::new([hit(1, 2), answer]);
        let begun = Instant::now();
        let error = world.failure(details(), 1).await;
        assert_eq!((Instant::now() - begun, error.status().unwrap().as_u16()), (secs(0), 429));
        assert_eq!(error.api().unwrap().message.as_deref(), Some(says));
        assert_eq!(error.correlation_id(), Some("0000c0de-4444"), "that of the header and of the body");
    }
}

#[tokio::test(start_paused = true)]
async fn what_each_answer_tells_of_the_limit_is_kept_to() {
    let tell = |answer: Answer, count: &str, reset: &str| {
        let answer = with(answer, "inin-ratelimit-count", count);
        with(with(answer, "inin-ratelimit-allowed", "300"), "inin-ratelimit-reset", reset)
    };
    for (count, reset, at_least) in [("1", "61", 0), ("300", "61", 62), ("301", "42", 43)] {
        let api = ScriptedApi::new([tell(hit(1, 2), count, reset), tell(hit(2, 2), "1", "61")]);
        let layer = CooldownLayer::new().pace(Pacing::genesys()).seed(1);
        let begun = Instant::now();
        let client = ServiceBuilder::new().layer(layer).service(api.service());
        let (pages, error) = drain(&mut Pager::new(client, details())).await;
        assert!(error.is_none() && pages.len() == 2, "{error:?}");
        // Until the window ends, a second for its rounding, and up to five so that not all come at once.
        let waited = (Instant::now() - begun).as_secs_f64();
        assert!(waited >= f64::from(at_least) && waited <= f64::from(at_least) + 5.1, "{count}: {waited}");
        assert_eq!(at_least > 0, waited > 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_correlation_id_is_found_under_either_name_and_in_the_body() {
    let newer = "genesys-correlation-id";
    let older = "inin-correlation-id";
    for (fields, id) in [
        (vec![(newer, "new"), (older, "old")], "new"),
        (vec![(older, "old")], "old"),
        (vec![(newer, " "), (older, "old")], "old"),
        (vec![(newer, ""), (older, "")], "body"),
        (vec![], "body"),
    ] {
        let body = json!({"code": "internal.server.error", "contextId": "body"}).to_string();
        let answer = fields.iter().fold(status(500, &body), |answer, (name, value)| with(answer, name, value));
        let (_, error) = drain(&mut Pager::new(ScriptedApi::new([answer]).service(), details())).await;
        let error = error.unwrap();
        assert_eq!(error.correlation_id(), Some(id), "{fields:?}");
        assert_eq!(error.api().unwrap().correlation_id.as_deref(), Some(id));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_asked_for_again_is_logged_with_its_correlation_id() {
    let log = Log::default();
    let listening = log.listen();
    let cut_off = with(broken(r#"{"conversations":[{"#), "inin-correlation-id", "0000c0de-7777");
    let world = World::new([cut_off, hit(1, 1)]);
    let (_, error) = drain(&mut world.pager(details())).await;
    drop(listening);
    assert!(error.is_none(), "{error:?}");
    let told = log.events().into_iter().find(|event| event["fields"]["message"] == "asking for the page again");
    assert!(told.unwrap()["fields"]["error"].as_str().unwrap().contains("0000c0de-7777"));
}

/// Each that reads, the tutorials' among them, though it is a POST.
fn reads() -> [(Query, &'static str); 5] {
    [
        (details(), r#"{"conversations":[],"totalHits":0}"#),
        (UserDetails::query(API, INTERVAL).build().unwrap(), r#"{"userDetails":[],"totalHits":0}"#),
        (genesys::search(API, "/api/v2/users/search", json!({"query": []})).unwrap(), r#"{"results":[],"total":0}"#),
        (genesys::results(API, json!({"size": 50})).unwrap(), r#"{"results":[]}"#),
        (genesys::entities(API, json!({"size": 50})).unwrap(), r#"{"entities":[]}"#),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_post_that_reads_is_sent_again_as_a_get_would_be() {
    type Fault = fn() -> Answer;
    let faults: [Fault; 8] = [
        || refusal(504, "request.timeout", "The request timed out."),
        || refusal(503, "service.unavailable", "Service Unavailable"),
        || refusal(502, "bad.gateway", "Bad Gateway"),
        || refusal(500, "internal.server.error", "The server encountered an unexpected condition"),
        || refusal(429, "too.many.requests", "Rate limit exceeded"),
        || refusal(401, "bad.credentials", "Invalid login credentials."),
        || Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
        || Err(BoxError::from(tower::timeout::error::Elapsed::new())),
    ];
    for (query, page) in reads() {
        for fault in faults {
            let world = World::new([fault(), ok(page)]);
            let (pages, error) = drain(&mut world.pager(query.clone())).await;
            assert!(error.is_none() && pages.len() == 1, "{error:?}");
            assert_eq!(world.api.requests(), 2);
            let seen = world.api.seen();
            assert_eq!((seen[0].method.as_str(), seen[1].method.as_str()), ("POST", "POST"));
            assert_eq!((&seen[0].body, seen[0].repeat), (&seen[1].body, Some(Repeat::Always)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_attempt_does_not_mend_is_asked_for_once() {
    for (code, name, message) in [
        (400, "bad.request", "You must specify a search interval as part of your query that does not exceed 31 days."),
        (400, "bad.request", "You must specify a search interval as part of your query that does not exceed 7 days."),
        (404, "not.found", "The requested resource was not found."),
        (413, "request.entity.too.large", "The request is over the size limit. Maximum bytes: 512000"),
        (501, "not.implemented", "Not implemented"),
    ] {
        let world = World::new([refusal(code, name, message), hit(1, 1)]);
        let error = world.failure(details(), 0).await;
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Status, code));
        assert_eq!(error.api().unwrap().message.as_deref(), Some(message));
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!((world.api.requests(), world.login.requests()), (1, 1), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_query_that_goes_too_deep_ends_with_the_words_of_the_api_and_keeps_its_place() {
    let tip = "Tip: When extracting large chunks of data (multiple days/weeks), maximize pagination performance by \
               querying in smaller intervals.";
    let too_deep = format!("Pagination may not exceed 100000 results.\n\n{tip}");
    let world = World::new([hit(1, 100_001), hit(2, 100_001), refusal(400, "bad.request", &too_deep)]);
    let mut pager = world.pager(details());
    let (pages, error) = drain(&mut pager).await;
    let error = error.unwrap();
    assert_eq!((pages.len(), pages[0].total()), (2, Some(100_001)), "from the first page on it is known");
    assert_eq!((error.kind(), error.page()), (ErrorKind::Status, Some(3)));
    assert!(error.to_string().contains("Pagination may not exceed 100000 results.  Tip: When"), "{error}");
    let continuation = pager.continuation().unwrap();
    assert_eq!((continuation.pages(), continuation.items()), (2, 2));

    // As deep as a job goes.
    let query = ConversationJob::query(API, INTERVAL).build().unwrap();
    let deep = refusal(400, "bad.request", "pagination may not exceed 400000 results");
    let done = || ok(r#"{"state":"FULFILLED"}"#);
    let page = ok(r#"{"conversations":[{"conversationId":"c1"}],"cursor":"Yw=="}"#);
    let world = World::new([status(202, r#"{"jobId":"j"}"#), done(), page, deep, done(), status(204, "")]);
    let error = world.failure(query, 1).await;
    assert_eq!((error.kind(), error.page()), (ErrorKind::Status, Some(2)));
    assert!(error.to_string().contains("400000 results"), "{error}");
    assert_eq!((world.api.left(), world.api.seen().last().unwrap().method.as_str()), (0, "DELETE"));
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_while_a_limit_is_waited_for_sends_nothing_more() {
    let limited = with(refusal(429, "too.many.requests.retry.after", "Rate limit exceeded"), "retry-after", "42");
    let world = World::new([limited, hit(1, 1)]);
    let mut pager = world.pager(details());
    assert!(tokio::time::timeout(secs(10), pager.next()).await.is_err());
    drop(pager);
    sleep(secs(100)).await;
    assert_eq!(world.api.requests(), 1);
}
