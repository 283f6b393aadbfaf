//! What shares a cool-down: an origin and a credential, as a number that tells nothing about either.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hash, Hasher},
};

use http::{
    HeaderMap, Request, Uri,
    header::AUTHORIZATION,
    request::Parts,
    uri::{Authority, Scheme},
};

use crate::{
    origin::{Origin, parts},
    token_key::TokenKey,
};

/// 128 bits, so that no two are the same by chance; under keys that nobody else knows, so that neither a credential nor
/// anything that helps to guess it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key([u64; 2]);

/// Hashes what a user takes for the credential.
pub(super) type Credential = dyn Fn(&Parts, &mut dyn Hasher) + Send + Sync;

/// Where a request went, kept for messages. The origin in it is only made when there is something to tell.
#[derive(Clone)]
pub(super) struct Place {
    https: bool,
    authority: Option<Authority>,
}

/// Two hash functions with random keys of this process.
#[derive(Clone, Debug, Default)]
pub(super) struct Hashing([RandomState; 2]);

/// Both of them at once.
struct Both<H>([H; 2]);

// === impl Hashing ===

impl Hashing {
    /// Allocates nothing. The request is handed back: only its head is looked at, and it must be apart for that.
    pub(super) fn key<B>(&self, request: Request<B>, credential: Option<&Credential>) -> (Key, Request<B>) {
        let mut hasher = Both([self.0[0].build_hasher(), self.0[1].build_hasher()]);
        hash_origin(request.uri(), &mut hasher);
        let request = match credential {
            None => {
                hash_credential(&request, &mut hasher);
                request
            }
            Some(credential) => {
                let (parts, body) = request.into_parts();
                credential(&parts, &mut hasher);
                Request::from_parts(parts, body)
            }
        };
        (Key(hasher.0.map(|hasher| hasher.finish())), request)
    }
}

// === impl Both ===

impl<H: Hasher> Hasher for Both<H> {
    fn finish(&self) -> u64 {
        self.0[0].finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        for hasher in &mut self.0 {
            hasher.write(bytes);
        }
    }
}

// === impl Place ===

impl Place {
    pub(super) fn of(uri: &Uri) -> Self {
        Self { https: uri.scheme() == Some(&Scheme::HTTPS), authority: uri.authority().cloned() }
    }
}

/// As an [`Origin`] is shown: without a user name or password that may stand in front of the host.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = self.authority.clone().map(|authority| Uri::builder().scheme(scheme).authority(authority));
        let uri = uri.and_then(|uri| uri.path_and_query("/").build().ok());
        match uri.as_ref().and_then(Origin::of) {
            Some(origin) => origin.fmt(f),
            None => f.write_str("the server"),
        }
    }
}

fn hash_origin(uri: &Uri, hasher: &mut impl Hasher) {
    if let Some((https, host, port)) = parts(uri) {
        hasher.write_u8(u8::from(https));
        hash_lower_case(host, hasher);
        hasher.write_u16(port);
    } else {
        // Relative, or of a scheme that has no origins here: whatever is there tells them apart.
        hasher.write_u8(2);
        hash_lower_case(uri.scheme_str().unwrap_or_default(), hasher);
        hash_lower_case(uri.authority().map_or("", Authority::as_str), hasher);
    }
}

fn hash_lower_case(text: &str, hasher: &mut impl Hasher) {
    let mut buffer = [0; 64];
    for chunk in text.as_bytes().chunks(buffer.len()) {
        let lower = &mut buffer[..chunk.len()];
        lower.copy_from_slice(chunk);
        lower.make_ascii_lowercase();
        hasher.write(lower);
    }
    hasher.write_u8(0xFF);
}

/// A header of the caller's goes first, as it does with [`OAuth`](crate::OAuth), which lets it through as it is.
fn hash_credential<B>(request: &Request<B>, hasher: &mut impl Hasher) {
    if has_own(request.headers()) {
        hasher.write_u8(1);
        for value in request.headers().get_all(AUTHORIZATION) {
            value.as_bytes().hash(hasher);
        }
    } else if let Some(key) = request.extensions().get::<TokenKey>() {
        hasher.write_u8(2);
        key.hash(hasher);
    } else {
        hasher.write_u8(0);
    }
}

