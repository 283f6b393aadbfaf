//! The errors of hyper, of the client in hyper-util, and of h2.

use std::error::Error as StdError;

use super::{Processed, error::Finding};

pub(super) fn classify(error: &(dyn StdError + 'static)) -> Option<Finding> {
    if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
        return error.is_connect().then_some(Finding::Failed(Processed::No));
    }
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        // Reset by this side, and not by h2: the request body failed, and would again.
        if error.is_reset() && !error.is_remote() && !error.is_library() {
            return Some(Finding::Fatal);
        }
        return Some(Finding::Failed(http2(error)));
    }
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_user() {
        // The request body failed, and would again.
        Some(Finding::Fatal)
    } else if error.is_canceled() {
        // It never left the queue of its connection.
        Some(Finding::Failed(Processed::No))
    } else {
        let broke_off = error.is_incomplete_message() || error.is_timeout() || error.is_closed();
        broke_off.then_some(Finding::Failed(Processed::Maybe))
    }
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
