//! Foreign text, made fit for an error message or a log.

/// Printable, on one line, without characters that steer a terminal or turn text around, at most `max` characters.
pub(crate) fn clean(text: &str, max: usize) -> String {
    text.chars().map(|c| if steers(c) { ' ' } else { c }).take(max).collect::<String>().trim().to_owned()
}

fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        assert_eq!(clean("a\r\n\u{1b}[31mb\u{202e}\u{61c}c\u{9b}", 80), "a   [31mb  c");
        assert_eq!(clean("  äöü  ", 4), "äö");
        assert_eq!(clean("\0\0", 4), "");
    }
}
