//! What hyper's and h2's errors of real connections mean to the policy: one row of its table each.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_oauth2::retry::{RetryLayer, RetryPolicy};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_refused_connection_is_tried_again_for_any_method() {
    // Taken and given back, so that nobody listens.
    let addr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for method in [Method::GET, Method::POST] {
        let policy = policy();
        let error = send(&policy, addr, method.clone(), http1()).await.unwrap_err();
        assert_eq!(policy.stats().retries, 3, "{method}");
        assert!(error.downcast_ref::<hyper_util::client::legacy::Error>().unwrap().is_connect(), "passed through");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_head_is_tried_again_if_repeatable() {
    for ending in [Ending::Reset, Ending::Close, Ending::HalfHead] {
        for (method, retried) in [(Method::GET, true), (Method::PUT, true), (Method::POST, false)] {
            let (addr, connections) = server(ending, 2).await;
            let policy = policy();
            let result = send(&policy, addr, method.clone(), http1()).await;
            assert_eq!(result.is_ok(), retried, "{ending:?} {method}: {result:?}");
            assert_eq!(connections.load(Ordering::SeqCst), if retried { 3 } else { 1 }, "{ending:?} {method}");
            assert_eq!(policy.stats().retries, if retried { 2 } else { 0 }, "{ending:?} {method}");
        }
    }
}

#[tokio::test]
async fn what_never_left_the_queue_of_its_connection_is_tried_again_for_any_method() {
    // Queued behind one that is not answered, on a connection that ends.
    for (method, again) in [(Method::GET, [true, true]), (Method::POST, [false, true])] {
        let (mut sender, driver) = connection().await;
        let first = sender.send_request(request(&method));
        let driven = tokio::spawn(driver);
        sleep(PAUSE).await;
        let second = sender.send_request(request(&method));
        driven.abort();
        let (first, second) = (first.await.unwrap_err(), second.await.unwrap_err());
        assert!(first.is_user(), "as if the body had failed: {first:?}");
        assert!(second.is_canceled(), "{second:?}");
        let tried = [is_tried_again(&method, first).await, is_tried_again(&method, second).await];
        assert_eq!(tried, again, "{method}");
    }
}

#[tokio::test]
async fn a_connection_that_is_over_is_one_that_broke_off() {
    let (mut sender, driver) = connection().await;
    drop(driver);
    let error = sender.ready().await.unwrap_err();
    assert!(error.is_closed(), "{error:?}");
    assert!(is_tried_again(&Method::GET, sender.ready().await.unwrap_err()).await);
    assert!(!is_tried_again(&Method::POST, error).await);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_pings_has_timed_out() {
    for (method, again) in [(Method::GET, true), (Method::POST, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (silent, _) = listener.accept().await.unwrap();
        let mut http2 = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        http2.timer(TokioTimer::new()).keep_alive_interval(PAUSE / 10).keep_alive_timeout(PAUSE / 10);
        let (mut sender, driver) = http2.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(driver);
        let error = timeout(LIMIT, sender.send_request(request(&method))).await.expect("bounded").unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        assert_eq!(is_tried_again(&method, error).await, again);
        drop(silent);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_not_tried_again() {
    let (addr, connections) = server(Ending::Nonsense, usize::MAX).await;
    let policy = policy();
    assert!(send(&policy, addr, Method::GET, http1()).await.is_err());
    assert_eq!((connections.load(Ordering::SeqCst), policy.stats().retries), (1, 0));
}

#[tokio::test]
async fn a_request_body_that_fails_is_not_tried_again() {
    #[derive(Clone)]
    struct Failing;
    impl http_body::Body for Failing {
        type Data = Bytes;
        type Error = io::Error;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, io::Error>>> {
            std::task::Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
        }
    }
    for http2 in [false, true] {
        let addr = if http2 { http2_server(Fault::None).await.0 } else { server(Ending::Close, 0).await.0 };
        let policy = policy();
        let mut client = Client::builder(TokioExecutor::new());
        let client: Client<HttpConnector, Failing> = client.http2_only(http2).build_http();
        let stack =
            ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).map_err(BoxError::from).service(client);
        let request = Request::put(format!("http://{addr}/")).body(Failing).unwrap();
        let error = timeout(LIMIT, stack.oneshot(request)).await.unwrap().unwrap_err();
        assert_eq!(policy.stats().retries, 0, "{error:?}");
    }
}

#[tokio::test]
async fn a_head_that_is_not_http_2_leaves_it_open_whether_it_was_processed() {
    for (method, retried) in [(Method::POST, false), (Method::GET, true)] {
        let (addr, requests) = malformed_server().await;
        let result = send(&policy(), addr, method.clone(), http2()).await;
        assert_eq!(result.is_ok(), retried, "{method}: {result:?}");
        assert_eq!(requests.load(Ordering::SeqCst), if retried { 2 } else { 1 }, "{method}");
    }
}

#[tokio::test]
async fn a_refused_stream_is_tried_again_for_any_method() {
    for (reason, method, retried) in [
        (h2::Reason::REFUSED_STREAM, Method::POST, true),
        (h2::Reason::REFUSED_STREAM, Method::GET, true),
        (h2::Reason::INTERNAL_ERROR, Method::GET, true),
        (h2::Reason::INTERNAL_ERROR, Method::POST, false),
        (h2::Reason::CANCEL, Method::POST, false),
        (h2::Reason::NO_ERROR, Method::POST, false),
    ] {
        let (addr, streams) = http2_server(Fault::Reset(reason)).await;
        let policy = policy();
        let result = send(&policy, addr, method.clone(), http2()).await;
        assert_eq!(result.is_ok(), retried, "{reason} {method}: {result:?}");
        assert_eq!(streams.load(Ordering::SeqCst), if retried { 2 } else { 1 }, "{reason} {method}");
    }
}

#[tokio::test]
async fn a_goaway_before_the_request_is_tried_again_for_any_method() {
    for method in [Method::POST, Method::GET] {
        let (addr, connections) = goaway_server(0, h2::Reason::NO_ERROR).await;
        let result = send(&policy(), addr, method.clone(), http2()).await;
        assert_eq!(result.unwrap().status(), StatusCode::OK, "{method}");
        assert_eq!(connections.load(Ordering::SeqCst), 2, "{method}");
    }
}

#[tokio::test]
async fn a_goaway_after_the_request_leaves_it_open_whether_it_was_processed() {
    for (method, retried) in [(Method::POST, false), (Method::GET, true)] {
        // Stream 1 was the last that the server looked at, and the connection closes without an answer to it; or an error
        // is why it ends, which is no stream that was refused.
        for (last, reason) in [(1, h2::Reason::NO_ERROR), (0, h2::Reason::REFUSED_STREAM)] {
            let (addr, connections) = goaway_server(last, reason).await;
            let result = send(&policy(), addr, method.clone(), http2()).await;
            assert_eq!(result.is_ok(), retried, "{method} {reason}: {result:?}");
            assert_eq!(connections.load(Ordering::SeqCst), if retried { 2 } else { 1 }, "{method} {reason}");
        }
    }
}

type Http = Client<HttpConnector, Full<Bytes>>;

/// Without pauses that a test would have to sit out.
fn policy() -> RetryPolicy {
    RetryPolicy::new().backoff(Duration::from_millis(1), Duration::from_millis(1))
}

fn http1() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

fn http2() -> Http {
    // Its own retries would hide what we look for.
    Client::builder(TokioExecutor::new()).http2_only(true).retry_canceled_requests(false).build_http()
}

async fn send(
    policy: &RetryPolicy,
    addr: SocketAddr,
    method: Method,
    http: Http,
) -> Result<Response<Incoming>, BoxError> {
    let stack = ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).map_err(BoxError::from).service(http);
    let body = Full::from("body");
    let request = Request::builder().method(method).uri(format!("http://{addr}/")).body(body).unwrap();
    timeout(LIMIT, stack.oneshot(request)).await.expect("bounded")
}

/// One connection of hyper's to somebody who never answers, and what drives it.
async fn connection() -> (SendRequest<Full<Bytes>>, impl Future<Output = hyper::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (silent, _) = listener.accept().await.unwrap();
    let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = async move {
        let _open = silent;
        driver.await
    };
    (sender, driver)
}

fn request(method: &Method) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri("http://localhost/").body(Full::from("body")).unwrap()
}

/// What the policy makes of `error`, which comes in answer to the first attempt only.
async fn is_tried_again(method: &Method, error: hyper::Error) -> bool {
    let error = Arc::new(Mutex::new(Some(error)));
    let client = service_fn(move |_| {
        let error = error.lock().unwrap().take();
        async { error.map_or_else(|| Ok(Response::new(())), |error| Err(BoxError::from(error))) }
    });
    let policy = policy();
    let stack = ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).service(client);
    let result = stack.oneshot(request(method)).await;
    assert_eq!(result.is_ok(), policy.stats().retries == 1, "{result:?}");
    result.is_ok()
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Reset,
    Close,
    HalfHead,
    Nonsense,
}

/// Ends the first `faults` connections like that, after it has read the request, and answers on all further ones.
async fn server(ending: Ending, faults: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if counter.fetch_add(1, Ordering::SeqCst) >= faults {
                read_request(&mut stream).await;
                let _gone = stream.write_all(OK).await;
                continue;
            }
            match ending {
                Ending::Reset => {
                    // What was not read makes the kernel reset the connection.
                    assert!(stream.peek(&mut [0]).await.unwrap() > 0);
                    continue;
                }
                Ending::Close => read_request(&mut stream).await,
                Ending::HalfHead => {
                    read_request(&mut stream).await;
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").await.unwrap();
                }
                Ending::Nonsense => {
                    read_request(&mut stream).await;
                    stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n\r\n").await.unwrap();
                }
            }
            stream.shutdown().await.unwrap();
        }
    });
    (addr, connections)
}

