//! What the layers cost a request that is really sent: `cargo bench -p tower-oauth2-benches --bench end_to_end`.
//!
//! hyper-util's client over loopback to a server in a process of its own, HTTP/1.1 and HTTP/2, 16 tasks, 1 KB answers. CPU is
//! that of the client's process, system calls included; the server runs on the same two cores, so that requests a second
//! say less than CPU does.

#![allow(clippy::disallowed_types, clippy::expect_used, missing_docs, reason = "a bench")]

use std::{
    convert::Infallible,
    env,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use cpu_time::ProcessTime;
use harness::{Report, SECRET, cached, interleaved, median};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::TcpListener, runtime::Runtime};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _, retry::RetryLayer};
use tower_http::auth::AddAuthorizationLayer;
use tower_oauth2::{OAuthLayer, retry::RetryPolicy};

fn main() {
    if env::args().any(|argument| argument == "--serve") {
        return serve();
    }
    let server = Server::start();
    for http2 in [false, true] {
        compare(&server, http2);
    }
}

fn compare(server: &Server, http2: bool) {
    let runtime = Runtime::new().expect("a runtime");
    let client = {
        let _guard = runtime.enter();
        Client::builder(TokioExecutor::new()).http2_only(http2).build_http::<Full<Bytes>>()
    };
    let oauth = || OAuthLayer::for_origin(&server.url, cached(SECRET)).expect("an origin");
    let retry = || RetryLayer::new(RetryPolicy::new());
    let mut figures: [Vec<f64>; 4] = Default::default();
    let mut measure = |index: usize, one: (f64, f64)| {
        figures[index].push(one.1);
        one.0
    };
    let fixed = ServiceBuilder::new().layer(AddAuthorizationLayer::bearer(SECRET)).service(client.clone());
    let with_oauth = ServiceBuilder::new().layer(oauth()).service(client.clone());
    let with_both = ServiceBuilder::new().layer(retry()).layer(oauth()).service(client.clone());
    let measure = std::cell::RefCell::new(&mut measure);
    let cpu = interleaved(
        ROUNDS,
        &mut [
            &mut || (measure.borrow_mut())(0, round(&runtime, &client, &server.url)),
            &mut || (measure.borrow_mut())(1, round(&runtime, &fixed, &server.url)),
            &mut || (measure.borrow_mut())(2, round(&runtime, &with_oauth, &server.url)),
            &mut || (measure.borrow_mut())(3, round(&runtime, &with_both, &server.url)),
        ],
    );
    let name = if http2 { "end to end, HTTP/2" } else { "end to end, HTTP/1.1" };
    let mut report = Report::new(name, &["CPU µs", "÷ bare", "requests/s", "÷ bare"]);
    let rates = figures.map(median);
    for (index, name) in
        ["bare client", "static header", "OAuthLayer", "OAuthLayer, RetryPolicy"].into_iter().enumerate()
    {
        report.row(name, &[cpu[index], cpu[index] / cpu[0], rates[index], rates[index] / rates[0]]);
    }
    report.finish();
}

/// Microseconds of CPU a request, and requests a second.
fn round<S>(runtime: &Runtime, service: &S, url: &str) -> (f64, f64)
where
    S: Service<Request<Full<Bytes>>, Response = Response<Incoming>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    let (cpu, started) = (ProcessTime::now(), Instant::now());
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let (mut service, url) = (service.clone(), url.to_owned());
                tokio::spawn(async move {
                    for _ in 0..CALLS {
                        let request = Request::get(&url).header("accept", "application/json");
                        let request = request.body(Full::default()).expect("a request");
                        let ready = service.ready().await.map_err(Into::into).expect("a connection");
                        let response = ready.call(request).await.map_err(Into::into).expect("an answer");
                        let body = response.into_body().collect().await.expect("a body").to_bytes();
                        assert_eq!(body.len(), ANSWER);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    let requests = f64::from(CALLS) * TASKS as f64;
    (cpu.elapsed().as_secs_f64() * 1e6 / requests, requests / started.elapsed().as_secs_f64())
}

struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let itself = env::current_exe().expect("this program");
        let mut child = Command::new(itself).arg("--serve").stdout(Stdio::piped()).spawn().expect("a server");
        let mut url = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut url).expect("its address");
        Self { child, url: url.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("http://{}/", listener.local_addr().expect("an address"));
        std::io::stdout().flush().expect("a reader");
        let body = Arc::new(Bytes::from(vec![b'x'; ANSWER]));
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            stream.set_nodelay(true).ok();
            let body = Arc::clone(&body);
            tokio::spawn(async move {
                let answer = service_fn(move |_: Request<Incoming>| {
                    let body = Bytes::clone(&body);
                    async move { Ok::<_, Infallible>(Response::new(Full::new(body))) }
                });
                auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await.ok();
            });
        }
    });
}

const TASKS: usize = 16;
const CALLS: u32 = 250;
const ANSWER: usize = 1024;
const ROUNDS: usize = 21;
