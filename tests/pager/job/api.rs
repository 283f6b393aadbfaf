//! An API with one job, as long as nobody says otherwise.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tower::{BoxError, service_fn, util::BoxCloneService};
use tower_oauth2::{
    pager::{Job, Pager, Place, Query, Rule},
    retry::Repeat,
    testing::Body,
};

use crate::scripted_api::{Answer, ok, status};

pub(crate) const JOBS: &str = "https://api.example.com/v2/jobs";
pub(crate) type Client = BoxCloneService<Request<Full<Bytes>>, Response<Body>, BoxError>;

#[derive(Clone)]
pub(crate) struct Api {
    /// What is answered to a request other than usual: the first of the answers, the last of them for ever.
    says: Arc<Mutex<HashMap<&'static str, Vec<Say>>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    begun: Instant,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Say {
    Page(&'static str),
    Status(u16, &'static str),
    RetryAfter(&'static str, &'static str),
    Late(Duration, &'static str),
    Lost,
    Never,
}

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) at: Duration,
    pub(crate) body: String,
    pub(crate) repeat: Option<Repeat>,
    pub(crate) tenant: bool,
}

// === impl Api ===

impl Api {
    pub(crate) fn new() -> Self {
        Self { says: Arc::default(), seen: Arc::default(), begun: Instant::now() }
    }

    /// `line` is a method and what comes behind `/v2/jobs`.
    pub(crate) fn says(self, line: &'static str, says: impl IntoIterator<Item = Say>) -> Self {
        self.says.lock().unwrap().insert(line, says.into_iter().collect());
        self
    }

    pub(crate) fn service(&self) -> Client {
        let api = self.clone();
        BoxCloneService::new(service_fn(move |request: Request<Full<Bytes>>| api.clone().answer(request)))
    }

    pub(crate) fn pager(&self) -> Pager<Client> {
        self.pager_of(job())
    }

    pub(crate) fn pager_of(&self, job: Job) -> Pager<Client> {
        Pager::new(self.service(), query(job)).seed(1)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    pub(crate) fn count(&self, start: &str) -> usize {
        self.lines().iter().filter(|line| line.starts_with(start)).count()
    }

    async fn answer(self, request: Request<Full<Bytes>>) -> Answer {
        let (head, body) = request.into_parts();
        let line = format!("{} {}", head.method, head.uri.to_string().strip_prefix(JOBS).unwrap());
        let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        self.seen.lock().unwrap().push(Seen {
            line: line.clone(),
            at: Instant::now() - self.begun,
            body,
            repeat: head.extensions.get().copied(),
            tenant: head.headers.contains_key("tenant"),
        });
        let said = self.says.lock().unwrap().get_mut(line.as_str()).map(|says| {
            let say = says[0];
            if says.len() > 1 {
                says.remove(0);
            }
            say
        });
        match said {
            Some(Say::Page(page)) => ok(page),
            Some(Say::Status(code, body)) => status(code, body),
            Some(Say::RetryAfter(seconds, page)) => {
                let mut response = ok(page)?;
                response.headers_mut().insert("retry-after", seconds.parse()?);
                Ok(response)
            }
            Some(Say::Late(wait, page)) => {
                sleep(wait).await;
                ok(page)
            }
            Some(Say::Lost) => Err("connection reset by peer".into()),
            Some(Say::Never) => pending().await,
            None => match line.as_str() {
                "POST " => ok(r#"{"jobId":"j1"}"#),
                "GET /j1" => ok(r#"{"state":"FULFILLED"}"#),
                "GET /j1/results" => ok(r#"{"rows":[1,2],"cursor":"c2"}"#),
                "GET /j1/results?cursor=c2" => ok(r#"{"rows":[3]}"#),
                "DELETE /j1" => status(204, ""),
                _ => status(404, ""),
            },
        }
    }
}

pub(crate) fn job() -> Job {
    Job::post(JOBS, json!({"interval": "a/b"}), "/jobId")
        .status(format!("{JOBS}/{{id}}"), "/state")
        .message("/errorMessage")
        .delete(format!("{JOBS}/{{id}}"))
}

pub(crate) fn results() -> Query {
    let rule = Rule::cursor("/cursor", Place::query("cursor"));
    Query::get(format!("{JOBS}/{{id}}/results"), "/rows", rule).unwrap()
}

pub(crate) fn query(job: Job) -> Query {
    job.results(results()).unwrap()
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
