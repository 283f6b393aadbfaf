//! A next URL that leads elsewhere is refused, and nothing is sent there.

use serde_json::json;
use tower_oauth2::pager::{Continuation, ErrorKind, Pager, Query, Rule};

use crate::scripted_api::{Answer, ScriptedApi, drain, ok};

const URL: &str = "https://api.example.com/u";

const HOSTILE: [&str; 72] = [
    // Another host.
    "https://evil.example/u",
    "//evil.example/u",
    "///evil.example/u",
    "https:////evil.example/u",
    "https://example.com/u",
    "https://sub.api.example.com/u",
    "https://api.example.com.evil.example/u",
    "https://xapi.example.com/u",
    "https://api.example.com./u",
    "https://api.example.com%2eevil.example/u",
    "https://%61pi.example.com/u",
    "https://api。example.com/u",
    "https://аpi.example.com/u",
    // Another port.
    "https://api.example.com:8443/u",
    "https://api.example.com:80/u",
    "https://api.example.com:99999/u",
    "https://api.example.com:0443x/u",
    // Another scheme.
    "http://api.example.com/u",
    "http://api.example.com:443/u",
    "ftp://api.example.com/u",
    "wss://api.example.com/u",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "data:application/json,{}",
    // Credentials, or what looks like them.
    "https://api.example.com@evil.example/u",
    "https://user:secret@api.example.com/u",
    "https://@api.example.com/u",
    "https://api.example.com:443@evil.example/u",
    // What some parsers take for a slash, or for nothing.
    "\\\\evil.example\\u",
    "https:\\\\evil.example/u",
    "/\\evil.example/u",
    "https://api.example.com\\@evil.example/u",
    "https://evil.example\\.api.example.com/u",
    "https://api.example.com\t.evil.example/u",
    "ht\ntps://evil.example/u",
    "/u\r\nHost: evil.example",
    "https://api.example.com\0.evil.example/u",
    "https://",
    "https:evil.example/u",
    "https:/evil.example/u",
    "https:///evil.example/u",
    "//evil.example:443/u",
    "//api.example.com:8443/u",
    "//api.example.com@evil.example/u",
    "//evil.example",
    // Elsewhere, with the right name in it.
    "https://evil.example#https://api.example.com/u",
    "https://evil.example?https://api.example.com/u",
    "https://evil.example/https://api.example.com/u",
    "https://api.example.com:443:443/u",
    "https://api.example.com,evil.example/u",
    "https://api.example.com;evil.example/u",
    "https://api.example.com evil.example/u",
    "https://[api.example.com]/u",
    "https://api-example.com/u",
    "https://api.example.co/u",
    "https://api.example.comm/u",
    "https://api.example.com\u{200b}/u",
    "https://api.exa\u{ad}mple.com/u",
    "https://api.example.com\u{ff0f}@evil.example/u",
    "https://\u{202e}moc.elpmaxe.ipa/u",
    "HTTPS://EVIL.EXAMPLE/u",
    // What only this machine, or its cloud, can reach.
    "https://127.0.0.1/u",
    "https://[::1]/u",
    "https://0/u",
    "http://169.254.169.254/latest/meta-data/",
    "http://metadata.google.internal/computeMetadata/v1/",
    // Other schemes.
    "ws://api.example.com/u",
    "gopher://api.example.com/u",
    "mailto:u@api.example.com",
    "blob:https://api.example.com/u",
    "view-source:https://api.example.com/u",
    "about:blank",
];

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_to_another_origin() {
    for hostile in HOSTILE {
        let get = |rule| Query::get(URL, "/items", rule).unwrap();
        for query in [get(Rule::next_url("/next")), get(Rule::next_url("/next").follow_with_get())] {
            let first = json!({"items": [1], "next": hostile}).to_string();
            let api = ScriptedApi::of_pages([first, r#"{"items":[666]}"#.to_owned()]);
            let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
            assert_eq!(items, [1], "{hostile:?}");
            let error = error.unwrap_or_else(|| panic!("{hostile:?} was followed"));
            assert_eq!((error.kind(), error.page()), (ErrorKind::Origin, Some(2)), "{hostile:?}");
            assert_eq!(api.uris(), [URL], "{hostile:?}");
            assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nor_where_a_link_header_or_a_guess_says_so() {
    for hostile in HOSTILE {
        let first = |headers: &[&str]| -> Answer {
            let mut response = ok(json!({"items": [1], "nextUri": hostile}).to_string())?;
            for link in headers {
                response.headers_mut().append("link", http::HeaderValue::from_bytes(link.as_bytes())?);
            }
            Ok(response)
        };
        let queries = [
            (Query::get(URL, "/items", Rule::link_header("next")).unwrap(), Some(format!("<{hostile}>; rel=next"))),
            (Query::auto_get(URL).unwrap(), None),
        ];
        for (query, link) in queries {
            // What is not even a header is none.
            let link: Vec<_> = link.iter().map(String::as_str).collect();
            let Ok(first) = first(&link) else { continue };
            let api = ScriptedApi::new([Ok(first), ok(r#"{"items":[666]}"#)]);
            let (items, error) = drain(&mut Pager::new(api.service(), query).page_attempts(1).items::<u32>()).await;
            assert!(!items.contains(&666) && error.is_some(), "{hostile:?} was followed");
            assert_eq!(api.uris(), [URL], "{hostile:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_be_a_credential_of_such_a_url_is_not_told() {
    for (next, told) in [
        ("https://evil.example/u?token=hunter2#hunter2", Some("https://evil.example/u")),
        ("https://u:hunter2@evil.example:8443/u", Some("https://evil.example:8443/u")),
        ("//u:hunter2@evil.example/u", Some("https://evil.example/u")),
        ("https://u:hunter2@api.example.com/u", Some("https://api.example.com/u")),
        ("https://u:hunter2\\@evil.example/u", None),
        ("\\\\u:hunter2@evil.example", None),
        ("data:hunter2", None),
    ] {
        let first = json!({"i": [1], "next": next}).to_string();
        let query = Query::get(URL, "/i", Rule::next_url("/next")).unwrap();
        let (_, error) = drain(&mut Pager::new(ScriptedApi::of_pages([first]).service(), query)).await;
        let error = error.unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        assert!(told.is_none_or(|told| error.to_string().contains(&format!("{told:?}"))), "{next}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_is_taken_as_it_is_written() {
    for other in ["2130706433", "0x7f.0.0.1", "0177.0.0.1", "127.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"] {
        let first = json!({"i": [1], "next": format!("http://{other}:8080/u")}).to_string();
        let api = ScriptedApi::of_pages([first, r#"{"i":[666]}"#.to_owned()]);
        let query = Query::get("http://127.0.0.1:8080/u", "/i", Rule::next_url("/next")).unwrap();
        let (items, error) = drain(&mut Pager::new(api.service(), query).items::<u32>()).await;
        assert_eq!((items, error.map(|error| error.kind())), (vec![1], Some(ErrorKind::Origin)), "{other}");
        assert_eq!(api.requests(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_forged_continuation_leads_nowhere_else() {
    let api = ScriptedApi::of_pages([r#"{"i":[666]}"#]);
    let query = || Query::get(URL, "/i", Rule::next_url("/next")).unwrap();
    let honest = Pager::new(api.service(), query()).continuation().unwrap();
    let honest = serde_json::to_string(&honest).unwrap();
    for hostile in HOSTILE {
        let mut map: serde_json::Map<_, _> = serde_json::from_str(&honest).unwrap();
        map.remove("start").unwrap();
        map.insert("url".into(), hostile.into());
        let forged: Continuation = serde_json::from_value(map.into()).unwrap();
        let mut pager = Pager::resume(api.service(), query(), forged).unwrap();
        let (pages, error) = drain(&mut pager).await;
        assert_eq!((pages.len(), error.map(|error| error.kind())), (0, Some(ErrorKind::Origin)), "{hostile:?}");
        assert_eq!(api.requests(), 0, "{hostile:?}");
    }
}
