//! Errors as Genesys Cloud writes them.

use http::StatusCode;

use super::route::Reply;
use crate::testing::reply::quoted;

/// An error before it has its correlation id.
#[derive(Clone, Debug)]
pub(super) struct ErrorBody {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

// === impl ErrorBody ===

impl ErrorBody {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status: crate::testing::reply::status(status), code, message: message.into() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "bad.request", message)
    }

    /// The error for a status nobody gave a message to.
    pub(super) fn of_status(status: u16) -> Self {
        let (code, message) = match status {
            500 => ("internal.server.error", "The server encountered an unexpected condition."),
            502 => ("bad.gateway", "The upstream server gave an invalid response."),
            503 => ("service.unavailable", "The service is temporarily unavailable."),
            504 => ("request.timeout", "The request timed out."),
            401 => ("bad.credentials", "Invalid login credentials."),
            403 => ("missing.any.permissions", "Unable to perform the requested action."),
            404 => ("not.found", "The requested resource was not found."),
            429 => ("too.many.requests", "Rate limit exceeded the maximum."),
            _ => ("test.fault", "The test asked for this status."),
        };
        Self::new(status, code, message)
    }

    pub(super) fn reply(&self, correlation_id: &str) -> Reply {
        let json = format!(
            r#"{{"message":{},"code":"{}","status":{},"contextId":"{correlation_id}","details":[],"errors":[]}}"#,
            quoted(&self.message),
            self.code,
            self.status.as_u16(),
        );
        Reply { status: self.status, ..Reply::json(json) }
    }

    /// As CXone writes them: without a body.
    pub(super) fn in_header(&self) -> Reply {
        Reply { status: self.status, description: Some(self.message.clone()), ..Reply::json(String::new()) }
    }
}
