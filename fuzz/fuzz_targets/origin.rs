//! Which requests get the token. Input: the URL a token is for, a line feed, the URI of a request.

#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;
use libfuzzer_sys::fuzz_target;
use tower_oauth2::fuzzing::{origin, origin_matches, origin_of};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (url, target) = text.split_once('\n').unwrap_or((text, text));
    let target = target.parse::<Uri>();
    let Some((shown, trustworthy)) = origin(url) else {
        // What no token can be for, no token is sent to.
        if let Ok(target) = &target {
            assert_eq!(origin_matches(url, target), None);
        }
        return;
    };
    check(&shown, trustworthy);
    let own: Uri = url.trim().parse().expect("an origin was read from it");
    assert_eq!(origin_matches(url, &own), Some(true), "its own URL");
    if let Ok(target) = target {
        let same = origin_of(&target).is_some_and(|origin| origin == shown);
        assert_eq!(origin_matches(url, &target), Some(same), "{shown} and {target}");
    }
});

fn check(shown: &str, trustworthy: bool) {
    assert_eq!(origin(shown), Some((shown.to_owned(), trustworthy)), "what is shown is read as itself");
    let (scheme, rest) = shown.split_once("://").expect("a scheme");
    assert!(!rest.is_empty() && !rest.contains(['/', '?', '#', '@', '\\']), "{shown}");
    assert!(!shown.chars().any(|c| c.is_control() || c.is_whitespace() || c.is_ascii_uppercase()), "{shown:?}");
    match scheme {
        "https" => assert!(trustworthy),
        "http" => assert_eq!(trustworthy, is_loopback(rest), "{shown}"),
        _ => panic!("{scheme} is no scheme for a token"),
    }
}

fn is_loopback(authority: &str) -> bool {
    if let Some(literal) = authority.strip_prefix('[') {
        let (literal, _) = literal.split_once(']').unwrap_or_default();
        return literal.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback());
    }
    let (host, _) = authority.split_once(':').unwrap_or((authority, ""));
    host == "localhost" || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
}
