//! What the policy makes of bodies that cannot be cloned: sent again if all of it is there, and told why if not.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI32, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header::RETRY_AFTER};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use tower::{BoxError, ServiceBuilder, ServiceExt, retry::budget::Budget, service_fn};
use tower_oauth2::{
    TokenRejected,
    retry::{ReplayBody, ReplayBodyLayer, ReplayError, RetryLayer, RetryOutcome, RetryPolicy, Stopped},
};

type Streamed = UnsyncBoxBody<Bytes, BoxError>;
type Sent = Request<ReplayBody<Streamed>>;

#[tokio::test]
async fn the_layer_is_ready_when_what_is_underneath_is() {
    let layer = ReplayBodyLayer::new();
    let (mut service, mut handle) = tower_test::mock::spawn_layer::<Request<ReplayBody<Full<Bytes>>>, (), _>(layer);
    handle.allow(0);
    tokio_test::assert_pending!(service.poll_ready());
    handle.allow(1);
    tokio_test::assert_ready_ok!(service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn a_put_with_a_body_that_cannot_be_cloned_is_sent_again_after_a_503() {
    let policy = RetryPolicy::new();
    let (sent, answers) = server([503, 503, 200]);
    let response = send(&policy, 64 * 1024, request(Method::PUT, ["one ", "two"]), answers).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.extensions().get::<RetryOutcome>().is_none());
    assert_eq!(*sent.lock().unwrap(), ["one two"; 3]);
    assert_eq!(policy.stats().retries, 2);
}

#[tokio::test(start_paused = true)]
async fn trailers_are_sent_again_as_well() {
    let trailers = HeaderMap::from_iter([(http::header::ETAG, "abc".parse().unwrap())]);
    let frames = [Frame::data(Bytes::from("one")), Frame::trailers(trailers.clone())];
    let body = StreamBody::new(stream::iter(frames).map(Ok::<_, BoxError>));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let answers = Arc::clone(&seen);
    let stack = ServiceBuilder::new().layer(ReplayBodyLayer::new()).layer(RetryLayer::new(RetryPolicy::new())).service(
        service_fn(move |request: Request<ReplayBody<_>>| {
            let seen = Arc::clone(&answers);
            async move {
                let whole = request.into_body().collect().await?;
                seen.lock().unwrap().push((whole.trailers().cloned(), whole.to_bytes()));
                let status = if seen.lock().unwrap().len() == 1 { 503 } else { 200 };
                Ok::<_, BoxError>(status_of(status))
            }
        }),
    );
    stack.oneshot(Request::put("/").body(body).unwrap()).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), vec![(Some(trailers), Bytes::from("one")); 2]);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_sent_once_and_whole() {
    for (cap, stopped) in [(7, None), (6, Some(Stopped::NotReplayable)), (0, Some(Stopped::NotReplayable))] {
        let policy = RetryPolicy::new();
        let (sent, answers) = server([503, 200]);
        let response = send(&policy, cap, request(Method::PUT, ["one ", "two"]), answers).await.unwrap();
        assert_eq!(outcome(&response), stopped, "{cap}");
        let times = if stopped.is_some() { 1 } else { 2 };
        assert_eq!(*sent.lock().unwrap(), vec!["one two"; times], "{cap}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_has_read_is_sent_again_whatever_its_length() {
    let policy = RetryPolicy::new();
    let attempts = Arc::new(AtomicI32::new(0));
    let client = service_fn(move |request: Sent| {
        let attempt = attempts.fetch_add(1, SeqCst);
        async move {
            if attempt == 0 {
                return Err(BoxError::from(io::Error::from(io::ErrorKind::ConnectionRefused)));
            }
            let body = request.into_body().collect().await?.to_bytes();
            Ok(Response::new(body))
        }
    });
    let stack = ServiceBuilder::new()
        .layer(ReplayBodyLayer::new().cap(1))
        .layer(RetryLayer::new(policy.clone()))
        .service(client);
    let response = stack.oneshot(request(Method::POST, ["one ", "two"])).await.unwrap();
    assert_eq!((response.body().as_ref(), policy.stats().retries), (&b"one two"[..], 1));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_failed_is_not_sent_again() {
    let policy = RetryPolicy::new();
    let frames = [Ok(Frame::data(Bytes::from("one"))), Err(BoxError::from("broke off"))];
    let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
    // A server that answers before it has seen that the body is broken, and one that tells of it.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let errors = Arc::clone(&seen);
    let client = service_fn(move |request: Sent| {
        let errors = Arc::clone(&errors);
        async move {
            let error = request.into_body().collect().await.unwrap_err();
            errors.lock().unwrap().push(error.to_string());
            Ok::<_, BoxError>(status_of(503))
        }
    });
    let response = ServiceBuilder::new()
        .layer(ReplayBodyLayer::new())
        .layer(RetryLayer::new(policy.clone()))
        .service(client)
        .oneshot(Request::put("/").body(body).unwrap())
        .await
        .unwrap();
    assert_eq!(outcome(&response), Some(Stopped::NotReplayable));
    assert_eq!(*seen.lock().unwrap(), ["broke off"]);

    let frames = [Ok(Frame::data(Bytes::from("one"))), Err(BoxError::from("broke off"))];
    let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
    let (_, answers) = server([200]);
    let error = send(&policy, 100, Request::put("/").body(body).unwrap(), answers).await.unwrap_err();
    assert_eq!(error.to_string(), "broke off");
}

#[tokio::test(start_paused = true)]
async fn what_else_forbids_it_is_told_first_and_no_budget_is_spent() {
    for (method, status, hint, policy, stopped) in [
        (Method::POST, 503, None, RetryPolicy::new(), Stopped::NotRepeatable),
        (Method::PUT, 503, None, RetryPolicy::new().max_attempts(1), Stopped::Exhausted),
        (Method::PUT, 429, Some("600"), RetryPolicy::new(), Stopped::HintTooLong(Duration::from_secs(600))),
        (Method::PUT, 503, None, RetryPolicy::new().deadline(Duration::ZERO), Stopped::Deadline),
        (Method::PUT, 503, None, RetryPolicy::new().budget_capacity(0), Stopped::NotReplayable),
        (Method::PUT, 401, None, RetryPolicy::new(), Stopped::Unauthorized),
    ] {
        let client = service_fn(move |request: Sent| async move {
            request.into_body().collect().await?;
            let mut response = status_of(status);
            if let Some(hint) = hint {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(hint));
            }
            Ok::<_, BoxError>(response)
        });
        let stack =
            ServiceBuilder::new().layer(ReplayBodyLayer::new().cap(1)).layer(RetryLayer::new(policy)).service(client);
        let response = stack.oneshot(request(method.clone(), ["one"])).await.unwrap();
        assert_eq!(outcome(&response), Some(stopped), "{method} {status}");
    }

    // For one retry: it is still there after the one that could not be.
    let policy = RetryPolicy::new().budget_capacity(14);
    let (_, answers) = server([503]);
    let response = send(&policy, 1, request(Method::PUT, ["one"]), answers).await.unwrap();
    assert_eq!(outcome(&response), Some(Stopped::NotReplayable));
    let (_, answers) = server([503, 200]);
    assert_eq!(send(&policy, 9, request(Method::PUT, ["one"]), answers).await.unwrap().status(), 200);
}

/// The third column of the table: of a body that is not there any more nothing is sent again, and who asks is told why.
#[tokio::test(start_paused = true)]
async fn whatever_the_outcome_a_body_that_is_not_there_any_more_is_sent_once() {
    type Row = (&'static str, fn() -> Result<Response<Bytes>, BoxError>, u32);
    fn with(status: u16, field: Option<(&'static str, &'static str)>) -> Result<Response<Bytes>, BoxError> {
        let mut response = status_of(status);
        response.headers_mut().extend(
            field.map(|(name, value)| (Some(http::HeaderName::from_static(name)), HeaderValue::from_static(value))),
        );
        response.extensions_mut().insert(TokenRejected::new(true));
        Ok(response)
    }
    fn io(kind: io::ErrorKind) -> Result<Response<Bytes>, BoxError> {
        Err(io::Error::from(kind).into())
    }
    let rows: [Row; 13] = [
        ("401", || with(401, None), 2),
        ("408", || with(408, None), 4),
        ("425", || with(425, None), 4),
        ("429", || with(429, Some(("retry-after", "1"))), 6),
        ("500", || with(500, None), 4),
        ("502", || with(502, None), 4),
        ("503", || with(503, None), 4),
        ("503 with a hint", || with(503, Some(("retry-after", "1"))), 6),
        ("504", || with(504, None), 4),
        ("refused", || io(io::ErrorKind::ConnectionRefused), 4),
        ("reset", || io(io::ErrorKind::ConnectionReset), 4),
        ("timed out", || Err(tower::timeout::error::Elapsed::new().into()), 4),
        ("not found", || with(404, None), 1),
    ];
    for (what, answer, sends) in rows {
        // It is kept, it is too long and was read, and it is too long and nobody has read any of it.
        for (cap, read, expected) in [(3, true, sends), (2, true, 1), (2, false, sends)] {
            let sent = Arc::new(AtomicI32::new(0));
            let seen = Arc::clone(&sent);
            let client = service_fn(move |request: Sent| {
                seen.fetch_add(1, SeqCst);
                async move {
                    if read {
                        assert_eq!(request.into_body().collect().await?.to_bytes(), "one");
                    }
                    answer()
                }
            });
            let policy = RetryPolicy::new();
            let layers = ServiceBuilder::new().layer(ReplayBodyLayer::new().cap(cap)).layer(RetryLayer::new(policy));
            let result = layers.service(client).oneshot(request(Method::PUT, ["one"])).await;
            assert_eq!(sent.load(SeqCst), i32::try_from(expected).unwrap(), "{what}: {cap} {read}");
            if let (Ok(response), true) = (&result, sends > 1 && expected == 1) {
                assert_eq!(outcome(response), Some(Stopped::NotReplayable), "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_still_runs_goes_on_if_its_answer_goes_to_the_caller() {
    for (policy, stopped) in [
        (RetryPolicy::new().budget_capacity(0), Stopped::Budget),
        (RetryPolicy::new().max_attempts(1), Stopped::Exhausted),
    ] {
        let running = Arc::new(Mutex::new(None));
        let response = early(policy, &running, [503].into()).await;
        assert_eq!(outcome(&response), Some(stopped));
        let rest = running.lock().unwrap().take().unwrap();
        assert_eq!(rest.collect().await.unwrap().to_bytes(), "two");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_still_runs_is_given_up_if_the_request_is_sent_again() {
    for (first, replay) in [(503, false), (429, false), (401, true)] {
        let running = Arc::new(Mutex::new(None));
        let policy = RetryPolicy::new();
        let response = early(policy.clone(), &running, [first, 200].into()).await;
        assert_eq!(response.status(), StatusCode::OK, "{first}");
        assert_eq!((policy.stats().replays, policy.stats().retries), (u64::from(replay), u64::from(!replay)));
        // It held on to the first copy while the second was sent. Now the body has ended, and so it gets it whole.
        assert_eq!(response.into_body(), "one two");
        let rest = running.lock().unwrap().take().unwrap();
        assert_eq!(rest.collect().await.unwrap().to_bytes(), "two");
    }
}

#[test]
fn a_body_that_outgrows_the_limit_while_the_budget_is_asked_is_not_sent_again() {
    /// Reads on while it is asked.
    struct Racing(Arc<Mutex<ReplayBody<Streamed>>>, AtomicI32);
    impl Budget for Racing {
        fn deposit(&self) {
            self.1.fetch_add(1, SeqCst);
        }
        fn withdraw(&self) -> bool {
            self.1.fetch_sub(1, SeqCst);
            assert!(poll(&mut self.0.lock().unwrap()).is_ready());
            true
        }
    }
    #[derive(Clone)]
    struct Shared(Arc<Racing>);
    impl Budget for Shared {
        fn deposit(&self) {
            self.0.deposit();
        }
        fn withdraw(&self) -> bool {
            self.0.withdraw()
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let first = ReplayBody::wrap(request(Method::PUT, ["one", "two"]), 3);
    let mut kept = first.clone();
    let first = Arc::new(Mutex::new(first.into_body()));
    assert!(poll(&mut first.lock().unwrap()).is_ready());
    let budget = Shared(Arc::new(Racing(Arc::clone(&first), AtomicI32::new(0))));
    let mut policy = RetryPolicy::new().budget(budget.clone());
    let mut result: Result<_, BoxError> = Ok(status_of(503));
    assert!(tower::retry::Policy::retry(&mut policy, &mut kept, &mut result).is_none());
    assert_eq!(outcome(&result.unwrap()), Some(Stopped::NotReplayable));
    assert_eq!(budget.0.1.load(SeqCst), -1, "a `deposit` would be a success, and nothing else takes it back");
    assert!(matches!(poll(&mut first.lock().unwrap()), Poll::Ready(None)), "the upload was left alone");
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_copy_that_is_read_too_early_is_not_retried() {
    let policy = RetryPolicy::new();
    let first = ReplayBody::wrap(request(Method::PUT, ["one ", "two"]), 100);
    let second = first.clone();
    let mut first = first.into_body();
    assert!(poll(&mut first).is_ready());
    let (_, answers) = server([200]);
    let answers = Arc::new(Mutex::new(answers));
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy.clone()))
        .service(service_fn(move |request| serve(Arc::clone(&answers), request)));
    let error = stack.oneshot(second).await.unwrap_err();
    assert!(error.downcast::<ReplayError>().unwrap().is_early());
    assert_eq!(policy.stats().retries, 0);
}

#[tokio::test]
async fn a_body_that_can_be_cloned_takes_the_layer_as_well() {
    let client = service_fn(|request: Request<ReplayBody<Full<Bytes>>>| async move {
        Ok::<_, Infallible>(Response::new(request.into_body().collect().await.unwrap().to_bytes()))
    });
    let stack = ServiceBuilder::new().layer(ReplayBodyLayer::default()).service(client);
    let response = stack.oneshot(Request::new(Full::from("one"))).await.unwrap();
    assert_eq!(response.into_body(), "one");
}

type Answers = (Arc<Mutex<Vec<Bytes>>>, VecDeque<u16>);

/// What it is sent, and what it answers.
fn server<const N: usize>(statuses: [u16; N]) -> (Arc<Mutex<Vec<Bytes>>>, Answers) {
    let seen = Arc::default();
    (Arc::clone(&seen), (seen, statuses.into()))
}

async fn serve(answers: Arc<Mutex<Answers>>, request: Sent) -> Result<Response<Bytes>, BoxError> {
    let body = request.into_body().collect().await?.to_bytes();
    let mut answers = answers.lock().unwrap();
    answers.0.lock().unwrap().push(body);
    Ok(status_of(answers.1.pop_front().unwrap()))
}

async fn send(
    policy: &RetryPolicy,
    cap: usize,
    request: Request<Streamed>,
    answers: Answers,
) -> Result<Response<Bytes>, BoxError> {
    let answers = Arc::new(Mutex::new(answers));
    ServiceBuilder::new()
        .layer(ReplayBodyLayer::new().cap(cap))
        .layer(RetryLayer::new(policy.clone()))
        .service(service_fn(move |request| serve(Arc::clone(&answers), request)))
        .oneshot(request)
        .await
}

/// Sends "one two" to a server that answers the first attempt when it has seen the half of it, and holds on to the rest.
async fn early(
    policy: RetryPolicy,
    running: &Arc<Mutex<Option<ReplayBody<Streamed>>>>,
    statuses: VecDeque<u16>,
) -> Response<Bytes> {
    let (running, statuses) = (Arc::clone(running), Arc::new(Mutex::new(statuses)));
    let client = service_fn(move |request: Sent| {
        let status = statuses.lock().unwrap().pop_front().unwrap();
        let running = Arc::clone(&running);
        async move {
            let mut body = request.into_body();
            if running.lock().unwrap().is_some() {
                let mut response = status_of(status);
                *response.body_mut() = body.collect().await?.to_bytes();
                return Ok(response);
            }
            assert_eq!(body.frame().await.unwrap()?.into_data().unwrap(), "one ");
            *running.lock().unwrap() = Some(body);
            let mut response = status_of(status);
            response.extensions_mut().insert(TokenRejected::new(true));
            Ok::<_, BoxError>(response)
        }
    });
    ServiceBuilder::new()
        .layer(ReplayBodyLayer::new())
        .layer(RetryLayer::new(policy))
        .service(client)
        .oneshot(request(Method::PUT, ["one ", "two"]))
        .await
        .unwrap()
}

fn request<const N: usize>(method: Method, chunks: [&'static str; N]) -> Request<Streamed> {
    let frames = stream::iter(chunks).map(|chunk| Ok(Frame::data(Bytes::from(chunk))));
    Request::builder().method(method).uri("/").body(StreamBody::new(frames).boxed_unsync()).unwrap()
}

fn status_of(status: u16) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn outcome(response: &Response<Bytes>) -> Option<Stopped> {
    response.extensions().get().map(|outcome: &RetryOutcome| outcome.stopped)
}

fn poll(body: &mut ReplayBody<Streamed>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}
