//! The errors of hyper, of the client in hyper-util, and of h2.

use std::error::Error as StdError;

use super::{Processed, error::Finding};
use crate::causes::causes;

pub(super) fn classify(error: &(dyn StdError + 'static)) -> Option<Finding> {
    if let Some(connect) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
        let finding = if is_unusable(error) { Finding::Fatal } else { Finding::Failed(Processed::No) };
        return connect.is_connect().then_some(finding);
    }
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        // Reset by this side, and not by h2: the request body failed, and would again.
        if error.is_reset() && !error.is_remote() && !error.is_library() {
            return Some(Finding::Fatal);
        }
        return Some(Finding::Failed(http2(error)));
    }
    let Some(error) = error.downcast_ref::<hyper::Error>() else { return connector(error) };
    if error.is_user() && error.to_string() != DISPATCH_GONE {
        // The request body failed, and would again.
        Some(Finding::Fatal)
    } else if error.is_canceled() {
        // It never left the queue of its connection.
        Some(Finding::Failed(Processed::No))
    } else {
        let broke_off = error.is_incomplete_message() || error.is_timeout() || error.is_closed() || error.is_user();
        broke_off.then_some(Finding::Failed(Processed::Maybe))
    }
}

/// Whether no server can be told from the URI, which connectors report as a connection that failed.
fn is_unusable(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|cause| {
        let words = cause.to_string();
        UNUSABLE.iter().any(|unusable| words.starts_with(unusable))
    })
}

/// A connector's own error, which a client other than the one in hyper-util, such as tonic's, has wrapped in its own.
fn connector(error: &(dyn StdError + 'static)) -> Option<Finding> {
    let words = error.to_string();
    UNCONNECTED.contains(&words.as_str()).then_some(Finding::Failed(Processed::No))
}

/// Only what the server sent says what the server did.
fn http2(error: &h2::Error) -> Processed {
    let unprocessed = match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) => error.is_reset() && error.is_remote(),
        Some(h2::Reason::NO_ERROR) => error.is_go_away() && error.is_remote(),
        _ => false,
    };
    if unprocessed { Processed::No } else { Processed::Maybe }
}

// NOTE: These errors have no public type, only words. If they change, the requests are tried again, or not, and
// `tests/retry/connect.rs` and `tests/client/grpc.rs` fail.

/// Of the connectors in hyper-util and hyper-rustls, and of rustls.
const UNUSABLE: [&str; 4] = ["invalid URL, ", "unsupported scheme ", "missing scheme", "invalid dns name"];
/// Of hyper, if what drives the connection has ended with its runtime; to be told from a body that failed.
const DISPATCH_GONE: &str = "dispatch task is gone";
/// Of the connector in hyper-util.
const UNCONNECTED: [&str; 2] = ["dns error", "tcp connect error"];
