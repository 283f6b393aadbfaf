//! How far a pager is with its job.

use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::task::JoinHandle;

use super::{Guard, Left, Made, Plan};
use crate::pager::error::{Error, ErrorKind};

pub(in crate::pager) struct Stage {
    plan: Arc<Plan>,
    made: Made,
    left: Left,
    state: State,
    /// What is wrong with results that are not refused.
    lacking: Option<Error>,
}

// The locks make it `Sync` and are never taken.
enum State {
    New,
    Making(Mutex<Making>),
    Made(Guard),
    Ending(Mutex<Ending>),
    Over,
}

pub(in crate::pager) type Making = Pin<Box<dyn Future<Output = Result<Guard, Error>> + Send>>;
/// The error may be another one in the end.
pub(in crate::pager) type Ending = Pin<Box<dyn Future<Output = Option<Error>> + Send>>;

// === impl Stage ===

impl Stage {
    /// Of a job that is to be made, or is there already.
    pub(in crate::pager) fn new(plan: Arc<Plan>, id: Option<String>) -> Self {
        let made = Made::default();
        if let Some(id) = id {
            made.get_or_init(|| id);
        }
        Self { plan, made, left: Left::default(), state: State::New, lacking: None }
    }

    /// Drops what there is of the job; what comes out deletes it.
    pub(in crate::pager) fn close(self) -> Option<JoinHandle<()>> {
        drop(self.state);
        self.left.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(in crate::pager) fn left(&self) -> &Left {
        &self.left
    }

    pub(in crate::pager) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub(in crate::pager) fn made(&self) -> &Made {
        &self.made
    }

    /// What names the job, if there is one to go on with.
    pub(in crate::pager) fn id(&self) -> Option<&str> {
        self.made.get().map(String::as_str)
    }

    /// Whether the results can be asked for, and since when: `Some` once, when they can.
    pub(in crate::pager) fn poll_done(
        &mut self,
        cx: &mut Context<'_>,
        make: impl FnOnce(&Self) -> Making,
    ) -> Poll<Result<Option<String>, Error>> {
        if let State::New = self.state {
            self.state = State::Making(Mutex::new(make(self)));
        }
        let State::Making(making) = &mut self.state else { return Poll::Ready(Ok(None)) };
        let made = ready!(making.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll(cx));
        // Whoever could not make one has left nothing behind.
        self.state = State::Over;
        self.state = State::Made(made?);
        Poll::Ready(Ok(self.id().map(str::to_owned)))
    }

    /// Whether there were pages that say something is missing.
    pub(in crate::pager) fn lacks(&self) -> bool {
        self.lacking.is_some()
    }

    pub(in crate::pager) fn saw(&mut self, page: &[u8], correlation_id: impl FnOnce() -> Option<String>) {
        if let Some(lacking) = self.plan.lacks(page) {
            self.lacking = Some(lacking.with_correlation_id(correlation_id()));
        }
    }

    /// Ends the job, because of `error` if there is one; what comes out is the error to tell of.
    pub(in crate::pager) fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
        error: &mut Option<Error>,
        end: impl FnOnce(Option<Guard>, Option<Error>) -> Ending,
    ) -> Poll<Option<Error>> {
        let ending = match &mut self.state {
            State::Ending(ending) => ending,
            state => {
                let guard = match mem::replace(state, State::Over) {
                    State::Made(guard) => Some(guard),
                    State::New | State::Making(_) | State::Ending(_) | State::Over => None,
                };
                let error = error.take().or(self.lacking.take());
                *state = State::Ending(Mutex::new(end(guard, error)));
                let State::Ending(ending) = state else { return Poll::Pending };
                ending
            }
        };
        let error = ready!(ending.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll(cx));
        self.state = State::Over;
        if !keeps(&self.plan, error.as_ref()) {
            self.made = Made::default();
        }
        Poll::Ready(error)
    }
}

/// Whether somebody can go on with the job after `error`.
pub(in crate::pager) fn keeps(plan: &Plan, error: Option<&Error>) -> bool {
    plan.keep_unfinished
        && error.is_some_and(|error| !matches!(error.kind(), ErrorKind::JobFailed | ErrorKind::JobIncomplete))
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::New => "new",
            State::Making(_) => "making",
            State::Made(_) => "done",
            State::Ending(_) => "ending",
            State::Over => "over",
        };
        f.debug_struct("Stage").field("state", &state).finish_non_exhaustive()
    }
}
