//! Jobs that cannot work are refused before anything is sent.

use serde_json::json;
use tower_oauth2::pager::{Error, ErrorKind, Job, Query, Rule};

use crate::job::api::{JOBS, job, results};

fn refused(job: Job, query: Query, says: &str) {
    let error: Error = job.results(query).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Config | ErrorKind::Origin), "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn each_mistake_is_told() {
    let status = |url: &str| Job::post(JOBS, json!({}), "/jobId").status(url, "/state");
    refused(Job::post(JOBS, json!({}), "/jobId"), results(), "status");
    refused(status(JOBS), results(), "no {id}");
    refused(status("/jobs/{id}"), results(), "absolute");
    refused(status("https://elsewhere.example/{id}"), results(), "not a URL of https://api.example.com");
    refused(job().delete(JOBS), results(), "no {id}");
    refused(job().delete("http://api.example.com/{id}"), results(), "not a URL of https://api.example.com");
    refused(job().message("oops"), results(), "JSON pointer");
    refused(
        Job::post("http://api.example.com/", json!({}), "").status(format!("{JOBS}/{{id}}"), "/s"),
        results(),
        "not a URL",
    );
    refused(Job::post(JOBS, json!({}), "id").status(format!("{JOBS}/{{id}}"), "/state"), results(), "JSON pointer");
    refused(status(&format!("{JOBS}/{{id}}")), Query::get(JOBS, "", Rule::single()).unwrap(), "no {id}");
    refused(
        status(&format!("{JOBS}/{{id}}")),
        Query::auto_get(format!("{JOBS}/{{id}}/results")).unwrap(),
        "need a Rule",
    );
    for instant in ["", "2026-03-01", "2026-03-01T00:00:00+00:00", "2026-03-01T00:00:00.Z", "2026-03-01 00:00:00Z"] {
        refused(job().complete_to("/until", instant), results(), "RFC 3339");
    }
}

#[test]
fn debug_shows_the_id_of_no_client_and_no_body() {
    let query = Job::post(format!("{JOBS}?key=hunter2"), json!({"key": "hunter2"}), "/jobId")
        .status(format!("{JOBS}/{{id}}?key=hunter2"), "/state");
    assert!(!format!("{query:?}").contains("hunter2"), "{query:?}");
    let query = query.results(results()).unwrap();
    assert!(!format!("{query:?}").contains("hunter2"), "{query:?}");
}
