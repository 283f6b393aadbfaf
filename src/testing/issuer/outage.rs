//! What the issuer does instead of its work.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{LOCATION, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::testing::reply::{HTML, header, quoted, reply, status, whole_seconds};
use crate::testing::{Body, BoxError};

/// What an [`Issuer`](crate::testing::Issuer) does instead of answering as it should.
///
/// Set with [`set_outage`](crate::testing::Issuer::set_outage) until further notice, or with
/// [`fail_next`](crate::testing::Issuer::fail_next) for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// This status with an empty body.
    Status {
        /// The status code.
        status: u16,
        /// Sent as `Retry-After` in whole seconds, rounded up, at least 1.
        retry_after: Option<Duration>,
    },
    /// An error body as in RFC 6749, section 5.2.
    OAuthError {
        /// The status code.
        status: u16,
        /// The value of `error`.
        code: String,
        /// The value of `error_description`.
        description: String,
    },
    /// Never answers.
    Hang,
    /// The connection is reset before the head of the response.
    Reset,
    /// Mints a token, then resets the connection, as a proxy does which loses an answer.
    LoseAnswer,
    /// A good response whose body breaks off in the middle.
    Truncate,
    /// 200 with an HTML page.
    Html,
    /// 302 to another place.
    Redirect {
        /// The value of `Location`.
        location: String,
    },
    /// Exactly this status and body, as `application/json`.
    Raw {
        /// The status code.
        status: u16,
        /// The body.
        body: Bytes,
    },
}

/// The answers in which the issuer's own work plays no part.
pub(super) async fn suffer(outage: Outage) -> Result<Response<Body>, BoxError> {
    const JSON: &str = "application/json;charset=utf-8";
    Ok(match outage {
        Outage::Status { status: code, retry_after } => {
            let mut response = reply(status(code), "text/plain", Bytes::new());
            if let Some(wait) = retry_after {
                header(&mut response, RETRY_AFTER, &whole_seconds(wait).to_string());
            }
            response
        }
        Outage::OAuthError { status: code, code: error, description } => {
            reply(status(code), JSON, error_json(&error, &description))
        }
        Outage::Hang => std::future::pending().await,
        // The service sees to the latter two itself, as they need a token.
        Outage::Reset | Outage::LoseAnswer | Outage::Truncate => return Err(reset()),
        Outage::Html => reply(StatusCode::OK, "text/html", HTML),
        Outage::Redirect { location } => {
            let mut response = reply(StatusCode::FOUND, "text/plain", Bytes::new());
            header(&mut response, LOCATION, &location);
            response
        }
        Outage::Raw { status: code, body } => reply(status(code), JSON, body),
    })
}

pub(super) fn reset() -> BoxError {
    io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by the test server").into()
}

/// The description goes out under both names, as Genesys Cloud does it.
pub(super) fn error_json(code: &str, description: &str) -> String {
    let (code, description) = (quoted(code), quoted(description));
    format!(r#"{{"error":{code},"description":{description},"error_description":{description}}}"#)
}
