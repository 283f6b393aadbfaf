//! Where the next page is.

use crate::json::Pointer;

use super::{
    error::Error,
    fingerprint::Fingerprint,
    place::{Place, ReadFrom, Slot, Source, pointer_at},
};

/// Says where the next page of an answer is. Places in an answer or a body are JSON pointers (RFC 6901).
///
/// ```
/// use tower_oauth2::pager::{Place, Rule};
///
/// // {"entities": […], "nextUri": "/api/v2/users?pageNumber=2"}
/// let listing = Rule::next_url("/nextUri");
/// // Link: </users?page=2>; rel="next"
/// let linked = Rule::link_header("next");
/// // {"results": […], "cursor": "b3BhcXVl"}, which comes back as ?cursor=…
/// let cursor = Rule::cursor("/cursor", Place::query("cursor"));
/// // {"conversations": […], "totalHits": 4711}, asked for with {"paging": {"pageNumber": 2}}
/// let numbered = Rule::page_number(Place::body("/paging/pageNumber")).total("/totalHits");
/// // {"Resources": […], "totalResults": 7}, asked for with ?startIndex=1, 3, …
/// let scim = Rule::offset(Place::query("startIndex")).first(1).total("/totalResults");
/// // {"records": [{"id": 1}, {"id": 7}], "has_more": true}, which goes on with ?after=7
/// let keyset = Rule::keyset("/id", Place::query("after")).has_more("/has_more");
/// ```
///
/// # Where a rule ends
///
/// Whatever the rule, at an answer without content (204), and where [`has_more`](Self::has_more) is `false`. Else:
///
/// | rule | ends |
/// |---|---|
/// | [`single`](Self::single) | after the first page |
/// | [`next_url`](Self::next_url), [`link_header`](Self::link_header), [`cursor`](Self::cursor), [`header_cursor`](Self::header_cursor) | where there is no link or cursor: absent, null, false, or blank |
/// | [`keyset`](Self::keyset) | at the first page without items |
/// | [`page_number`](Self::page_number), [`offset`](Self::offset) | when the [`total`](Self::total) has come, after the [`page_count`](Self::page_count), or at the first page without items where neither is said |
///
/// Never because a page has fewer items than were asked for: servers have their own mind about that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Rule {
    pub(super) kind: Kind,
    pub(super) total: Option<String>,
    pub(super) page_count: Option<String>,
    pub(super) has_more: Option<String>,
    pub(super) get: bool,
    /// What was said that is not of this kind of rule.
    misplaced: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Single,
    NextUrl { at: Source },
    Cursor { at: Source, to: Place },
    PageNumber { to: Place, first: u64 },
    Offset { to: Place, first: u64, step: Option<u64> },
}

/// A rule whose places have been read.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) next: Option<ReadFrom>,
    pub(super) body: Option<Pointer>,
    pub(super) total: Option<Pointer>,
    pub(super) page_count: Option<Pointer>,
    pub(super) has_more: Option<Pointer>,
    /// A page without items that says something here is an empty page.
    pub(super) says: Option<Pointer>,
}

// === impl Rule ===

impl Rule {
    /// There is one page.
    pub const fn single() -> Self {
        Self { kind: Kind::Single, total: None, page_count: None, has_more: None, get: false, misplaced: None }
    }

    /// A URL in the answer, absolute or relative to the page's own (RFC 3986 §5), of the same origin. It replaces the
    /// whole URL; method and body stay, unless [`follow_with_get`](Self::follow_with_get).
    pub fn next_url(pointer: impl Into<String>) -> Self {
        Self::of(Kind::NextUrl { at: Source::Body(pointer.into()) })
    }

    /// The same in a `Link` header (RFC 8288), under that relation, which is `next` nearly everywhere. A link with an
    /// `anchor`, which is of another resource, is left alone.
    pub fn link_header(relation: impl Into<String>) -> Self {
        Self::of(Kind::NextUrl { at: Source::Link(relation.into()) })
    }

    /// A cursor in the answer, a string or a number, that is put into the next request.
    pub fn cursor(pointer: impl Into<String>, to: Place) -> Self {
        Self::of(Kind::Cursor { at: Source::Body(pointer.into()), to })
    }

    /// A cursor in the header of that name.
    pub fn header_cursor(name: impl Into<String>, to: Place) -> Self {
        Self::of(Kind::Cursor { at: Source::Header(name.into()), to })
    }

    /// The key of the last item, at a JSON pointer into that: what comes after it is the next page. The query has to ask
    /// for items in the order of their keys, and no two may share one, or else items are lost where pages meet.
    ///
    /// An item without a key is an error where it is the last of its page.
    pub fn keyset(pointer: impl Into<String>, to: Place) -> Self {
        Self::of(Kind::Cursor { at: Source::LastItem(pointer.into()), to })
    }

    /// A number that is counted up from 1, or from [`first`](Self::first).
    pub fn page_number(to: Place) -> Self {
        Self::of(Kind::PageNumber { to, first: 1 })
    }

