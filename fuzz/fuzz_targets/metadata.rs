//! What an authorization server publishes about itself (RFC 8414). Input: an issuer (`byte % 4`), the document.

#![no_main]

use std::{collections::BTreeMap, error::Error as _, net::IpAddr};

use http::Uri;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tower_oauth2::{
    Error,
    fuzzing::{endpoint, metadata},
    grant::{ClientAuth, ClientCredentials, Metadata},
};

fuzz_target!(|data: &[u8]| {
    let [issuer, document @ ..] = data else { return };
    let issuer = ISSUERS[usize::from(*issuer) % ISSUERS.len()];
    match metadata(issuer, document) {
        Ok(metadata) => check(&metadata, issuer, document),
        Err(error) => {
            // A document that was cut off may be whole the next time; one that says the wrong thing will say it again.
            let line = error.to_string();
            let mut words = line.strip_prefix("the metadata of ").unwrap_or_default().splitn(2, ' ');
            let broken = words.nth(1).is_some_and(|problem| problem.starts_with("is not the JSON it should be"));
            assert_eq!(error.is_transient(), broken, "{error}");
            check_error(&error);
        }
    }
});

fn check(metadata: &Metadata, issuer: &str, document: &[u8]) {
    let document = String::from_utf8_lossy(document);
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&document).expect("an object was read");
    let text = |name: &str| serde_json::from_str::<String>(members.get(name)?.get()).ok();
    assert_eq!(text("issuer").as_deref(), Some(issuer), "another issuer (RFC 8414 §3.3)");
    assert_eq!(metadata.issuer(), issuer);
    assert_eq!(metadata.field::<String>("issuer").as_deref(), Some(issuer));

    let asked = endpoint(metadata, &ClientAuth::none("id"));
    let said = text("token_endpoint").expect("an endpoint that the server did not name");
    assert_eq!(said.trim().parse::<Uri>().ok().as_ref(), Some(&asked));
    check_endpoint(&said, &asked);

    let by_tls = endpoint(metadata, &ClientAuth::tls("id"));
    // Of two objects either may have been read.
    if by_tls != asked {
        assert!(members.contains_key("mtls_endpoint_aliases"));
        check_endpoint(&by_tls.to_string(), &by_tls);
    }

    let said = members.get("token_endpoint_auth_methods_supported");
    let said = said.and_then(|methods| serde_json::from_str::<Vec<String>>(methods.get()).ok());
    let said = said.unwrap_or_else(|| vec!["client_secret_basic".to_owned()]);
    assert!(metadata.auth_methods().eq(said.iter().map(String::as_str)), "{said:?}");
    let http =
        tower::service_fn(|_: http::Request<_>| async { Ok::<_, tower::BoxError>(http::Response::new(String::new())) });
    match metadata.client_secret("id", "s3cr3t") {
        Ok(auth) => {
            let taken =
                said.iter().any(|method| matches!(method.as_str(), "client_secret_basic" | "client_secret_post"));
            assert!(taken, "a method that the server does not take: {said:?}");
            assert!(ClientCredentials::new(http, metadata, auth).is_ok(), "{said:?}");
        }
        Err(error) => {
            check_error(&error);
            check_error(
                &ClientCredentials::new(http, metadata, ClientAuth::basic("id", "s3cr3t")).map(drop).unwrap_err(),
            );
        }
    }
    assert!(!format!("{metadata:?}").chars().any(char::is_control));
}

/// Where a secret may be sent: no clear text but to this very host, and no name that another reader would take for the host.
fn check_endpoint(said: &str, asked: &Uri) {
    let host = asked.host().expect("an absolute URL");
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let loopback = host.eq_ignore_ascii_case("localhost") || literal.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    assert!(asked.scheme_str() == Some("https") || (asked.scheme_str() == Some("http") && loopback), "{asked}");
    assert!(!asked.authority().expect("an absolute URL").as_str().contains('@'), "{asked}");
    assert!(!said.contains('#'), "{said}");
}

fn check_error(error: &Error) {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        let line = cause.to_string();
        assert!(!line.chars().any(steers), "an error steers a terminal: {line:?}");
        assert!(line.chars().count() <= MAX_DISPLAY, "an error is long: {line}");
        next = cause.source();
    }
    assert!(error.source().is_none_or(|cause| cause.to_string() != error.to_string()), "{error} says it twice");
}

/// Control characters, and those that turn text around or break a line.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

const ISSUERS: [&str; 4] = [
    "https://login.example.com",
    "https://login.example.com/acme",
    "http://127.0.0.1:3000",
    "https://login.example.com/",
];
/// What the server said about itself, 200 characters of it, and the sentence around it.
const MAX_DISPLAY: usize = 200 + 200;
