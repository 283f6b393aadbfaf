//! How the policy tells the layers underneath when it gives up.

use http::Extensions;
use tokio::time::Instant;

use crate::deadline::Deadline;

/// Request extension of what is sent again: until when that makes sense.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryBy(Instant);

// === impl RetryBy ===

impl RetryBy {
    pub(super) fn at(at: Instant) -> Self {
        Self(at)
    }

    /// Unless another policy, further out, gives up sooner.
    pub(super) fn tell(self, extensions: &mut Extensions) {
        let sooner = extensions.get().map_or(self.0, |Self(at)| self.0.min(*at));
        extensions.insert(Self(sooner));
    }
}

/// Until when a request may be sent, by its own [`Deadline`] or by the policy's.
pub(super) fn send_by(extensions: &Extensions) -> Option<Instant> {
    let own = extensions.get().map(Deadline::instant);
    let policy = extensions.get().map(|RetryBy(at)| *at);
    own.into_iter().chain(policy).min()
}
