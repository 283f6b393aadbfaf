//! What happens to a token, for those who want to hear of it.

use std::{
    fmt,
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use tokio::{
    sync::broadcast::{
        self,
        error::{RecvError, TryRecvError},
    },
    time::Instant,
};

use crate::error::Error;

/// What has happened to the token of a [`TokenCache`](super::TokenCache); from [`Events`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// There is a new token.
    #[non_exhaustive]
    Refreshed {
        /// The [number](crate::Token::generation) of the new one.
        generation: u64,
        /// Why it was asked for.
        reason: Reason,
        /// From when the source was asked until it answered.
        took: Duration,
        /// How long it lives on. Zero, if it serves those who waited and nobody after them.
        expires_in: Duration,
        /// How many callers waited for it.
        waiters: u32,
    },
    /// The source failed, timed out or panicked. A token that has not expired stays in use.
    #[non_exhaustive]
    RefreshFailed {
        /// As those who waited got it.
        error: Error,
        /// Why a token was asked for.
        reason: Reason,
        /// From when the source was asked until it answered.
        took: Duration,
        /// How many callers waited for it.
        waiters: u32,
        /// When the source is asked again at the earliest. `None` if somebody else asks already, because this request had
        /// been given up.
        retry_at: Option<Instant>,
    },
    /// A resource server refused a token that is in use. Told when it is dropped, and the first time that it is kept; late
    /// refusals of one that was replaced are not.
    #[non_exhaustive]
    Rejected {
        /// The [number](crate::Token::generation) of the refused one.
        generation: u64,
        /// Since it was asked for.
        age: Duration,
        /// What became of it.
        outcome: RejectionOutcome,
    },
    /// [`TokenCache::invalidate`](super::TokenCache::invalidate) was called.
    Invalidated,
    /// So many events were lost, because they were not read in time.
    Missed(u64),
}

/// Why a token was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// There had been none.
    First,
    /// The old one was about to expire.
    Early,
    /// The old one had expired.
    Expired,
    /// A resource server refused the old one.
    Rejected,
    /// A caller asked for [more time](crate::MinTtl) than the old one had left.
    MinTtl,
    /// [`TokenCache::invalidate`](super::TokenCache::invalidate) was called.
    Invalidated,
}

/// What became of a token that a resource server refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionOutcome {
    /// It is gone, and the next caller asks for another.
    Dropped,
    /// It was replaced already, or is about to be.
    Superseded,
    /// It stays: it was replaced a moment ago, or the source is failing, so that a replay cannot help.
    Kept,
}

/// What happens to the token of a [`TokenCache`](super::TokenCache) from now on; from
/// [`TokenCache::events`](super::TokenCache::events).
///
/// Holds up to 256 events. Whoever reads too slowly loses the oldest ones and is told so with [`Event::Missed`]; nobody
/// waits for a reader. Ends with the last clone of the cache, services and layers included, and keeps none alive.
pub struct Events {
    state: Listening,
}

enum Listening {
    Idle(broadcast::Receiver<Event>),
    Waiting(Next),
    Over,
}

type Next = Pin<Box<dyn Future<Output = (Result<Event, RecvError>, broadcast::Receiver<Event>)> + Send + Sync>>;

/// Where events come from. Owned by the clones of a cache and by nothing else, so that it ends with the last of them: a
/// token request under way would keep it alive.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// Made for the first who listens.
    sender: OnceLock<broadcast::Sender<Event>>,
}

// === impl Reason ===

impl Reason {
    /// As in the log: `first`, `early`, `expired`, `rejected`, `min_ttl` or `invalidated`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Early => "early",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::MinTtl => "min_ttl",
            Self::Invalidated => "invalidated",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl RejectionOutcome ===

impl RejectionOutcome {
    /// As in the log: `dropped`, `superseded` or `kept`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Superseded => "superseded",
            Self::Kept => "kept",
        }
    }
}

impl fmt::Display for RejectionOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Events ===

impl Events {
    /// The next event. `None` when the last clone of the cache is gone.
    ///
    /// # Cancellation
    ///
    /// Safe at any point: no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let (result, receiver) = match mem::replace(&mut self.state, Listening::Over) {
            Listening::Idle(mut receiver) => match receiver.try_recv() {
                Ok(event) => (Ok(event), receiver),
                Err(TryRecvError::Lagged(missed)) => (Err(RecvError::Lagged(missed)), receiver),
                Err(TryRecvError::Closed) => (Err(RecvError::Closed), receiver),
                Err(TryRecvError::Empty) => {
                    self.state = Listening::Waiting(Box::pin(async move { (receiver.recv().await, receiver) }));
                    return self.poll_next(cx);
                }
            },
            Listening::Waiting(mut next) => match next.as_mut().poll(cx) {
                Poll::Ready(next) => next,
                Poll::Pending => {
                    self.state = Listening::Waiting(next);
                    return Poll::Pending;
                }
            },
            Listening::Over => return Poll::Ready(None),
        };
        let event = match result {
            Ok(event) => event,
            Err(RecvError::Lagged(missed)) => Event::Missed(missed),
            Err(RecvError::Closed) => return Poll::Ready(None),
        };
        self.state = Listening::Idle(receiver);
        Poll::Ready(Some(event))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

// === impl Feed ===

impl Feed {
    pub(super) fn subscribe(&self) -> Events {
        let sender = self.sender.get_or_init(|| broadcast::channel(CAPACITY).0);
        Events { state: Listening::Idle(sender.subscribe()) }
    }

    /// Makes the event only if somebody listens.
    pub(super) fn send(&self, event: impl FnOnce() -> Option<Event>) {
        let Some(sender) = self.sender.get().filter(|sender| sender.receiver_count() > 0) else { return };
        if let Some(event) = event() {
            // Who has left meanwhile misses nothing.
            let _ = sender.send(event);
        }
    }
}

/// Some hours of a token that is replaced every minute.
const CAPACITY: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_for_nobody() {
        let feed = Feed::default();
        let send = |made: &mut u32| {
            feed.send(|| {
                *made += 1;
                Some(Event::Invalidated)
            });
        };
        let mut made = 0;
        send(&mut made);
        assert!(feed.sender.get().is_none());
        let events = feed.subscribe();
        send(&mut made);
        assert_eq!(made, 1);
        drop(events);
        send(&mut made);
        assert_eq!(made, 1, "the last reader has left");
    }
}
