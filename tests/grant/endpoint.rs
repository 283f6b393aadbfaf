//! A token endpoint that answers as a test says.
#![allow(dead_code, reason = "not every test root takes every step")]

use std::{
    convert::Infallible,
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

/// A token that lives a minute.
pub(crate) const GOOD: &str = r#"{"access_token":"abc","expires_in":60}"#;

/// The body of an answer.
pub(crate) type Text = BoxBody<Bytes, BoxError>;

pub(crate) type Outcome = Result<Response<Text>, BoxError>;

/// The result of one question to an endpoint that answers as `respond` says to the 1st, 2nd, … request.
pub(crate) async fn ask<F, Fut>(seed: u64, respond: F) -> (Result<Token, Error>, usize, Duration)
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

pub(crate) fn endpoint_of<F, Fut>(respond: F) -> (Arc<AtomicUsize>, Endpoint)
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

pub(crate) type Endpoint = tower::util::BoxCloneService<Request<Full<Bytes>>, Response<Text>, BoxError>;

pub(crate) fn answer(status: u16, body: Text) -> Response<Text> {
    Response::builder().status(status).body(body).unwrap()
}

pub(crate) fn whole(text: &str) -> Text {
    Full::from(text.to_owned()).map_err(|never: Infallible| match never {}).boxed()
}

#[derive(Clone)]
pub(crate) enum Step {
    Data(&'static str),
    Trailers,
    Sleep(Duration),
    Hang,
    Break,
}

/// A body that arrives step by step.
pub(crate) struct Script {
    steps: Box<dyn Iterator<Item = Step> + Send + Sync>,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Script {
    pub(crate) fn of<I>(steps: I) -> Text
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
