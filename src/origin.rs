//! Which requests get the token: those to an origin it is meant for (RFC 6454 §4, RFC 9700 §4.9.1).

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use http::{
    Uri,
    uri::{Authority, Scheme},
};

use crate::error::Error;

/// Scheme, host and effective port.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    https: bool,
    /// Lower case.
    host: Box<str>,
    port: u16,
    /// Host and port as nearly everybody writes them: without the port, where it is the scheme's own.
    authority: Box<str>,
}

// === impl Origin ===

impl Origin {
    /// Reads an origin such as `https://api.example.com`, or any URL of that origin.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let uri: Uri = url.trim().parse().map_err(|error| {
            Error::config("an origin must be an absolute URL such as https://api.example.com").with_source(error)
        })?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(Error::config("an origin must not carry a user name or password"));
        }
        Self::of(&uri).ok_or_else(|| {
            Error::config("an origin must be an absolute http or https URL such as https://api.example.com")
        })
    }

    /// The origin of an absolute `http` or `https` URI.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let (https, host, port) = parts(uri)?;
        let host = host.to_ascii_lowercase();
        let authority = if port == default_port(https) { host.clone() } else { format!("{host}:{port}") };
        Some(Self { https, host: host.into(), port, authority: authority.into() })
    }

    /// Whether `uri` is of this origin. Allocates nothing.
    pub(crate) fn matches(&self, uri: &Uri) -> bool {
        parts(uri).is_some_and(|(https, host, port)| {
            https == self.https && port == self.port && host.eq_ignore_ascii_case(&self.host)
        })
    }

    /// Whether `uri` has it letter by letter, which is seen at once. If not it may [match](Self::matches) all the same.
    #[inline(always)]
    pub(crate) fn is_written_in(&self, uri: &Uri) -> bool {
        // As bytes in a pattern, they are compared in place.
        let scheme = match uri.scheme().map(Scheme::as_str).unwrap_or_default().as_bytes() {
            b"https" => self.https,
            b"http" => !self.https,
            _ => false,
        };
        scheme && uri.authority().is_some_and(|authority| authority.as_str() == &*self.authority)
    }

    /// Whether a token sent there cannot be read on the way: TLS, or a host that is this one by its very name.
    pub(crate) fn is_trustworthy(&self) -> bool {
        self.https || is_loopback(&self.host)
    }
}

/// [`Origin::is_trustworthy`] of a URI's origin, without making one.
#[cfg(feature = "client")]
pub(crate) fn is_trustworthy(uri: &Uri) -> bool {
    parts(uri).is_some_and(|(https, host, _)| https || is_loopback(host))
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.authority)
    }
}

/// Whether it is https, the host as it is written, and the effective port.
pub(crate) fn parts(uri: &Uri) -> Option<(bool, &str, u16)> {
    let scheme = uri.scheme()?;
    let https = *scheme == Scheme::HTTPS;
    if !https && *scheme != Scheme::HTTP {
        return None;
    }
    let authority = uri.authority()?;
    let host = authority.host();
    if host.is_empty() {
        return None;
    }
    Some((https, host, port(authority, https)?))
}

/// `None` for a port that is no port, or more than a port after the host, such as `a:1[::1]:443`: clients differ in where
/// they would connect then.
fn port(authority: &Authority, https: bool) -> Option<u16> {
    let default = default_port(https);
    let after_host = authority.as_str().rsplit('@').next()?.strip_prefix(authority.host())?;
    match after_host.strip_prefix(':') {
        None if after_host.is_empty() => Some(default),
        Some("") => Some(default),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok(),
        _ => None,
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

/// `localhost`, an address literal of 127.0.0.0/8, or `[::1]`; nothing that a resolver would have a say in.
pub(crate) fn is_loopback(host: &str) -> bool {
    let Some(literal) = host.strip_prefix('[') else {
        return host.eq_ignore_ascii_case("localhost")
            || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback());
    };
    let literal = literal.strip_suffix(']').and_then(|literal| literal.parse().ok());
    literal.is_some_and(|address: Ipv6Addr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(origin: &str, uri: &str) -> bool {
        let (origin, uri) = (Origin::parse(origin).unwrap(), uri.parse().unwrap());
        let matches = origin.matches(&uri);
        // What is seen at once is only sooner seen.
        assert!(matches || !origin.is_written_in(&uri), "{origin} {uri}");
        matches
    }

    #[test]
    fn the_usual_spelling_is_seen_at_once() {
        for url in
            ["https://api.example.com", "http://localhost:8080", "https://[::1]:8443", "http://a", "https://a:80"]
        {
            let uri = format!("{url}/v1?a=b").parse().unwrap();
            assert!(Origin::parse(url).unwrap().is_written_in(&uri), "{url}");
            assert!(Origin::parse(&url.to_uppercase()).unwrap().is_written_in(&uri), "{url}");
        }
        assert!(Origin::parse("https://a:443").unwrap().is_written_in(&"https://a/".parse().unwrap()));
        for other in ["http://a/", "https://a:80/", "a:443", "/", "https://A/", "https://b@a/"] {
            assert!(!Origin::parse("https://a").unwrap().is_written_in(&other.parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn scheme_host_and_effective_port_must_agree() {
        assert!(matches("https://api.example.com", "https://api.example.com/a?b"));
        assert!(matches("https://api.example.com/v1", "https://API.example.COM:443/"));
        assert!(matches("http://127.0.0.1:8080", "http://127.0.0.1:8080/x"));
        assert!(matches("https://[::1]:8443", "https://[::1]:8443/"));
        assert!(
            matches("https://api.example.com", "https://api.example.com:/"),
            "RFC 3986: an empty port is the default"
        );
        for other in [
            "http://api.example.com/",
            "https://api.example.com:444/",
            "https://api.example.com:99999/",
            "https://api.example.com./",
            "https://api.example.com.au/",
            "https://xapi.example.com/",
            "https://example.com/",
            "https://api.example.com@evil.example/",
            "wss://api.example.com/",
            "/relative",
            "api.example.com:443",
            "https://api.example.com:1[::1]:443/",
            "https://api.example.com[::1]:443/",
            "https://api.example.com:+443/",
        ] {
            assert!(!matches("https://api.example.com", other), "{other}");
        }
    }

    #[test]
    fn an_origin_is_an_absolute_http_url_without_credentials() {
        let no_host = ["", "api.example.com", "/x", "https://", "https://a:b", "https://a[::1]b:443"];
        for bad in no_host.into_iter().chain(["ftp://a", "https://user:pw@a"]) {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Origin::parse("HTTPS://A.Example:443/x").unwrap().to_string(), "https://a.example");
        assert_eq!(Origin::parse("http://a:8080").unwrap().to_string(), "http://a:8080");
    }

    #[test]
    fn only_what_is_loopback_by_name_is_loopback() {
        for yes in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.1", "[::1]"] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["localhost.", "[localhost]", "[127.0.0.1]", "127.1", "0.0.0.0", "[::ffff:127.0.0.1]", "10.0.0.1"]
            .into_iter()
            .chain(["a.localhost", "127.0.0.1.nip.io", "[::1", "::1]"])
        {
            assert!(!is_loopback(no), "{no}");
        }
    }
}
