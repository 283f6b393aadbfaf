//! What an error of Genesys Cloud says about itself.

use http::HeaderMap;

use crate::{json, pager::ApiError, text::clean};

/// Reads an `ErrorBody` (`code`, `message`, `contextId`) and the correlation id of the headers: what to give to
/// [`Query::explain_errors`](crate::pager::Query::explain_errors) for a query of your own.
pub fn explain(headers: &HeaderMap, body: &[u8]) -> ApiError {
    let mut error = ApiError::read(headers, body, &["code"], &["message"], &CORRELATION);
    let context = || Some(clean(&json::member::<String>(body, "contextId")?, 100)).filter(|id| !id.is_empty());
    error.correlation_id = error.correlation_id.or_else(context);
    error
}

/// The newer name first.
const CORRELATION: [&str; 2] = ["genesys-correlation-id", "inin-correlation-id"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_message_and_correlation_id_are_read() {
        let body = br#"{"message":"no\u001b[31m","code":"missing.permissions","status":403,"contextId":"ctx-1"}"#;
        let mut headers = HeaderMap::new();
        let error = explain(&headers, body);
        assert_eq!(error.code.as_deref(), Some("missing.permissions"));
        assert_eq!(error.message.as_deref(), Some("no [31m"));
        assert_eq!(error.correlation_id.as_deref(), Some("ctx-1"));

        headers.insert("inin-correlation-id", "cor-1".parse().unwrap());
        assert_eq!(explain(&headers, body).correlation_id.as_deref(), Some("cor-1"));
        headers.insert("genesys-correlation-id", "cor-2".parse().unwrap());
        assert_eq!(explain(&headers, b"<html>").correlation_id.as_deref(), Some("cor-2"));
    }
}
