//! What the layers cost a request that is really sent: `cargo bench -p tower-oauth2-benches --bench end_to_end`.
//!
//! hyper-util's client over loopback to a server in a process of its own, HTTP/1.1 and HTTP/2, 16 tasks, 1 KB answers. CPU is
//! that of the client's process, system calls included; the server runs on the same two cores, so that requests a second
//! say less than CPU does.
//!
//! What it showed on two shared cores of a virtual machine, rustc 1.95, November 2026: the layer 1.02 times the CPU of the bare client
//! with HTTP/1.1 and 1.04 with HTTP/2, with the policy 1.10 and 1.09; the static header 1.02 and 1.05; the bare client itself 1.01
//! and 1.00, which says what of it is noise.

#![allow(clippy::disallowed_types, clippy::expect_used, missing_docs, reason = "a bench")]

use std::time::Instant;

use bytes::Bytes;
use cpu_time::ProcessTime;
use harness::{ANSWER, Pair, Paired, Report, SECRET, Server, cached, paired, serve_if_called};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::runtime::Runtime;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _, retry::RetryLayer};
use tower_http::auth::AddAuthorizationLayer;
use tower_oauth2::{OAuthLayer, retry::RetryPolicy};

fn main() {
    serve_if_called();
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
    let oauth = || OAuthLayer::for_origin(server.url(), cached(SECRET)).expect("an origin");
    let retry = || RetryLayer::new(RetryPolicy::new());
    let fixed = ServiceBuilder::new().layer(AddAuthorizationLayer::bearer(SECRET)).service(client.clone());
    let with_oauth = ServiceBuilder::new().layer(oauth()).service(client.clone());
    let with_both = ServiceBuilder::new().layer(retry()).layer(oauth()).service(client.clone());
    let bare = || || round(&runtime, &client, server.url());
    let against_bare = |contestant| Pair { contestant, baseline: Box::new(bare()) };
    let measured = paired(
        ROUNDS,
        &mut [
            against_bare(Box::new(bare())),
            against_bare(Box::new(|| round(&runtime, &fixed, server.url()))),
            against_bare(Box::new(|| round(&runtime, &with_oauth, server.url()))),
            against_bare(Box::new(|| round(&runtime, &with_both, server.url()))),
        ],
    );
    let name = if http2 { "end to end, HTTP/2" } else { "end to end, HTTP/1.1" };
    let mut report = Report::new(name, &["CPU µs", "÷ bare", "requests/s", "÷ bare"]);
    let names = ["bare client", "static header", "OAuthLayer", "OAuthLayer, RetryPolicy"];
    for (name, Paired { figures: [cpu, rate], ratios: [cpu_ratio, rate_ratio] }) in names.into_iter().zip(measured) {
        report.row(name, &[cpu, cpu_ratio, rate, rate_ratio]);
    }
    report.finish();
}

/// Microseconds of CPU a request, and requests a second.
fn round<S>(runtime: &Runtime, service: &S, url: &str) -> [f64; 2]
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
    [cpu.elapsed().as_secs_f64() * 1e6 / requests, requests / started.elapsed().as_secs_f64()]
}

const TASKS: usize = 16;
const CALLS: u32 = 250;
const ROUNDS: usize = 31;
