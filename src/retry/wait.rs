//! The wait before the next attempt.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Future of [`RetryPolicy`](super::RetryPolicy): the wait before the next attempt.
#[derive(Debug)]
pub struct Wait {
    sleep: Option<Pin<Box<Sleep>>>,
}

// === impl Wait ===

impl Wait {
    /// No timer, where there is nothing to wait for.
    pub(super) fn until(at: Instant, now: Instant) -> Self {
        Self { sleep: (at > now).then(|| Box::pin(sleep_until(at))) }
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_sent_now_needs_no_runtime() {
        let now = Instant::now();
        let mut wait = tokio_test::task::spawn(Wait::until(now, now));
        tokio_test::assert_ready!(wait.poll());
    }
}
