//! A server in a process of its own, so that a bench's CPU time is that of the client alone.

use std::{
    convert::Infallible,
    env,
    io::{self, BufRead as _, BufReader, Write as _},
    process::{self, Child, Command, Stdio},
    thread,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::TcpListener;

/// The same program, called to serve. Ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    url: String,
}

/// Serves, if this program was called for it, and never returns then. `main` calls it before all else.
///
/// # Panics
///
/// If it cannot serve.
pub fn serve_if_called() {
    if env::args().nth(1).is_some_and(|argument| argument == ARGUMENT) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(serve());
    }
}

async fn serve() -> ! {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("http://{}/", listener.local_addr().expect("an address"));
    io::stdout().flush().expect("a reader");
    // Its parent may be killed, and this pipe ends then.
    thread::spawn(|| {
        io::copy(&mut io::stdin(), &mut io::sink()).ok();
        process::exit(0);
    });
    let body = Bytes::from(vec![b'x'; ANSWER]);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).ok();
        let body = body.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |_: Request<Incoming>| {
                let body = body.clone();
                async move { Ok::<_, Infallible>(Response::new(Full::new(body))) }
            });
            auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await.ok();
        });
    }
}

/// Bytes of an answer.
pub const ANSWER: usize = 1024;
const ARGUMENT: &str = "--serve";

// === impl Server ===

impl Server {
    /// A server on a port of loopback, HTTP/1.1 and HTTP/2, that answers everything with [`ANSWER`] bytes.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start() -> Self {
        let itself = env::current_exe().expect("this program");
        let mut command = Command::new(itself);
        command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a server");
        let mut url = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut url).expect("its address");
        Self { child, url: url.trim().to_owned() }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
