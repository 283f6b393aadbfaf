//! From the submission to the deletion.

use std::time::Duration;

use futures_util::StreamExt;
use http::{HeaderName, HeaderValue};
use serde_json::json;
use tower_oauth2::{
    pager::{ErrorKind, Job, Pager, Query},
    retry::Repeat,
};

use crate::{
    job::api::{Api, JOBS, Say, job, query, results, secs},
    scripted_api::drain,
};

const PENDING: Say = Say::Page(r#"{"state":"PENDING"}"#);

#[tokio::test(start_paused = true)]
async fn a_job_is_submitted_waited_for_read_and_deleted_in_one_stream() {
    let api = Api::new()
        .says("GET /j1", [Say::Page(r#"{"state":"QUEUED"}"#), PENDING, Say::Page(r#"{"state":"Fulfilled"}"#)]);
    let header = (HeaderName::from_static("tenant"), HeaderValue::from_static("t"));
    let query = job().results(results().header(header.0, header.1)).unwrap();
    let pager = Pager::new(api.service(), query);
    assert!(api.lines().is_empty(), "nothing before the first poll");
    let (items, error) = drain(&mut pager.items::<u32>()).await;

    assert!(error.is_none() && items == [1, 2, 3], "{error:?}");
    let expected =
        ["POST ", "GET /j1", "GET /j1", "GET /j1", "GET /j1/results", "GET /j1/results?cursor=c2", "DELETE /j1"];
    assert_eq!(api.lines(), expected);
    let seen = api.seen();
    assert_eq!(seen[0].body, r#"{"interval":"a/b"}"#);
    assert!(seen[1..].iter().all(|seen| seen.body.is_empty() && seen.repeat == Some(Repeat::Always)));
    assert_eq!(seen[0].repeat, Some(Repeat::Never), "whether it was made is not known if it got no answer");
    assert!(seen.iter().all(|seen| seen.tenant));
}

#[tokio::test(start_paused = true)]
async fn the_pause_between_two_questions_grows_and_has_jitter() {
    let done = Say::Page(r#"{"state":"done"}"#);
    let mut first_pauses = Vec::new();
    for seed in 0..8 {
        let api = Api::new().says("GET /j1", [PENDING; 30].into_iter().chain([done]));
        let (_, error) = drain(&mut api.pager().seed(seed)).await;
        assert!(error.is_none(), "{error:?}");
        let asked: Vec<_> = api.seen().iter().filter(|seen| seen.line == "GET /j1").map(|seen| seen.at).collect();
        let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mut longest = 1.0;
        for pause in &pauses {
            let pause = pause.as_secs_f64();
            assert!((longest / 2.0 - 0.002..=longest + 0.002).contains(&pause), "{pauses:?}");
            longest = (longest * 1.5_f64).min(30.0);
        }
        first_pauses.push(pauses[0]);
    }
    first_pauses.sort();
    first_pauses.dedup();
    assert!(first_pauses.len() > 4, "{first_pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_can_say_when_to_ask_again() {
    let api = Api::new()
        .says("GET /j1", [Say::RetryAfter("20", r#"{"state":"RUNNING"}"#), PENDING, Say::Page(r#"{"state":"done"}"#)]);
    let (_, error) = drain(&mut api.pager_of(job().poll_every(secs(2), secs(2)))).await;
    assert!(error.is_none(), "{error:?}");
    let asked: Vec<_> = api.seen().iter().filter(|seen| seen.line == "GET /j1").map(|seen| seen.at).collect();
    assert!(asked[1] - asked[0] >= secs(20) && asked[1] - asked[0] < secs(21), "{asked:?}");
    assert!(asked[2] - asked[1] <= Duration::from_millis(2002), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn each_vocabulary_of_states_is_known_and_another_can_be_told() {
    for done in ["FULFILLED", "Succeeded", "complete", "Completed", "DONE", "success"] {
        let state = String::leak(format!(r#"{{"state":"{done}"}}"#));
        let api = Api::new().says("GET /j1", [Say::Page(state)]);
        let (items, error) = drain(&mut api.pager().items::<u32>()).await;
        assert!(error.is_none() && items == [1, 2, 3], "{done}: {error:?}");
    }
    // What is neither is waited for.
    let api = Api::new().says("GET /j1", [Say::Page(r#"{"state":"done"}"#), Say::Page(r#"{"state":"Ready"}"#)]);
    let (items, error) = drain(&mut api.pager_of(job().done(["READY"])).items::<u32>()).await;
    assert!(error.is_none() && items == [1, 2, 3] && api.count("GET /j1") == 4, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_is_named_by_a_number_by_the_whole_answer_and_in_one_segment() {
    for (answer, id, segment) in
        [(r#"{"job":{"id":17}}"#, "/job/id", "17"), (r#""a/b?c""#, "", "a%2Fb%3Fc"), (r#""x y""#, "", "x%20y")]
    {
        let api = Api::new().says("POST ", [Say::Page(answer)]);
        let job = Job::post(JOBS, json!({}), id).status(format!("{JOBS}/{{id}}"), "/state");
        let (_, error) = drain(&mut api.pager_of(job)).await;
        assert!(error.is_some(), "it is not there");
        assert_eq!(api.lines(), ["POST ".to_owned(), format!("GET /{segment}")], "and nothing is deleted");
    }
}

#[tokio::test(start_paused = true)]
async fn it_can_be_read_ahead_and_by_several_pages_at_once() {
    use tower_oauth2::pager::{Place, Rule};
    let api = Api::new();
    let (pages, error) = drain(&mut api.pager().read_ahead(2)).await;
    assert!(error.is_none() && pages.len() == 2, "{error:?}");
    assert_eq!(api.lines().last().unwrap(), "DELETE /j1");

    let numbered = Rule::page_number(Place::query("p")).page_count("/n");
    let results = Query::get(format!("{JOBS}/{{id}}/results"), "/rows", numbered).unwrap();
    let api = Api::new()
        .says("GET /j1/results?p=1", [Say::Page(r#"{"rows":[1],"n":3}"#)])
        .says("GET /j1/results?p=2", [Say::Late(secs(9), r#"{"rows":[2],"n":3}"#)])
        .says("GET /j1/results?p=3", [Say::Page(r#"{"rows":[3],"n":3}"#)]);
    let pager = Pager::new(api.service(), job().results(results).unwrap()).concurrency(2);
    let (items, error) = drain(&mut pager.items::<u32>()).await;
    assert!(error.is_none() && items == [1, 2, 3], "{error:?}");
    assert_eq!(api.lines()[2..], ["GET /j1/results?p=1", "GET /j1/results?p=2", "GET /j1/results?p=3", "DELETE /j1"]);
}

#[tokio::test(start_paused = true)]
async fn a_broken_answer_about_it_is_asked_for_again() {
    for broken in ["<html>", "{}", r#"{"state":null}"#, r#"{"state":7}"#] {
        let api = Api::new().says("GET /j1", [Say::Page(broken), Say::Page(r#"{"state":"done"}"#)]);
        let (items, error) = drain(&mut api.pager().items::<u32>()).await;
        assert!(error.is_none() && items == [1, 2, 3], "{broken}: {error:?}");
        assert_eq!(api.count("GET /j1"), 4, "{broken}");
    }
}

#[tokio::test(start_paused = true)]
async fn data_that_ends_too_early_is_incomplete_after_the_last_page() {
    for (said, complete) in [
        (r#","until":"2026-03-02T00:00:00.000Z""#, true),
        (r#","until":"2026-03-02T00:00:00Z""#, true),
        (r#","until":"2026-03-02T00:00:00.001Z""#, true),
        (r#","until":"2026-12-01T00:00:00Z""#, true),
        ("", true),
        (r#","until":"2026-03-01T23:59:59.999Z""#, false),
        (r#","until":"2025-12-31T00:00:00Z""#, false),
        (r#","until":"2026-03-02T00:00:00+00:00""#, false),
        (r#","until":"soon""#, false),
    ] {
        for on_first in [true, false] {
            let page = |rows: &str, says| -> &'static str { String::leak(format!(r#"{{"rows":[{rows}]{says}}}"#)) };
            let first = page("1", format!(r#","cursor":"c2"{}"#, if on_first { said } else { "" }));
            let last = page("2", if on_first { String::new() } else { said.to_owned() });
            let api = Api::new()
                .says("GET /j1/results", [Say::Page(first)])
                .says("GET /j1/results?cursor=c2", [Say::Page(last)]);
            let mut pager = api.pager_of(job().complete_to("/until", "2026-03-02T00:00:00.0Z"));
            for _ in 0..2 {
                pager.next().await.unwrap().unwrap();
            }
            // Before the end is told it does not look complete; nor after that.
            assert_eq!(pager.continuation().is_none(), complete, "{said}");
            let (pages, error) = drain(&mut pager).await;
            assert!(pages.is_empty());
            assert_eq!(pager.continuation().is_none(), complete, "{said}");
            assert!(pager.continuation().is_none_or(|begin| begin.pages() == 0 && begin.job().is_none()));
            assert_eq!(error.is_none(), complete, "{said}: {error:?}");
            assert!(error.as_ref().is_none_or(|error| error.kind() == ErrorKind::JobIncomplete));
            assert!(error.is_none_or(|error| error.to_string().contains("2026-03-02T00:00:00Z")), "{said}");
            assert_eq!(api.count("DELETE /j1"), 1, "{said}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_takes_no_more_than_one_request_after_its_end() {
    let api = Api::new();
    let mut pager = Pager::new(api.service(), query(job()));
    while pager.next().await.is_some() {}
    assert!(pager.next().await.is_none() && pager.next().await.is_none());
    drop(pager);
    tokio::time::sleep(secs(1)).await;
    assert_eq!(api.count("DELETE "), 1);
}
