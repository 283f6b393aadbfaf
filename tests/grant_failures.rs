//! What a grant does when the token endpoint refuses, breaks, stalls or sends what it should not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    convert::Infallible,
    future::pending,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use tokio::time::{Instant, sleep};
use tower::{BoxError, service_fn};
use tower_oauth2::{
    Error, Token, TokenSource,
    grant::{ClientAuth, ClientCredentials},
};

const GOOD: &str = r#"{"access_token":"abc","expires_in":60}"#;

#[tokio::test(start_paused = true)]
async fn a_hanging_endpoint_is_given_up_after_ten_seconds_in_all() {
    for seed in 0..20 {
        let (result, calls, took) = ask(seed, |_| async { pending().await }).await;
        let error = result.unwrap_err();
        assert!(error.is_timeout() && error.is_transient(), "{error:?}");
        assert_eq!(took, Duration::from_secs(10));
        assert_eq!(calls, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_body_is_given_up_as_well() {
    let (result, calls, took) = ask(1, |_| async { Ok(answer(200, Script::of([Step::Data("{"), Step::Hang]))) }).await;
    assert!(result.unwrap_err().is_timeout());
    assert_eq!((calls, took), (3, Duration::from_secs(10)));
}

#[tokio::test(start_paused = true)]
async fn the_timeout_can_be_set_and_a_single_attempt_has_all_of_it() {
    let endpoint = |_: usize| async {
        sleep(Duration::from_secs(19)).await;
        Ok(answer(200, whole(GOOD)))
    };
    let (calls, service) = endpoint_of(endpoint);
    let grant = ClientCredentials::new(service, "https://h/", ClientAuth::none("id")).unwrap();
    let grant = grant.attempts(1).timeout(Duration::from_secs(20));
    assert!(grant.token(None).await.is_ok());
    assert!(grant.timeout(Duration::from_secs(18)).token(None).await.unwrap_err().is_timeout());
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_attempt_leaves_time_for_another() {
    let (result, calls, _) = ask(1, |call| async move {
        if call == 1 {
            return pending().await;
        }
        Ok(answer(200, whole(GOOD)))
    })
    .await;
    assert!(result.is_ok());
    assert_eq!(calls, 2);
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_three_times_and_then_reported() {
    for status in [500, 502, 503, 504] {
        let (result, calls, took) = ask(1, move |_| async move { Ok(answer(status, whole(""))) }).await;
        let error = result.unwrap_err();
        assert!(error.is_transient());
        assert_eq!((calls, error.status().unwrap().as_u16()), (3, status));
        assert!(took > Duration::ZERO && took < Duration::from_millis(1500), "500 ms and 1 s at the most: {took:?}");
    }
    let (result, calls, _) = ask(1, |_| async { Err("connection reset".into()) }).await;
    let error = result.unwrap_err();
    assert!(error.is_transient() && error.status().is_none());
    assert_eq!(calls, 3);
    assert!(error.to_string().contains("login.example.com"));
}

#[tokio::test(start_paused = true)]
async fn a_blip_is_not_noticed() {
    for blip in [0, 1, 2] {
        let (result, calls, _) = ask(1, move |call| async move {
            match (call, blip) {
                (3.., _) => Ok(answer(200, whole(GOOD))),
                (_, 0) => Err("connection refused".into()),
                (_, 1) => Ok(answer(503, whole("<html>"))),
                (_, _) => Ok(answer(200, Script::of([Step::Data("{"), Step::Break]))),
            }
        })
        .await;
        assert_eq!((result.unwrap().header().to_str().unwrap(), calls), ("Bearer abc", 3), "blip {blip}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_asked_for_once() {
    for status in [400, 401, 403, 404, 408, 425, 429] {
        let refused = r#"{"error":"temporarily_unavailable"}"#;
        let (result, calls, took) = ask(1, move |_| async move { Ok(answer(status, whole(refused))) }).await;
        assert_eq!(result.unwrap_err().status().unwrap().as_u16(), status);
        assert_eq!((calls, took), (1, Duration::ZERO), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_when_is_left_alone_until_then() {
    for status in [429, 503] {
        let (result, calls, took) = ask(1, move |_| async move {
            let mut answer = answer(status, whole(""));
            answer.headers_mut().insert("retry-after", "3".parse().unwrap());
            Ok(answer)
        })
        .await;
        assert_eq!(result.unwrap_err().retry_after(), Some(Duration::from_secs(3)));
        assert_eq!((calls, took), (1, Duration::ZERO), "the cache waits, not the grant");
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_never_followed() {
    for status in [301, 302, 303, 307, 308] {
        let (result, calls, _) = ask(1, move |_| async move {
            let mut answer = answer(status, whole(GOOD));
            answer.headers_mut().insert("location", "https://evil.example/".parse().unwrap());
            Ok(answer)
        })
        .await;
        let error = result.unwrap_err();
        assert!(!error.is_transient() && error.to_string().contains("redirect"), "{error}");
        assert_eq!(calls, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_content_encoding_that_was_not_asked_for_is_not_unpacked() {
    for (coding, fine) in
        [("gzip", false), ("br", false), ("gzip, identity", false), ("identity", true), ("Identity", true)]
    {
        let (result, calls, _) = ask(1, move |_| async move {
            let mut answer = answer(200, whole(GOOD));
            answer.headers_mut().insert("content-encoding", coding.parse().unwrap());
            Ok(answer)
        })
        .await;
        assert_eq!((result.is_ok(), calls), (fine, 1), "{coding}");
        assert!(result.is_ok() || !result.unwrap_err().is_transient());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_over_64_kib_is_refused_however_it_arrives() {
    let padded = |length: usize| format!("{GOOD}{}", " ".repeat(length - GOOD.len()));
    for (length, fine) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let text = padded(length);
        let (result, ..) = ask(1, move |_| {
            let body = whole(&text);
            async { Ok(answer(200, body)) }
        })
        .await;
        assert_eq!(result.is_ok(), fine, "{length} at once");
        let (result, calls, _) = ask(1, move |_| async move {
            let rest = (0..).take(length - GOOD.len()).map(|_| Step::Data(" "));
            Ok(answer(200, Script::of(std::iter::once(Step::Data(GOOD)).chain(rest))))
        })
        .await;
        assert_eq!(result.is_ok(), fine, "{length} in pieces");
        assert!(result.is_ok() || !result.unwrap_err().is_transient());
        assert_eq!(calls, 1);
    }
    let endless = |_| async { Ok(answer(200, Script::of(std::iter::repeat(Step::Data("0123456789"))))) };
    let (result, ..) = ask(1, endless).await;
    assert!(result.unwrap_err().to_string().contains("64 KiB"));
}

#[tokio::test(start_paused = true)]
async fn trailers_and_empty_frames_do_no_harm() {
    let steps = || [Step::Data(""), Step::Data(&GOOD[..9]), Step::Data(""), Step::Data(&GOOD[9..]), Step::Trailers];
    let (result, calls, _) = ask(1, move |_| async move { Ok(answer(200, Script::of(steps()))) }).await;
    assert_eq!((result.unwrap().lifetime(), calls), (Some(Duration::from_secs(60)), 1));
}

#[tokio::test(start_paused = true)]
async fn an_error_page_that_cannot_be_read_says_no_less_than_its_status() {
    let bodies: [(&str, fn() -> BoxBody<Bytes, BoxError>); 4] = [
        ("gzip", || whole("\u{1f}...")),
        ("identity", || whole(&"x".repeat(70 * 1024))),
        ("identity", || Script::of([Step::Data("{"), Step::Break])),
        ("identity", || Script::of([Step::Break])),
    ];
    for (coding, body) in bodies {
        for (status, transient, after) in [(503, true, true), (429, true, true), (401, false, true), (302, false, true)]
        {
            let (result, calls, _) = ask(1, move |_| async move {
                let mut answer = answer(status, body());
                answer.headers_mut().insert("content-encoding", coding.parse().unwrap());
                if after {
                    answer.headers_mut().insert("retry-after", "3".parse().unwrap());
                }
                Ok(answer)
            })
            .await;
            let error = result.unwrap_err();
            assert_eq!(error.is_transient(), transient, "{status}: {error:?}");
            assert_eq!(error.retry_after().is_some(), transient, "{status}: {error:?}");
            assert_eq!(calls, 1, "{status}: {error:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_counts_from_when_the_request_left() {
    let start = Instant::now();
    let (result, ..) = ask(1, |_| async {
        sleep(Duration::from_secs(3)).await;
        Ok(answer(200, Script::of([Step::Sleep(Duration::from_secs(1)), Step::Data(GOOD)])))
    })
    .await;
    assert_eq!(result.unwrap().expires_at(), Some(start + Duration::from_secs(60)));
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_counts_from_the_attempt_that_brought_the_token() {
    let start = Instant::now();
    let (result, ..) = ask(1, |call| async move {
        if call == 1 {
            return pending().await;
        }
        Ok(answer(200, whole(GOOD)))
    })
    .await;
    let issued = result.unwrap().expires_at().unwrap() - Duration::from_secs(60) - start;
    assert!(issued >= Duration::from_secs(5) && issued < Duration::from_millis(5500), "{issued:?}");
}

type Outcome = Result<Response<BoxBody<Bytes, BoxError>>, BoxError>;

/// The result of one question to an endpoint that answers as `respond` says to the 1st, 2nd, … request.
async fn ask<F, Fut>(seed: u64, respond: F) -> (Result<Token, Error>, usize, Duration)
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    let (calls, service) = endpoint_of(respond);
    let url = "https://login.example.com/token";
    let grant = ClientCredentials::new(service, url, ClientAuth::basic("id", "secret")).unwrap().seed(seed);
    let start = Instant::now();
    let result = grant.token(None).await;
    (result, calls.load(Ordering::SeqCst), Instant::now() - start)
}

fn endpoint_of<F, Fut>(respond: F) -> (Arc<AtomicUsize>, Endpoint)
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let service =
        service_fn(move |_: Request<Full<Bytes>>| respond(counter.fetch_add(1, Ordering::SeqCst) + 1).boxed());
    (calls, tower::util::BoxCloneService::new(service))
}

type Endpoint = tower::util::BoxCloneService<Request<Full<Bytes>>, Response<BoxBody<Bytes, BoxError>>, BoxError>;

fn answer(status: u16, body: BoxBody<Bytes, BoxError>) -> Response<BoxBody<Bytes, BoxError>> {
    Response::builder().status(status).body(body).unwrap()
}

fn whole(text: &str) -> BoxBody<Bytes, BoxError> {
    Full::from(text.to_owned()).map_err(|never: Infallible| match never {}).boxed()
}

#[derive(Clone)]
enum Step {
    Data(&'static str),
    Trailers,
    Sleep(Duration),
    Hang,
    Break,
}

/// A body that arrives step by step.
struct Script {
    steps: Box<dyn Iterator<Item = Step> + Send + Sync>,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Script {
    fn of<I>(steps: I) -> BoxBody<Bytes, BoxError>
    where
        I: IntoIterator<Item = Step>,
        I::IntoIter: Send + Sync + 'static,
    {
        Self { steps: Box::new(steps.into_iter()), sleep: None }.boxed()
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                std::task::ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            return Poll::Ready(match self.steps.next() {
                None => None,
                Some(Step::Data(text)) => Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))),
                Some(Step::Trailers) => Some(Ok(Frame::trailers(http::HeaderMap::new()))),
                Some(Step::Break) => Some(Err("broke off".into())),
                Some(Step::Hang) => {
                    self.steps = Box::new(std::iter::repeat(Step::Hang));
                    return Poll::Pending;
                }
                Some(Step::Sleep(time)) => {
                    self.sleep = Some(Box::pin(sleep(time)));
                    continue;
                }
            });
        }
    }
}
