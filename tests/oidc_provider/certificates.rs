//! Certificates for the server and its clients, made for the test.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use serde_json::{Value, json};

/// Whom the server and its clients trust.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What a client shows.
pub(crate) struct Identity {
    key: KeyPair,
    certificate: Certificate,
}

// === impl Authority ===

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = params("the authority", Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// The `tls` of a server's settings.
    pub(crate) fn server(&self) -> Value {
        let Identity { key, certificate } = self.issue("127.0.0.1");
        json!({
            "key": STANDARD.encode(key.serialize_der()),
            "cert": STANDARD.encode(certificate.der()),
            "ca": STANDARD.encode(self.issuer.der()),
        })
    }

    /// A certificate for `name`.
    pub(crate) fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params(name, vec![name.to_owned()]).signed_by(&key, &self.issuer).unwrap();
        Identity { key, certificate }
    }

    /// A client that trusts the server, and shows `identity`, if there is one.
    pub(crate) fn client(&self, identity: Option<&Identity>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        match identity {
            Some(identity) => config.with_client_auth_cert(vec![identity.der()], identity.key()).unwrap(),
            None => config.with_no_client_auth(),
        }
    }
}

// === impl Identity ===

impl Identity {
    pub(crate) fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params(name, vec![name.to_owned()]).self_signed(&key).unwrap();
        Self { key, certificate }
    }

    /// The `certificate` of a client in a server's settings.
    pub(crate) fn certificate(&self) -> String {
        STANDARD.encode(self.certificate.der())
    }

    fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

/// With a name of its own: OpenSSL takes a certificate for self-signed that is called like the one that signed it.
fn params(name: &str, hosts: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
