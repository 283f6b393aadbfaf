//! The streams of items.

use std::{
    collections::VecDeque,
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use serde::de::DeserializeOwned;

use super::{
    continuation::Continuation,
    error::Error,
    page::{Page, RawItem, not_a},
    pager::Pager,
};

/// The items of all pages as the API wrote them; from [`Pager::raw_items`].
#[must_use = "a stream does nothing until it is polled"]
pub struct RawItems<S> {
    pager: Pager<S>,
    ready: VecDeque<RawItem>,
    /// The page that the items in hand are of.
    in_hand: Option<Continuation>,
    number: u64,
    taken: usize,
    done: bool,
}

/// The items of all pages as values; from [`Pager::items`].
#[must_use = "a stream does nothing until it is polled"]
pub struct Items<S, T> {
    raw: RawItems<S>,
    failed: bool,
    item: PhantomData<fn() -> T>,
}

// === impl RawItems ===

impl<S> RawItems<S> {
    pub(super) fn new(pager: Pager<S>) -> Self {
        Self { pager, ready: VecDeque::new(), in_hand: None, number: 0, taken: 0, done: false }
    }

    /// As [`Pager::close`].
    pub async fn close(self) {
        self.pager.close().await;
    }

    /// The page in hand, whose items were not all taken, or else the next: going on there repeats items of that page, and
    /// leaves none out. `None` after the last item.
    pub fn continuation(&self) -> Option<Continuation> {
        if self.ready.is_empty() { self.pager.continuation() } else { self.in_hand.clone() }
    }
}

impl<S> Stream for RawItems<S>
where
    Pager<S>: Stream<Item = Result<Page, Error>>,
{
    type Item = Result<RawItem, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                self.taken += 1;
                return Poll::Ready(Some(Ok(item)));
            }
            if self.done {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.pager).poll_next(cx)) {
                None => self.done = true,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(page)) => {
                    self.in_hand = self.pager.last.take();
                    self.number = page.number();
                    self.taken = 0;
                    self.ready = page.raw_items().collect();
                }
            }
        }
    }
}

impl<S> fmt::Debug for RawItems<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawItems").field("pager", &self.pager).field("ready", &self.ready.len()).finish_non_exhaustive()
    }
}

// === impl Items ===

impl<S, T> Items<S, T> {
    pub(super) fn new(raw: RawItems<S>) -> Self {
        Self { raw, failed: false, item: PhantomData }
    }

    /// As [`Pager::close`].
    pub async fn close(self) {
        self.raw.close().await;
    }

    /// As [`RawItems::continuation`].
    pub fn continuation(&self) -> Option<Continuation> {
        self.raw.continuation()
    }
}

impl<S, T> Stream for Items<S, T>
where
    RawItems<S>: Stream<Item = Result<RawItem, Error>>,
    T: DeserializeOwned,
{
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.failed {
            return Poll::Ready(None);
        }
        let Some(item) = ready!(Pin::new(&mut self.raw).poll_next(cx)?) else { return Poll::Ready(None) };
        let parsed = item.parse();
        if parsed.is_err() {
            // The page goes back in hand as a whole: going on there finds this item again.
            self.raw.ready.push_front(item);
            self.failed = true;
        }
        let (taken, page) = (self.raw.taken, self.raw.number);
        Poll::Ready(Some(parsed.map_err(|error| not_a(taken, error).on_page(page))))
    }
}

impl<S, T> fmt::Debug for Items<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("raw", &self.raw).finish()
    }
}
