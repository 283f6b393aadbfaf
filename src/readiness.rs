//! What a service that was made ready holds.

use std::mem;

/// Drops the service that was made ready: a concurrency limit would otherwise count a request that is not sent, or that waits.
/// What stays, and what is returned, are clones that nobody has polled yet.
pub(crate) fn give_up<S: Clone>(service: &mut S) -> S {
    let clone = service.clone();
    drop(mem::replace(service, clone.clone()));
    clone
}
