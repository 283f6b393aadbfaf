//! Streamed uploads over real connections, whose server answers or breaks off while they still run.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH},
};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    sync::mpsc,
    time::{sleep, timeout},
};
use tower::{BoxError, ServiceBuilder, ServiceExt};
use tower_oauth2::{
    OAuthLayer, Token, TokenCache,
    retry::{ReplayBody, ReplayBodyLayer, RetryLayer, RetryOutcome, RetryPolicy, RetryStats, Stopped},
    source_fn,
};

type Upload = UnsyncBoxBody<Bytes, BoxError>;

#[tokio::test]
async fn a_401_while_the_upload_runs_is_replayed_with_all_of_it_and_a_fresh_token() {
    for http2 in [false, true] {
        for then in [Then::Drain, Then::Let, Then::Hold] {
            let mut server = Server::start(401, then).await;
            let chunks = chunks(20, 1000);
            let (response, stats) =
                bounded(server.send(http2, DEFAULT, Method::POST, streamed(&chunks, PAUSE, None))).await;
            let response = response.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{http2} {then:?}");
            assert_eq!((stats.replays, stats.retries, stats.given_up), (1, 0, 0), "{http2} {then:?}");
            let replay = server.seen("Bearer t2").await;
            assert!(replay.whole && replay.data == chunks.concat(), "{http2} {then:?}: {} B", replay.data.len());
            assert_eq!(server.minted(), 2);
            if then == Then::Drain {
                let first = server.seen("Bearer t1").await;
                assert!(chunks.concat().starts_with(&first.data));
                assert!(!first.whole, "{http2}: the upload that nobody waits for has ended early");
            }
        }
    }
}

#[tokio::test]
async fn what_the_server_does_not_read_does_not_hold_up_the_replay() {
    // Much more than what sockets and windows take, all of it there at once.
    let chunks = chunks(32, 256 * 1024);
    // Over HTTP/2, a server that keeps what it does not read keeps the window of the connection, for all of its streams.
    for (http2, then) in [(false, Then::Hold), (false, Then::Let), (true, Then::Let)] {
        let mut server = Server::start(401, then).await;
        let (response, _) =
            bounded(server.send(http2, 1 << 30, Method::POST, streamed(&chunks, Duration::ZERO, None))).await;
        assert_eq!(response.unwrap().status(), StatusCode::OK, "{http2}");
        let replay = server.seen("Bearer t2").await;
        assert!(replay.whole && replay.data == chunks.concat(), "{http2}");
    }
}

#[tokio::test]
async fn trailers_arrive_with_the_replay() {
    let mut server = Server::start(401, Then::Drain).await;
    let trailers = HeaderMap::from_iter([(http::header::ETAG, "abc".parse().unwrap())]);
    let chunks = chunks(10, 100);
    let body = streamed(&chunks, PAUSE, Some(Ok(Frame::trailers(trailers.clone()))));
    let (response, _) = bounded(server.send(true, DEFAULT, Method::POST, body)).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    let replay = server.seen("Bearer t2").await;
    assert_eq!((replay.data, replay.trailers), (chunks.concat().into(), Some(trailers)));
}

#[tokio::test]
async fn a_replay_has_the_content_length_of_the_first_attempt() {
    for http2 in [false, true] {
        let mut server = Server::start(401, Then::Drain).await;
        let body = Full::from(vec![b'a'; 40_000]).map_err(BoxError::from).boxed_unsync();
        let (response, _) = bounded(server.send(http2, DEFAULT, Method::POST, body)).await;
        assert_eq!(response.unwrap().status(), StatusCode::OK);
        let replay = server.seen("Bearer t2").await;
        assert_eq!((replay.data.len(), replay.length.as_deref()), (40_000, Some("40000")), "{http2}");
    }
}

#[tokio::test]
async fn a_401_goes_to_the_caller_if_the_upload_has_outgrown_the_limit() {
    for http2 in [false, true] {
        let mut server = Server::start(401, Then::DrainAfterSome).await;
        let chunks = chunks(20, 1000);
        let body = streamed(&chunks, PAUSE, None);
        let (response, stats) = bounded(server.send(http2, 10, Method::POST, body)).await;
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{http2}");
        let outcome = response.extensions().get::<RetryOutcome>().unwrap();
        assert_eq!((outcome.stopped, outcome.attempts, stats.replays), (Stopped::NotReplayable, 1, 0));
        assert_eq!(bounded(response.into_body().collect()).await.unwrap().to_bytes(), "early");
        let first = server.seen("Bearer t1").await;
        assert!(first.whole && first.data == chunks.concat(), "{http2}: the upload goes on");
    }
}

