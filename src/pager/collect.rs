//! A body whole, or not at all: a page of which a part is missing is no page.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};
use tower::BoxError;

use super::{
    error::{Error, ErrorKind},
    limits::Limits,
};

/// # Errors
///
/// `Body` if it breaks off, pauses or lasts too long; `TooLarge` past `max` bytes, which it never holds more than.
pub(super) async fn collect<R>(body: R, limits: Limits, max: usize) -> Result<Bytes, Error>
where
    R: Body,
    R::Error: Into<BoxError>,
{
    let broken = |message: String| Error::new(ErrorKind::Body, message);
    let give_up_at = Instant::now() + limits.body_timeout;
    let expected = body.size_hint().exact().and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
    let mut body = std::pin::pin!(body);
    // What comes in one piece is not copied.
    let (mut first, mut bytes) = (Bytes::new(), BytesMut::new());
    loop {
        let next = timeout_at(give_up_at, timeout(limits.idle_timeout, body.frame())).await;
        let next = next.map_err(|_| broken(format!("the body was not complete within {:?}", limits.body_timeout)))?;
        let next = next.map_err(|_| broken(format!("the body stalled for {:?}", limits.idle_timeout)))?;
        let Some(frame) = next else { return Ok(if bytes.is_empty() { first } else { bytes.freeze() }) };
        let frame = frame.map_err(|error| broken("the body broke off".into()).with_source(error))?;
        let Ok(mut data) = frame.into_data() else { continue };
        if first.len().max(bytes.len()) + data.remaining() > max {
            return Err(Error::new(ErrorKind::TooLarge, format!("the body is longer than {max} bytes")));
        }
        if first.is_empty() {
            first = data.copy_to_bytes(data.remaining());
            continue;
        }
        if bytes.is_empty() {
            bytes.reserve(expected.min(max).max(first.len() + data.remaining()));
            bytes.put_slice(&first);
        }
        bytes.put(data);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, StreamExt};
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    #[tokio::test]
    async fn a_body_in_one_piece_is_not_copied_and_one_in_several_is_whole() {
        let page = Bytes::from_static(b"abcdef");
        let whole = collect(Full::new(page.clone()), Limits::default(), 6).await.unwrap();
        assert_eq!((whole.as_ptr(), &whole), (page.as_ptr(), &page));
        let pieces = |sizes: &'static [usize]| {
            let mut from = 0;
            let page = page.clone();
            StreamBody::new(stream::iter(sizes).map(move |size| {
                from += size;
                Ok::<_, BoxError>(Frame::data(page.slice(from - size..from)))
            }))
        };
        for sizes in [&[6][..], &[0, 6], &[6, 0], &[1, 2, 3], &[0, 5, 0, 1, 0]] {
            assert_eq!(collect(pieces(sizes), Limits::default(), 6).await.unwrap(), page, "{sizes:?}");
            let error = collect(pieces(sizes), Limits::default(), 5).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{sizes:?}");
        }
        assert_eq!(collect(pieces(&[]), Limits::default(), 6).await.unwrap(), "");
    }
}
