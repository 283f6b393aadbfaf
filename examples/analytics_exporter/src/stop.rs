//! Ends a run when somebody asks for it, whatever it is waiting for.

use std::{process, time::Duration};

use tokio::{signal, sync::oneshot, task::JoinHandle, time::sleep};

use crate::{failure::Failure, progress::Progress};

/// What asks a process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// What a scheduler sends.
    Terminate,
}

/// Tells of the first signal. Ends the process at a second one, or if the run has not ended soon after the first, as when
/// it is stuck in writing to a pipe that nobody reads. Until the task is aborted.
pub fn watch(progress: Progress) -> (JoinHandle<()>, oneshot::Receiver<Signal>) {
    let (tell, told) = oneshot::channel();
    let asked_first = asked();
    let task = tokio::spawn(async move {
        let first = asked_first.await;
        // The run may be over already.
        let _over = tell.send(first);
        let last = tokio::select! {
            signal = asked() => signal,
            () = sleep(GRACE) => first,
        };
        let failure = Failure::stopped(last);
        progress.clear();
        progress.fail(&format!("{failure} before the output could be finished"));
        process::exit(failure.code().into());
    });
    (task, told)
}

/// Waits for a signal, and hears it from now on: one that comes before the first poll does not end the process.
pub fn asked() -> impl Future<Output = Signal> + Send {
    #[cfg(unix)]
    let heard = {
        use signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate()).and_then(|terminated| Ok((terminated, signal(SignalKind::interrupt())?)))
    };
    async move {
        #[cfg(unix)]
        if let Ok((mut terminated, mut interrupted)) = heard {
            return tokio::select! {
                _ = terminated.recv() => Signal::Terminate,
                _ = interrupted.recv() => Signal::Interrupt,
            };
        }
        // Without a handler there is nothing to wait for but the end of the process.
        if signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}

const GRACE: Duration = Duration::from_millis(1700);