#[tokio::test]
async fn a_413_while_the_upload_runs_goes_to_the_caller() {
    for http2 in [false, true] {
        for then in [Then::Drain, Then::Let, Then::Hold] {
            let server = Server::start(413, then).await;
            let body = streamed(&chunks(20, 1000), PAUSE, None);
            let (response, stats) = bounded(server.send(http2, DEFAULT, Method::PUT, body)).await;
            let response = response.unwrap();
            assert_eq!((response.status(), stats.retries, stats.given_up), (StatusCode::PAYLOAD_TOO_LARGE, 0, 0));
            assert_eq!(bounded(response.into_body().collect()).await.unwrap().to_bytes(), "early", "{http2} {then:?}");
        }
    }
}

#[tokio::test]
async fn a_503_while_the_upload_runs_is_retried_with_all_of_it() {
    for http2 in [false, true] {
        let mut server = Server::start(503, Then::Drain).await;
        let chunks = chunks(20, 1000);
        let (response, stats) = bounded(server.send(http2, DEFAULT, Method::PUT, streamed(&chunks, PAUSE, None))).await;
        assert_eq!((response.unwrap().status(), stats.retries), (StatusCode::OK, 1), "{http2}");
        let seen = [server.seen("Bearer t1").await, server.seen("Bearer t1").await];
        assert_eq!(seen.iter().filter(|seen| seen.whole && seen.data == chunks.concat()).count(), 1, "{http2}");
    }
}

#[tokio::test]
async fn an_upload_that_fails_fails_the_request_once() {
    for http2 in [false, true] {
        let mut server = Server::start(200, Then::Drain).await;
        let body = streamed(&chunks(3, 1000), PAUSE, Some(Err("the disk is gone".into())));
        let (response, stats) = bounded(server.send(http2, DEFAULT, Method::PUT, body)).await;
        let error = response.unwrap_err();
        let mut causes = vec![error.to_string()];
        let mut cause: &dyn std::error::Error = &*error;
        while let Some(source) = cause.source() {
            causes.push(source.to_string());
            cause = source;
        }
        // hyper tells of it over HTTP/2 by its debug log only.
        assert!(http2 || causes.iter().any(|cause| cause == "the disk is gone"), "{causes:?}");
        assert_eq!(stats.retries, 0, "{http2}");
        assert!(!server.seen("Bearer t1").await.whole);
    }
}

#[tokio::test]
async fn an_upload_whose_connection_breaks_is_sent_again_from_the_beginning() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut server = Server::at(listener.local_addr().unwrap());
    let report = server.report.clone();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // The head, and a part of the body.
        let mut seen = 0;
        while seen < 5000 {
            seen += stream.read(&mut [0; 1000]).await.unwrap();
        }
        drop(stream);
        serve(listener, 200, Then::Drain, report).await;
    });
    let chunks = chunks(20, 1000);
    let (response, stats) = bounded(server.send(false, DEFAULT, Method::PUT, streamed(&chunks, PAUSE, None))).await;
    assert_eq!((response.unwrap().status(), stats.retries), (StatusCode::OK, 1));
    let replay = server.seen("Bearer t1").await;
    assert!(replay.whole && replay.data == chunks.concat());
}

/// What becomes of the rest of a request that was answered early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Read to its end.
    Drain,
    /// The same, and not answered before something of it was read.
    DrainAfterSome,
    /// Left alone: hyper's server ends the stream or connection when it likes.
    Let,
    /// Never read, and never ended.
    Hold,
}

/// Answers the first request with a status, as soon as its head is there, and all others with 200 when they are read.
struct Server {
    addr: SocketAddr,
    seen: mpsc::UnboundedReceiver<Seen>,
    others: Vec<Seen>,
    report: mpsc::UnboundedSender<Seen>,
    minted: Arc<AtomicUsize>,
}

/// A request, as far as it came.
#[derive(Debug)]
struct Seen {
    token: String,
    length: Option<String>,
    data: Bytes,
    trailers: Option<HeaderMap>,
    whole: bool,
}

// === impl Server ===

impl Server {
    async fn start(first: u16, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self::at(listener.local_addr().unwrap());
        tokio::spawn(serve(listener, first, then, server.report.clone()));
        server
    }

    fn at(addr: SocketAddr) -> Self {
        let (report, seen) = mpsc::unbounded_channel();
        Self { addr, seen, others: Vec::new(), report, minted: Arc::default() }
    }

