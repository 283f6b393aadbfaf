//! An API that answers from a script and remembers what it was asked.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{BoxError, Service, service_fn};
use tower_oauth2::{
    pager::{Error, ErrorKind},
    retry::Repeat,
    testing::Body,
};

pub(crate) type Answer = Result<Response<Body>, BoxError>;

/// Clones share the script and the memory.
#[derive(Clone, Default)]
pub(crate) struct ScriptedApi {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) repeat: Option<Repeat>,
}

// === impl ScriptedApi ===

impl ScriptedApi {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), seen: Arc::default() }
    }

    pub(crate) fn of_pages<P: Into<String>>(pages: impl IntoIterator<Item = P>) -> Self {
        Self::new(pages.into_iter().map(|page| ok(page)))
    }

    pub(crate) fn service(
        &self,
    ) -> impl Service<Request<Full<Bytes>>, Response = Response<Body>, Error = BoxError, Future: Send>
    + Clone
    + Send
    + Unpin
    + use<> {
        let api = self.clone();
        service_fn(move |request: Request<Full<Bytes>>| {
            let api = api.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                api.seen.lock().unwrap().push(Seen {
                    method: head.method,
                    uri: head.uri.to_string(),
                    headers: head.headers,
                    body: String::from_utf8(body.to_vec())?,
                    repeat: head.extensions.get().copied(),
                });
                let answer = api.answers.lock().unwrap().pop_front();
                answer.unwrap_or_else(|| Err("the script has come to its end".into()))
            }
        })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn uris(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.uri).collect()
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.body).collect()
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// How many answers nobody asked for.
    pub(crate) fn left(&self) -> usize {
        self.answers.lock().unwrap().len()
    }
}

pub(crate) fn ok(page: impl Into<String>) -> Answer {
    Ok(Response::new(Body::full(page.into())))
}

pub(crate) fn status(status: u16, body: &str) -> Answer {
    Ok(Response::builder().status(status).body(Body::full(body.to_owned()))?)
}

pub(crate) fn broken(part: &str) -> Answer {
    Ok(Response::new(Body::broken(part.to_owned(), io::ErrorKind::ConnectionReset)))
}

/// All that came before the end or the error, and the error, after which nothing may come.
pub(crate) async fn drain<S, T>(stream: &mut S) -> (Vec<T>, Option<Error>)
where
    S: Stream<Item = Result<T, Error>> + Unpin,
{
    let mut good = Vec::new();
    loop {
        match stream.next().await {
            Some(Ok(item)) => good.push(item),
            Some(Err(error)) => {
                assert!(stream.next().await.is_none(), "something came after {error}");
                return (good, Some(error));
            }
            None => {
                assert!(stream.next().await.is_none(), "something came after the end");
                return (good, None);
            }
        }
    }
}

pub(crate) fn kind(error: Option<Error>) -> Option<ErrorKind> {
    error.map(|error| error.kind())
}
