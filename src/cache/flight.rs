//! One token request at a time, in a task of its own that no caller owns.

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, task::Poll};

use tokio::time::{Instant, timeout};

use super::{
    Shared, landing,
    state::{Landing, Launch},
    sync::{Handle, sleep_until},
};
use crate::{
    error::{Error, Kind},
    source::ErasedSource,
    token::Token,
};

/// Starts the token request. Not to be called under the lock: a runtime that shuts down drops the task, and thereby
/// the pilot, before `spawn` returns.
pub(super) fn launch(shared: &Arc<Shared>, orders: &Launch, landings: landing::Sender<Landing>) -> Result<(), Error> {
    let pilot = Pilot { shared: Arc::clone(shared), flight: orders.flight, landings: Some(landings) };
    let Ok(runtime) = Handle::try_current() else {
        return Err(Error::new(Kind::NoRuntime));
    };
    runtime.spawn(pilot.fly(orders.not_before));
    Ok(())
}

/// Leads a flight to its landing, or says that nobody does.
struct Pilot {
    shared: Arc<Shared>,
    flight: u64,
    /// Until it has landed.
    landings: Option<landing::Sender<Landing>>,
}

// === impl Pilot ===

impl Pilot {
    async fn fly(mut self, not_before: Instant) {
        if Instant::now() < not_before {
            sleep_until(not_before).await;
        }
        let Some(departure) = self.shared.depart(self.flight) else { return };
        let limit = self.shared.fetch_timeout();
        let source = Arc::clone(self.shared.source());
        let result = match timeout(limit, catch_panic(source, departure.rejected.clone())).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(Kind::Timeout { what: "the token source", after: limit }).with_transient(true)),
        };
        let landing = self.shared.land(self.flight, &departure, result);
        if let Some(landings) = self.landings.take() {
            landings.land(landing);
        }
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        // The runtime ended under us. Those who wait see the channel close, and one of them takes over.
        if self.landings.is_some() {
            self.shared.abandon(self.flight);
        }
    }
}

/// A panic of the source must not look like a runtime that ended: everybody would try in turn.
async fn catch_panic(source: Arc<dyn ErasedSource>, rejected: Option<Token>) -> Result<Token, Error> {
    let mut fetch = pin!(async move { source.fetch(rejected).await });
    std::future::poll_fn(move |cx| {
        std::panic::catch_unwind(AssertUnwindSafe(|| fetch.as_mut().poll(cx)))
            .unwrap_or_else(|_| Poll::Ready(Err(Error::new(Kind::Panicked).with_transient(true))))
    })
    .await
}
