//! What an error says: found among its causes, whoever wrapped what.

use std::{error::Error as StdError, io};

use super::{Failure, Processed, Verdict};
use crate::{
    causes::{causes, is_untrusted},
    retry::{cooldown::CooldownError, replay::ReplayError},
};

/// What one error of the chain knows.
pub(super) enum Finding {
    Fatal,
    Unsent,
    Failed(Processed),
}

/// What is fatal anywhere is fatal; then, what proves that nothing was processed counts before what leaves it open.
pub(super) fn classify(error: &(dyn StdError + 'static)) -> Verdict {
    let mut found = None;
    for cause in causes(error) {
        match one(cause) {
            Some(Finding::Fatal) => return Verdict::Fatal,
            Some(Finding::Unsent) => return Verdict::Unsent,
            Some(Finding::Failed(processed)) if found != Some(Processed::No) => found = Some(processed),
            _ => {}
        }
    }
    found.map_or(Verdict::Fatal, |processed| Verdict::Failed(Failure::new(processed)))
}

/// Whether the server has most likely never seen the request.
pub(in crate::retry) fn is_unprocessed(error: &(dyn StdError + 'static)) -> bool {
    match classify(error) {
        Verdict::Unsent => true,
        Verdict::Failed(failure) => failure.processed() == Processed::No,
        _ => false,
    }
}

fn one(error: &(dyn StdError + 'static)) -> Option<Finding> {
    if let Some(error) = error.downcast_ref::<crate::Error>() {
        // Not tried again: the token cache has a back-off of its own.
        return Some(if error.is_sent() { Finding::Fatal } else { Finding::Unsent });
    }
    if error.is::<CooldownError>() {
        // Who was told to wait for too long is told so.
        return Some(Finding::Unsent);
    }
    if error.is::<ReplayError>() || error.is::<tower::load_shed::error::Overloaded>() || is_untrusted(error) {
        return Some(Finding::Fatal);
    }
    if error.is::<tower::timeout::error::Elapsed>() || error.is::<tokio::time::error::Elapsed>() {
        return Some(Finding::Failed(Processed::Maybe));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return io_error(error);
    }
    // Its own time limits, which it has no public type for.
    #[cfg(feature = "reqwest")]
    if error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout) {
        return Some(Finding::Failed(Processed::Maybe));
    }
    #[cfg(feature = "hyper")]
    return super::hyper::classify(error);
    #[cfg(not(feature = "hyper"))]
    None
}

fn io_error(error: &io::Error) -> Option<Finding> {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused | Kind::AddrNotAvailable => Some(Finding::Failed(Processed::No)),
        // A host or network can become unreachable after the request was sent; a client that knows better says so itself.
        Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::NotConnected
        | Kind::TimedOut
        | Kind::UnexpectedEof => Some(Finding::Failed(Processed::Maybe)),
        _ => None,
    }
}