fn has_own(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> Request<()> {
        Request::get(uri).body(()).unwrap()
    }

    #[test]
    fn an_origin_is_told_apart_by_scheme_host_and_effective_port() {
        let hashing = Hashing::default();
        let key = |uri: &str| hashing.key(request(uri), None).0;
        let long = format!("https://{}.example", "a".repeat(60));
        for (one, other) in [
            ("https://api.example.com/a?b", "https://API.example.COM:443/c"),
            ("http://127.0.0.1/", "http://user:pw@127.0.0.1:80/"),
            ("/a", "/b"),
            (long.as_str(), &long.to_ascii_uppercase().replace("HTTPS", "https")),
        ] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
        let all = [
            "https://a.b",
            "http://a.b",
            "https://a.b:444",
            "https://a.b.c",
            "https://aa.b",
            "ftp://a.b",
            "/",
            "a.b:1",
        ];
        for (n, one) in all.iter().enumerate() {
            assert!(all[..n].iter().all(|other| key(one) != key(other)), "{one}");
        }
    }

    #[test]
    fn a_credential_is_told_apart_by_the_callers_header_then_by_the_token_key() {
        let hashing = Hashing::default();
        let key = |own: Option<&str>, token: Option<&str>| {
            let mut request = request("https://a.example");
            request.headers_mut().extend(own.map(|own| (AUTHORIZATION, own.parse().unwrap())));
            request.extensions_mut().extend(
                token
                    .map(|tenant| {
                        let mut extensions = http::Extensions::new();
                        extensions.insert(TokenKey::new().tenant(tenant));
                        extensions
                    })
                    .unwrap_or_default(),
            );
            hashing.key(request, None).0
        };
        assert_eq!(key(Some("Bearer x"), Some("a")), key(Some("Bearer x"), Some("b")));
        assert_eq!(key(None, Some("a")), key(None, Some("a")));
        let all =
            [key(None, None), key(None, Some("a")), key(None, Some("b")), key(Some("x"), None), key(Some("y"), None)];
        for (n, one) in all.iter().enumerate() {
            assert!(!all[..n].contains(one));
        }
    }

    #[test]
    fn a_credential_of_ones_own_takes_the_place_of_both() {
        let hashing = Hashing::default();
        let by_header: Box<Credential> = Box::new(|parts, mut hasher| parts.headers.get("x-key").hash(&mut hasher));
        let key = |uri: &str, api_key: &'static str, own: &'static str| {
            let mut request = request(uri);
            request.headers_mut().insert("x-key", http::HeaderValue::from_static(api_key));
            request.headers_mut().insert(AUTHORIZATION, http::HeaderValue::from_static(own));
            hashing.key(request, Some(&*by_header)).0
        };
        assert_eq!(key("https://a.b", "1", "x"), key("https://a.b", "1", "y"));
        assert_ne!(key("https://a.b", "1", "x"), key("https://a.b", "2", "x"));
        assert_ne!(key("https://a.b", "1", "x"), key("https://a.c", "1", "x"));
    }

    #[test]
    fn what_a_hash_of_ones_own_reads_back_is_what_was_written() {
        let hashing = Hashing::default();
        let both = |text: &[u8]| {
            let mut both = Both([hashing.0[0].build_hasher(), hashing.0[1].build_hasher()]);
            both.write(text);
            both.finish()
        };
        assert_eq!(both(b"a"), both(b"a"));
        assert_ne!(both(b"a"), both(b"b"));
    }

    #[test]
    fn no_two_processes_or_layers_hash_alike() {
        let key = || Hashing::default().key(request("https://a.example"), None).0;
        assert_ne!(key(), key());
    }

    #[test]
    fn a_place_is_shown_as_an_origin_and_without_a_password() {
        let shown = |uri: &str| Place::of(&uri.parse().unwrap()).to_string();
        assert_eq!(shown("https://user:pw@API.example.com:443/secret?token"), "https://api.example.com");
        assert_eq!(shown("http://a:81"), "http://a:81");
        assert_eq!(shown("/secret"), "the server");
    }
}
