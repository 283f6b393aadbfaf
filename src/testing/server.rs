//! The services on a real socket.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower_service::Service;

use super::sync::lock;
use super::{Analytics, Body, BoxError, Issuer};

/// An [`Issuer`] or an [`Analytics`] on a TCP socket, HTTP/1.1 and HTTP/2 without TLS (h2c, by prior knowledge).
///
/// It runs on the runtime it was started on, until it is dropped: then every connection is closed at once.
///
/// A reset closes the connection on HTTP/1.1, and resets the stream on HTTP/2.
///
/// ```
/// use http_body_util::BodyExt;
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use tower_oauth2::testing::{Analytics, Issuer};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let issuer = Issuer::new();
/// let server = Analytics::new(&issuer).serve_with_issuer().await?;
///
/// let form = "grant_type=client_credentials&client_id=test-client&client_secret=test-secret";
/// let request = http::Request::post(server.url("/oauth/token"))
///     .header("content-type", "application/x-www-form-urlencoded")
///     .body(form.to_owned())?;
/// let response = Client::builder(TokioExecutor::new()).build_http().request(request).await?;
/// let body = response.into_body().collect().await?.to_bytes();
/// assert!(body.starts_with(b"{\"access_token\":"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a server stops when it is dropped"]
pub struct Server {
    addr: SocketAddr,
    tasks: Tasks,
}

/// Every task of a server, so that none outlives it. `None` once it has stopped.
#[derive(Clone, Debug)]
struct Tasks(Arc<Mutex<Option<JoinSet<()>>>>);

// === impl Issuer ===

impl Issuer {
    /// Serves the token endpoint, on every path, at a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// If the socket cannot be bound.
    pub async fn serve(&self) -> io::Result<Server> {
        self.serve_on(loopback()).await
    }

    /// The same at this address.
    ///
    /// # Errors
    ///
    /// If the socket cannot be bound.
    pub async fn serve_on(&self, addr: SocketAddr) -> io::Result<Server> {
        Server::start(addr, self.service()).await
    }
}

// === impl Analytics ===

impl Analytics {
    /// Serves the API at a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// If the socket cannot be bound.
    pub async fn serve(&self) -> io::Result<Server> {
        self.serve_on(loopback()).await
    }

    /// The same at this address.
    ///
    /// # Errors
    ///
    /// If the socket cannot be bound.
    pub async fn serve_on(&self, addr: SocketAddr) -> io::Result<Server> {
        Server::start(addr, self.service()).await
    }

    /// Serves the API and, at `/oauth/token`, `/auth/token` and below `/.well-known/`, its issuer, at a free port of
    /// 127.0.0.1.
    ///
    /// # Errors
    ///
    /// If the socket cannot be bound.
    pub async fn serve_with_issuer(&self) -> io::Result<Server> {
        self.serve_with_issuer_on(loopback()).await
    }

    /// The same at this address.
    ///
    /// # Errors
    ///
    /// If the socket cannot be bound.
    pub async fn serve_with_issuer_on(&self, addr: SocketAddr) -> io::Result<Server> {
        Server::start(addr, self.service_with_issuer()).await
    }
}

// === impl Server ===

