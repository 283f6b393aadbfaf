//! Where the tokens come from: in process, or over HTTP for those who insist on it.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, duplex},
    net::TcpListener,
    sync::{mpsc, watch},
    time::sleep,
};

/// Issues tokens, and counts how many it was asked for. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Issuer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    first: Option<Duration>,
    asked: watch::Sender<usize>,
    endpoint: OnceLock<Endpoint>,
}

#[derive(Debug)]
struct Endpoint {
    url: String,
    pipes: mpsc::UnboundedSender<DuplexStream>,
}

/// How long a token takes.
pub(crate) const LATENCY: Duration = Duration::from_millis(50);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

// === impl Issuer ===

impl Issuer {
    /// The first token comes at once and holds for `first`, unless that is none; others take their time, and hold for a day.
    pub(crate) fn new(first: Option<Duration>) -> Self {
        Self(Arc::new(Shared { first, asked: watch::Sender::new(0), endpoint: OnceLock::new() }))
    }

    /// Of a token at once, that holds for a day.
    pub(crate) fn lasting() -> Self {
        Self::new(Some(DAY))
    }

    /// How long the new token holds.
    pub(crate) async fn issue(&self) -> Duration {
        let mut number = 0;
        self.0.asked.send_modify(|asked| {
            number = *asked;
            *asked += 1;
        });
        match self.0.first {
            Some(first) if number == 0 => first,
            _ => {
                sleep(LATENCY).await;
                DAY
            }
        }
    }

    /// As a token endpoint answers.
    pub(crate) async fn answer(&self) -> Bytes {
        let expires_in = self.issue().await.as_secs();
        let answer = json!({ "access_token": harness::SECRET, "token_type": "Bearer", "expires_in": expires_in });
        answer.to_string().into()
    }

    pub(crate) fn asked(&self) -> usize {
        *self.0.asked.borrow()
    }

    /// Until it was asked for `number` tokens in all.
    pub(crate) async fn was_asked(&self, number: usize) {
        self.0.asked.subscribe().wait_for(|asked| *asked >= number).await.expect("it is held");
    }

    /// Of a token endpoint on loopback.
    pub(crate) fn url(&self) -> String {
        self.endpoint().url.clone()
    }

    /// A connection to the same endpoint that takes no file descriptor, for those who open one for each token.
    pub(crate) fn pipe(&self) -> DuplexStream {
        let (client, server) = duplex(1 << 12);
        self.endpoint().pipes.send(server).expect("it listens");
        client
    }

    /// On a thread of its own: some wait for their first token without giving way.
    fn endpoint(&self) -> &Endpoint {
        self.0.endpoint.get_or_init(|| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.set_nonblocking(true).expect("a socket");
            let url = format!("http://{}/token", listener.local_addr().expect("an address"));
            let (pipes, accepted) = mpsc::unbounded_channel();
            let issuer = self.clone();
            thread::spawn(move || issuer.serve(listener, accepted));
            Endpoint { url, pipes }
        })
    }

    fn serve(self, listener: std::net::TcpListener, mut pipes: mpsc::UnboundedReceiver<DuplexStream>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).expect("a socket");
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => drop(tokio::spawn(self.clone().connection(stream))),
                    Some(pipe) = pipes.recv() => drop(tokio::spawn(self.clone().connection(pipe))),
                }
            }
        });
    }

    async fn connection(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let service = service_fn(|_| async {
            let response = http::Response::builder().header("content-type", "application/json");
            Ok::<_, Infallible>(response.body(Full::new(self.answer().await)).expect("a response"))
        });
        // Whoever asked may be gone by then.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }
}
