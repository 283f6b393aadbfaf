//! A 429 of Genesys Cloud that says only in its message when to come back.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_oauth2::{
    genesys::{RetryHintBody, RetryHintLayer},
    retry::{RetryHint, RetryLayer, RetryOutcome, RetryPolicy, Stopped},
    testing::Body,
};

const MESSAGE: &str = r#"{"message":"Rate limit exceeded the maximum. Retry the request in [42] seconds","code":"too.many.requests.retry.after","status":429,"contextId":"c","details":[],"errors":[]}"#;

#[tokio::test(start_paused = true)]
async fn what_the_message_says_is_waited_for() {
    let mut waits = Vec::new();
    for seed in 0..20 {
        let sent = Arc::new(AtomicUsize::new(0));
        let api = service_fn(move |_: Request<()>| {
            let first = sent.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                Ok::<_, BoxError>(if first { answer(429, Body::full(MESSAGE)) } else { answer(200, Body::empty()) })
            }
        });
        let start = Instant::now();
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(RetryPolicy::new().seed(seed)))
            .layer(RetryHintLayer::new())
            .service(api);
        assert_eq!(stack.oneshot(request()).await.unwrap().status(), StatusCode::OK);
        waits.push(Instant::now() - start);
    }
    // A tenth of it is spread, and tokio's timer rounds up to a millisecond.
    assert!(waits.iter().all(|wait| (42_000..=46_201).contains(&wait.as_millis())), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_too_long_is_returned_with_all_of_the_body() {
    let api = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(429, Body::full(MESSAGE))) });
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new().max_retry_after(Duration::from_secs(41))))
        .layer(RetryHintLayer::new())
        .service(api);
    let start = Instant::now();
    let response = stack.oneshot(request()).await.unwrap();
    let outcome = response.extensions().get::<RetryOutcome>().unwrap();
    assert_eq!(outcome.stopped, Stopped::HintTooLong(Duration::from_secs(42)));
    assert_eq!((response.headers()["x-mine"].to_str().unwrap(), (Instant::now() - start)), ("kept", Duration::ZERO));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), MESSAGE);
}

#[tokio::test(start_paused = true)]
async fn only_a_429_that_says_nothing_in_its_head_is_looked_at() {
    for (status, retry_after) in [(200, None), (503, None), (400, None), (429, Some("3")), (429, Some("0"))] {
        let mut answer = answer(status, Untouchable);
        if let Some(field) = retry_after {
            answer.headers_mut().insert("retry-after", field.parse().unwrap());
        }
        let response = pass(answer, RetryHintLayer::new()).await;
        assert_eq!(response.extensions().get::<RetryHint>(), None, "{status} {retry_after:?}");
    }
    let mut garbled = answer(429, Body::full(MESSAGE));
    garbled.headers_mut().insert("retry-after", "soon".parse().unwrap());
    assert_eq!(
        pass(garbled, RetryHintLayer::new()).await.extensions().get(),
        Some(&RetryHint(Duration::from_secs(42)))
    );
}

