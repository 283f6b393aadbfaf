//! Jobs: every state in every vocabulary.

use serde_json::{Value, json};
use tower_oauth2::{
    genesys::{self, ConversationJob},
    pager::{ErrorKind, Job, Pager, Place, Query, Rule},
};

use crate::{
    edges::world::{API, INTERVAL},
    scripted_api::{ScriptedApi, drain, ok, status},
};

/// The states that a kind of job knows, and what it says around them.
struct Vocabulary {
    query: Query,
    submitted: &'static str,
    told: fn(&str) -> Value,
    page: &'static str,
    waits: &'static [&'static str],
    done: &'static str,
    failed: &'static [&'static str],
    is_deleted: bool,
}

fn conversations() -> Vocabulary {
    Vocabulary {
        query: ConversationJob::query(API, INTERVAL).build().unwrap(),
        submitted: r#"{"jobId":"j1"}"#,
        told: |state| json!({"state": state, "errorMessage": "out of luck", "submissionDate": "2026-02-10T10:00:00.000Z"}),
        page: r#"{"conversations":[{"conversationId":"c1"}],"dataAvailabilityDate":"2026-02-09T06:00:00.000Z"}"#,
        waits: &["QUEUED", "PENDING"],
        done: "FULFILLED",
        failed: &["FAILED", "CANCELLED", "EXPIRED"],
        is_deleted: true,
    }
}

fn audits() -> Vocabulary {
    let audits = format!("{API}/api/v2/audits/query");
    let rule = Rule::cursor("/cursor", Place::query("cursor"));
    let results = Query::get(format!("{audits}/{{id}}/results?pageSize=500"), "/entities", rule).unwrap();
    let job = Job::post(&audits, json!({"interval": INTERVAL, "serviceName": "platform.api"}), "/id");
    Vocabulary {
        query: job
            .status(format!("{audits}/{{id}}"), "/state")
            .message("/errorMessage")
            .results(results.explain_errors(genesys::explain))
            .unwrap(),
        submitted: r#"{"id":"j1","state":"Queued","serviceName":"platform.api","filters":[]}"#,
        told: |state| json!({"id": "j1", "state": state, "errorMessage": "out of luck"}),
        page: r#"{"id":"j1","entities":[{"id":"a1"}]}"#,
        waits: &["Queued", "Running"],
        done: "Succeeded",
        failed: &["Failed", "Cancelled"],
        is_deleted: false,
    }
}

/// Its state is on the pages themselves.
fn usage() -> Vocabulary {
    let usage = format!("{API}/api/v2/usage/query");
    let url = format!("{usage}/{{id}}/results");
    let results = Query::get(&url, "/results", Rule::cursor("/cursors/after", Place::query("after"))).unwrap();
    Vocabulary {
        query: Job::post(&usage, json!({"interval": INTERVAL}), "/executionId")
            .status(&url, "/queryStatus")
            .message("/errorMessage")
            .results(results)
            .unwrap(),
        submitted: r#"{"executionId":"j1","resultsUri":"/api/v2/usage/query/j1/results"}"#,
        told: |state| json!({"results": [], "queryStatus": state, "errorMessage": "out of luck"}),
        page: r#"{"results":[{"clientId":"o1","requests":7}],"queryStatus":"Complete","cursors":{}}"#,
        waits: &["Running"],
        done: "Complete",
        failed: &["Failed"],
        is_deleted: false,
    }
}

/// CXone's, whose answer to the submission is a bare string.
fn extraction() -> Vocabulary {
    let jobs = format!("{API}/data-extraction/v1/jobs");
    let results = Query::get(format!("{jobs}/{{id}}/rows"), "/rows", Rule::single()).unwrap();
    Vocabulary {
        query: Job::post(&jobs, json!({"entityName": "qm-workflows", "version": "1"}), "")
            .status(format!("{jobs}/{{id}}"), "/jobStatus/status")
            .message("/jobStatus/result/errorMessage")
            .results(results)
            .unwrap(),
        submitted: r#""j1""#,
        told: |state| json!({"jobStatus": {"id": "j1", "status": state, "result": {"errorMessage": "out of luck"}}}),
        page: r#"{"rows":[1]}"#,
        waits: &["RUNNING"],
        done: "SUCCEEDED",
        failed: &["FAILED", "CANCELLED", "EXPIRED"],
        is_deleted: false,
    }
}

#[tokio::test(start_paused = true)]
async fn each_state_of_each_vocabulary_is_understood_in_any_case() {
    for Vocabulary { query, submitted, told, page, waits, done, failed, is_deleted } in
        [conversations(), audits(), usage(), extraction()]
    {
        let run = |states: Vec<String>, page: Option<&'static str>| {
            let states = states.iter().map(|state| ok(told(state).to_string())).collect::<Vec<_>>();
            let deletion = is_deleted.then(|| status(204, ""));
            let answers = [status(202, submitted)].into_iter().chain(states).chain(page.map(ok)).chain(deletion);
            let (api, query) = (ScriptedApi::new(answers), query.clone());
            async move {
                let (items, error) = drain(&mut Pager::new(api.service(), query).items::<Value>()).await;
                assert_eq!(api.left(), 0, "{error:?}");
                let posts = api.seen().iter().filter(|seen| seen.method == "POST").count();
                assert_eq!((posts, api.seen().last().unwrap().method == "DELETE"), (1, is_deleted));
                (items.len(), error)
            }
        };
        let spell = [str::to_owned, str::to_uppercase, str::to_lowercase];
        for spell in spell as [fn(&str) -> String; 3] {
            // One that nobody knows is waited for as well.
            for wait in waits.iter().chain(&["PAUSED"]) {
                let (items, error) = run(vec![spell(wait), spell(wait), spell(done)], Some(page)).await;
                assert!(error.is_none() && items == 1, "{wait}: {error:?}");
            }
            let (items, error) = run(vec![spell(done)], Some(page)).await;
            assert!(error.is_none() && items == 1, "{done}: {error:?}");
            for end in failed {
                let (items, error) = run(vec![spell(waits[0]), spell(end)], None).await;
                let error = error.unwrap();
                assert_eq!((items, error.kind()), (0, ErrorKind::JobFailed), "{end}");
                assert_eq!(error.to_string(), format!("the job is {}: out of luck", spell(end)));
            }
        }
    }
}
