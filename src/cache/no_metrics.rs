//! Nothing, where nobody wants metrics.

use std::marker::PhantomData;

use tokio::time::Instant;

use super::fact::Fact;

#[derive(Debug)]
pub(super) struct Meter;

pub(super) struct Wait<'a>(PhantomData<&'a Meter>);

// === impl Meter ===

impl Meter {
    pub(super) fn new(_: &str) -> Self {
        Self
    }

    pub(super) fn served(&self, _: impl FnOnce() -> bool) {}

    pub(super) fn count(&self, _: &Fact<'_>, _: impl FnOnce() -> Option<Instant>, _: Instant) {}

    pub(super) fn wait(&self) -> Wait<'_> {
        Wait(PhantomData)
    }
}

// === impl Wait ===

impl Wait<'_> {
    pub(super) fn none(&mut self, _: bool) {}

    pub(super) fn over(self, _: bool) {}
}
