//! Whether doing it twice is as good as doing it once.

use http::{HeaderName, Method, Request};

use crate::repeat::Repeat;

/// The first that knows decides.
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

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_knows_decides_whether_a_request_is_repeatable() {
        let with = |method: &str, repeat: Option<Repeat>, key: bool| {
            let mut request = Request::builder().method(method).uri("https://h/search").body(()).unwrap();
            if key {
                request.headers_mut().insert("Idempotency-Key", "7".parse().unwrap());
            }
            if let Some(repeat) = repeat {
                request.extensions_mut().insert(repeat);
            }
            request
        };
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"] {
            assert!(is_repeatable(&with(method, None, false), |_| false), "{method}");
            assert!(!is_repeatable(&with(method, Some(Repeat::Never), true), |_| true), "{method}");
        }
        for method in ["POST", "PATCH", "CONNECT", "get", "PROPFIND", "query"] {
            assert!(!is_repeatable(&with(method, None, false), |_| false), "{method}");
            assert!(is_repeatable(&with(method, None, true), |_| false), "{method} with a key");
            assert!(is_repeatable(&with(method, None, false), |_| true), "{method} by its route");
            assert!(is_repeatable(&with(method, Some(Repeat::Always), false), |_| false), "{method} always");
            assert!(!is_repeatable(&with(method, Some(Repeat::Never), true), |_| true), "{method} never");
        }
        let untouched = |_: &Request<()>| panic!("the request has said it");
        assert!(is_repeatable(&with("POST", Some(Repeat::Always), false), untouched));
        assert!(!is_repeatable(&with("GET", Some(Repeat::Never), false), untouched));
    }
}