    /// The number of items before the page, counted up from 0, or from [`first`](Self::first), by as many items as came,
    /// or by [`step`](Self::step).
    ///
    /// A [`total`](Self::total) counts from the first page that is asked for: leave it out where that is in the middle.
    pub fn offset(to: Place) -> Self {
        Self::of(Kind::Offset { to, first: 0, step: None })
    }

    /// What the first page has, for [`page_number`](Self::page_number) (defaults to 1) and [`offset`](Self::offset)
    /// (defaults to 0).
    pub fn first(mut self, number: u64) -> Self {
        if let Kind::PageNumber { first, .. } | Kind::Offset { first, .. } = &mut self.kind {
            *first = number;
        } else {
            self.misplaced = Some("first");
        }
        self
    }

    /// How far one page is from the next, for [`offset`](Self::offset): for [concurrent
    /// pages](super::Pager::concurrency), and for servers that count items which they leave out of a page, which have to say
    /// [whether there is more](Self::has_more), since a page may be empty then. Defaults to the items that came.
    ///
    /// Items are lost if it is more than the server puts on a page, which may be fewer than it was asked for; a
    /// [`total`](Self::total) finds that out. 0 counts as 1.
    pub fn step(mut self, items: u64) -> Self {
        if let Kind::Offset { step, .. } = &mut self.kind {
            *step = Some(items.max(1));
        } else {
            self.misplaced = Some("step");
        }
        self
    }

    /// Where an answer says how many items there are on all pages: a whole number, else it counts as none.
    ///
    /// [`page_number`](Self::page_number) and [`offset`](Self::offset) end when that many have come. Where any rule ends
    /// with fewer, something is missing: the page that would have been the last is
    /// [`Incomplete`](super::ErrorKind::Incomplete) and not handed out, and the continuation names it, or the beginning of
    /// a job that is gone. The last total
    /// that was said counts. Also told by [`Page::total`](super::Page::total).
    pub fn total(mut self, pointer: impl Into<String>) -> Self {
        self.total = Some(pointer.into());
        self
    }

    /// Where an answer says how many pages there are, for [`page_number`](Self::page_number).
    pub fn page_count(mut self, pointer: impl Into<String>) -> Self {
        if matches!(self.kind, Kind::PageNumber { .. }) {
            self.page_count = Some(pointer.into());
        } else {
            self.misplaced = Some("page_count");
        }
        self
    }

    /// Where an answer says whether there is more: `true` or `false`, or text of either; anything else counts as not said.
    ///
    /// `false` ends any rule. `true` means that counting goes on, over an empty page as well, unless that is all that an
    /// [`offset`](Self::offset) counts by; where a link, a cursor or a key is missing then, the page is broken and asked for
    /// again.
    pub fn has_more(mut self, pointer: impl Into<String>) -> Self {
        self.has_more = Some(pointer.into());
        self
    }

    /// Asks for all pages but the first with GET and without a body.
    pub const fn follow_with_get(mut self) -> Self {
        self.get = true;
        self
    }

    fn of(kind: Kind) -> Self {
        Self { kind, ..Self::single() }
    }

    /// All that tells it from another rule.
    pub(super) fn write(&self, fingerprint: &mut Fingerprint) {
        match &self.kind {
            Kind::Single => fingerprint.field(b'S', b""),
            Kind::NextUrl { at } => at.write(b'N', fingerprint),
            Kind::Cursor { at, .. } => at.write(b'C', fingerprint),
            Kind::PageNumber { first, .. } => fingerprint.number(b'P', *first),
            Kind::Offset { first, step, .. } => {
                fingerprint.number(b'O', *first);
                step.iter().for_each(|step| fingerprint.number(b'W', *step));
            }
        }
        self.to().iter().for_each(|to| to.write(fingerprint));
        for (tag, place) in [(b'T', &self.total), (b'K', &self.page_count), (b'M', &self.has_more)] {
            place.iter().for_each(|place| fingerprint.field(tag, place.as_bytes()));
        }
        fingerprint.number(b'G', self.get.into());
    }

    /// Where it puts what leads to the next page.
    pub(super) const fn to(&self) -> Option<&Place> {
        match &self.kind {
            Kind::Single | Kind::NextUrl { .. } => None,
            Kind::Cursor { to, .. } | Kind::PageNumber { to, .. } | Kind::Offset { to, .. } => Some(to),
        }
    }

    pub(super) fn places(&self) -> Result<Places, Error> {
        if let Some(what) = self.misplaced {
            return Err(Error::config(format!("{what} says nothing of a rule of this kind: it is of one that counts")));
        }
        let next = match &self.kind {
            Kind::NextUrl { at } | Kind::Cursor { at, .. } => Some(at.read()?),
            Kind::Single | Kind::PageNumber { .. } | Kind::Offset { .. } => None,
        };
        let body = match self.to() {
            Some(Place(Slot::Body(pointer))) => Some(pointer_at(pointer)?),
            _ => None,
        };
        let at = |place: &Option<String>| place.as_deref().map(pointer_at).transpose();
        Ok(Places {
            next,
            body,
            total: at(&self.total)?,
            page_count: at(&self.page_count)?,
            has_more: at(&self.has_more)?,
            says: None,
        })
    }
}
