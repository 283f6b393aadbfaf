//! What a server publishes about itself (RFC 8414): where it is looked for, and what is not believed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::{BoxError, service_fn, util::BoxCloneService};
use tower_oauth2::{
    Error, TokenSource,
    grant::{ClientAuth, ClientCredentials, Metadata},
    testing::{Issuer, Outage},
};

use crate::endpoint::{Script, Step, Text, answer, whole};

const ISSUER: &str = "https://login.example.com/acme";
const RFC: &str = "/.well-known/oauth-authorization-server/acme";
const OIDC: &str = "/acme/.well-known/openid-configuration";
const OIDC_BEFORE: &str = "/.well-known/openid-configuration/acme";
const DOCUMENT: &str = r#"{"issuer":"https://login.example.com/acme","token_endpoint":"https://login.example.com/t"}"#;

#[tokio::test(start_paused = true)]
async fn places_are_asked_in_order_until_one_has_it() {
    for (there, asked) in [(RFC, vec![RFC]), (OIDC, vec![RFC, OIDC]), (OIDC_BEFORE, vec![RFC, OIDC, OIDC_BEFORE])] {
        for missing in [404, 403, 400, 301, 405] {
            let (log, http) =
                server(
                    move |path, _| {
                        if path == there { answer(200, whole(DOCUMENT)) } else { answer(missing, whole("x")) }
                    },
                );
            assert_eq!(Metadata::discover(http, ISSUER).await.unwrap().issuer(), ISSUER);
            assert_eq!(*log.lock().unwrap(), asked, "{missing}");
        }
    }
    let (log, http) = server(|_, _| answer(404, whole("")));
    let error = Metadata::discover(http, ISSUER).await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("404"), "{error}");
    assert_eq!(*log.lock().unwrap(), [RFC, OIDC, OIDC_BEFORE]);
}

