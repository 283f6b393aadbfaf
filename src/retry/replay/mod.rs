//! Bodies that cannot be cloned, sent again all the same.

mod buffer;
mod error;
mod handle;
mod layer;
mod shared;
mod state;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use tower::BoxError;

pub(super) use self::handle::{check, claim};
pub use self::{
    error::ReplayError,
    layer::{ReplayBodyLayer, ReplayBodyService},
};
use self::{handle::Replay, shared::Shared, state::Cursor};

/// A request body that keeps what was sent of it, so that the request can be sent again.
///
/// Made by [`ReplayBodyLayer`], or by [`wrap`](Self::wrap). For bodies that cannot be cloned, such as boxed and streamed
/// ones; one that is `Clone`, such as [`Full`](http_body_util::Full), needs none of it.
///
/// # What is kept
///
/// Nothing before it is sent; then every chunk as it goes out, and the trailers. A chunk of [`Bytes`] is shared and not
/// copied, unless it is under 512 bytes: what was cut from a larger buffer keeps all of that buffer in memory until the
/// request is over, which the limit knows nothing of. Such a body wants to copy its chunks, as [`Bytes::copy_from_slice`]
/// does. Once it is certain that the body is longer than the limit, from what came or from its
/// [`size_hint`](Body::size_hint), what was kept is freed and nothing more is kept: the attempt under way goes on, and the
/// request is not sent again. Neither is one whose body failed, since nothing would come after the place where it did. The
/// policy then gives up with [`Stopped::NotReplayable`](super::Stopped::NotReplayable).
///
/// # Copies
///
/// A clone begins at the beginning, wherever the body that it was cloned from is: first what was kept, then the rest of
/// the body, from where the copy before it left off. Until the body has ended, one copy can be read at a time, and hands
/// the rest on when it is dropped. If the server answers while the request is still being sent, and
/// [`RetryPolicy`](super::RetryPolicy) decides to send it again, it takes the rest from that copy, which is woken and fails
/// with a [`ReplayError`]: its stream or connection ends, and nobody waits for it any more. A copy that is read while
/// another one is being read, without such a decision, fails with [`ReplayError::is_early`]. Once the body has ended, each
/// copy can be read, at any time.
///
/// The policy recognises the body by what [`wrap`](Self::wrap) puts into the request's extensions: a layer in between that
/// makes a new request has to keep them.
///
/// # Cost
///
/// Two small allocations for a request, two more if its body is not empty, and two uncontended locks for a frame. The body is
/// boxed because it passes from copy to copy, which one that is not [`Unpin`] otherwise cannot once it was polled. It does
/// not need to be `Sync`.
///
/// # Errors
///
/// Those of the body, to whoever is reading it, once; and [`ReplayError`]. An error ends the copy.
///
/// ```
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::{BodyExt, StreamBody};
/// use http_body::Frame;
/// use tower_oauth2::retry::ReplayBody;
/// # use futures_util::{StreamExt, stream};
/// # use tower::BoxError;
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
///
/// let chunks = stream::iter(["one ", "two"]).map(|chunk| Ok::<_, BoxError>(Frame::data(Bytes::from(chunk))));
/// let request = ReplayBody::wrap(Request::new(StreamBody::new(chunks)), 64 * 1024);
/// let again = request.clone();
///
/// let mut first = request.into_body();
/// first.frame().await; // and the connection breaks
/// drop(first);
/// assert_eq!(again.into_body().collect().await?.to_bytes(), "one two");
/// # Ok::<(), BoxError>(()) })?;
/// # Ok::<(), BoxError>(())
/// ```
pub struct ReplayBody<B> {
    shared: Arc<Shared<B>>,
    cursor: Cursor,
}

// === impl ReplayBody ===

impl<B> ReplayBody<B>
where
    B: Body + Send + 'static,
{
    /// Makes the body of `request` one that can be sent again, if it has at most `cap` bytes.
    pub fn wrap(request: Request<B>, cap: usize) -> Request<Self> {
        let (mut parts, body) = request.into_parts();
        let (shared, cursor) = Shared::new(body, cap);
        let shared = Arc::new(shared);
        parts.extensions.insert(Replay::new(Arc::<Shared<B>>::clone(&shared)));
        Request::from_parts(parts, Self { shared, cursor })
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { shared, cursor } = self.get_mut();
        shared.poll_frame(cursor, cx)
    }

    fn is_end_stream(&self) -> bool {
        self.shared.is_end_stream(&self.cursor)
    }

    fn size_hint(&self) -> SizeHint {
        self.shared.size_hint(&self.cursor)
    }
}

impl<B> Clone for ReplayBody<B> {
    fn clone(&self) -> Self {
        Self { cursor: self.shared.copy(&self.cursor), shared: Arc::clone(&self.shared) }
    }
}

impl<B> Drop for ReplayBody<B> {
    fn drop(&mut self) {
        self.shared.leave(&self.cursor);
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

/// What is kept of a body at most.
const DEFAULT_CAP: usize = 64 * 1024;

#[cfg(test)]
mod tests;
