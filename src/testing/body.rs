//! A response body which can be full, break off or stall.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::BoxError;

/// A response body of the [testing](crate::testing) services.
///
/// ```
/// use http_body_util::BodyExt;
/// use tower_oauth2::testing::Body;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let whole = Body::full("abc").collect().await.unwrap();
/// assert_eq!(whole.to_bytes(), "abc");
///
/// let broken = Body::broken("ab", std::io::ErrorKind::UnexpectedEof);
/// assert!(broken.collect().await.is_err());
/// # }
/// ```
#[derive(Debug)]
pub struct Body {
    data: Bytes,
    end: End,
}

/// What comes after the data.
#[derive(Debug)]
enum End {
    Whole,
    Broken { kind: io::ErrorKind, paused: bool },
    Stalled,
}

// === impl Body ===

impl Body {
    /// All of `data`, then the end.
    pub fn full(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), end: End::Whole }
    }

    /// No data at all.
    pub fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// All of `data`, then an I/O error of this kind. On a socket the connection is closed.
    pub fn broken(data: impl Into<Bytes>, kind: io::ErrorKind) -> Self {
        Self { data: data.into(), end: End::Broken { kind, paused: false } }
    }

    /// All of `data`, then nothing more, for ever.
    pub fn stalled(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), end: End::Stalled }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.data.is_empty() {
            let data = std::mem::take(&mut self.data);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match &mut self.end {
            End::Whole => Poll::Ready(None),
            // An error discards what a server has buffered. The pause lets it flush the head and the data first.
            End::Broken { paused, .. } if !*paused => {
                *paused = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            End::Broken { kind, .. } => {
                let error = io::Error::new(*kind, "the body broke off");
                self.end = End::Whole;
                Poll::Ready(Some(Err(error.into())))
            }
            End::Stalled => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && matches!(self.end, End::Whole)
    }

    fn size_hint(&self) -> SizeHint {
        match self.end {
            End::Whole => SizeHint::with_exact(self.data.len() as u64),
            End::Broken { .. } | End::Stalled => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use std::time::Duration;

    #[tokio::test]
    async fn broken_body_gives_its_data_before_its_error() {
        let mut body = Body::broken("ab", io::ErrorKind::ConnectionReset);
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "ab");
        let error = body.frame().await.unwrap().unwrap_err();
        let error = error.downcast::<io::Error>().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(body.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn stalled_body_never_ends() {
        let body = Body::stalled("ab").collect();
        assert!(tokio::time::timeout(Duration::from_secs(3600), body).await.is_err());
    }
}
