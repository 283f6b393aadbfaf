//! HTTP/2 servers of which the test decides every frame: a library does not lie, and servers do.
#![allow(dead_code, reason = "each test uses its own part")]

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// Stops to listen when it is dropped.
pub(crate) struct Frames {
    pub(crate) addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    task: AbortHandle,
}

/// One connection; closed when it is dropped.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    requests: Arc<AtomicUsize>,
}

/// What the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Headers { stream: u32, last: bool },
    Data { stream: u32, length: usize, last: bool },
    Reset { stream: u32 },
}

// === impl Frames ===

impl Frames {
    /// Has each connection, by its number, treated by `script`, which is over when the client leaves.
    pub(crate) async fn start<F>(script: impl Fn(usize, Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Option<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (made, asked) = (Arc::clone(&connections), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = made.fetch_add(1, Ordering::SeqCst);
                let mut connection = Connection { stream, requests: Arc::clone(&asked) };
                let Some(()) = connection.greet().await else { continue };
                tokio::spawn(script(number, connection));
            }
        });
        Self { addr, connections, requests, task: task.abort_handle() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests whose head was read.
    pub(crate) fn sends(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Connection ===

impl Connection {
    async fn greet(&mut self) -> Option<()> {
        let mut preface = [0; 24];
        self.stream.read_exact(&mut preface).await.ok()?;
        self.write(SETTINGS, 0, 0, &[]).await;
        // That of the connection as wide as it can be: one stream that stalls does not stop the others.
        self.open_window(0, 0x7fff_0000).await;
        Some(())
    }

    /// The next frame that is about a stream; `None` when the client has left.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let last = head[4] & END_STREAM != 0;
            match head[3] {
                DATA => return Some(Frame::Data { stream, length, last }),
                HEADERS => {
                    self.requests.fetch_add(1, Ordering::SeqCst);
                    return Some(Frame::Headers { stream, last });
                }
                RST_STREAM => return Some(Frame::Reset { stream }),
                SETTINGS if head[4] & ACK == 0 => self.write(SETTINGS, ACK, 0, &[]).await,
                PING if head[4] & ACK == 0 => self.write(PING, ACK, 0, &payload).await,
                _ => {}
            }
        }
    }

    /// Reads until so many requests have come whole.
    pub(crate) async fn requests(&mut self, count: usize) -> Option<()> {
        let mut whole = 0;
        while whole < count {
            let (Frame::Headers { last: true, .. } | Frame::Data { last: true, .. }) = self.frame().await? else {
                continue;
            };
            whole += 1;
        }
        Some(())
    }

    /// A whole answer without a body.
    pub(crate) async fn answer(&mut self, stream: u32, status: u16) {
        self.head(stream, status, END_STREAM).await;
    }

    /// The head of an answer whose body is to come.
    pub(crate) async fn begin(&mut self, stream: u32, status: u16) {
        self.head(stream, status, 0).await;
    }

    /// The first part of a head, of which more would have to come.
    pub(crate) async fn half_head(&mut self, stream: u32) {
        self.write(HEADERS, 0, stream, b"\x08\x03200").await;
    }

    pub(crate) async fn data(&mut self, stream: u32, data: &[u8], last: bool) {
        self.write(DATA, if last { END_STREAM } else { 0 }, stream, data).await;
    }

    /// Lets so much more come on that stream; at the beginning it is 65,535 bytes.
    pub(crate) async fn open_window(&mut self, stream: u32, more: u32) {
        self.write(WINDOW_UPDATE, 0, stream, &more.to_be_bytes()).await;
    }

    pub(crate) async fn go_away(&mut self, last: u32, reason: h2::Reason) {
        let payload = [last.to_be_bytes(), u32::from(reason).to_be_bytes()].concat();
        self.write(GOAWAY, 0, 0, &payload).await;
    }

    pub(crate) async fn reset_stream(&mut self, stream: u32, reason: h2::Reason) {
        self.write(RST_STREAM, 0, stream, &u32::from(reason).to_be_bytes()).await;
    }

    /// Answers one request after the other, until the client leaves.
    pub(crate) async fn serve(mut self) -> Option<()> {
        loop {
            let (Frame::Headers { stream, last: true } | Frame::Data { stream, last: true, .. }) = self.frame().await?
            else {
                continue;
            };
            self.answer(stream, 200).await;
        }
    }

    /// Says that nothing more is coming, and reads on until the client leaves, so that no reset overtakes a frame.
    pub(crate) async fn close(mut self) -> Option<()> {
        self.stream.shutdown().await.ok()?;
        loop {
            self.frame().await?;
        }
    }

    /// Lets what was written arrive, and resets the connection.
    pub(crate) async fn reset(self) -> Option<()> {
        tokio::time::sleep(PAUSE).await;
        self.stream.set_zero_linger().ok()
    }

    async fn head(&mut self, stream: u32, status: u16, flags: u8) {
        // `:status`, the eighth of the static table, with a value of its own.
        let block = [&[0x08, 3][..], status.to_string().as_bytes()].concat();
        self.write(HEADERS, END_HEADERS | flags, stream, &block).await;
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let [.., a, b, c] = payload.len().to_be_bytes();
        let head = [&[a, b, c, kind, flags][..], &stream.to_be_bytes()].concat();
        // The client may be gone.
        let _gone = self.stream.write_all(&[&head, payload].concat()).await;
    }
}

/// For the other side to see what was done.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
