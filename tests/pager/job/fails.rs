//! What goes wrong with a job.

use std::error::Error as _;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use tokio::time::Instant;
use tower::ServiceBuilder;
use tower_oauth2::{
    Deadline,
    pager::{Error, ErrorKind, Pager},
};

use crate::{
    job::api::{Api, Say, job, results, secs},
    scripted_api::drain,
};

async fn failure(api: &Api) -> Error {
    let (pages, error) = drain(&mut api.pager().page_attempts(1)).await;
    assert!(pages.is_empty());
    error.unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_state_of_failure_is_an_error_with_what_the_api_says_and_the_job_is_deleted() {
    for state in ["FAILED", "Cancelled", "canceled", "EXPIRED", "error"] {
        let body = format!(r#"{{"state":"{state}","errorMessage":"too \u001b[31m much"}}"#);
        let api = Api::new().says("GET /j1", [Say::Page(String::leak(body))]);
        let error = failure(&api).await;
        assert_eq!(error.kind(), ErrorKind::JobFailed);
        assert_eq!(error.to_string(), format!("the job is {state}: too  [31m much"));
        assert_eq!(api.lines(), ["POST ", "GET /j1", "DELETE /j1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_never_ends_is_an_error_in_time() {
    let api = Api::new().says("GET /j1", [Say::Page(r#"{"state":"PENDING"}"#)]);
    let begun = Instant::now();
    let error = failure(&api).await;
    assert_eq!(error.kind(), ErrorKind::JobTimeout);
    assert!(error.to_string().contains("still PENDING"), "{error}");
    assert!((secs(3500)..=secs(3600)).contains(&(Instant::now() - begun)));
    assert_eq!(api.lines().last().unwrap(), "DELETE /j1");

    // No question is asked for which the time would not do.
    let api = Api::new().says("GET /j1", [Say::RetryAfter("60", r#"{"state":"PENDING"}"#)]);
    let begun = Instant::now();
    let (_, error) = drain(&mut api.pager_of(job().timeout(secs(30)))).await;
    assert_eq!((error.unwrap().kind(), Instant::now() - begun), (ErrorKind::JobTimeout, secs(0)));
}

#[tokio::test(start_paused = true)]
async fn neither_a_wait_without_end_nor_an_answer_that_never_comes_outlasts_the_time_for_the_job() {
    let for_ever = Say::RetryAfter("99999999999999999999", r#"{"state":"PENDING"}"#);
    let api = Api::new().says("GET /j1", [Say::Page(r#"{"state":"PENDING"}"#), for_ever]);
    assert_eq!(failure(&api).await.kind(), ErrorKind::JobTimeout);

    let api = Api::new().says("GET /j1", [Say::Page(r#"{"state":"PENDING"}"#), Say::Never]);
    let begun = Instant::now();
    assert_eq!(failure(&api).await.kind(), ErrorKind::JobTimeout);
    assert_eq!(Instant::now() - begun, secs(3600));
    assert_eq!(api.lines().last().unwrap(), "DELETE /j1");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_name_a_job_names_none() {
    for bad in ["..", ".", " .. ", "", "\t"] {
        let answer = serde_json::json!({ "jobId": bad }).to_string();
        let api = Api::new().says("POST ", [Say::Page(String::leak(answer))]);
        let error = failure(&api).await;
        assert!(error.kind() == ErrorKind::Body && error.to_string().contains("does not name it"), "{bad:?}: {error}");
        assert_eq!(api.lines(), ["POST "]);
    }
    let answer = serde_json::json!({ "jobId": "x".repeat(2000) }).to_string();
    let api = Api::new().says("POST ", [Say::Page(String::leak(answer))]);
    assert_eq!(failure(&api).await.kind(), ErrorKind::Body);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_waiting_and_not_the_deletion() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let query = job().results(results().extension(Deadline::within(secs(60)))).unwrap();
    let api = Api::new().says("GET /j1", [Say::Page(r#"{"state":"FAILED"}"#)]);
    let client = ServiceBuilder::new()
        .map_request({
            let seen = std::sync::Arc::clone(&seen);
            move |request: Request<Full<Bytes>>| {
                seen.lock().unwrap().push((request.method().clone(), request.extensions().get::<Deadline>().is_some()));
                request
            }
        })
        .service(api.service());
    let (_, error) = drain(&mut Pager::new(client, query)).await;
    assert!(error.is_some());
    assert_eq!(*seen.lock().unwrap(), [(Method::POST, true), (Method::GET, true), (Method::DELETE, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_expires_before_or_amid_its_results_says_so() {
    let results = "GET /j1/results?cursor=c2";
    for (refusal, state) in [
        (Say::Status(404, ""), Say::Page(r#"{"state":"EXPIRED"}"#)),
        (Say::Status(400, ""), Say::Page(r#"{"state":"EXPIRED"}"#)),
        (Say::Status(410, ""), Say::Status(404, "")),
    ] {
        let api = Api::new().says("GET /j1", [Say::Page(r#"{"state":"FULFILLED"}"#), state]).says(results, [refusal]);
        let (pages, error) = drain(&mut api.pager()).await;
        let error = error.unwrap();
        assert_eq!((pages.len(), error.kind(), error.page()), (1, ErrorKind::JobFailed, Some(2)));
        let cause = error.source().unwrap().downcast_ref::<Error>().unwrap();
        assert_eq!(cause.kind(), ErrorKind::Status);
        assert_eq!(api.lines()[4..], ["GET /j1", "DELETE /j1"]);
    }
    let error = failure(&Api::new().says("GET /j1", [Say::Status(404, "")])).await;
    assert!(error.kind() == ErrorKind::JobFailed && error.to_string().contains("gone"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_results_that_the_job_has_no_part_in_stays_what_it_is() {
    for state in [Say::Page(r#"{"state":"FULFILLED"}"#), Say::Status(503, ""), Say::Lost] {
        let api = Api::new()
            .says("GET /j1", [Say::Page(r#"{"state":"FULFILLED"}"#), state])
            .says("GET /j1/results", [Say::Status(403, r#"{"code":"missing.permissions"}"#)]);
        let error = failure(&api).await;
        assert_eq!((error.kind(), error.status().map(|status| status.as_u16())), (ErrorKind::Status, Some(403)));
        assert_eq!(api.lines().last().unwrap(), "DELETE /j1");
    }
    // Nor is it kept back by an API that does not say how it is with the job.
    let done = Say::Page(r#"{"state":"FULFILLED"}"#);
    let api = Api::new().says("GET /j1", [done, Say::Never]).says("GET /j1/results", [Say::Status(404, "")]);
    let begun = Instant::now();
    assert_eq!((failure(&api).await.kind(), Instant::now() - begun), (ErrorKind::Status, secs(30)));
    assert_eq!(api.lines().last().unwrap(), "DELETE /j1");

    let api = Api::new().says("GET /j1/results", [Say::Status(503, "")]);
    assert_eq!(failure(&api).await.kind(), ErrorKind::Status);
    assert_eq!(api.count("GET /j1"), 2, "a server that is not well is not asked");
}

#[tokio::test(start_paused = true)]
async fn a_submission_whose_answer_is_lost_or_broken_is_not_repeated() {
    for (say, kind, says) in [
        (Say::Lost, ErrorKind::Send, "it may have been made"),
        (Say::Page("{}"), ErrorKind::Body, "does not name it"),
        (Say::Page(r#"{"jobId":" "}"#), ErrorKind::Body, "does not name it"),
        (Say::Page("<html>"), ErrorKind::Body, "does not name it"),
        (Say::Status(400, r#"{"code":"bad.request"}"#), ErrorKind::Status, "bad.request"),
    ] {
        let api = Api::new().says("POST ", [say]);
        let (pages, error) = drain(&mut api.pager().page_attempts(4)).await;
        let error = error.unwrap();
        assert!(pages.is_empty() && error.kind() == kind && error.to_string().contains(says), "{error}");
        assert_eq!(api.lines(), ["POST "]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_deleted_is_logged_and_no_error() {
    for (say, logged) in
        [(Say::Status(500, ""), true), (Say::Lost, true), (Say::Never, true), (Say::Status(404, ""), false)]
    {
        let log = crate::log::Log::default();
        let listening = log.listen();
        let api = Api::new().says("DELETE /j1", [say]);
        let begun = Instant::now();
        let (pages, error) = drain(&mut api.pager()).await;
        drop(listening);
        assert!(error.is_none() && pages.len() == 2, "{say:?}: {error:?}");
        assert!(Instant::now() - begun <= secs(30), "{say:?}");
        assert_eq!(log.text().contains("left behind"), logged, "{say:?}: {}", log.text());
    }
}