#[tokio::test(start_paused = true)]
async fn every_frame_of_the_body_is_handed_on_as_it_came() {
    let frames = || {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "7".parse().unwrap());
        let data = MESSAGE.as_bytes().chunks(10).map(|chunk| Step::Frame(Frame::data(Bytes::from_static(chunk))));
        data.chain([Step::Pending, Step::Frame(Frame::trailers(trailers))]).collect::<VecDeque<_>>()
    };
    let response = pass(answer(429, Scripted(frames())), RetryHintLayer::new()).await;
    assert_eq!(response.extensions().get(), Some(&RetryHint(Duration::from_secs(42))));
    let mut body = response.into_body();
    assert_eq!(body.size_hint().exact(), Some(MESSAGE.len() as u64));
    let mut left = MESSAGE.len();
    for expected in frames().into_iter().filter_map(Step::into_frame) {
        assert!(!body.is_end_stream());
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.data_ref(), expected.data_ref());
        assert_eq!(frame.trailers_ref(), expected.trailers_ref());
        left -= frame.data_ref().map_or(0, Bytes::len);
        assert_eq!(body.size_hint().exact(), Some(left as u64));
    }
    assert!(body.is_end_stream() && body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_long_is_left_to_the_caller() {
    let long = format!("{MESSAGE}{}", " ".repeat(16 * 1024));
    for (body, expected) in [(long.clone(), None), (long[..16 * 1024].to_owned(), Some(42))] {
        let hint = expected.map(|seconds| RetryHint(Duration::from_secs(seconds)));
        let response = pass(answer(429, Body::full(body.clone())), RetryHintLayer::new()).await;
        assert_eq!(response.extensions().get::<RetryHint>().copied(), hint);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
    }
    // One that says its length is not even begun.
    let response = pass(answer(429, Body::full(MESSAGE)), RetryHintLayer::new().max_body(20)).await;
    assert_eq!(response.extensions().get::<RetryHint>(), None);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), MESSAGE);
    // And of one that does not, little more than the limit is read.
    let endless = Endless(Arc::default());
    let read = Arc::clone(&endless.0);
    let response = pass(answer(429, endless), RetryHintLayer::new().max_body(1000)).await;
    assert_eq!(response.extensions().get::<RetryHint>(), None);
    assert_eq!(read.load(Ordering::SeqCst), 11, "hundreds of bytes");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_waited_for_two_seconds() {
    let start = Instant::now();
    let response = pass(answer(429, Body::stalled(MESSAGE)), RetryHintLayer::new()).await;
    assert_eq!(((Instant::now() - start).as_secs(), response.extensions().get::<RetryHint>()), (2, None));
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), MESSAGE);
    assert!(timeout(Duration::from_secs(9), body.frame()).await.is_err(), "as the one underneath");
    let response = pass(answer(429, Body::stalled("")), RetryHintLayer::new().timeout(Duration::from_secs(7))).await;
    assert_eq!(((Instant::now() - start).as_secs(), response.extensions().get::<RetryHint>()), (2 + 9 + 7, None));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_breaks_off_for_the_caller_too() {
    let response =
        pass(answer(429, Body::broken(MESSAGE, io::ErrorKind::ConnectionReset)), RetryHintLayer::new()).await;
    assert_eq!(response.extensions().get::<RetryHint>(), None, "it may have gone on");
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), MESSAGE);
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::ConnectionReset);
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_stops_the_reading() {
    let endless = Trickle(Arc::default());
    let alive = Arc::clone(&endless.0);
    let call = pass(answer(429, endless), RetryHintLayer::new());
    assert!(timeout(Duration::from_secs(1), call).await.is_err());
    assert_eq!(Arc::strong_count(&alive), 1, "the body is gone");
}

async fn pass<B>(answer: Response<B>, layer: RetryHintLayer) -> Response<RetryHintBody<B>>
where
    B: http_body::Body<Data = Bytes>,
{
    let answer = Mutex::new(Some(answer));
    let api = service_fn(move |_: Request<()>| {
        let answer = answer.lock().unwrap().take();
        async { Ok::<_, BoxError>(answer.unwrap()) }
    });
    ServiceBuilder::new().layer(layer).service(api).oneshot(request()).await.unwrap()
}

fn request() -> Request<()> {
    Request::get("https://api.mypurecloud.ie/").body(()).unwrap()
}

fn answer<B>(status: u16, body: B) -> Response<B> {
    Response::builder().status(status).header("x-mine", "kept").body(body).unwrap()
}

struct Untouchable;

impl http_body::Body for Untouchable {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        panic!("it is none of our business")
    }
}

enum Step {
    Frame(Frame<Bytes>),
    Pending,
}

impl Step {
    fn into_frame(self) -> Option<Frame<Bytes>> {
        match self {
            Self::Frame(frame) => Some(frame),
            Self::Pending => None,
        }
    }
}

struct Scripted(VecDeque<Step>);

impl http_body::Body for Scripted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.0.pop_front() {
            Some(Step::Frame(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.0.iter().map(|step| match step {
            Step::Frame(frame) => frame.data_ref().map_or(0, Bytes::len),
            Step::Pending => 0,
        });
        SizeHint::with_exact(data.sum::<usize>() as u64)
    }
}

/// A hundred bytes, again and again.
struct Endless(Arc<AtomicUsize>);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 100])))))
    }
}

/// Nothing comes.
struct Trickle(Arc<()>);

impl http_body::Body for Trickle {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn it_is_ready_when_the_service_underneath_is() {
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<Request<()>, Response<http_body_util::Full<Bytes>>, _>(RetryHintLayer::new());
    handle.allow(0);
    tokio_test::assert_pending!(service.poll_ready());
    handle.allow(1);
    tokio_test::assert_ready_ok!(service.poll_ready());
}
