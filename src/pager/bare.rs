//! URLs, made fit for an error message or a log: neither credentials nor a query, which may hold some.

use http::Uri;

use crate::text::clean;

/// Scheme, host, port and path of an absolute URL, cleaned and shortened; `None` if it is none.
// Nothing of what is no URL is shown: readers differ in what they would take for credentials there.
pub(super) fn bare(url: &str) -> Option<String> {
    url.parse().ok().as_ref().and_then(bare_uri)
}

/// The same of one that has been read.
pub(super) fn bare_uri(uri: &Uri) -> Option<String> {
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let port = authority.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    Some(clean(&format!("{scheme}://{}{port}{}", authority.host(), uri.path()), 200))
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn neither_credentials_nor_a_query_are_left() {
        for (url, shown) in [
            ("https://api.example.com/u?token=hunter2", Some("https://api.example.com/u")),
            ("https://user:hunter2@api.example.com:8443/u", Some("https://api.example.com:8443/u")),
            ("https://a@hunter2@api.example.com/", Some("https://api.example.com/")),
            ("https://user:hunter2?@api.example.com/", Some("https://user/")),
            ("https://user:hunter2\\@api.example.com/", None),
            ("/u?token=hunter2", None),
            ("javascript:hunter2", None),
            ("", None),
        ] {
            assert_eq!(bare(url).as_deref(), shown, "{url}");
        }
        assert_eq!(bare(&format!("https://a/{}", "x".repeat(999))).map(|url| url.len()), Some(200));
    }
}
