//! HTTP/1.1 servers of which the test decides every byte, and which count what they were sent.
#![allow(dead_code, reason = "each test uses its own part")]

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// Stops to listen when it is dropped.
pub(crate) struct Wire {
    pub(crate) addr: SocketAddr,
    log: Log,
    task: AbortHandle,
}

/// One connection; closed when it is dropped, with a reset if something was left unread.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// What was read and not yet used.
    buffer: Vec<u8>,
    log: Log,
}

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) authorization: String,
    length: Option<usize>,
}

/// The connections that were made, and the requests whose head was read.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<(usize, Vec<String>)>>);

// === impl Wire ===

impl Wire {
    /// Has each connection, by its number, treated by `script`.
    pub(crate) async fn start<F>(script: impl Fn(usize, Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let log = Log::default();
        let shared = log.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = shared.connected();
                tokio::spawn(script(number, Connection { stream, buffer: Vec::new(), log: shared.clone() }));
            }
        });
        Self { addr, log, task: task.abort_handle() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }

    pub(crate) fn connections(&self) -> usize {
        self.log.0.lock().unwrap().0
    }

    /// The `Authorization` of each request that came.
    pub(crate) fn sends(&self) -> Vec<String> {
        self.log.0.lock().unwrap().1.clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Log ===

impl Log {
    fn connected(&self) -> usize {
        let mut log = self.0.lock().unwrap();
        log.0 += 1;
        log.0 - 1
    }

    pub(crate) fn sent(&self, authorization: &str) {
        self.0.lock().unwrap().1.push(authorization.to_owned());
    }
}

// === impl Connection ===

impl Connection {
    pub(crate) fn log(&self) -> Log {
        self.log.clone()
    }

    /// The head of the next request; `None` when the client has left.
    pub(crate) async fn head(&mut self) -> Option<Head> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            self.more().await?;
        };
        let text = String::from_utf8(self.buffer.drain(..end + 4).collect()).unwrap();
        let header = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(": "));
            let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            let value = values.next();
            assert!(values.next().is_none(), "{name} stands there twice: {text}");
            value
        };
        let authorization = header("authorization").unwrap_or_default().to_owned();
        let length = match header("transfer-encoding") {
            Some(_) => None,
            None => Some(header("content-length").map_or(0, |length| length.parse().unwrap())),
        };
        self.log.sent(&authorization);
        Some(Head { method: text.split(' ').next().unwrap().to_owned(), authorization, length })
    }

    /// Reads the body, and says how long it was; `None` if the client left before its end.
    pub(crate) async fn body(&mut self, head: &Head) -> Option<usize> {
        if let Some(length) = head.length {
            self.skip(length).await?;
            return Some(length);
        }
        let mut total = 0;
        loop {
            let end = loop {
                if let Some(at) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                    break at;
                }
                self.more().await?;
            };
            let line = String::from_utf8(self.buffer.drain(..end + 2).collect()).unwrap();
            let length = usize::from_str_radix(line.trim(), 16).unwrap();
            self.skip(length + 2).await?;
            if length == 0 {
                return Some(total);
            }
            total += length;
        }
    }

    /// Waits until so many bytes have come, and does not use them.
    pub(crate) async fn some(&mut self, length: usize) {
        while self.buffer.len() < length {
            self.more().await.unwrap();
        }
    }

    pub(crate) async fn write(&mut self, text: &str) {
        // The client may be gone.
        let _gone = self.stream.write_all(text.as_bytes()).await;
    }

    /// A whole answer without a body.
    pub(crate) async fn answer(&mut self, status: u16) {
        self.write(&format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n")).await;
    }

    /// Reads and answers one request after the other, until the client leaves.
    pub(crate) async fn serve(mut self) {
        while let Some(head) = self.head().await {
            let Some(length) = self.body(&head).await else { return };
            let body = length.to_string();
            self.write(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
        }
    }

    /// Lets what was written arrive, and resets the connection.
    pub(crate) async fn reset(self) {
        tokio::time::sleep(PAUSE).await;
        self.stream.set_zero_linger().unwrap();
    }

    /// Says that nothing more is coming, and reads on until the client leaves, so that no reset overtakes an answer.
    pub(crate) async fn close(mut self) {
        let _gone = self.stream.shutdown().await;
        self.drain().await;
    }

    /// Reads until the client leaves.
    pub(crate) async fn drain(mut self) {
        while self.more().await.is_some() {
            self.buffer.clear();
        }
    }

    async fn skip(&mut self, mut length: usize) -> Option<()> {
        loop {
            let here = length.min(self.buffer.len());
            self.buffer.drain(..here);
            length -= here;
            if length == 0 {
                return Some(());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Option<()> {
        let length = self.stream.read_buf(&mut self.buffer).await.ok()?;
        (length > 0).then_some(())
    }
}

/// For the other side to see what was done.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);
