//! Where the next page is.

use crate::json::Pointer;

use super::{error::Error, fingerprint::Fingerprint};

/// Says where the next page of an answer is. Places in an answer or a body are JSON pointers (RFC 6901).
///
/// ```
/// use tower_oauth2::pager::{Place, Rule};
///
/// // {"entities": […], "nextUri": "/api/v2/users?pageNumber=2"}
/// let listing = Rule::next_url("/nextUri");
/// // {"results": […], "cursor": "b3BhcXVl"}, which comes back as ?cursor=…
/// let cursor = Rule::cursor("/cursor", Place::query("cursor"));
/// // {"conversations": […], "totalHits": 4711}, asked for with {"paging": {"pageNumber": 2}}
/// let numbered = Rule::page_number(Place::body("/paging/pageNumber")).total("/totalHits");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Rule {
    pub(super) kind: Kind,
    pub(super) total: Option<String>,
    pub(super) page_count: Option<String>,
    pub(super) get: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Single,
    NextUrl { at: String },
    Cursor { at: String, to: Place },
    PageNumber { to: Place, first: u64 },
}

/// Where a cursor or a page number is put into the next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(pub(super) Slot);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Query(String),
    Body(String),
}

/// A rule whose pointers have been read.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) next: Option<Pointer>,
    pub(super) body: Option<Pointer>,
    pub(super) total: Option<Pointer>,
    pub(super) page_count: Option<Pointer>,
}

// === impl Rule ===

impl Rule {
    /// There is one page.
    pub const fn single() -> Self {
        Self { kind: Kind::Single, total: None, page_count: None, get: false }
    }

    /// A URL in the answer, absolute or relative to the page's own (RFC 3986 §5), of the same origin. It replaces the
    /// whole URL; method and body stay, unless [`follow_with_get`](Self::follow_with_get).
    pub fn next_url(pointer: impl Into<String>) -> Self {
        Self { kind: Kind::NextUrl { at: pointer.into() }, ..Self::single() }
    }

    /// A cursor in the answer, a string or a number, that is put into the next request.
    pub fn cursor(pointer: impl Into<String>, to: Place) -> Self {
        Self { kind: Kind::Cursor { at: pointer.into(), to }, ..Self::single() }
    }

    /// A number that is counted up from 1. Ends with [`total`](Self::total) or [`page_count`](Self::page_count), or
    /// without either at the first empty page.
    pub fn page_number(to: Place) -> Self {
        Self { kind: Kind::PageNumber { to, first: 1 }, ..Self::single() }
    }

    /// The number of the first page, for [`page_number`](Self::page_number). Defaults to 1.
    pub fn first_page(mut self, number: u64) -> Self {
        if let Kind::PageNumber { first, .. } = &mut self.kind {
            *first = number;
        }
        self
    }

    /// Where an answer says how many items there are on all pages: a whole number, else it counts as none.
    ///
    /// [`page_number`](Self::page_number) ends when that many have come. Where any rule ends with fewer, something is
    /// missing: the page that would have been the last is
    /// [`Incomplete`](super::ErrorKind::Incomplete) and not handed out, and the continuation names it. The last total
    /// that was said counts. Also told by [`Page::total`](super::Page::total).
    pub fn total(mut self, pointer: impl Into<String>) -> Self {
        self.total = Some(pointer.into());
        self
    }

    /// Where an answer says how many pages there are, for [`page_number`](Self::page_number).
    pub fn page_count(mut self, pointer: impl Into<String>) -> Self {
        self.page_count = Some(pointer.into());
        self
    }

    /// Asks for all pages but the first with GET and without a body.
    pub const fn follow_with_get(mut self) -> Self {
        self.get = true;
        self
    }

    /// All that tells it from another rule.
    pub(super) fn write(&self, fingerprint: &mut Fingerprint) {
        match &self.kind {
            Kind::Single => fingerprint.field(b'S', b""),
            Kind::NextUrl { at } => fingerprint.field(b'N', at.as_bytes()),
            Kind::Cursor { at, to } => {
                fingerprint.field(b'C', at.as_bytes());
                to.write(fingerprint);
            }
            Kind::PageNumber { to, first } => {
                fingerprint.number(b'P', *first);
                to.write(fingerprint);
            }
        }
        for (tag, place) in [(b'T', &self.total), (b'K', &self.page_count)] {
            place.iter().for_each(|place| fingerprint.field(tag, place.as_bytes()));
        }
        fingerprint.number(b'G', self.get.into());
    }

    pub(super) fn places(&self) -> Result<Places, Error> {
        let body = |to: &Place| match &to.0 {
            Slot::Body(pointer) => pointer_at(pointer).map(Some),
            Slot::Query(_) => Ok(None),
        };
        let (next, body) = match &self.kind {
            Kind::Single => (None, None),
            Kind::NextUrl { at } => (Some(pointer_at(at)?), None),
            Kind::Cursor { at, to } => (Some(pointer_at(at)?), body(to)?),
            Kind::PageNumber { to, .. } => (None, body(to)?),
        };
        let total = self.total.as_deref().map(pointer_at).transpose()?;
        let page_count = self.page_count.as_deref().map(pointer_at).transpose()?;
        Ok(Places { next, body, total, page_count })
    }
}

// === impl Place ===

impl Place {
    /// The query parameter of that name, in place of one that is there.
    pub fn query(name: impl Into<String>) -> Self {
        Self(Slot::Query(name.into()))
    }

    /// The member of the JSON body at that pointer, in place of one that is there.
    pub fn body(pointer: impl Into<String>) -> Self {
        Self(Slot::Body(pointer.into()))
    }

    fn write(&self, fingerprint: &mut Fingerprint) {
        match &self.0 {
            Slot::Query(name) => fingerprint.field(b'Q', name.as_bytes()),
            Slot::Body(pointer) => fingerprint.field(b'B', pointer.as_bytes()),
        }
    }
}

pub(super) fn pointer_at(text: &str) -> Result<Pointer, Error> {
    Pointer::parse(text).ok_or_else(|| {
        Error::config(format!("{text:?} is no JSON pointer: one is empty or begins with a slash, such as /paging/next"))
    })
}
