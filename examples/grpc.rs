//! gRPC with tonic: a token that the server refuses, and a server that is away for a moment. `cargo run --example grpc`

use std::{
    collections::VecDeque,
    error::Error,
    future::ready,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Buf, BufMut};
use http::{HeaderMap, HeaderValue, Request, Response, uri::PathAndQuery};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tonic::{
    Code, Status,
    body::Body,
    client::{Grpc, GrpcService},
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Endpoint,
};
use tower::{BoxError, ServiceBuilder};
use tower_oauth2::{
    OAuthLayer, TokenCache,
    client::HttpsClient,
    grant::{ClientAuth, ClientCredentials},
    retry::{GrpcClassifier, ReplayBody, ReplayBodyLayer, RetryLayer, RetryPolicy},
    testing::Issuer,
};

const GET: &str = "/items.Items/Get";
const ORDER: &str = "/items.Items/Order";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Stand in for an authorization server and a gRPC server, which fails as the script says.
    let issuer = Issuer::new();
    let authorization_server = issuer.serve().await?;
    let script = Script::default();
    let url = serve(script.clone()).await?;

    let auth = ClientAuth::basic("test-client", "test-secret");
    let grant = ClientCredentials::new(HttpsClient::new()?, authorization_server.url("/token"), auth)?;
    let tokens = TokenCache::new(grant);
    let policy = RetryPolicy::new()
        .classifier(GrpcClassifier::new())
        .backoff(Duration::from_millis(50), Duration::from_secs(1))
        // Every call is a POST: which may be made twice is for us to say.
        .repeatable_when(|_, uri| uri.path() == GET);
    let api = ServiceBuilder::new()
        // tonic's bodies cannot be cloned.
        .layer(ReplayBodyLayer::new())
        .layer(RetryLayer::new(policy.clone()))
        .layer(OAuthLayer::for_origin(&url, tokens.clone())?.grpc())
        .map_request(|request: Request<ReplayBody<Body>>| request.map(Body::new))
        .service(Endpoint::from_shared(url.clone())?.connect_lazy());
    // With the origin, which generated clients take as well: the layer looks at where a call goes before the channel does.
    let client = Grpc::with_origin(api, url.parse()?);

    for (path, failures, sends) in [
        (GET, vec![], 1),
        (GET, vec![Code::Unauthenticated], 2),
        (ORDER, vec![Code::ResourceExhausted], 2),
        (GET, vec![Code::Unavailable, Code::Unavailable], 3),
        (ORDER, vec![Code::Unavailable], 1),
    ] {
        script.set(failures.clone());
        let told = match call(client.clone(), path, "ping").await {
            Ok(answer) => answer,
            Err(status) => format!("{:?}", status.code()),
        };
        println!("{path}, failing with {failures:?}: {told}, sent {} times", script.calls());
        assert_eq!(script.calls(), sends);
    }
    println!("{:?}, with {} tokens", policy.stats(), tokens.stats().minted);
    Ok(())
}

/// What a generated client does.
async fn call<T>(mut client: Grpc<T>, path: &'static str, text: &str) -> Result<String, Status>
where
    T: GrpcService<Body>,
    T::ResponseBody: Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<BoxError>,
{
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let request = tonic::Request::new(text.to_owned());
    Ok(client.unary(request, PathAndQuery::from_static(path), Text).await?.into_inner())
}

/// Messages that are text, so that no protoc is needed.
#[derive(Clone, Copy)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
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
        let text = buffer.copy_to_bytes(buffer.remaining()).to_vec();
        String::from_utf8(text).map(Some).map_err(|_| Status::internal("not text"))
    }
}

/// The statuses of the next calls, and how many calls there were.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<(VecDeque<Code>, usize)>>);

impl Script {
    fn set(&self, failures: Vec<Code>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (failures.into(), 0);
    }

    fn next(&self) -> Option<Code> {
        let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        script.1 += 1;
        script.0.pop_front()
    }

    fn calls(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// Says what it was told, or fails at once, with a status in the head of its answer.
async fn serve(script: Script) -> Result<String, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let answer = move |request: Request<Incoming>| {
        let mut response = Response::builder().header("content-type", "application/grpc");
        let body = match script.next() {
            Some(code) => {
                response = response.header("grpc-status", i32::from(code));
                Empty::new().map_err(|never| match never {}).boxed_unsync()
            }
            None => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                request.into_body().with_trailers(ready(Some(Ok(trailers)))).boxed_unsync()
            }
        };
        ready(response.body(body))
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service_fn(answer.clone())));
        }
    });
    Ok(url)
}
