use std::{error::Error as _, time::SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use super::*;
use crate::grant::message::{Encoding, Message};

const SECRET: &str = "canary+s3cret/w=";

#[test]
fn a_lifetime_is_read_however_servers_spell_it() {
    let thirty_days: u128 = 30 * 24 * 3600;
    for (spelled, millis) in [
        ("0", Some(0)),
        ("-1", Some(0)),
        ("-1e300", Some(0)),
        ("1", Some(1000)),
        ("30", Some(30_000)),
        ("3600.7", Some(3_600_700)),
        ("36e2", Some(3_600_000)),
        (r#""3600""#, Some(3_600_000)),
        (r#"" 3600 ""#, Some(3_600_000)),
        (r#""3600.5""#, Some(3_600_500)),
        ("1e300", Some(thirty_days * 1000)),
        ("1e999", Some(thirty_days * 1000)),
        ("1000000000000000000000000000000", Some(thirty_days * 1000)),
        (r#""1000000000000000000000000000000""#, Some(thirty_days * 1000)),
        ("null", None),
        ("{}", None),
        ("[]", None),
        ("[3600]", None),
        ("true", None),
        (r#""""#, None),
        (r#"" ""#, None),
        (r#""-""#, None),
        (r#""1e""#, None),
        (r#""NaN""#, None),
        (r#""inf""#, None),
        (r#""-inf""#, None),
        (r#""infinity""#, None),
        (r#""soon""#, None),
        (r#""3600s""#, None),
        (r#""0x10""#, None),
    ] {
        let token = decode(200, &[], &format!(r#"{{"access_token":"abc","expires_in":{spelled}}}"#)).expect(spelled);
        assert_eq!(token.lifetime().map(|lifetime| lifetime.as_millis()), millis, "{spelled}");
        // The sum with a clock is what a huge number would make panic.
        assert_eq!(token.expires_at().is_some(), millis.is_some(), "{spelled}");
    }
    assert_eq!(decode(200, &[], r#"{"access_token":"abc"}"#).unwrap().lifetime(), None);
}

#[test]
fn only_bearer_is_accepted_in_any_case_and_when_unsaid() {
    for kind in [r#""bearer""#, r#""Bearer""#, r#""BEARER""#, r#""bEaReR""#, "null"] {
        let token = decode(200, &[], &format!(r#"{{"access_token":"abc","token_type":{kind}}}"#)).expect(kind);
        assert_eq!(token.header(), "Bearer abc");
    }
    for kind in [r#""DPoP""#, r#""mac""#, r#""N_A""#, r#""Bearer x""#, r#""""#, "7", "{}", r#"["Bearer"]"#] {
        let error = decode(200, &[], &format!(r#"{{"access_token":"abc","token_type":{kind}}}"#)).expect_err(kind);
        assert!(!error.is_transient(), "{kind}");
        assert!(error.to_string().contains("token_type"), "{error}");
    }
}

#[test]
fn an_empty_error_beside_a_good_token_is_none() {
    for code in [r#""""#, r#"" ""#, "null", "{}"] {
        let token =
            decode(200, &[], &format!(r#"{{"access_token":"abc","expires_in":5,"error":{code}}}"#)).expect(code);
        assert_eq!(token.lifetime(), Some(Duration::from_secs(5)));
    }
}

#[test]
fn an_error_counts_even_with_status_200() {
    let error = decode(200, &[], r#"{"access_token":"abc","error":"invalid_client"}"#).unwrap_err();
    assert_eq!((error.oauth_code(), error.status()), (Some("invalid_client"), Some(StatusCode::OK)));
    assert!(!error.is_transient());
}

#[test]
fn a_refusal_is_permanent_whatever_its_body_looks_like() {
    for status in [400, 401, 403, 404, 405, 422] {
        for (body, code) in [
            (r#"{"error":"invalid_client","error_description":"no"}"#, Some("invalid_client")),
            (r#"{"error":"scope_invalid"}"#, Some("scope_invalid")),
            ("", None),
            ("<html>Forbidden</html>", None),
            (r#"{"error":"#, None),
            (r#"{"message":"nope"}"#, None),
            ("[]", None),
        ] {
            let error = decode(status, &[("retry-after", "5")], body).unwrap_err();
            assert!(!error.is_transient(), "{status} {body}");
            assert_eq!(error.retry_after(), None, "asking again will not help: {status} {body}");
            assert_eq!(error.oauth_code(), code, "{status} {body}");
            assert_eq!(error.status().unwrap(), status, "{body}");
            assert!(!shown(&error).contains("html") && !shown(&error).contains("nope"), "{error:?}");
        }
    }
}

#[test]
fn an_overloaded_server_is_transient_whatever_code_it_gives() {
    for status in [408, 425, 429, 500, 502, 503, 504, 520] {
        for body in [r#"{"error":"invalid_client"}"#, r#"{"error":"invalid_grant"}"#, "", "<html>"] {
            let error = decode(status, &[], body).unwrap_err();
            assert!(error.is_transient(), "{status} {body}");
            assert_eq!(error.status().unwrap(), status);
        }
    }
    for code in ["temporarily_unavailable", "server_error", "slow_down"] {
        assert!(decode(400, &[], &format!(r#"{{"error":"{code}"}}"#)).unwrap_err().is_transient(), "{code}");
    }
}

#[test]
fn the_rate_limit_of_genesys_is_transient_and_other_invalid_requests_are_not() {
    let refused = |code: &str, description: &str| {
        decode(400, &[], &format!(r#"{{"error":"{code}","error_description":"{description}"}}"#)).unwrap_err()
    };
    assert!(refused("invalid_request", "rate limit exceeded; try again in 30 seconds").is_transient());
    assert!(refused("invalid_request", "Rate Limit Exceeded").is_transient());
    assert!(!refused("invalid_request", "a parameter is missing").is_transient());
    assert!(!refused("invalid_client", "rate limit exceeded").is_transient());
}

#[test]
fn retry_after_is_read_in_both_forms() {
    for status in [429, 500, 503] {
        let after = |field: &str| decode(status, &[("retry-after", field)], "").unwrap_err().retry_after();
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after("soon"), None);
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90));
        let after = after(&date).expect("a date");
        assert!((85..=90).contains(&after.as_secs()), "{after:?}");
    }
}

#[test]
fn a_duplicate_member_is_refused() {
    for body in [
        r#"{"access_token":"good","access_token":"evil"}"#,
        r#"{"access_token":"good","expires_in":1,"expires_in":99999}"#,
        r#"{"access_token":"good","access\u005ftoken":"evil"}"#,
    ] {
        let error = decode(200, &[], body).unwrap_err();
        assert!(!shown(&error).contains("evil") && !shown(&error).contains("good"), "{error:?}");
    }
    assert!(decode(200, &[], r#"{"access_token":"good","x":1,"x":2}"#).is_ok(), "members that nobody reads");
}

#[test]
fn a_description_is_cleaned_and_shortened() {
    let nasty = r"a\u001b[31mred\u0000\r\nlevel=error\u009b2J\u202eexe\u2066x\u2069y\u061cz\u200bq\ufeff.";
    let error = decode(400, &[], &format!(r#"{{"error":"x\u001b[2J","error_description":"{nasty}"}}"#)).unwrap_err();
    let steering = |c: char| c.is_control() || "\u{202e}\u{2066}\u{2069}\u{61c}\u{200b}\u{feff}\u{200f}".contains(c);
    assert!(!error.to_string().chars().any(steering), "{:?}", error.to_string());
    assert!(error.to_string().contains("red") && error.to_string().contains("level=error"));

    for length in [199, 200, 201, 50_000] {
        let long = "é".repeat(length);
        let error = decode(400, &[], &format!(r#"{{"error":"e","error_description":"{long}"}}"#)).unwrap_err();
        assert_eq!(error.to_string().matches('é').count(), length.min(200));
    }
    let error = decode(400, &[], &format!(r#"{{"error":"{}"}}"#, "e".repeat(9000))).unwrap_err();
    assert!(error.oauth_code().unwrap().len() <= 64);
}

#[test]
fn an_echoed_secret_stays_out_of_the_error() {
    let encoded = "canary%2Bs3cret%2Fw%3D";
    // What the header of `client_secret_basic` carries, plain and form-encoded.
    let header = "aWQ6Y2FuYXJ5JTJCczNjcmV0JTJGdyUzRA==";
    let raw_header = "aWQ6Y2FuYXJ5K3MzY3JldC93PQ==";
    let split = format!("{}{SECRET}", "x".repeat(190));
    let hidden = r"can\u200bary"; // harmless: it is not the secret
    for echo in [SECRET, encoded, &encoded.to_lowercase(), header, raw_header, &split] {
        let descriptions = [
            format!(r#"{{"error":"invalid_client","error_description":"bad secret {echo}!"}}"#),
            format!(r#"{{"error":"no {echo}","error_description":"{hidden}"}}"#),
        ];
        for body in descriptions {
            for status in [200, 401, 503] {
                let error = decode(status, &[], &body).unwrap_err();
                for part in [SECRET, "canary+s3", "canary%2", "aWQ6", "s3cret"] {
                    assert!(!shown(&error).contains(part), "{part} of {body} in {error:?}");
                }
            }
        }
    }
}

#[test]
fn a_code_that_everybody_knows_is_told_even_if_the_secret_is_a_part_of_it() {
    for secret in ["grant", "invalid_grant", "i"] {
        let mut message = Message::default();
        message.push_secret("client_secret", secret);
        let (_, _, sent) = message.finish(Encoding::Form);
        let body = Zeroizing::new(br#"{"error":"invalid_grant","error_description":"invalid_grant"}"#.to_vec());
        let reply = Reply { status: StatusCode::BAD_REQUEST, headers: HeaderMap::new(), body, sent_at: Instant::now() };
        let error = Answer { host: "h", sent: &sent, fields: &Fields::default(), reply }.decode().unwrap_err();
        assert_eq!(error.oauth_code(), Some("invalid_grant"), "{secret}");
        assert_eq!(error.to_string().matches("invalid_grant").count(), 1, "{error}");
    }
}

#[test]
fn a_redirect_is_permanent() {
    for status in [301, 302, 303, 307, 308] {
        let good = r#"{"access_token":"abc"}"#;
        let error = decode(status, &[("location", "https://evil.example/")], good).unwrap_err();
        assert!(!error.is_transient());
        assert!(error.to_string().contains("redirect") && !shown(&error).contains("evil"), "{error:?}");
    }
}

#[test]
fn an_answer_that_is_not_json_may_pass_and_is_not_shown() {
    for body in ["", " \r\n", "<html>s3cr3t</html>", r#"{"access_token":"s3cr3t""#, "{} trailing s3cr3t", "\u{feff}{}"]
    {
        let error = decode(200, &[], body).unwrap_err();
        assert!(error.is_transient(), "a proxy in trouble writes such: {body:?}");
        assert!(!shown(&error).contains("s3cr3t"), "{error:?}");
    }
    for body in ["{}", "[]", "null", "7", r#"{"access_token":null}"#, r#"{"access_token":7}"#, r#"{"access_token":{}}"#]
    {
        assert!(!decode(200, &[], body).unwrap_err().is_transient(), "{body}");
    }
}

#[test]
fn an_access_token_that_would_break_a_header_is_refused() {
    for token in ["", " ", "a b", "a\\r\\nX-Evil: 1", "a,b", "a\\u0000", "é", "=", "===", "a=b", "\\\"a\\\""] {
        let error = decode(200, &[], &format!(r#"{{"access_token":"{token}"}}"#)).expect_err(token);
        assert!(!error.is_transient() && !shown(&error).contains("Evil"), "{error:?}");
    }
    for token in ["a", "a==", "A-Z._~+/9", &"x".repeat(16 * 1024)] {
        assert!(decode(200, &[], &format!(r#"{{"access_token":"{token}"}}"#)).is_ok(), "{token}");
    }
    assert!(decode(200, &[], &format!(r#"{{"access_token":"{}"}}"#, "x".repeat(16 * 1024 + 1))).is_err());
}

#[test]
fn other_members_stay_readable() {
    let body =
        r#"{"access_token":"abc","scope":"a b","resource_server_base_uri":"https://x.example/","n":7,"o":{"p":[1]}}"#;
    let token = decode(200, &[], body).unwrap();
    assert_eq!(token.field::<String>("resource_server_base_uri").as_deref(), Some("https://x.example/"));
    assert_eq!(token.field::<String>("scope").as_deref(), Some("a b"));
    assert_eq!(token.field::<u8>("n"), Some(7));
    assert_eq!(token.field::<String>("n"), None, "of another type");
    assert_eq!(token.field::<String>("absent"), None);
    assert!(!format!("{token:?}").contains("abc"));
}

#[test]
fn a_lifetime_counts_from_when_the_request_was_sent() {
    let sent_at = Instant::now().checked_sub(Duration::from_secs(7)).unwrap();
    let body = Zeroizing::new(br#"{"access_token":"abc","expires_in":60}"#.to_vec());
    let reply = Reply { status: StatusCode::OK, headers: HeaderMap::new(), body, sent_at };
    let answer = Answer { host: "h", sent: &Sent::default(), fields: &Fields::default(), reply };
    assert_eq!(answer.decode().unwrap().expires_at(), Some(sent_at + Duration::from_secs(60)));
}

fn decode(status: u16, fields: &[(&'static str, &str)], body: &str) -> Result<Token, Error> {
    decode_after(SECRET, status, fields, body)
}

fn decode_after(secret: &str, status: u16, fields: &[(&'static str, &str)], body: &str) -> Result<Token, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    let mut message = Message::default();
    message.basic("id", secret, true).unwrap();
    let (_, _, sent) = message.finish(Encoding::Form);
    let status = StatusCode::from_u16(status).unwrap();
    let body = Zeroizing::new(body.as_bytes().to_vec());
    let reply = Reply { status, headers, body, sent_at: Instant::now() };
    Answer { host: "login.example.com", sent: &sent, fields: &Fields::default(), reply }.decode()
}

/// All that a program could print of an error.
fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}
