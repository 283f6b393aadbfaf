//! The `Link` header (RFC 8288 §3). Pure.

use std::borrow::Cow;

use http::{HeaderMap, Uri, header::LINK};

use super::position::resolve;

/// The target of the link with that relation, which is in lower case, as it was written; `None` if there is none.
///
/// # Errors
///
/// If the header cannot be read to its end, or has two such links: to take one of them, or none, could lose pages.
pub(super) fn target(headers: &HeaderMap, relation: &str, page: &Uri) -> Result<Option<String>, &'static str> {
    let mut found: Option<String> = None;
    for field in headers.get_all(LINK) {
        // A title may have bytes that are no UTF-8.
        for link in Links(&String::from_utf8_lossy(field.as_bytes())) {
            let link = link?;
            if !link.has(relation) || !link.is_of(page) || found.as_deref() == Some(link.target) {
                continue;
            }
            if found.replace(link.target.to_owned()).is_some() {
                return Err("names two next pages");
            }
        }
    }
    Ok(found)
}

struct Link<'a> {
    target: &'a str,
    rel: Option<Cow<'a, str>>,
    anchor: Option<Cow<'a, str>>,
}

struct Links<'a>(&'a str);

// === impl Link ===

impl Link<'_> {
    fn has(&self, relation: &str) -> bool {
        let mut types = self.rel.as_deref().unwrap_or_default().split_ascii_whitespace();
        types.any(|name| name.eq_ignore_ascii_case(relation))
    }

    /// Whether it leads away from that page, and not from another resource (§3.2).
    fn is_of(&self, page: &Uri) -> bool {
        self.anchor.as_deref().is_none_or(|anchor| resolve(anchor, page) == resolve("", page))
    }
}

// === impl Links ===

impl<'a> Iterator for Links<'a> {
    type Item = Result<Link<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        // Empty elements of a list count for nothing (RFC 9110 §5.6.1).
        self.0 = self.0.trim_start_matches([' ', '\t', ',']);
        (!self.0.is_empty()).then(|| {
            let link = self.link();
            if link.is_err() {
                self.0 = "";
            }
            link
        })
    }
}

impl<'a> Links<'a> {
    fn link(&mut self) -> Result<Link<'a>, &'static str> {
        let inside = self.0.strip_prefix('<').ok_or(NO_LINK)?;
        let (target, rest) = inside.split_once('>').ok_or("has a link without an end")?;
        self.0 = rest.trim_start_matches(BLANKS);
        let mut link = Link { target, rel: None, anchor: None };
        while let Some(rest) = self.0.strip_prefix(';') {
            self.0 = rest;
            let (name, value) = self.param()?;
            // Those after the first count for nothing (§3.3).
            if name.eq_ignore_ascii_case("rel") {
                link.rel = link.rel.or(Some(value));
            } else if name.eq_ignore_ascii_case("anchor") {
                link.anchor = link.anchor.or(Some(value));
            }
        }
        if self.0.is_empty() || self.0.starts_with(',') { Ok(link) } else { Err(NO_LINK) }
    }

    fn param(&mut self) -> Result<(&'a str, Cow<'a, str>), &'static str> {
        let name = self.until(&['=', ';', ',']);
        let Some(value) = self.0.strip_prefix('=') else { return Ok((name, Cow::Borrowed(""))) };
        self.0 = value.trim_start_matches(BLANKS);
        let value = match self.0.strip_prefix('"') {
            Some(inside) => self.quoted(inside)?,
            None => Cow::Borrowed(self.until(&[';', ','])),
        };
        Ok((name, value))
    }

    /// What comes before any of these, without the blanks around it.
    fn until(&mut self, ends: &[char]) -> &'a str {
        let (text, rest) = self.0.split_at(self.0.find(ends).unwrap_or(self.0.len()));
        self.0 = rest;
        text.trim_matches(BLANKS)
    }

    /// RFC 9110 §5.6.4.
    fn quoted(&mut self, inside: &'a str) -> Result<Cow<'a, str>, &'static str> {
        let mut escaped = false;
        let end = inside.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let (text, rest) = inside.split_at(end.ok_or("has a quoted text without an end")?);
        self.0 = rest.get(1..).unwrap_or_default().trim_start_matches(BLANKS);
        if !text.contains('\\') {
            return Ok(Cow::Borrowed(text));
        }
        let mut chars = text.chars();
        let unescape = || match chars.next()? {
            '\\' => chars.next(),
            c => Some(c),
        };
        Ok(Cow::Owned(std::iter::from_fn(unescape).collect()))
    }
}