async fn read_request(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"body") {
        let mut chunk = [0; 1024];
        match stream.read(&mut chunk).await {
            Ok(length) if length > 0 => seen.extend_from_slice(&chunk[..length]),
            _ => return,
        }
    }
}

#[derive(Clone, Copy)]
enum Fault {
    Reset(h2::Reason),
    /// The answer is never begun.
    None,
}

/// Resets the first stream that it sees, and answers all further ones.
async fn http2_server(fault: Fault) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let streams = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&streams);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let mut unanswered = Vec::new();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    match fault {
                        Fault::None => unanswered.push(respond),
                        Fault::Reset(reason) if counter.fetch_add(1, Ordering::SeqCst) == 0 => {
                            respond.send_reset(reason);
                        }
                        Fault::Reset(_) => {
                            respond.send_response(Response::new(()), true).unwrap();
                        }
                    }
                }
            });
        }
    });
    (addr, streams)
}

/// Answers the first request with a header that HTTP/2 does not know, its name being in capitals, and the others with 200.
async fn malformed_server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
                stream.read_exact(&mut [0; 24]).await.unwrap();
                let mut head = [0; 9];
                while stream.read_exact(&mut head).await.is_ok() {
                    let length = usize::from(head[1]) << 8 | usize::from(head[2]);
                    stream.read_exact(&mut vec![0; length]).await.unwrap();
                    if head[3] == 0 && head[4] & 1 == 1 {
                        let first = counter.fetch_add(1, Ordering::SeqCst) == 0;
                        let block: &[u8] = if first { &[0x88, 0, 1, b'A', 1, b'b'] } else { &[0x88] };
                        let length = u8::try_from(block.len()).unwrap();
                        stream.write_all(&[0, 0, length, 1, 5, 0, 0, 0, head[8]]).await.unwrap();
                        stream.write_all(block).await.unwrap();
                    }
                }
            });
        }
    });
    (addr, requests)
}

/// Answers a request on the first connection with a `GOAWAY` that names `last` as the last stream it looked at, written
/// by hand because h2 does not lie; serves on the second.
async fn goaway_server(last: u8, reason: h2::Reason) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        counter.fetch_add(1, Ordering::SeqCst);
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        stream.write_all(&settings).await.unwrap();
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            stream.read_exact(&mut vec![0; length]).await.unwrap();
            // The end of the request's stream, with its body.
            if head[3] == 0 && head[4] & 1 == 1 {
                break;
            }
        }
        let [.., code] = u32::from(reason).to_be_bytes();
        stream.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, code]).await.unwrap();
        stream.shutdown().await.unwrap();
        // Until the client has let go, so that no reset overtakes the frame.
        while stream.read(&mut [0; 1024]).await.is_ok_and(|length| length > 0) {}

        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                respond.send_response(Response::new(()), true).unwrap();
            }
        }
    });
    (addr, connections)
}

/// Nothing here takes a hundredth of it.
/// For the other side to see what was done.
const PAUSE: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(20);
