//! Makes a job and waits until it is done.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout, timeout_at},
};
use tower::BoxError;
use tower_service::Service;
use tracing::{debug, info, warn};

use super::{Guard, Left, Plan, keeps, with_id};
use crate::{
    deadline::Deadline,
    json,
    pager::{
        error::{Error, ErrorKind},
        exchange::exchange,
        limits::Limits,
        query::Query,
        request::absolute,
    },
    repeat::Repeat,
    retry_after::retry_after,
    text::clean,
};

pub(in crate::pager) struct Run<S> {
    pub(in crate::pager) service: S,
    pub(in crate::pager) query: Arc<Query>,
    pub(in crate::pager) plan: Arc<Plan>,
    pub(in crate::pager) left: Left,
    pub(in crate::pager) limits: Limits,
    pub(in crate::pager) rng: fastrand::Rng,
}

/// What an answer about a job says.
struct Told {
    state: String,
    message: Option<String>,
    /// When to ask again.
    hint: Option<Duration>,
    correlation_id: Option<String>,
}

/// What names the job, once there is one: also while it is still waited for.
pub(in crate::pager) type Made = Arc<OnceLock<String>>;

// === impl Run ===

impl<S, R> Run<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    /// Makes the job, unless it is there, and waits until it is done. It is deleted when the guard is dropped.
    pub(in crate::pager) async fn run(mut self, made: Made) -> Result<Guard, Error> {
        let mut guard = match made.get() {
            Some(id) if is_name(id) => self.guard(id.clone())?,
            Some(_) => return Err(Error::config("the continuation is damaged: no job is called that")),
            None => {
                let (id, guard) = self.submit().await?;
                info!(job = %clean(&id, 100), "job submitted");
                made.get_or_init(|| id);
                guard
            }
        };
        // Not before somebody can name it.
        guard.keep_unless_ended(self.plan.keep_unfinished);
        let id = made.get().cloned().unwrap_or_default();
        let Err(error) = self.wait(&id).await else { return Ok(guard) };
        self.delete(&mut guard, Some(&error)).await;
        Err(error)
    }

    /// Ends the job, at the end of its results or because of `error`; what comes out is the error to tell of.
    pub(in crate::pager) async fn conclude(mut self, guard: Option<Guard>, error: Option<Error>) -> Option<Error> {
        let Some(mut guard) = guard else { return error };
        let error = match error {
            Some(error) => Some(self.explain(guard.id(), error).await),
            None => None,
        };
        self.delete(&mut guard, error.as_ref()).await;
        error
    }

    async fn delete(&mut self, guard: &mut Guard, error: Option<&Error>) {
        if keeps(&self.plan, error) {
            return;
        }
        if let Some(deleted) = guard.delete() {
            let _panicked = deleted.await;
        }
    }

    /// What is the matter with the job, if its results are refused because of that.
    async fn explain(&mut self, id: &str, refusal: Error) -> Error {
        let refused = refusal.status().is_some_and(|status| status.is_client_error());
        if !refused {
            return refusal;
        }
        // The refusal is told in any case: what it is about must not keep it back for long.
        match timeout(AFTERWARDS, self.state(id)).await {
            Ok(Ok(told)) if self.plan.has_failed(&told.state) => failed(&told).because(refusal),
            Ok(Err(error)) if is_gone(&error) => gone().because(refusal),
            Ok(Ok(_) | Err(_)) | Err(_) => refusal,
        }
    }

    /// In a task of its own: a job that is made must be known, to be deleted, also if nobody waits for it any more.
    async fn submit(&mut self) -> Result<(String, Guard), Error> {
        let runtime = Handle::try_current().map_err(|_| Error::config("a job needs a tokio runtime"))?;
        let mut job = Self {
            service: self.service.clone(),
            query: Arc::clone(&self.query),
            plan: Arc::clone(&self.plan),
            left: Arc::clone(&self.left),
            limits: self.limits,
            rng: self.rng.clone(),
        };
        let made = runtime.spawn(async move {
            let body = job.plan.body.to_string().into();
            let request = job.query.side_request(Method::POST, &job.plan.submit, Some(body), Repeat::Never)?;
            let answer = exchange(&mut job.service, request, &job.query, job.limits, MAX_BYTES).await;
            let (head, bytes) = answer.map_err(|error| match error.kind() {
                ErrorKind::Status => error,
                _ => Error::new(error.kind(), "the answer to the job was lost: it may have been made").because(error),
            })?;
            match name(&bytes, &job.plan.id) {
                Some(id) => Ok((id.clone(), job.guard(id)?)),
                None => {
                    let problem = format!("the answer to the job does not name it at {:?}", job.plan.id.to_string());
                    Err(Error::new(ErrorKind::Body, problem)
                        .with_correlation_id(job.query.correlation_id(&head.headers)))
                }
            }
        });
        made.await.map_err(|error| Error::new(ErrorKind::Send, "the job was not submitted").with_source(error))?
    }

    async fn wait(&mut self, id: &str) -> Result<(), Error> {
        let timing = self.plan.timing;
        let begun = Instant::now();
        let give_up_at = begun + timing.timeout;
        let mut pause = timing.first_pause;
        loop {
            let told = match timeout_at(give_up_at, self.state(id)).await {
                Ok(Ok(told)) => told,
                Err(_) => {
                    let problem =
                        format!("the API does not say how it is with the job, {:?} after that", timing.timeout);
                    return Err(Error::new(ErrorKind::JobTimeout, problem));
                }
                Ok(Err(error)) if is_gone(&error) => return Err(gone().because(error)),
                Ok(Err(error)) => return Err(error),
            };
            if self.plan.is_done(&told.state) {
                return Ok(());
            }
            if self.plan.has_failed(&told.state) {
                return Err(failed(&told).with_correlation_id(told.correlation_id));
            }
            // Half of it is chance, so that many jobs do not ask at once.
            let wait = (pause / 2 + (pause / 2).mul_f64(self.rng.f64())).max(told.hint.unwrap_or_default());
            if (Instant::now() - begun).saturating_add(wait) > timing.timeout {
                let problem = format!("the job is still {} after {:?}", clean(&told.state, 40), Instant::now() - begun);
                return Err(Error::new(ErrorKind::JobTimeout, problem).with_correlation_id(told.correlation_id));
            }
            debug!(job = %clean(id, 100), state = %clean(&told.state, 40), ?wait, "the job is not done yet");
            sleep(wait).await;
            pause = (pause * 3 / 2).min(timing.longest_pause);
        }
    }

    /// How it is with the job; asked again where the answer is broken.
    async fn state(&mut self, id: &str) -> Result<Told, Error> {
        let mut attempt = 1;
        loop {
            let url = absolute(&with_id(&self.plan.status, id))?;
            let request = self.query.side_request(Method::GET, &url, None, Repeat::Always)?;
            let answer = exchange(&mut self.service, request, &self.query, self.limits, MAX_BYTES).await;
            let error = match answer {
                Ok((head, bytes)) => {
                    let correlation_id = self.query.correlation_id(&head.headers);
                    if let Some(state) = json::at::<String>(&bytes, &self.plan.state) {
                        let message = self.plan.message.as_ref().and_then(|message| json::at(&bytes, message));
                        let hint = retry_after(&head.headers, SystemTime::now());
                        return Ok(Told { state, message, hint, correlation_id });
                    }
                    let problem = format!("the answer about the job has no text at {}", self.plan.state);
                    Error::new(ErrorKind::Body, problem).with_correlation_id(correlation_id)
                }
                Err(error) => error,
            };
            if error.kind() != ErrorKind::Body || attempt >= self.limits.page_attempts {
                return Err(error);
            }
            sleep(self.plan.timing.first_pause.mul_f64(self.rng.f64())).await;
            attempt += 1;
        }
    }

    fn guard(&self, id: String) -> Result<Guard, Error> {
        let left = Arc::clone(&self.left);
        let Some(url) = &self.plan.delete else { return Ok(Guard::new(id, left, None::<std::future::Ready<()>>)) };
        let url = absolute(&with_id(url, &id))?;
        let mut request = self.query.side_request(Method::DELETE, &url, None, Repeat::Always)?;
        // What is to be done by then is the job, and not what comes after it.
        request.extensions_mut().remove::<Deadline>();
        let deletion = delete(self.service.clone(), request, Arc::clone(&self.query), self.limits, id.clone());
        Ok(Guard::new(id, left, Some(deletion)))
    }
}

