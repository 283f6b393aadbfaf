//! What a policy, which sees requests of any body, can ask a [`ReplayBody`](super::ReplayBody).

use std::sync::Arc;

use http::Extensions;

use crate::retry::outcome::Stopped;

/// Request extension: says whether the body can be sent again, and takes it away from the copy that is being sent.
#[derive(Clone)]
pub(super) struct Replay(Arc<dyn Replayable>);

pub(super) trait Replayable: Send + Sync {
    /// Whether all that was read of the body is still there.
    fn is_replayable(&self) -> bool;

    /// Takes the rest of the body from the copies that have been begun, for one that has not. No, if it cannot be
    /// replayed; then nothing changes.
    fn claim(&self) -> bool;
}

/// Whether nothing hinders another attempt; without a [`Replay`], nothing does. Changes nothing.
pub(in crate::retry) fn check(extensions: &Extensions) -> Result<(), Stopped> {
    answer(extensions, |body| body.is_replayable())
}

/// The request is to be sent again, and whatever is still being sent of it is not needed any more. Only once that is sure:
/// a response that goes to the caller may need it.
pub(in crate::retry) fn claim(extensions: &Extensions) -> Result<(), Stopped> {
    answer(extensions, |body| body.claim())
}

fn answer(extensions: &Extensions, ask: impl FnOnce(&dyn Replayable) -> bool) -> Result<(), Stopped> {
    match extensions.get::<Replay>() {
        Some(Replay(body)) if !ask(&**body) => Err(Stopped::NotReplayable),
        _ => Ok(()),
    }
}

// === impl Replay ===

impl Replay {
    pub(super) fn new(body: Arc<dyn Replayable>) -> Self {
        Self(body)
    }
}
