//! The records of a page, each on a line.

use bytes::Bytes;
use memchr::{memchr_iter, memchr2_iter};
use tower_oauth2::pager::Page;

/// A line break within JSON can only be between its tokens, so that leaving it out changes nothing.
pub fn join(page: &Page) -> Bytes {
    let mut lines = Vec::with_capacity(page.bytes().len() + page.len());
    for item in page.raw_items() {
        push(&mut lines, item.as_bytes());
    }
    lines.into()
}

fn push(lines: &mut Vec<u8>, item: &[u8]) {
    let mut from = 0;
    for at in memchr2_iter(b'\n', b'\r', item) {
        lines.extend_from_slice(&item[from..at]);
        from = at + 1;
    }
    lines.extend_from_slice(&item[from..]);
    lines.push(b'\n');
}

/// One after the other, without its end; also a last one that has none.
pub fn split(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    let unended = lines.last().is_some_and(|last| *last != b'\n').then_some(lines.len());
    memchr_iter(b'\n', lines).chain(unended).map(move |at| {
        let line = &lines[from..at];
        from = at + 1;
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_is_split_into_the_same_lines() {
        let mut lines = Vec::new();
        for item in ["{}", "{\n\n\"a\": 1,\r\n  \"b\": 2\n}\n", "\r", "[1]"] {
            push(&mut lines, item.as_bytes());
        }
        let split: Vec<_> = split(&lines).map(|line| std::str::from_utf8(line).unwrap()).collect();
        assert_eq!(split, ["{}", "{\"a\": 1,  \"b\": 2}", "", "[1]"]);
    }

    #[test]
    fn a_last_line_without_an_end_is_one() {
        assert_eq!(split(b"a\nb").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(split(b"a\n").collect::<Vec<_>>(), [b"a"]);
        assert_eq!(split(b"").count(), 0);
    }
}
