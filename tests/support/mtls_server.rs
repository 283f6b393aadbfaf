//! An authorization server and an API that know their clients by certificate, and bind tokens to them (RFC 8705).

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;
use tower::BoxError;

/// Stops when it is dropped.
pub(crate) struct MtlsServer {
    addr: SocketAddr,
    authority: CertifiedIssuer<'static, KeyPair>,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

/// What a certificate has been given: the tokens, by the certificate that they are bound to.
#[derive(Default)]
struct Tokens(Mutex<HashMap<String, Vec<u8>>>);

// === impl MtlsServer ===

impl MtlsServer {
    /// On 127.0.0.1. Takes connections with and without a client certificate, as servers do that have other clients too.
    pub(crate) async fn start() -> Result<Self, BoxError> {
        let provider = Arc::new(ring::default_provider());
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone())?;
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &authority)?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der())?)?;

        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (acceptor, tokens, seen) = (TlsAcceptor::from(Arc::new(config)), Arc::default(), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, tokens, seen) = (acceptor.clone(), Arc::clone(&tokens), Arc::clone(&seen));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let client = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|der| der.to_vec());
                    let answer = hyper::service::service_fn(move |request| {
                        answer(addr, Arc::clone(&tokens), Arc::clone(&seen), client.clone(), request)
                    });
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Ok(Self { addr, authority, requests, task })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.addr)
    }

    /// A certificate for the client of that name, and its key.
    pub(crate) fn issue(&self, name: &str) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), BoxError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.authority)?;
        Ok((certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der())?))
    }

    /// A client's configuration that trusts this server, and shows `identity`, if there is one.
    pub(crate) fn client_config(
        &self,
        identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> Result<ClientConfig, BoxError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone())?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        Ok(match identity {
            Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key)?,
            None => config.with_no_client_auth(),
        })
    }

    /// The paths that were asked for, with the bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for MtlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    addr: SocketAddr,
    tokens: Arc<Tokens>,
    seen: Arc<Mutex<Vec<String>>>,
    client: Option<Vec<u8>>,
    request: Request<Incoming>,
) -> Result<Response<String>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{} {body}", head.uri.path()));
    let mut bound = tokens.0.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, text) = match (head.uri.path(), client) {
        ("/.well-known/oauth-authorization-server", _) => (
            StatusCode::OK,
            format!(
                r#"{{"issuer":"https://{addr}","token_endpoint":"https://{addr}/token",
                "token_endpoint_auth_methods_supported":["tls_client_auth","client_secret_basic"],
                "tls_client_certificate_bound_access_tokens":true,
                "mtls_endpoint_aliases":{{"token_endpoint":"https://{addr}/mtls/token"}}}}"#
            ),
        ),
        ("/mtls/token", Some(certificate)) if body.contains("client_id=exporter") => {
            let token = format!("bound-{}", bound.len());
            bound.insert(token.clone(), certificate);
            (StatusCode::OK, format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":300}}"#))
        }
        ("/token" | "/mtls/token", _) => (StatusCode::UNAUTHORIZED, r#"{"error":"invalid_client"}"#.to_owned()),
        (_, client) => {
            let token = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
            let known = token.and_then(|token| bound.get(token));
            // RFC 8705 §3: the same certificate, or 401.
            if known.is_some() && known == client.as_ref() {
                (StatusCode::OK, "hello, exporter".to_owned())
            } else {
                (StatusCode::UNAUTHORIZED, String::new())
            }
        }
    };
    let mut response = Response::new(text);
    *response.status_mut() = status;
    Ok(response)
}