impl Server {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of a path, which begins with a slash: `http://127.0.0.1:port/path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Stops it, and waits until every connection is closed and the port is free.
    pub async fn shutdown(self) {
        let tasks = lock(&self.tasks.0).take();
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
    }

    async fn start<S>(addr: SocketAddr, service: S) -> io::Result<Self>
    where
        S: Service<Request<Incoming>, Response = Response<Body>, Error = BoxError>,
        S: Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let tasks = Tasks(Arc::new(Mutex::new(Some(JoinSet::new()))));
        let spawner = tasks.clone();
        tasks.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => spawner.spawn(serve(stream, service.clone(), spawner.clone())),
                    // Such as too many open files: it may pass.
                    Err(error) => {
                        tracing::debug!(%error, "accept failed");
                        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    }
                }
            }
        });
        Ok(Self { addr, tasks })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Taken out first: a task that is dropped under the lock might want it.
        let tasks = lock(&self.tasks.0).take();
        drop(tasks);
    }
}

async fn serve<S>(stream: TcpStream, service: S, tasks: Tasks)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = BoxError>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(service);
    let server = auto::Builder::new(tasks);
    // An error of the service ends up here, and the connection is closed without a response: that is a reset.
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(error = %error, "connection closed");
    }
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

// === impl Tasks ===

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = lock(&self.0).as_mut() {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        self.spawn(async move {
            task.await;
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Full};
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::HttpConnector;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::testing::{Fault, Outage};

    fn client(h2: bool) -> Client<HttpConnector, Full<Bytes>> {
        Client::builder(TokioExecutor::new()).http2_only(h2).retry_canceled_requests(false).build_http()
    }

    fn request(server: &Server, token: &str, path: &str) -> Request<Full<Bytes>> {
        Request::post(server.url(path))
            .header("authorization", format!("Bearer {token}"))
            .body(Full::from("abc"))
            .unwrap()
    }

    #[tokio::test]
    async fn both_protocols_get_their_answers_and_their_faults() {
        let issuer = Issuer::new();
        let api = Analytics::new(&issuer);
        let server = api.serve_with_issuer().await.unwrap();
        let token = issuer.mint();
        for h2 in [false, true] {
            let client = client(h2);
            let ask = || client.request(request(&server, &token, "/echo"));
            assert_eq!(ask().await.unwrap().status(), 200);

            api.fail_next(Fault::Reset);
            assert!(ask().await.is_err());

            api.fail_next(Fault::Truncate);
            let mut body = ask().await.unwrap().into_body();
            let first = body.frame().await.unwrap().unwrap();
            assert!(!first.into_data().unwrap().is_empty());
            assert!(body.frame().await.unwrap().is_err());

            api.fail_next(Fault::Stall);
            let body = ask().await.unwrap().into_body().collect();
            let body = tokio::time::timeout(Duration::from_millis(50), body).await;
            assert!(body.is_err());
            assert_eq!(ask().await.unwrap().status(), 200);

            issuer.fail_next(Outage::Reset);
            let lost = client.request(request(&server, "", "/oauth/token")).await;
            assert!(lost.is_err());
            let refused = client.request(request(&server, "", "/oauth/token")).await;
            assert_eq!(refused.unwrap().status(), 400);
        }
    }

    #[tokio::test]
    async fn reset_closes_the_connection_without_a_byte() {
        let issuer = Issuer::new();
        let server = issuer.serve().await.unwrap();
        issuer.fail_next(Outage::Reset);
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let mut got = Vec::new();
        let _ = stream.read_to_end(&mut got).await;
        assert_eq!(got, b"");
        assert_eq!(issuer.stats().failed, 1);
    }

    #[tokio::test]
    async fn end_of_the_server_ends_its_connections_and_frees_its_port() {
        let api = Analytics::new(&Issuer::new());
        let server = api.serve().await.unwrap();
        let addr = server.addr();
        for h2 in [false, true] {
            api.fail_next(Fault::Hang);
            let pending = tokio::spawn(client(h2).request(request(&server, "", "/echo")));
            while api.stats().faults.values().sum::<u64>() < 1 + u64::from(h2) {
                tokio::task::yield_now().await;
            }
            drop(pending);
        }
        let pending = tokio::spawn(client(true).request(request(&server, "", "/echo")));
        let _ = pending.await;
        server.shutdown().await;
        let again = api.serve_on(addr).await.unwrap();
        assert_eq!(again.addr(), addr);

        api.fail_next(Fault::Hang);
        let pending = tokio::spawn(client(true).request(request(&again, "", "/echo")));
        while api.stats().faults[&Fault::Hang] < 3 {
            tokio::task::yield_now().await;
        }
        drop(again);
        let ended = tokio::time::timeout(Duration::from_secs(5), pending).await;
        assert!(ended.unwrap().unwrap().is_err());
        assert!(TcpStream::connect(addr).await.is_err());
    }
}
