//! Deletes a job, whatever becomes of who asked for it.

use std::{
    fmt,
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use tokio::{runtime::Handle, task::JoinHandle};
use tracing::warn;

/// Deletes the job when it is dropped, unless it is to be kept.
pub(in crate::pager) struct Guard {
    id: String,
    keep: bool,
    /// The lock makes it `Sync` and is never taken.
    deletion: Mutex<Option<Deletion>>,
}

type Deletion = Pin<Box<dyn Future<Output = ()> + Send>>;

// === impl Guard ===

impl Guard {
    /// `keep` leaves a job alone that nobody has ended.
    pub(super) fn new(id: String, keep: bool, deletion: Option<impl Future<Output = ()> + Send + 'static>) -> Self {
        Self { id, keep, deletion: Mutex::new(deletion.map(|deletion| Box::pin(deletion) as _)) }
    }

    /// What names the job.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Deletes the job, in a task of its own: who waits for it may be dropped as well.
    pub(super) fn delete(&mut self) -> Option<JoinHandle<()>> {
        let deletion = self.deletion.get_mut().unwrap_or_else(PoisonError::into_inner).take()?;
        match Handle::try_current() {
            Ok(runtime) => Some(runtime.spawn(deletion)),
            Err(_) => {
                warn!(job = %self.id, "the job was left behind: there is no runtime to delete it");
                None
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.keep {
            self.delete();
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("id", &self.id).finish_non_exhaustive()
    }
}
