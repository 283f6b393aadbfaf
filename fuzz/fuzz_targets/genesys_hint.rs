//! The message of Genesys Cloud's 429. Input: the body; and, in place of a message, all of it as one.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tower_oauth2::fuzzing::genesys_hint;

fuzz_target!(|data: &[u8]| {
    let found = genesys_hint(data);
    // What is not text in a value that nobody wants is not looked at, which serde_json's own value would not stand.
    if let Ok(body) = serde_json::from_slice::<serde_json::Value>(data) {
        assert_eq!(found, body.get("message").and_then(|message| seconds(message.as_str()?)));
    }
    let Ok(message) = std::str::from_utf8(data) else { return };
    let body = serde_json::json!({ "status": 429, "message": message }).to_string();
    assert_eq!(genesys_hint(body.as_bytes()), seconds(message), "{message:?}");
});

/// Slowly: at every place, character by character.
fn seconds(message: &str) -> Option<Duration> {
    let all: Vec<char> = message.chars().map(|character| character.to_ascii_lowercase()).collect();
    let phrase: Vec<char> = "retry the request in".chars().collect();
    (0..all.len()).find_map(|start| {
        let mut rest = all.get(start..)?.strip_prefix(phrase.as_slice())?;
        skip(&mut rest, char::is_whitespace);
        rest = rest.strip_prefix(&['[']).unwrap_or(rest);
        let digits: String = rest.iter().take_while(|character| character.is_ascii_digit()).collect();
        rest = &rest[digits.len()..];
        rest = rest.strip_prefix(&[']']).unwrap_or(rest);
        skip(&mut rest, char::is_whitespace);
        let unit: String = rest.iter().take(6).collect();
        (!digits.is_empty() && unit == "second").then(|| digits.parse().map_or(Duration::MAX, Duration::from_secs))
    })
}

fn skip(rest: &mut &[char], what: fn(char) -> bool) {
    while let [first, after @ ..] = *rest {
        if !what(*first) {
            return;
        }
        *rest = after;
    }
}
