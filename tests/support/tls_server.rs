//! The analytics API over TLS, with a certificate made for the test.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;
use tower::{BoxError, Service};
use tower_oauth2::testing::{self, Analytics};

/// Stops when it is dropped.
pub(crate) struct TlsServer {
    pub(crate) addr: SocketAddr,
    certificate: CertificateDer<'static>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

// === impl TlsServer ===

impl TlsServer {
    /// On 127.0.0.1, with a certificate for `name`, speaking the protocols of `alpn`.
    pub(crate) async fn start(analytics: &Analytics, name: &str, alpn: &[&str]) -> Self {
        Self::serve(analytics.service_with_issuer(), name, alpn).await
    }

    /// The same with any service.
    pub(crate) async fn serve<S>(service: S, name: &str, alpn: &[&str]) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<testing::Body>, Error = BoxError> + Clone + Send + 'static,
        S::Future: Send,
    {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (acceptor, service, count) = (TlsAcceptor::from(Arc::new(config)), service, Arc::clone(&connections));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, SeqCst);
                let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(service.clone()));
                tokio::spawn(async move {
                    // A client that does not trust us hangs up here.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { addr, certificate, connections, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.addr)
    }

    /// How many connections were made, in vain or not.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// A client's configuration that trusts this server's certificate, and no other.
    pub(crate) fn trust(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
