//! Which page.

use std::{borrow::Cow, fmt};

use http::Uri;
use iri_string::types::{UriAbsoluteStr, UriReferenceStr};
use serde_json::{Number, value::RawValue};

use super::bare::bare;

/// What tells a page from the others of its query. `Debug` shows neither a cursor nor the query of a URL.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Position {
    /// The query as it is.
    Start,
    /// At this URL; not checked yet.
    Url(String),
    /// Behind this cursor.
    Cursor(String),
    /// The same, where the API wrote it as a number.
    NumberCursor(String),
    Page(u64),
    /// With that many items before it.
    Offset(u64),
}

/// What an answer says of the next page, digit for digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Text(String),
    Number(String),
}

// === impl Position ===

impl Position {
    pub(super) fn cursor(link: Link) -> Self {
        match link {
            Link::Text(text) => Self::Cursor(text),
            Link::Number(text) => Self::NumberCursor(text),
        }
    }

    /// A URL as found in the answer to a request for `base`: what cannot be resolved is kept, to be refused by name.
    pub(super) fn url(link: &Link, base: &Uri) -> Self {
        let (Link::Text(reference) | Link::Number(reference)) = link;
        Self::Url(resolve(reference, base).unwrap_or_else(|| reference.to_owned()))
    }

    /// As the value of a query parameter.
    pub(super) fn value(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Start => None,
            Self::Url(value) | Self::Cursor(value) | Self::NumberCursor(value) => Some(value.into()),
            Self::Page(number) | Self::Offset(number) => Some(number.to_string().into()),
        }
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("Start"),
            Self::Url(url) => f.debug_tuple("Url").field(&bare(url)).finish(),
            Self::Cursor(_) => f.write_str("Cursor"),
            Self::NumberCursor(_) => f.write_str("NumberCursor"),
            Self::Page(number) => f.debug_tuple("Page").field(number).finish(),
            Self::Offset(number) => f.debug_tuple("Offset").field(number).finish(),
        }
    }
}

/// A reference on the page `base`, resolved as RFC 3986 §5 says; `None` if it is none.
pub(super) fn resolve(reference: &str, base: &Uri) -> Option<String> {
    let base = base.to_string();
    let base = encoded(&base);
    let base = UriAbsoluteStr::new(base.split('#').next()?).ok()?;
    let reference = encoded(reference.trim());
    let reference = UriReferenceStr::new(&reference).ok()?;
    Some(reference.resolve_against(base).to_string())
}

/// With what APIs write into paths and queries though RFC 3986 has it encoded: `page[number]=2`, `fields=a|b`. Nothing that
/// some reader takes for the end of an authority.
fn encoded(url: &str) -> Cow<'_, str> {
    let authority =
        url.find("//").filter(|at| url[..*at].chars().all(|c| c.is_ascii_alphanumeric() || "+-.:".contains(c)));
    let behind = authority.map_or(0, |at| url[at + 2..].find(['/', '?', '#']).map_or(url.len(), |end| at + 2 + end));
    let (front, rest) = url.split_at(behind);
    if !rest.contains(NOT_ENCODED) {
        return Cow::Borrowed(url);
    }
    let mut whole = front.to_owned();
    for c in rest.chars() {
        if NOT_ENCODED.contains(&c) { whole.push_str(&format!("%{:02X}", u32::from(c))) } else { whole.push(c) }
    }
    Cow::Owned(whole)
}

const NOT_ENCODED: [char; 6] = ['[', ']', '{', '}', '|', '^'];

/// A link or cursor as text; `None` where there is no next page: null, false, blank.
///
/// # Errors
///
/// If there is something, and it is neither a string nor a number: it says that there is more, and not where.
pub(super) fn link(value: &RawValue) -> Result<Option<Link>, serde_json::Error> {
    let text: String = match value.get() {
        "null" | "false" => return Ok(None),
        text if text.starts_with('"') => serde_json::from_str(text)?,
        text => return serde_json::from_str::<Number>(text).map(|_| Some(Link::Number(text.to_owned()))),
    };
    Ok((!text.trim().is_empty()).then_some(Link::Text(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(reference: &str) -> String {
        match Position::url(&Link::Text(reference.into()), &"https://api.example.com/v2/users?page=1".parse().unwrap())
        {
            Position::Url(url) => url,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn references_resolve_as_rfc_3986_says() {
        assert_eq!(resolved("/v2/x?page=2"), "https://api.example.com/v2/x?page=2");
        assert_eq!(resolved("?page=2"), "https://api.example.com/v2/users?page=2");
        assert_eq!(resolved("../v3/users"), "https://api.example.com/v3/users");
        assert_eq!(resolved("//evil.example/x"), "https://evil.example/x");
        assert_eq!(resolved("https://api.example.com/a"), "https://api.example.com/a");
        assert_eq!(resolved("\\\\evil.example"), "\\\\evil.example", "kept, to be refused");
        assert_eq!(resolved("?page[number]=2&f=a|b"), "https://api.example.com/v2/users?page%5Bnumber%5D=2&f=a%7Cb");
        assert_eq!(resolved("https://[::1]/x[1]"), "https://[::1]/x%5B1%5D");
        assert_eq!(resolved("//[::1]"), "https://[::1]");
        let base = "https://api.example.com/u?page[number]=1".parse().unwrap();
        assert_eq!(resolve("?page[number]=2", &base).unwrap(), "https://api.example.com/u?page%5Bnumber%5D=2");
    }

    #[test]
    fn only_something_is_a_link() {
        let link = |text: &str| link(&RawValue::from_string(text.to_owned()).unwrap());
        for none in ["null", "false", r#""""#, r#"" \t""#] {
            assert_eq!(link(none).unwrap(), None, "{none}");
        }
        assert_eq!(link(r#""a\u0041""#).unwrap(), Some(Link::Text("aA".into())));
        assert_eq!(link("12").unwrap(), Some(Link::Number("12".into())));
        for odd in ["true", "{}", "[1]", r#""\ud800""#] {
            assert!(link(odd).is_err(), "{odd}");
        }
    }
}
