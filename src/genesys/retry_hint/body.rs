//! A body, some of which was read already.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// Body of what [`RetryHintLayer`](super::RetryHintLayer) answers: frame by frame the one underneath.
    pub struct RetryHintBody<B>
    where
        B: Body,
    {
        #[pin]
        state: State<B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<B>
    where
        B: Body,
    {
        Untouched {
            #[pin]
            body: B,
        },
        // Boxed, because it is rare.
        Read { read: Box<Read<B>> },
    }
}

/// What was read, and the rest.
pub(super) struct Read<B: Body> {
    frames: VecDeque<Result<Frame<Bytes>, B::Error>>,
    bytes: usize,
    /// `None` once it has ended or failed.
    rest: Option<Pin<Box<B>>>,
}

// === impl RetryHintBody ===

impl<B: Body> RetryHintBody<B> {
    pub(super) fn untouched(body: B) -> Self {
        Self { state: State::Untouched { body } }
    }

    pub(super) fn read(read: Read<B>) -> Self {
        Self { state: State::Read { read: Box::new(read) } }
    }
}

impl<B: Body<Data = Bytes>> Body for RetryHintBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().state.project() {
            StateProj::Untouched { body } => body.poll_frame(cx),
            StateProj::Read { read } => read.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Untouched { body } => body.is_end_stream(),
            State::Read { read } => read.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Untouched { body } => body.size_hint(),
            State::Read { read } => read.size_hint(),
        }
    }
}

impl<B: Body> fmt::Debug for RetryHintBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryHintBody").finish_non_exhaustive()
    }
}

// === impl Read ===

impl<B: Body<Data = Bytes>> Read<B> {
    pub(super) fn new(body: B) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, rest: Some(Box::pin(body)) }
    }

    /// All of the body, in one piece, once it was read to its end; nothing, if it failed or is longer than `max`.
    pub(super) fn poll_all(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        let limit = u64::try_from(max).unwrap_or(u64::MAX);
        while self.size_hint().lower() <= limit {
            let Some(rest) = &mut self.rest else { break };
            match rest.as_mut().poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.rest = None,
                Poll::Ready(Some(frame)) => {
                    self.bytes += frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
                    if frame.is_err() {
                        self.rest = None;
                    }
                    self.frames.push_back(frame);
                }
            }
        }
        if self.rest.is_some() || self.bytes > max || matches!(self.frames.back(), Some(Err(_))) {
            return Poll::Ready(None);
        }
        let data = self.frames.iter().flatten().filter_map(Frame::data_ref);
        Poll::Ready(Some(data.flatten().copied().collect()))
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(frame) = self.frames.pop_front() {
            self.bytes -= frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
            return Poll::Ready(Some(frame));
        }
        self.rest.as_mut().map_or(Poll::Ready(None), |rest| rest.as_mut().poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let read = u64::try_from(self.bytes).unwrap_or(u64::MAX);
        let rest = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(read.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper() {
            hint.set_upper(read.saturating_add(upper));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Says how much is to come when it has sent its first frame.
    struct Grows(Option<Bytes>);

    impl Body for Grows {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.take().map(|first| Ok(Frame::data(first))))
        }

        fn size_hint(&self) -> SizeHint {
            let mut hint = SizeHint::new();
            hint.set_lower(if self.0.is_some() { 0 } else { 1_000 });
            hint
        }
    }

    #[test]
    fn a_body_that_turns_out_to_be_too_long_is_not_taken_for_what_came_of_it() {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut read = Read::new(Grows(Some(Bytes::from_static(b"{}"))));
        assert_eq!(read.poll_all(100, &mut context), Poll::Ready(None));
        assert_eq!(read.size_hint().lower(), 1_002, "and all of it is still to be read");
        let mut read = Read::new(Grows(Some(Bytes::from_static(b"{}"))));
        assert_eq!(read.poll_all(2_000, &mut context), Poll::Ready(Some(b"{}".to_vec())));
    }
}
