//! Pages asked for before they are wanted.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};

use super::{
    continuation::Continuation,
    error::{Error, ErrorKind},
    page::Page,
    pager::Pager,
};

/// A stream of the pages of a [`Pager`] that are fetched while the ones before them are worked on; from
/// [`Pager::read_ahead`].
///
/// ```
/// use futures_util::TryStreamExt;
/// use tower_oauth2::pager::{Pager, Query, Rule};
/// # let api = tower::service_fn(|_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
/// #     let page = http_body_util::Full::new(bytes::Bytes::from_static(br#"{"users": [1, 2]}"#));
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(page))
/// # });
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let query = Query::get("https://api.example.com/users", "/users", Rule::next_url("/next"))?;
/// let mut pages = Pager::new(api, query).read_ahead(1);
/// while let Some(page) = pages.try_next().await? {
///     assert_eq!(page.len(), 2); // the page after it is on its way
/// }
/// # Ok::<(), tower::BoxError>(()) })?;
/// # Ok::<(), tower::BoxError>(())
/// ```
///
/// # Cancellation
///
/// The pages are fetched by a task, from the first poll on. Dropping the stream ends it.
#[must_use = "a stream does nothing until it is polled"]
pub struct ReadAhead<S> {
    state: State<S>,
    ahead: usize,
    continuation: Option<Continuation>,
}

enum State<S> {
    Idle(Box<Pager<S>>),
    Running { received: mpsc::Receiver<Step>, _task: Task },
    Done,
}

/// What the pager did: a page, an error or the end, and where it would go on after that.
type Step = (Option<Result<Page, Error>>, Option<Continuation>);

/// Ends with its handle.
struct Task(JoinHandle<()>);

// === impl ReadAhead ===

impl<S> ReadAhead<S> {
    pub(super) fn new(pager: Pager<S>, pages: usize) -> Self {
        let continuation = pager.continuation();
        Self { state: State::Idle(Box::new(pager)), ahead: pages.clamp(1, MAX_AHEAD), continuation }
    }

    /// Where to go on: after the last page that was handed out, whatever has been fetched beyond it. `None` after the last
    /// page.
    pub fn continuation(&self) -> Option<Continuation> {
        self.continuation.clone()
    }
}

impl<S> ReadAhead<S>
where
    Pager<S>: Stream<Item = Result<Page, Error>> + Send + 'static,
{
    fn start(&mut self) -> Result<(), Error> {
        let pager = match mem::replace(&mut self.state, State::Done) {
            State::Idle(pager) => pager,
            started => {
                self.state = started;
                return Ok(());
            }
        };
        let runtime = Handle::try_current().map_err(|_| Error::config("reading ahead needs a tokio runtime"))?;
        let (pages, received) = mpsc::channel(self.ahead);
        self.state = State::Running { received, _task: Task(runtime.spawn(drive(*pager, pages))) };
        Ok(())
    }
}

impl<S> Stream for ReadAhead<S>
where
    Pager<S>: Stream<Item = Result<Page, Error>> + Send + 'static,
{
    type Item = Result<Page, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Err(error) = self.start() {
            return Poll::Ready(Some(Err(error)));
        }
        let State::Running { received, .. } = &mut self.state else { return Poll::Ready(None) };
        let Some((page, continuation)) = ready!(received.poll_recv(cx)) else {
            // The task ended and did not say so: its runtime is gone. That is not the end of the pages.
            self.state = State::Done;
            let error = Error::new(ErrorKind::Send, "the runtime that read ahead ended before the last page");
            return Poll::Ready(Some(Err(error)));
        };
        self.continuation = continuation;
        if !matches!(page, Some(Ok(_))) {
            self.state = State::Done;
        }
        Poll::Ready(page)
    }
}

impl<S> Unpin for ReadAhead<S> {}

impl<S> fmt::Debug for ReadAhead<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAhead").field("ahead", &self.ahead).finish_non_exhaustive()
    }
}

// === impl Task ===

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks for a page only when there is room for it, so that never more are held than were allowed.
async fn drive<S>(mut pager: Pager<S>, pages: mpsc::Sender<Step>)
where
    Pager<S>: Stream<Item = Result<Page, Error>>,
{
    while let Ok(room) = pages.reserve().await {
        let page = std::future::poll_fn(|cx| Pin::new(&mut pager).poll_next(cx)).await;
        let goes_on = matches!(page, Some(Ok(_)));
        room.send((page, pager.continuation()));
        if !goes_on {
            return;
        }
    }
}

const MAX_AHEAD: usize = 1024;
