//! Deletes a job, whatever becomes of who asked for it.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{runtime::Handle, task::JoinHandle};
use tracing::warn;

/// Deletes the job when it is dropped, unless it is to be kept.
pub(in crate::pager) struct Guard {
    id: String,
    keep: bool,
    left: Left,
    /// The lock makes it `Sync` and is never taken.
    deletion: Mutex<Option<Deletion>>,
}

/// Where a guard that was dropped leaves the task that deletes its job.
pub(in crate::pager) type Left = Arc<Mutex<Option<JoinHandle<()>>>>;

type Deletion = Pin<Box<dyn Future<Output = ()> + Send>>;

// === impl Guard ===

impl Guard {
    pub(super) fn new(id: String, left: Left, deletion: Option<impl Future<Output = ()> + Send + 'static>) -> Self {
        Self { id, keep: false, left, deletion: Mutex::new(deletion.map(|deletion| Box::pin(deletion) as _)) }
    }

    /// Whether a job that nobody has ended is left alone.
    pub(super) fn keep_unless_ended(&mut self, keep: bool) {
        self.keep = keep;
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
            let deletion = self.delete();
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) = deletion;
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("id", &self.id).finish_non_exhaustive()
    }
}