#[test]
fn outside_of_a_runtime_it_is_an_error() {
    let (_, http) = server(|_, _| answer(200, whole(DOCUMENT)));
    let error = Metadata::discover(http, ISSUER).now_or_never().unwrap().unwrap_err();
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_odd_place_does_not_hide_the_next_one() {
    for (status, odd) in [(500, "x"), (503, ""), (200, r#"{"error":"not found"}"#), (200, "not json"), (200, "{}")] {
        let (log, http) =
            server(move |path, _| if path == OIDC { answer(200, whole(DOCUMENT)) } else { answer(status, whole(odd)) });
        assert_eq!(Metadata::discover(http, ISSUER).await.unwrap().issuer(), ISSUER, "{status} {odd}");
        assert_eq!(*log.lock().unwrap(), [RFC, OIDC]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_for_people_is_no_document() {
    let (log, http) = server(|path, _| {
        let mut page = answer(200, whole("<html>"));
        page.headers_mut().insert("content-type", "text/html; charset=utf-8".parse().unwrap());
        if path == OIDC { answer(200, whole(DOCUMENT)) } else { page }
    });
    assert_eq!(Metadata::discover(http, ISSUER).await.unwrap().issuer(), ISSUER);
    assert_eq!(*log.lock().unwrap(), [RFC, OIDC]);
}

#[tokio::test(start_paused = true)]
async fn another_issuer_is_refused_and_both_are_named() {
    for said in ["https://login.example.com/acme/", "https://evil.example", "https://LOGIN.example.com/acme"] {
        let document = DOCUMENT.replace(ISSUER, said);
        let (log, http) = server(move |_, _| answer(200, whole(&document)));
        let error = Metadata::discover(http, ISSUER).await.unwrap_err();
        let text = error.to_string();
        assert!(!error.is_transient() && text.contains(&format!("about {said}, ")), "{text}");
        assert!(text.contains(&format!("not about {ISSUER} ")) && log.lock().unwrap().len() == 3, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn redirects_are_not_followed() {
    let (log, http) = server(|_, _| {
        let mut moved = answer(302, whole(DOCUMENT));
        moved.headers_mut().insert("location", "https://evil.example/".parse().unwrap());
        moved
    });
    let error = Metadata::discover(http, ISSUER).await.unwrap_err();
    assert!(!error.is_transient() && !error.to_string().contains("evil"), "{error}");
    assert_eq!(log.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_long_or_packed_is_not_read() {
    let long = |length: usize| format!("{DOCUMENT}{}", " ".repeat(length - DOCUMENT.len()));
    for (length, fine) in [(256 * 1024, true), (256 * 1024 + 1, false)] {
        let text = long(length);
        let (log, http) = server(move |_, _| answer(200, whole(&text)));
        let result = Metadata::discover(http, ISSUER).await;
        assert_eq!(result.is_ok(), fine, "{length}");
        assert!(result.is_ok() || !result.unwrap_err().is_transient());
        assert_eq!(log.lock().unwrap().len(), if fine { 1 } else { 3 });
    }
    let (_, http) = server(|_, _| {
        let mut packed = answer(200, whole(DOCUMENT));
        packed.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        packed
    });
    let error = Metadata::discover(http, ISSUER).await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("encoding"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_is_given_ten_seconds_in_all() {
    let bodies: [fn() -> Text; 3] = [
        || Script::of([Step::Data("{"), Step::Hang]),
        || Script::of([Step::Sleep(Duration::from_secs(11)), Step::Data(DOCUMENT)]),
        || Script::of(std::iter::repeat_with(|| [Step::Data(" "), Step::Sleep(Duration::from_secs(1))]).flatten()),
    ];
    for body in bodies {
        let (_, http) = server(move |_, _| answer(200, body()));
        let start = Instant::now();
        let error = Metadata::discover(http, ISSUER).await.unwrap_err();
        assert!(error.is_timeout() && error.is_transient(), "{error:?}");
        assert_eq!(Instant::now() - start, Duration::from_secs(10));
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_failures_the_one_that_may_pass_counts() {
    for passing in 1..=3 {
        let (log, http) = server(move |_, count| match (count - 1) % 3 + 1 {
            place if place == passing => answer(503, whole("")),
            _ => answer(404, whole("")),
        });
        let error = Metadata::discover(http, ISSUER).await.unwrap_err();
        assert!(error.is_transient(), "{passing}: {error}");
        assert_eq!(log.lock().unwrap().len(), 9, "three places, three times");
    }
}

#[tokio::test(start_paused = true)]
async fn no_pause_is_begun_that_would_end_too_late() {
    // Three places, each of which breaks off after 3.1 s.
    let (log, http) = server(|_, _| answer(200, Script::of([Step::Sleep(Duration::from_millis(3100)), Step::Break])));
    let start = Instant::now();
    let error = Metadata::discover(http, ISSUER).await.unwrap_err();
    assert!(!error.is_timeout(), "the error that was had, not that time was up: {error:?}");
    assert_eq!((log.lock().unwrap().len(), (Instant::now() - start).as_millis()), (3, 9300));
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_three_times_a_second_apart() {
    for failing in 1..=3 {
        // Three places each time.
        let (log, http) = server(move |_, count| match (count - 1) / 3 + 1 {
            time if time > failing => answer(200, whole(DOCUMENT)),
            1 => answer(503, whole("")),
            2 => answer(200, whole("<html>")),
            _ => answer(200, Script::of([Step::Data("{"), Step::Break])),
        });
        let start = Instant::now();
        let result = Metadata::discover(http, ISSUER).await;
        assert_eq!(result.is_ok(), failing < 3, "{failing}: {result:?}");
        assert!(result.is_ok() || result.unwrap_err().is_transient());
        let tries = log.lock().unwrap().len();
        assert_eq!((tries, (Instant::now() - start).as_secs()), (9.min(3 * failing + 1), 2.min(failing as u64)));
    }
    let (log, http) = server(|_, _| {
        let mut limited = answer(429, whole(""));
        limited.headers_mut().insert("retry-after", "7".parse().unwrap());
        limited
    });
    let error = Metadata::discover(http, ISSUER).await.unwrap_err();
    assert_eq!((error.retry_after(), log.lock().unwrap().len()), (Some(Duration::from_secs(7)), 1));
}

#[tokio::test(start_paused = true)]
async fn http_is_refused_for_the_issuer_and_for_what_it_names() {
    let (log, http) = server(|_, _| answer(200, whole(DOCUMENT)));
    assert!(Metadata::discover(http, "http://login.example.com/acme").await.unwrap_err().is_config());
    assert!(log.lock().unwrap().is_empty());
    for endpoint in ["http://login.example.com/t", "/t", "https://a:b@login.example.com/t", "https://x/#y", ""] {
        for member in ["token_endpoint", "mtls"] {
            let error = match member {
                "mtls" => discover(&format!(r#""mtls_endpoint_aliases":{{"token_endpoint":"{endpoint}"}}"#)).await,
                _ => read(&DOCUMENT.replace("https://login.example.com/t", endpoint)).await,
            }
            .unwrap_err();
            assert!(
                !error.is_transient() && error.to_string().contains("cannot be used"),
                "{member} {endpoint}: {error}"
            );
        }
    }
    let plain = DOCUMENT.replace("https:", "http:");
    let (_, http) = server(move |_, _| answer(200, whole(&plain)));
    assert!(Metadata::danger_plain_http(http, "http://login.example.com/acme").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_alias_for_tls_is_for_clients_that_authenticate_by_it() {
    let alias = r#""mtls_endpoint_aliases":{"token_endpoint":"https://mtls.example.com/t"},
                   "token_endpoint_auth_methods_supported":["client_secret_basic","tls_client_auth"]"#;
    let metadata = discover(alias).await.unwrap();
    for (auth, host) in
        [(ClientAuth::basic("id", "s"), "login.example.com"), (ClientAuth::tls("id"), "mtls.example.com")]
    {
        let http = service_fn(move |request: Request<Full<Bytes>>| async move {
            assert_eq!(request.uri().host(), Some(host));
            Ok::<_, BoxError>(Response::new(r#"{"access_token":"abc"}"#.to_owned()))
        });
        ClientCredentials::new(http, &metadata, auth).unwrap().token(None).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_that_is_not_taken_is_an_error_that_names_what_is() {
    let (_, http) = server(|_, _| answer(404, whole("")));
    let methods = |list: &str| format!(r#""token_endpoint_auth_methods_supported":{list}"#);
    let metadata = discover(&methods(r#"["private_key_jwt","client_secret_post"]"#)).await.unwrap();
    let error = ClientCredentials::new(http.clone(), &metadata, ClientAuth::basic("id", "s")).unwrap_err();
    assert!(error.is_config(), "{error:?}");
    assert!(error.to_string().contains("client_secret_basic, but: private_key_jwt, client_secret_post"), "{error}");
    let chosen = metadata.client_secret("id", "s").unwrap();
    assert!(format!("{chosen:?}").contains("client_secret_post"));
    assert!(ClientCredentials::new(http.clone(), &metadata, chosen).is_ok());
    assert!(ClientCredentials::new(http.clone(), &metadata, ClientAuth::anonymous()).is_ok());
    let error = discover(&methods(r#"["none"]"#)).await.unwrap().client_secret("id", "s").unwrap_err();
    assert!(error.is_config() && error.to_string().ends_with("but: none"), "{error}");
    for list in ["[]", r#"["\u001b[31m"]"#] {
        let metadata = discover(&methods(list)).await.unwrap();
        let error = ClientCredentials::new(http.clone(), &metadata, ClientAuth::basic("id", "s")).unwrap_err();
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn members_of_the_wrong_type_are_as_if_they_were_not_there() {
    for value in ["null", "7", "{}", r#""client_secret_post""#, r#"[7]"#, r#"[["client_secret_post"]]"#, "true"] {
        let metadata = discover(&format!(
            r#""token_endpoint_auth_methods_supported":{value},"mtls_endpoint_aliases":{value},"scopes_supported":{value}"#
        ))
        .await
        .unwrap_or_else(|error| panic!("{value}: {error:?}"));
        assert_eq!(metadata.auth_methods().collect::<Vec<_>>(), ["client_secret_basic"], "{value}");
        assert_eq!(metadata.field::<Vec<bool>>("scopes_supported"), None);
    }
    for document in ["{}", "[]", "7", "null", r#"{"issuer":7}"#, r#"{"issuer":"https://login.example.com/acme"}"#] {
        let error = read(document).await.unwrap_err();
        assert!(!error.is_transient(), "{document}: {error:?}");
    }
    let deep = format!(r#"{{"issuer":{}}}"#, "[".repeat(10_000));
    read(&deep).await.unwrap_err();
    let twice = DOCUMENT.replace('}', r#","token_endpoint":"https://evil.example/"}"#);
    read(&twice).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_grant_asks_where_the_issuer_says() {
    let issuer = Issuer::builder()
        .metadata("https://login.example.com/acme/")
        .metadata_field("scopes_supported", r#"["a","b"]"#)
        .build();
    issuer.fail_next(Outage::Status { status: 500, retry_after: None });
    let metadata = Metadata::discover(issuer.service(), "https://login.example.com/acme/").await.unwrap();
    assert_eq!(metadata.field::<Vec<String>>("scopes_supported").unwrap(), ["a", "b"]);
    let auth = metadata.client_secret("test-client", "test-secret").unwrap();
    ClientCredentials::new(issuer.service(), &metadata, auth).unwrap().token(None).await.unwrap();
    let uris: Vec<_> = issuer.seen().iter().map(|seen| seen.uri.to_string()).collect();
    assert_eq!(uris[2], "https://login.example.com/acme/oauth/token");
    sleep(Duration::from_secs(1)).await;
    let other = Metadata::discover(issuer.service(), "https://login.example.com/acme").await.unwrap_err();
    assert!(other.to_string().contains("acme/, not about https://login.example.com/acme "), "{other}");
}

/// What is made of a document with these members too.
async fn discover(members: &str) -> Result<Metadata, Error> {
    read(&DOCUMENT.replace('}', &format!(",{members}}}"))).await
}

async fn read(document: &str) -> Result<Metadata, Error> {
    let document = document.to_owned();
    let (_, http) = server(move |_, _| answer(200, whole(&document)));
    Metadata::discover(http, ISSUER).await
}

type Server = BoxCloneService<Request<Full<Bytes>>, Response<Text>, BoxError>;

/// Answers a path, and the how manieth request it is; keeps the paths.
fn server(
    respond: impl Fn(&str, usize) -> Response<Text> + Clone + Send + 'static,
) -> (Arc<Mutex<Vec<String>>>, Server) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let paths = Arc::clone(&log);
    let service = service_fn(move |request: Request<Full<Bytes>>| {
        let mut paths = paths.lock().unwrap();
        paths.push(request.uri().path().to_owned());
        let response = respond(request.uri().path(), paths.len());
        async { Ok::<_, BoxError>(response) }.boxed()
    });
    (log, BoxCloneService::new(service))
}