const BLANKS: [char; 2] = [' ', '\t'];
const NO_LINK: &str = "has something in it that is no link";

#[cfg(test)]
mod tests {
    use super::*;

    fn next(fields: &[&str]) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(LINK, http::HeaderValue::from_bytes(field.as_bytes()).unwrap());
        }
        target(&headers, "next", &"https://api.example.com/users?page=1".parse().unwrap())
    }

    #[test]
    fn the_next_page_is_found_wherever_it_stands() {
        for (field, expected) in [
            (r#"</u?page=2>; rel="next""#, "/u?page=2"),
            (r#"</u?page=2>;rel=next"#, "/u?page=2"),
            (r#"</1>; rel="first", </2>; rel="next", </9>; rel="last""#, "/2"),
            (r#"</2>; rel="last  NEXT""#, "/2"),
            (r#"</2> ; title="a, <b>; rel=\"prev\"" ; REL = next ; x"#, "/2"),
            (r#"</a,b;c?d="e">; rel=next"#, r#"/a,b;c?d="e""#),
            (r#", ,</2>; rel="n\ext","#, "/2"),
            (r#"</2>; rel=next; rel=prev; rel="first""#, "/2"),
            (r#"<>; rel=next"#, ""),
            ("</2>; rel=next; title=\u{e9}", "/2"),
            (r#"</2>; rel="next"; anchor="""#, "/2"),
            (r#"</2>; rel="next"; anchor="?page=1""#, "/2"),
            (r#"</2>; rel="next", </2>; rel="next""#, "/2"),
            (r#"</2>; rel="next"; title*=UTF-8'de'n%c3%a4chstes; type="a/b;c""#, "/2"),
        ] {
            assert_eq!(next(&[field]), Ok(Some(expected.to_owned())), "{field}");
            assert_eq!(next(&["</1>; rel=prev", field, ""]), Ok(Some(expected.to_owned())), "{field}");
        }
    }

    #[test]
    fn what_only_looks_like_the_next_page_is_not() {
        for field in [
            "",
            ",",
            "</2>",
            "</2>; rel",
            "</2>; rel=\"\"",
            "</2>; rel=nextpage",
            "</2>; rel=prev; rel=next",
            r#"</2>; title="x; rel=next""#,
            r#"</2>; rev=next"#,
            r#"</2>; rel=next; anchor="/other""#,
            r##"</2>; rel=next; anchor="#part""##,
            "</2;rel=next>; rel=prev",
        ] {
            assert_eq!(next(&[field]), Ok(None), "{field}");
        }
    }

    #[test]
    fn a_field_that_cannot_be_read_to_its_end_is_an_error() {
        for field in [
            "/2; rel=next",
            "</1>; rel=prev, /2; rel=next",
            "</2; rel=next",
            r#"</2>; rel="next"#,
            r#"</2>; rel="next\""#,
            r#"</2>; rel="next" x"#,
            "</2> x; rel=next",
            "</2></3>; rel=next",
        ] {
            assert!(next(&[field]).is_err(), "{field}");
        }
        assert_eq!(next(&["</2>; rel=next, </3>; rel=next"]), Err("names two next pages"));
        assert_eq!(next(&["</2>; rel=next", "</3>; rel=next"]), Err("names two next pages"));
    }
}
