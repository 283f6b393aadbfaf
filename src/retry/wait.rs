//! The wait before the next attempt.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::budget::Purse;

/// Future of [`RetryPolicy`](super::RetryPolicy): the wait before the next attempt. If it is dropped before it is over, the
/// budget has back what the attempt had cost.
#[derive(Debug)]
pub struct Wait {
    sleep: Option<Pin<Box<Sleep>>>,
    price: Option<(Purse, u32)>,
}

// === impl Wait ===

impl Wait {
    /// No timer, where there is nothing to wait for.
    pub(super) fn until(at: Instant, now: Instant, purse: &Purse, cost: u32) -> Self {
        let sleep = (at > now).then(|| Box::pin(sleep_until(at)));
        Self { sleep, price: (cost > 0).then(|| (purse.clone(), cost)) }
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
        }
        self.price = None;
        Poll::Ready(())
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some((purse, cost)) = self.price.take() {
            purse.refund(cost);
        }
    }
}