    async fn send(
        &self,
        http2: bool,
        cap: usize,
        method: Method,
        body: Upload,
    ) -> (Result<Response<Incoming>, BoxError>, RetryStats) {
        let minted = Arc::clone(&self.minted);
        let tokens = TokenCache::new(source_fn(move |_| {
            let number = minted.fetch_add(1, SeqCst) + 1;
            async move { Token::new(format!("t{number}")) }
        }));
        let http: Client<HttpConnector, ReplayBody<Upload>> =
            Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
        let policy = RetryPolicy::new().backoff(Duration::from_millis(1), Duration::from_millis(1));
        let origin = format!("http://{}/", self.addr);
        let api = ServiceBuilder::new()
            .layer(ReplayBodyLayer::new().cap(cap))
            .layer(RetryLayer::new(policy.clone()))
            .layer(OAuthLayer::for_origin(&origin, tokens).unwrap())
            .service(http);
        let request = Request::builder().method(method).uri(origin).body(body).unwrap();
        let result = api.oneshot(request).await;
        (result, policy.stats())
    }

    /// The next request with this token, when it was read as far as it came.
    async fn seen(&mut self, token: &str) -> Seen {
        loop {
            if let Some(place) = self.others.iter().position(|seen| seen.token == token) {
                return self.others.remove(place);
            }
            self.others.push(bounded(self.seen.recv()).await.unwrap());
        }
    }

    fn minted(&self) -> usize {
        self.minted.load(SeqCst)
    }
}

async fn serve(listener: TcpListener, first: u16, then: Then, report: mpsc::UnboundedSender<Seen>) {
    let requests = Arc::new(AtomicUsize::new(0));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (report, requests) = (report.clone(), Arc::clone(&requests));
        let service = service_fn(move |request| {
            let early = requests.fetch_add(1, SeqCst) == 0 && first != 200;
            answer(early.then_some((first, then)), request, report.clone())
        });
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            let _gone = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    early: Option<(u16, Then)>,
    request: Request<Incoming>,
    report: mpsc::UnboundedSender<Seen>,
) -> Result<Response<Full<Bytes>>, BoxError> {
    let (parts, mut body) = request.into_parts();
    let header = |name| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let (token, length) = (header(AUTHORIZATION).unwrap(), header(CONTENT_LENGTH));
    let Some((status, then)) = early else {
        read(token, length, body, Vec::new(), report).await;
        return Ok(Response::new(Full::from("fine")));
    };
    match then {
        Then::Drain => {
            tokio::spawn(read(token, length, body, Vec::new(), report));
        }
        Then::DrainAfterSome => {
            let some = body.frame().await.unwrap()?.into_data().unwrap().to_vec();
            tokio::spawn(read(token, length, body, some, report));
        }
        Then::Let => drop(body),
        Then::Hold => {
            tokio::spawn(async move {
                let _held = body;
                pending::<()>().await;
            });
        }
    }
    Ok(Response::builder().status(status).header("www-authenticate", "Bearer").body(Full::from("early")).unwrap())
}

async fn read(
    token: String,
    length: Option<String>,
    mut body: Incoming,
    mut data: Vec<u8>,
    report: mpsc::UnboundedSender<Seen>,
) {
    let mut trailers = None;
    let whole = loop {
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) => data.extend(chunk),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
            end => break end.is_none(),
        }
    };
    // Nobody may be listening any more.
    let _ = report.send(Seen { token, length, data: data.into(), trailers, whole });
}

/// Each other than those next to it, and each byte.
fn chunks(count: usize, size: usize) -> Vec<Bytes> {
    let pattern = (0..=250).collect::<Vec<u8>>().repeat(size / 251 + 2);
    (0..count).map(|chunk| Bytes::copy_from_slice(&pattern[chunk % 251..][..size])).collect()
}

/// Not `Clone`, not `Unpin` within, of unknown length; then the last frame.
fn streamed(chunks: &[Bytes], pause: Duration, last: Option<Result<Frame<Bytes>, BoxError>>) -> Upload {
    let last = Mutex::new(last);
    let chunks = stream::iter(chunks.to_vec()).then(move |chunk| async move {
        if !pause.is_zero() {
            sleep(pause).await;
        }
        Ok(Frame::data(chunk))
    });
    let end = stream::poll_fn(move |_| std::task::Poll::Ready(last.lock().unwrap().take()));
    let body = StreamBody::new(chunks.chain(end));
    assert!(body.size_hint().exact().is_none());
    body.boxed_unsync()
}

async fn bounded<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

const DEFAULT: usize = 64 * 1024;

/// Between the chunks: an answer that comes at once comes long before the end.
const PAUSE: Duration = Duration::from_millis(10);
