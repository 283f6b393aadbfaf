//! A page and what is in it, as slices of the bytes that came.

use std::{fmt, ops::Range};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::error::{Error, ErrorKind};
use crate::json::{self, Pointer};

/// One answer of the API.
#[derive(Clone)]
pub struct Page {
    pub(super) number: u64,
    pub(super) bytes: Bytes,
    pub(super) items: Vec<Range<usize>>,
    pub(super) total: Option<u64>,
}

/// One item as the API wrote it, digit for digit. Shares the bytes of its page. `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct RawItem(Bytes);

// === impl Page ===

impl Page {
    /// Counted from 1, over all that a continuation has seen.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many items it has.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it has no items.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many items the API says there are on all pages, where the [`Rule`](super::Rule) knows a place for that.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The whole answer.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its items as the API wrote them.
    pub fn raw_items(&self) -> impl ExactSizeIterator<Item = RawItem> + '_ {
        self.items.iter().map(|range| RawItem(self.bytes.slice(range.clone())))
    }

    /// Its items as values.
    ///
    /// # Errors
    ///
    /// For an item that is not a `T`, with its number on this page, counted from 1.
    pub fn items<T: DeserializeOwned>(&self) -> impl Iterator<Item = Result<T, Error>> + '_ {
        let numbered = self.raw_items().enumerate();
        numbered.map(|(index, item)| item.parse().map_err(|error| not_a(index + 1, error).on_page(self.number)))
    }

    /// The value at a JSON pointer of the answer. `None` if there is none, or it is not a `T`.
    pub fn field<T: DeserializeOwned>(&self, pointer: &str) -> Option<T> {
        json::at(&self.bytes, &Pointer::parse(pointer)?)
    }
}

pub(super) fn not_a(item: usize, error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Decode, format!("item {item} is not of the type asked for")).with_source(error)
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("number", &self.number)
            .field("bytes", &self.bytes.len())
            .field("items", &self.items.len())
            .field("total", &self.total)
            .finish()
    }
}

// === impl RawItem ===

impl RawItem {
    /// Its JSON text, valid UTF-8. Has the blanks that the API wrote within it, newlines included.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// As a value.
    ///
    /// # Errors
    ///
    /// If it is not a `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }
}

impl fmt::Debug for RawItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawItem").field("bytes", &self.0.len()).finish()
    }
}
