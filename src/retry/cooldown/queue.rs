//! One request before the gate: whether it may pass, and when to ask again.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use tokio::time::Instant;
use tower::BoxError;

use super::{
    super::{classify::is_unprocessed, metrics, retry_by::send_by, stats::count},
    config::Config,
    error::{CooldownError, Reason},
    key::{Key, Place},
    state::{Cause, Hold},
    window::{Mark, Ticket, Turn},
};
use crate::error::{Error, Kind};

/// Learns from the answer to a request that was sent.
#[derive(Clone)]
pub(super) struct Watch {
    config: Arc<Config>,
    key: Key,
    place: Place,
    mark: Option<Mark>,
}

/// A request that was not sent yet. Its place in the line goes back if it never is.
pub(super) struct Queue {
    watch: Watch,
    ticket: Option<Ticket>,
    since: Instant,
    deadline: Option<Instant>,
    /// What it waits for, or last did.
    hold: Option<Hold>,
}

// === impl Watch ===

impl Watch {
    pub(super) fn new<B>(config: &Arc<Config>, request: Request<B>) -> (Self, Request<B>) {
        let place = Place::of(request.uri());
        let (key, request) = config.memory.hashing.key(request, config.credential.as_deref());
        (Self { config: Arc::clone(config), key, place, mark: None }, request)
    }

    pub(super) fn heed<R>(&self, response: &Response<R>) {
        self.config.heed(response, self.key, &self.place, self.mark);
    }

    /// There is no answer: the place of a request that has never come to the server is free again.
    pub(super) fn heed_error(&self, error: &BoxError) {
        if let Some(mark) = self.mark.filter(|_| is_unprocessed(error.as_ref())) {
            self.config.memory.lock().lose(self.key, mark);
        }
    }
}

// === impl Queue ===

impl Queue {
    pub(super) fn new<B>(watch: Watch, request: &Request<B>) -> Self {
        let deadline = send_by(request.extensions());
        Self { watch, ticket: None, since: Instant::now(), deadline, hold: None }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// `None` if it is to be sent now, or when to ask again.
    pub(super) fn ask(&mut self) -> Result<Option<Instant>, BoxError> {
        let now = Instant::now();
        if self.hold.is_some() && self.deadline.is_some_and(|deadline| now >= deadline) {
            return Err(Error::deadline(false).into());
        }
        let Watch { config, key, .. } = &self.watch;
        let pacing = config.pacing.as_ref().map(|pacing| (pacing, config.max_keys));
        let can_wait = |until| self.too_long(until).is_none();
        let turn = config.memory.lock().ask(*key, now, pacing, self.ticket, can_wait);
        let (hold, at) = match turn {
            Turn::Go(ticket) => {
                self.ticket = ticket;
                return Ok(None);
            }
            Turn::At(ticket) => {
                self.ticket = Some(ticket);
                (Hold { until: ticket.at, spread: Duration::ZERO, cause: Cause::Paced }, ticket.at)
            }
            Turn::Wait(hold) => match self.too_long(hold.until) {
                None => (hold, hold.release(config.draw(), self.deadline)),
                Some(reason) => return Err(self.refuse(hold, now, reason).into()),
            },
        };
        if self.hold.replace(hold).is_none() {
            count(&config.memory.counters.waited);
            metrics::held_back("waited");
        }
        Ok(Some(at))
    }

    /// It must wait, and nothing would wake it.
    pub(super) fn no_timer(&self) -> BoxError {
        match self.hold {
            Some(hold) => self.refuse(hold, Instant::now(), Reason::NoTimer).into(),
            None => Error::new(Kind::NoTimer).into(),
        }
    }

    /// It is sent.
    pub(super) fn leave(&mut self) -> Watch {
        let Watch { config, key, .. } = &self.watch;
        let mark = self.ticket.take().and_then(|ticket| config.memory.lock().send(*key, ticket, Instant::now()));
        Watch { mark, ..self.watch.clone() }
    }

    fn too_long(&self, until: Instant) -> Option<Reason> {
        let max_wait = self.watch.config.max_wait;
        if self.deadline.is_some_and(|deadline| until >= deadline) {
            return Some(Reason::Deadline);
        }
        (until > self.since + max_wait).then_some(Reason::MaxWait(max_wait))
    }

    fn refuse(&self, hold: Hold, now: Instant, reason: Reason) -> CooldownError {
        count(&self.watch.config.memory.counters.refused);
        metrics::held_back("refused");
        CooldownError::new(&self.watch.place, hold, now, reason)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.watch.config.memory.lock().give_back(self.watch.key, ticket);
        }
    }
}
