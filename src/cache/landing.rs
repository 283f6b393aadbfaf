//! Where those who wait for a flight hear of its landing.
//!
//! They are woken in the order in which they came. tokio's `watch` wakes group by group, in an order that is drawn by lot, so
//! that of ten thousand the first one may be served last.

use std::sync::{Arc, OnceLock, atomic::Ordering};

use super::sync::{AtomicBool, Notify};

/// Ends the wait, with something if it [lands](Self::land), with nothing if it is dropped.
pub(super) struct Sender<T>(Arc<Site<T>>);

pub(super) struct Receiver<T>(Arc<Site<T>>);

struct Site<T> {
    landed: OnceLock<T>,
    /// Set after what has landed is there.
    over: AtomicBool,
    waiting: Notify,
}

pub(super) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let site = Site { landed: OnceLock::new(), over: AtomicBool::new(false), waiting: Notify::new() };
    let site = Arc::new(site);
    (Sender(Arc::clone(&site)), Receiver(site))
}

// === impl Sender ===

impl<T> Sender<T> {
    /// Wakes all who wait for it.
    pub(super) fn land(self, landing: T) {
        // Nobody else can have set it: this is the only one, and gone now.
        let _first = self.0.landed.set(landing);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
        self.0.waiting.notify_waiters();
    }
}

// === impl Receiver ===

impl<T: Clone> Receiver<T> {
    /// What has landed; `None` if nothing does any more. Cancelling it loses nothing.
    pub(super) async fn landing(&self) -> Option<T> {
        // Made before it is looked, so that no landing is missed.
        let notified = self.0.waiting.notified();
        if !self.0.over.load(Ordering::Acquire) {
            notified.await;
        }
        self.0.landed.get().cloned()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Mutex,
        task::{Context, Poll, Wake},
    };

    use super::*;

    /// Tells when it is woken.
    struct Told {
        number: usize,
        order: Arc<Mutex<Vec<usize>>>,
    }

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            self.order.lock().unwrap().push(self.number);
        }
    }

    #[test]
    fn who_comes_first_is_woken_first_and_who_comes_late_does_not_wait() {
        let (sender, receiver) = channel();
        let order = Arc::default();
        let mut waits: Vec<_> = (0..1_000)
            .map(|number| {
                let waker = Arc::new(Told { number, order: Arc::clone(&order) }).into();
                (Box::pin(receiver.landing()), waker)
            })
            .collect();
        for (wait, waker) in &mut waits {
            assert!(wait.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        }
        assert!(order.lock().unwrap().is_empty());
        sender.land("token");
        assert!(order.lock().unwrap().iter().copied().eq(0..1_000));
        waits.push((Box::pin(receiver.landing()), Arc::new(Told { number: 1_000, order: Arc::clone(&order) }).into()));
        for (wait, waker) in &mut waits {
            assert_eq!(wait.as_mut().poll(&mut Context::from_waker(waker)), Poll::Ready(Some("token")));
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_what_will_not_land() {
        let (sender, receiver) = channel::<()>();
        let early = receiver.clone();
        let early = tokio::spawn(async move { early.landing().await });
        tokio::task::yield_now().await;
        drop(sender);
        assert_eq!(early.await.unwrap(), None);
        assert_eq!(receiver.landing().await, None);
    }
}
