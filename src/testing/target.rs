//! Where a request went to, and with what parameters.

use http::header::HOST;
use http::request;
use http::uri::Authority;

/// The URL without its path, as far as the request tells.
pub(crate) fn base_url(head: &request::Parts) -> String {
    let scheme = head.uri.scheme_str().unwrap_or("http");
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    match head.uri.authority().map(Authority::as_str).or(host) {
        Some(host) => format!("{scheme}://{host}"),
        None => String::new(),
    }
}

/// The first query parameter of this name, decoded.
pub(crate) fn param(head: &request::Parts, name: &str) -> Option<String> {
    let query = head.uri.query()?.as_bytes();
    form_urlencoded::parse(query).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
