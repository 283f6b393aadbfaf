//! A gRPC service without protoc: it says what it was told, or fails as its script says.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header::AUTHORIZATION};
use http_body::Frame;
use http_body_util::{BodyExt, Collected, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, task::AbortHandle};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// Stops to listen when it is dropped.
pub(crate) struct GrpcServer {
    pub(crate) url: String,
    script: Arc<Mutex<VecDeque<Failure>>>,
    seen: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

/// A status instead of an answer.
#[derive(Clone)]
pub(crate) struct Failure {
    code: &'static str,
    more: Vec<(&'static str, &'static str)>,
    /// After a head of its own, in real trailers.
    late: bool,
}

/// Messages that are text.
#[derive(Clone, Copy, Default)]
pub(crate) struct Text;

// === impl GrpcServer ===

impl GrpcServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (script, seen) = (Arc::<Mutex<VecDeque<Failure>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (next, log) = (Arc::clone(&script), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (next, log) = (Arc::clone(&next), Arc::clone(&log));
                let service = service_fn(move |request: Request<Incoming>| {
                    let authorization = request.headers().get(AUTHORIZATION);
                    let token = authorization.map_or("", |value| value.to_str().unwrap()).to_owned();
                    log.lock().unwrap().push(token);
                    let failure = next.lock().unwrap().pop_front();
                    async move {
                        let message = request.into_body().collect().await.map(Collected::to_bytes);
                        Ok::<_, Infallible>(answer(message.unwrap_or_default(), failure))
                    }
                });
                tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, script, seen, task: task.abort_handle() }
    }

    /// What the next calls get.
    pub(crate) fn fail(&self, failures: impl IntoIterator<Item = Failure>) {
        self.script.lock().unwrap().extend(failures);
    }

    /// The `Authorization` of each call.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The message as it came, frame and all.
fn answer(message: Bytes, failure: Option<Failure>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let status = HeaderValue::from_static(failure.as_ref().map_or("0", |failure| failure.code));
    let mut fields = HeaderMap::from_iter([("grpc-status".parse().unwrap(), status)]);
    let (late, failed) = (failure.as_ref().is_none_or(|failure| failure.late), failure.is_some());
    for (name, value) in failure.into_iter().flat_map(|failure| failure.more) {
        fields.insert(name, HeaderValue::from_static(value));
    }
    let mut frames = Vec::new();
    let mut response = Response::builder().header("content-type", "application/grpc");
    if late {
        frames.extend((!failed).then(|| Ok(Frame::data(message))));
        frames.push(Ok(Frame::trailers(fields)));
    } else {
        response.headers_mut().unwrap().extend(fields);
    }
    response.body(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()).unwrap()
}

// === impl Failure ===

impl Failure {
    /// Trailers only, as the answer's head.
    pub(crate) fn new(code: &'static str) -> Self {
        Self { code, more: Vec::new(), late: false }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.more.push((name, value));
        self
    }

    pub(crate) fn late(self) -> Self {
        Self { late: true, ..self }
    }
}

// === impl Text ===

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let mut text = BytesMut::zeroed(buffer.remaining());
        buffer.copy_to_slice(&mut text);
        Ok(Some(String::from_utf8(text.to_vec()).map_err(|_| Status::internal("not text"))?))
    }
}
