//! How layers notice that they are stacked the wrong way round: by the marks that they leave on a 401.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Response extension: an [`OAuthLayer`](crate::OAuthLayer) has looked at this 401, and has nothing to say about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed;

/// Response extension: a [`RetryPolicy`](crate::retry::RetryPolicy) has let this 401 go, and no layer had looked at it.
#[derive(Clone, Debug)]
pub(crate) struct GivenUp {
    told: Arc<AtomicBool>,
}

// === impl GivenUp ===

impl GivenUp {
    /// `told` is the policy's: whether it was told about.
    pub(crate) fn new(told: Arc<AtomicBool>) -> Self {
        Self { told }
    }

    /// Whether nobody was told before. Somebody is, from now on.
    pub(crate) fn is_first(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }
}