async fn delete<S, R>(mut service: S, request: Request<Full<Bytes>>, query: Arc<Query>, limits: Limits, id: String)
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    let id = clean(&id, 100);
    match timeout(AFTERWARDS, exchange(&mut service, request, &query, limits, MAX_BYTES)).await {
        Ok(Ok(_)) => debug!(job = %id, "job deleted"),
        Ok(Err(error)) if is_gone(&error) => debug!(job = %id, "the job was gone already"),
        Ok(Err(error)) => warn!(job = %id, %error, "the job was left behind"),
        Err(_) => warn!(job = %id, timeout = ?AFTERWARDS, "the job was left behind"),
    }
}

/// What an answer calls the job.
fn name(bytes: &Bytes, at: &json::Pointer) -> Option<String> {
    let text = json::at::<String>(bytes, at).or_else(|| json::at::<u64>(bytes, at).map(|number| number.to_string()));
    text.filter(|text| is_name(text))
}

/// Whether it can stand in a URL, and stands for itself there: some clients take dots for folders.
fn is_name(id: &str) -> bool {
    !id.trim().is_empty() && !matches!(id.trim(), "." | "..") && id.len() <= LONGEST_NAME
}

fn is_gone(error: &Error) -> bool {
    matches!(error.status(), Some(StatusCode::NOT_FOUND | StatusCode::GONE))
}

fn gone() -> Error {
    Error::new(ErrorKind::JobFailed, "the job is gone: it may have expired, or somebody deleted it")
}

fn failed(told: &Told) -> Error {
    let message = told.message.as_deref().map(|message| clean(message, 400)).filter(|message| !message.is_empty());
    let said = message.map(|message| format!(": {message}")).unwrap_or_default();
    Error::new(ErrorKind::JobFailed, format!("the job is {}{said}", clean(&told.state, 40)))
}

/// What is not a page of results.
const MAX_BYTES: usize = 1024 * 1024;
const LONGEST_NAME: usize = 1024;
/// For whatever comes after the results.
const AFTERWARDS: Duration = Duration::from_secs(30);
