//! Jobs: what takes an API so long that it is asked for, waited for, fetched page by page, and cleaned up.

mod guard;
mod instant;
mod run;
mod stage;

use std::{fmt, time::Duration};

use http::Uri;
use serde_json::Value;

use self::instant::key;
use super::{
    error::{Error, ErrorKind},
    fingerprint::Fingerprint,
    place::pointer_at,
    query::Query,
    request::absolute,
};
use crate::{encode::encode, json::Pointer};

pub(super) use self::{
    guard::{Guard, Left},
    run::{Made, Run},
    stage::{Ending, Making, Stage, keeps},
};

/// A job whose results are pages: submitted, asked after until it is done, read by a [`Query`], and deleted.
///
/// ```
/// use serde_json::json;
/// use tower_oauth2::pager::{Job, Place, Query, Rule};
///
/// let jobs = "https://api.example.com/v2/jobs";
/// let results = Rule::cursor("/cursor", Place::query("cursor"));
/// let query = Job::post(jobs, json!({"interval": "2026-03-01/2026-03-02"}), "/jobId")
///     .status(format!("{jobs}/{{id}}"), "/state")
///     .delete(format!("{jobs}/{{id}}"))
///     .results(Query::get(format!("{jobs}/{{id}}/results"), "/rows", results)?)?;
/// # Ok::<(), tower_oauth2::pager::Error>(())
/// ```
///
/// The `query` goes to a [`Pager`](super::Pager), which is one stream over all of it:
///
/// * The job is submitted when the pager is first polled, **once**. No [`RetryPolicy`](crate::retry::RetryPolicy) repeats
///   that but for what the server did not look at; where the answer is lost it is not known whether there is a job, and
///   that is an error for the caller to decide on.
/// * It is asked after with a growing pause, 1 s to 30 s with jitter, longer where the answer has a `Retry-After`, for up
///   to an hour. A state is compared without case. One that is neither [`done`](Self::done) nor
///   [`failed`](Self::failed) is waited for.
/// * It is deleted whatever comes: at the end, after an error, and when the stream is dropped, by a task of the runtime
///   then. So it is if it turns out that it was made only after the stream was dropped. That it cannot be deleted is
///   logged and no error. A process that is killed leaves it behind, and so does a runtime that ends with that task:
///   whoever stops early, and ends the program then, waits for [`Pager::close`](super::Pager::close).
/// * A [`Continuation`](super::Continuation) names the job, and is good as long as that is there: after a kill, or with
///   [`keep_unfinished`](Self::keep_unfinished). Otherwise the job is gone with the stream. After an error
///   [`Pager::continuation`](super::Pager::continuation) says so and begins anew; one that was saved before leads to
///   [`JobFailed`](super::ErrorKind::JobFailed), and after that as well.
///
/// It needs a tokio runtime.
#[derive(Clone)]
#[must_use]
pub struct Job {
    submit: String,
    body: Value,
    id: String,
    status: Option<(String, String)>,
    message: Option<String>,
    delete: Option<String>,
    done: Vec<String>,
    failed: Vec<String>,
    complete_to: Option<(String, String)>,
    timing: Timing,
    keep_unfinished: bool,
}

/// One whose places and URLs have been read.
pub(super) struct Plan {
    submit: Uri,
    body: Value,
    id: Pointer,
    status: String,
    state: Pointer,
    message: Option<Pointer>,
    delete: Option<String>,
    done: Vec<String>,
    failed: Vec<String>,
    complete_to: Option<(Pointer, String)>,
    timing: Timing,
    pub(super) keep_unfinished: bool,
}

#[derive(Clone, Copy)]
struct Timing {
    first_pause: Duration,
    longest_pause: Duration,
    timeout: Duration,
}

// === impl Job ===

impl Job {
    /// A job that a POST of the JSON `body` to `url` makes. `id` is where the answer names it: a JSON pointer to a string
    /// or a number, `""` for the whole answer.
    pub fn post(url: impl Into<String>, body: Value, id: impl Into<String>) -> Self {
        let owned = |states: &[&str]| states.iter().map(|&state| state.into()).collect();
        Self {
            submit: url.into(),
            body,
            id: id.into(),
            status: None,
            message: None,
            delete: None,
            done: owned(&["fulfilled", "succeeded", "success", "complete", "completed", "done"]),
            failed: owned(&["failed", "cancelled", "canceled", "expired", "error"]),
            complete_to: None,
            timing: Timing {
                first_pause: Duration::from_secs(1),
                longest_pause: Duration::from_secs(30),
                timeout: Duration::from_secs(60 * 60),
            },
            keep_unfinished: false,
        }
    }

    /// Where to ask after it, with `{id}` for what names it, and where the answer has its state: a JSON pointer. Required.
    pub fn status(mut self, url: impl Into<String>, state: impl Into<String>) -> Self {
        self.status = Some((url.into(), state.into()));
        self
    }

    /// Where that answer has a message for people, for the error if it fails. None by default.
    pub fn message(mut self, pointer: impl Into<String>) -> Self {
        self.message = Some(pointer.into());
        self
    }

    /// The states in which there are results, whatever their case. Defaults to `fulfilled`, `succeeded`, `success`,
    /// `complete`, `completed` and `done`.
    pub fn done<T: Into<String>>(mut self, states: impl IntoIterator<Item = T>) -> Self {
        self.done = states.into_iter().map(Into::into).collect();
        self
    }

    /// The states in which there will be none, whatever their case. Defaults to `failed`, `cancelled`, `canceled`,
    /// `expired` and `error`.
    pub fn failed<T: Into<String>>(mut self, states: impl IntoIterator<Item = T>) -> Self {
        self.failed = states.into_iter().map(Into::into).collect();
        self
    }

