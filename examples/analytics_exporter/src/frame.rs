//! What comes out of a lane, and what all lanes have in common.

use std::{
    io,
    sync::{Mutex, PoisonError, atomic::AtomicU64},
};

use bytes::Bytes;
use tokio::sync::Notify;
use tower_oauth2::pager::{self, Continuation};

use crate::{checkpoint::Subject, config::Patience, encode::Misfit, period::Period};

/// Why the records do not flow any more.
#[derive(Debug)]
pub enum Halt {
    Api(pager::Error),
    Output(io::Error),
    /// What waits for its turn cannot wait on the disk.
    Spool(io::Error),
    Misfit(Misfit),
    /// So short a part has more records than the API counts.
    TooDense(Period),
    /// Somebody wants it to end.
    Stopped,
    /// The API did not have all of it yet, as it says itself. All that there is was exported.
    Incomplete(String),
}

/// What comes out of a lane.
#[derive(Debug)]
pub struct Frame {
    pub event: Event,
    /// The records of a page, each on a line.
    pub lines: Bytes,
}

#[derive(Debug)]
pub enum Event {
    /// The part in hand is asked for in two halves; nothing of it counts that came before.
    Halved([Period; 2]),
    /// It is asked for again from its beginning; nothing of it counts that came before.
    Again,
    /// A page, and where the part goes on; with `None` it is at its end.
    Page { records: u64, next: Option<Continuation>, total: Option<u64> },
    /// The part is at its end.
    Ended,
    /// The part is at its end, and the API says that it is not all there.
    Lacks(String),
}

/// What all lanes have in common.
#[derive(Debug)]
pub struct Common {
    pub subject: Subject,
    pub patience: Patience,
    /// Whether jobs are to be left for a later run.
    pub keep_jobs: bool,
    /// Pages asked for again because their body was broken.
    pub repeats: AtomicU64,
    /// Jobs that can be gone on with, and nobody knows yet.
    pub jobs: Jobs,
}

#[derive(Debug, Default)]
pub struct Jobs {
    made: Mutex<Vec<(Option<Period>, Continuation)>>,
    pub changed: Notify,
}

// === impl Jobs ===

impl Jobs {
    /// A job of this part can be gone on with there.
    pub fn tell(&self, part: Option<Period>, continuation: Continuation) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push((part, continuation));
        self.changed.notify_one();
    }

    pub fn take(&self) -> Vec<(Option<Period>, Continuation)> {
        std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
