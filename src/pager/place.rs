//! Where something is put into a request, and where it is read from an answer.

use http::HeaderName;

use super::{error::Error, fingerprint::Fingerprint};
use crate::json::Pointer;

/// Where a cursor, a page number or an offset is put into the next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(pub(super) Slot);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Query(String),
    Body(String),
}

/// Where an answer names its next page, as it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A JSON pointer.
    Body(String),
    /// A JSON pointer into the last item.
    LastItem(String),
    /// The name of a header.
    Header(String),
    /// A relation of the `Link` header.
    Link(String),
}

/// The same, read.
#[derive(Clone, Debug)]
pub(super) enum ReadFrom {
    Body(Pointer),
    LastItem(Pointer),
    Header(HeaderName),
    Link(String),
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

    pub(super) fn write(&self, fingerprint: &mut Fingerprint) {
        match &self.0 {
            Slot::Query(name) => fingerprint.field(b'Q', name.as_bytes()),
            Slot::Body(pointer) => fingerprint.field(b'B', pointer.as_bytes()),
        }
    }
}

// === impl Source ===

impl Source {
    pub(super) fn read(&self) -> Result<ReadFrom, Error> {
        Ok(match self {
            Self::Body(pointer) => ReadFrom::Body(pointer_at(pointer)?),
            Self::LastItem(pointer) => ReadFrom::LastItem(pointer_at(pointer)?),
            Self::Header(name) => {
                ReadFrom::Header(name.parse().map_err(|_| Error::config(format!("{name:?} is no name of a header")))?)
            }
            Self::Link(relation) => ReadFrom::Link(relation.to_ascii_lowercase()),
        })
    }

    /// Under `tag` where it is a place of the body, as it has been from the beginning.
    pub(super) fn write(&self, tag: u8, fingerprint: &mut Fingerprint) {
        let (own, text) = match self {
            Self::Body(pointer) => return fingerprint.field(tag, pointer.as_bytes()),
            Self::LastItem(pointer) => (b'I', pointer),
            Self::Header(name) => (b'H', name),
            Self::Link(relation) => (b'L', relation),
        };
        fingerprint.field(tag, b"");
        fingerprint.field(own, text.to_ascii_lowercase().as_bytes());
    }
}

pub(super) fn pointer_at(text: &str) -> Result<Pointer, Error> {
    Pointer::parse(text).ok_or_else(|| {
        Error::config(format!("{text:?} is no JSON pointer: one is empty or begins with a slash, such as /paging/next"))
    })
}