    /// What to send a DELETE to, with `{id}` for what names the job. Nothing by default, and then no job is deleted.
    pub fn delete(mut self, url: impl Into<String>) -> Self {
        self.delete = Some(url.into());
        self
    }

    /// Where a page of results says until when there was data, and until when there has to be: instants of RFC 3339 in
    /// UTC, with a `Z`.
    ///
    /// If a page says an earlier one the stream ends with [`JobIncomplete`](super::ErrorKind::JobIncomplete), after the
    /// last page. Not checked by default, nor where no page says anything.
    pub fn complete_to(mut self, pointer: impl Into<String>, instant: impl Into<String>) -> Self {
        self.complete_to = Some((pointer.into(), instant.into()));
        self
    }

    /// The first and the longest pause between two questions after its state. Defaults to 1 s and 30 s; a day at the most.
    /// Half of each is chance: where an API wants no less than 30 s between them, say 60 s.
    pub fn poll_every(mut self, first: Duration, longest: Duration) -> Self {
        self.timing.first_pause = first.clamp(Duration::from_millis(1), DAY);
        self.timing.longest_pause = longest.clamp(self.timing.first_pause, DAY);
        self
    }

    /// How long it may take to be done, from when it was made or gone on with. Defaults to an hour; 30 days at the most.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timing.timeout = timeout.min(30 * DAY);
        self
    }

    /// Deletes the job only when its results came to their end, and when it failed: not after another error, and not when
    /// the stream is dropped, so that [`Pager::resume`](super::Pager::resume) can go on with it, in another process if need
    /// be. Off by default. One that nobody goes on with takes its place at the API until that deletes it.
    pub fn keep_unfinished(mut self) -> Self {
        self.keep_unfinished = true;
        self
    }

    /// The query for a [`Pager`](super::Pager): `query` says where the pages of results are, with `{id}` in its URL for
    /// what names the job. Its headers and extensions are on every request, but for its [`Repeat`](crate::retry::Repeat).
    ///
    /// # Errors
    ///
    /// If there is no [`status`](Self::status), the query is to [find out](Query::auto_get) where its pages are, a URL has no `{id}`, is not absolute or of another origin than the query,
    /// or a pointer is none.
    pub fn results(self, query: Query) -> Result<Query, Error> {
        let (status, state) = self.status.ok_or_else(|| Error::config("a job needs a URL to ask after it: status"))?;
        let named = [("status", Some(&status)), ("delete", self.delete.as_ref())];
        for (what, url) in named.into_iter().filter_map(|(what, url)| Some((what, url?))) {
            query.is_at_home(&absolute(&with_id(url, "id"))?)?;
            if !url.contains(ID) {
                return Err(Error::config(format!("the URL for the {what} of a job has no {ID} in it")));
            }
        }
        let submit = absolute(&self.submit)?;
        query.is_at_home(&submit)?;
        let at = |pointer: Option<String>| pointer.as_deref().map(pointer_at).transpose();
        let plan = Plan {
            submit,
            body: self.body,
            id: pointer_at(&self.id)?,
            status,
            state: pointer_at(&state)?,
            message: at(self.message)?,
            delete: self.delete,
            done: self.done,
            failed: self.failed,
            complete_to: self
                .complete_to
                .map(|(pointer, instant)| {
                    let instant = key(&instant).ok_or_else(|| {
                        Error::config(format!(
                            "{instant:?} is no instant of RFC 3339 in UTC, such as 2026-03-01T00:00:00Z"
                        ))
                    })?;
                    Ok::<_, Error>((pointer_at(&pointer)?, instant))
                })
                .transpose()?,
            timing: self.timing,
            keep_unfinished: self.keep_unfinished,
        };
        query.of_job(plan)
    }
}

/// Without the body and the URLs, which may be secret.
impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("done", &self.done)
            .field("failed", &self.failed)
            .field("keep_unfinished", &self.keep_unfinished)
            .finish_non_exhaustive()
    }
}

// === impl Plan ===

impl Plan {
    /// All that tells its results from those of another one.
    pub(super) fn write(&self, fingerprint: &mut Fingerprint) {
        fingerprint.field(b'J', self.submit.to_string().as_bytes());
        fingerprint.json(&self.body);
    }

    /// Whether data ended before it had to, by what a page says.
    pub(super) fn lacks(&self, page: &[u8]) -> Option<Error> {
        let (pointer, needed) = self.complete_to.as_ref()?;
        let said: String = crate::json::at(page, pointer)?;
        if key(&said).is_some_and(|until| until >= *needed) {
            return None;
        }
        let said = crate::text::clean(&said, 40);
        Some(Error::new(
            ErrorKind::JobIncomplete,
            format!("there was data until {said} only, which is before {needed}Z"),
        ))
    }

    /// Where a page says until when there was data.
    pub(super) fn said_to(&self) -> Option<&Pointer> {
        self.complete_to.as_ref().map(|(pointer, _)| pointer)
    }

    fn is_done(&self, state: &str) -> bool {
        self.done.iter().any(|done| done.eq_ignore_ascii_case(state))
    }

    fn has_failed(&self, state: &str) -> bool {
        self.failed.iter().any(|failed| failed.eq_ignore_ascii_case(state))
    }
}

/// `url` with what names the job, as one segment of a path or one value.
pub(super) fn with_id(url: &str, id: &str) -> String {
    url.replace(ID, &encode(id))
}

/// Stands for what names a job.
pub(super) const ID: &str = "{id}";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
