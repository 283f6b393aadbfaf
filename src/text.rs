//! Foreign text, made fit for an error message or a log.

use std::{error::Error, fmt};

/// Printable, on one line, without characters that steer a terminal or turn text around, at most `max` characters.
pub(crate) fn clean(text: &str, max: usize) -> String {
    text.chars().map(|c| if steers(c) { ' ' } else { c }).take(max).collect::<String>().trim().to_owned()
}

/// The words of an error that anybody may have made: on one line, short, and with nothing of a URL in them that can hold a
/// secret.
pub(crate) struct Loggable<'a>(pub(crate) &'a dyn Error);

// === impl Loggable ===

impl fmt::Display for Loggable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&clean(&without_secrets_of_urls(&self.0.to_string()), MAX_LOGGED))
    }
}

/// Without what stands between a `?` or `#` and the next blank, and between `://` and an `@`.
fn without_secrets_of_urls(text: &str) -> String {
    let mut left = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        let (word, blank) = word.split_at(word.trim_end().len());
        let cut = word.find(['?', '#']).filter(|at| at + 1 < word.len());
        let mut rest = cut.map_or(word, |at| &word[..at]);
        while let Some(scheme) = rest.find("://") {
            let (before, authority) = rest.split_at(scheme + 3);
            let end = authority.find('/').unwrap_or(authority.len());
            let user = authority[..end].rfind('@').map_or(0, |at| at + 1);
            left.push_str(before);
            rest = &authority[user..];
        }
        left.push_str(rest);
        if cut.is_some() {
            left.push('…');
        }
        left.push_str(blank);
    }
    left
}

fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// In characters.
const MAX_LOGGED: usize = 400;

#[cfg(test)]
mod tests {
    use super::{Loggable, clean};

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        assert_eq!(clean("a\r\n\u{1b}[31mb\u{202e}\u{61c}c\u{9b}", 80), "a   [31mb  c");
        assert_eq!(clean("  äöü  ", 4), "äö");
        assert_eq!(clean("\0\0", 4), "");
    }

    #[test]
    fn what_a_url_keeps_secret_is_not_logged() {
        let logged = |text: &str| Loggable(&*Box::<dyn std::error::Error>::from(text)).to_string();
        for (text, expected) in [
            ("no URL at all", "no URL at all"),
            (
                "error sending request for url (https://h.example/p/q?key=s(e)cret)",
                "error sending request for url (https://h.example/p/q…",
            ),
            ("https://user:secret@h.example/p@q: reset", "https://h.example/p@q: reset"),
            ("https://secret@h.example", "https://h.example"),
            ("https://h.example?secret=a://b@c then\nmore", "https://h.example… then more"),
            ("/relative?secret and mail@h.example", "/relative… and mail@h.example"),
            ("(https://a.example,https://user:secret@b.example/p)", "(https://a.example,https://b.example/p)"),
            ("https://h.example/#access_token=secret.", "https://h.example/…"),
            ("why? because", "why? because"),
            ("é?é", "é…"),
        ] {
            assert_eq!(logged(text), expected);
        }
        assert_eq!(logged(&"x".repeat(1000)).len(), 400);
    }
}
