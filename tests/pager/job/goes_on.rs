//! Going on with a job in another process.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tower_oauth2::pager::{Continuation, ErrorKind, Pager};

use crate::{
    job::api::{Api, Client, Say, job, query, secs},
    scripted_api::drain,
};

fn saved(continuation: Option<Continuation>) -> Value {
    serde_json::to_value(continuation).unwrap()
}

fn resumed(api: &Api, saved: &Value) -> Pager<Client> {
    let continuation = serde_json::from_value(saved.clone()).unwrap();
    Pager::resume(api.service(), query(job().keep_unfinished()), continuation).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_continuation_names_the_job_from_when_it_is_made() {
    let api = Api::new().says("GET /j1", [Say::Page(r#"{"state":"PENDING"}"#)]);
    let mut pager = api.pager_of(job().keep_unfinished());
    assert_eq!(saved(pager.continuation()).get("job"), None);
    timeout(secs(10), pager.next()).await.unwrap_err();
    let waiting = saved(pager.continuation());
    assert_eq!((&waiting["job"], &waiting["pages"]), (&json!("j1"), &json!(0)));
    drop(pager);

    // It is waited for and read, and not made again.
    let api = Api::new().says("GET /j1", [Say::Page(r#"{"state":"RUNNING"}"#), Say::Page(r#"{"state":"done"}"#)]);
    let (items, error) = drain(&mut resumed(&api, &waiting).items::<u32>()).await;
    assert!(error.is_none() && items == [1, 2, 3], "{error:?}");
    assert_eq!(api.count("POST"), 0);
    assert_eq!(api.lines().last().unwrap(), "DELETE /j1");
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_with_the_page_that_failed() {
    let api = Api::new().says("GET /j1/results?cursor=c2", [Say::Lost]);
    let mut pager = api.pager_of(job().keep_unfinished());
    let (pages, error) = drain(&mut pager).await;
    assert_eq!((pages.len(), error.unwrap().kind()), (1, ErrorKind::Send));
    let failed = saved(pager.continuation());
    assert_eq!((&failed["job"], &failed["cursor"], &failed["pages"]), (&json!("j1"), &json!("c2"), &json!(1)));

    let api = Api::new();
    let (items, error) = drain(&mut resumed(&api, &failed).items::<u32>()).await;
    assert!(error.is_none() && items == [3], "{error:?}");
    assert_eq!(api.lines(), ["GET /j1", "GET /j1/results?cursor=c2", "DELETE /j1"]);
}

#[tokio::test(start_paused = true)]
async fn after_an_error_that_deleted_the_job_it_begins_anew() {
    let api = Api::new().says("GET /j1/results?cursor=c2", [Say::Lost, Say::Page(r#"{"rows":[3]}"#)]);
    let mut pager = api.pager();
    let (_, error) = drain(&mut pager).await;
    assert!(error.is_some());
    let anew = saved(pager.continuation());
    assert_eq!((anew.get("job"), &anew["pages"], &anew["items"]), (None, &json!(0), &json!(0)));

    let (items, error) = drain(&mut resumed(&api, &anew).items::<u32>()).await;
    assert!(error.is_none() && items == [1, 2, 3] && api.count("POST") == 2, "{error:?}");
    // One that failed cannot be gone on with, kept or not.
    let api = Api::new().says("GET /j1", [Say::Page(r#"{"state":"FAILED"}"#)]);
    let mut pager = api.pager_of(job().keep_unfinished());
    let (_, error) = drain(&mut pager).await;
    assert!(error.is_some());
    assert_eq!(saved(pager.continuation()).get("job"), None);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_gone_meanwhile_is_an_error_and_then_begins_anew() {
    let api = Api::new();
    let mut pager = api.pager_of(job().keep_unfinished());
    pager.next().await.unwrap().unwrap();
    let amid = saved(pager.continuation());
    drop(pager);

    let api = Api::new().says("GET /j1", [Say::Status(404, "")]);
    let mut pager = resumed(&api, &amid);
    let (pages, error) = drain(&mut pager).await;
    assert_eq!((pages.len(), error.unwrap().kind()), (0, ErrorKind::JobFailed));
    assert_eq!(api.lines(), ["GET /j1", "DELETE /j1"]);
    let anew = saved(pager.continuation());
    assert_eq!((anew.get("job"), &anew["pages"]), (None, &json!(0)));
}

#[tokio::test(start_paused = true)]
async fn a_continuation_that_names_no_job_is_damaged() {
    let api = Api::new();
    let mut pager = api.pager_of(job().keep_unfinished());
    pager.next().await.unwrap().unwrap();
    let amid = saved(pager.continuation());
    drop(pager);
    for bad in ["", ".."] {
        let mut amid = amid.clone();
        amid["job"] = json!(bad);
        let api = Api::new();
        let (pages, error) = drain(&mut resumed(&api, &amid)).await;
        assert_eq!((pages.len(), error.unwrap().kind()), (0, ErrorKind::Config), "{bad}");
        assert!(api.lines().is_empty(), "{:?}", api.lines());
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_gone_on_with_is_deleted_as_any_other() {
    let api = Api::new();
    let mut pager = api.pager_of(job().keep_unfinished());
    pager.next().await.unwrap().unwrap();
    let amid = serde_json::from_value(saved(pager.continuation())).unwrap();
    drop(pager);

    let api = Api::new().says("GET /j1", [Say::Page(r#"{"state":"PENDING"}"#)]);
    let mut pager = Pager::resume(api.service(), query(job()), amid).unwrap();
    timeout(secs(5), pager.next()).await.unwrap_err();
    drop(pager);
    sleep(secs(1)).await;
    assert_eq!(api.lines().last().unwrap(), "DELETE /j1");
}

#[tokio::test(start_paused = true)]
async fn a_continuation_is_of_one_job_description_only() {
    use tower_oauth2::pager::Job;
    let api = Api::new();
    let mut pager = api.pager_of(job().keep_unfinished());
    pager.next().await.unwrap().unwrap();
    let amid: Continuation = serde_json::from_value(saved(pager.continuation())).unwrap();
    let other = Job::post(crate::job::api::JOBS, json!({"interval": "b/c"}), "/jobId")
        .status(format!("{}/{{id}}", crate::job::api::JOBS), "/state");
    let error = Pager::resume(api.service(), query(other), amid.clone()).unwrap_err();
    assert!(error.to_string().contains("another query"), "{error}");
    // How it is waited for makes no difference.
    assert!(Pager::resume(api.service(), query(job().timeout(secs(1))), amid).is_ok());
}
