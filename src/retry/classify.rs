//! What an outcome says about sending again. Pure.

use std::{
    error::Error as StdError,
    io,
    time::{Duration, SystemTime},
};

use http::{HeaderName, Method, Request, Response};

use crate::{
    causes::{causes, is_untrusted},
    repeat::Repeat,
    retry_after::retry_after,
    token::TokenRejected,
};

/// What came back, as far as a policy cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An answer: nothing to send again.
    Final,
    /// It may go better next time.
    Failed(Failed),
    /// A failure that stays one.
    Fatal,
}

/// A failure that another attempt may mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The token was refused, and a replay would carry another (or not).
    Unauthorized { renewable: bool },
    /// Something that passes.
    Passing { processed: Processed, throttled: bool, hint: Option<Duration> },
}

/// Whether the server can have acted on the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Processed {
    No,
    Maybe,
}

pub(super) fn response<R>(response: &Response<R>, now: SystemTime) -> Verdict {
    let hint = || retry_after(response.headers(), now);
    let (processed, throttled) = match response.status().as_u16() {
        401 => {
            let mark = response.extensions().get::<TokenRejected>();
            return Verdict::Failed(Failed::Unauthorized { renewable: mark.is_some_and(TokenRejected::renewable) });
        }
        429 => (Processed::No, true),
        425 => (Processed::No, false),
        408 | 500 | 502 | 503 | 504 => (Processed::Maybe, false),
        _ => return Verdict::Final,
    };
    Verdict::Failed(Failed::Passing { processed, throttled, hint: hint() })
}

/// Looks through the whole chain of causes. What is fatal anywhere is fatal; then, what proves that nothing was
/// processed counts before what leaves it open.
pub(super) fn error(error: &(dyn StdError + 'static)) -> Verdict {
    let mut verdict = Verdict::Fatal;
    for cause in causes(error) {
        match one(cause) {
            Some(Finding::Fatal) => return Verdict::Fatal,
            Some(Finding::Failed(processed)) if verdict == Verdict::Fatal || processed == Processed::No => {
                verdict = Verdict::Failed(Failed::Passing { processed, throttled: false, hint: None });
            }
            _ => {}
        }
    }
    verdict
}

/// Whether doing it twice is as good as doing it once; the first that knows decides.
pub(super) fn is_repeatable<B>(request: &Request<B>, route: impl FnOnce(&Request<B>) -> bool) -> bool {
    match request.extensions().get() {
        Some(Repeat::Always) => return true,
        Some(Repeat::Never) => return false,
        None => {}
    }
    let idempotent = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE];
    route(request)
        || request.headers().contains_key(IDEMPOTENCY_KEY)
        || idempotent.contains(request.method())
        || request.method().as_str() == "QUERY"
}

enum Finding {
    Fatal,
    Failed(Processed),
}

fn one(error: &(dyn StdError + 'static)) -> Option<Finding> {
    if error.is::<crate::Error>() || is_untrusted(error) {
        return Some(Finding::Fatal);
    }
    if error.is::<tower::timeout::error::Elapsed>() || error.is::<tokio::time::error::Elapsed>() {
        return Some(Finding::Failed(Processed::Maybe));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return io_error(error);
    }
    #[cfg(feature = "client")]
    return client_error(error);
    #[cfg(not(feature = "client"))]
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

#[cfg(feature = "client")]
fn client_error(error: &(dyn StdError + 'static)) -> Option<Finding> {
    if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
        return error.is_connect().then_some(Finding::Failed(Processed::No));
    }
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        let unprocessed = match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) => error.is_reset() && error.is_remote(),
            Some(h2::Reason::NO_ERROR) => error.is_go_away() && error.is_remote(),
            _ => false,
        };
        return Some(Finding::Failed(if unprocessed { Processed::No } else { Processed::Maybe }));
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

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
