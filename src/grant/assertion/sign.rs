//! Whatever can sign.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
};

use super::algorithm::Algorithm;
use crate::error::Error;

/// Signs assertions, without giving its key away: a key service, an HSM, or a [`SigningKey`](super::SigningKey).
///
/// One signer is one key. To go over to the next, use
/// [`ClientAssertion::replace_key`](super::ClientAssertion::replace_key): then the key id and the signature of an assertion
/// are never those of two keys. The [module](super) has an example.
pub trait SignAssertion: Send + Sync + 'static {
    /// The `alg` header.
    fn algorithm(&self) -> Algorithm;

    /// The `kid` header, by which the authorization server finds the public key. None by default.
    fn key_id(&self) -> Option<&str> {
        None
    }

    /// Signs `message`, which is not hashed yet. The signature is as RFC 7518 §3 has it: that of ECDSA is `r` and `s`, not DER;
    /// [`Algorithm::signature_from_der`] converts.
    ///
    /// The time it takes is part of the time that asking for a token may take; it is dropped when that is over.
    ///
    /// # Errors
    ///
    /// [`Error::transient`] if asking again in some seconds may help, [`Error::permanent`] if not.
    fn sign(&self, message: &[u8]) -> impl Future<Output = Result<Vec<u8>, Error>> + Send;
}

/// A private key that is shared by all clones of a [`ClientAssertion`](super::ClientAssertion) and can be replaced.
#[derive(Clone)]
pub struct SharedKey {
    current: Arc<RwLock<Arc<dyn ErasedKey>>>,
}

/// [`SignAssertion`] without its types: a signature is rare, so that no grant needs a parameter for it.
pub(super) trait ErasedKey: Send + Sync {
    fn algorithm(&self) -> Algorithm;
    fn key_id(&self) -> Option<&str>;
    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a>;
}

pub(super) type Signing<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>> + Send + 'a>>;

// === impl SharedKey ===

impl SharedKey {
    pub(super) fn new(key: impl SignAssertion) -> Self {
        Self { current: Arc::new(RwLock::new(Arc::new(key))) }
    }

    pub(super) fn current(&self) -> Arc<dyn ErasedKey> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn replace(&self, key: impl SignAssertion) {
        let mut key: Arc<dyn ErasedKey> = Arc::new(key);
        std::mem::swap(&mut *self.current.write().unwrap_or_else(PoisonError::into_inner), &mut key);
        // The old key is dropped here, outside of the lock: its destructor is foreign code.
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.current();
        f.debug_struct("SharedKey")
            .field("algorithm", &key.algorithm())
            .field("key_id", &key.key_id())
            .finish_non_exhaustive()
    }
}

// === impl ErasedKey ===

impl<K: SignAssertion> ErasedKey for K {
    fn algorithm(&self) -> Algorithm {
        SignAssertion::algorithm(self)
    }

    fn key_id(&self) -> Option<&str> {
        SignAssertion::key_id(self)
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        Box::pin(SignAssertion::sign(self, message))
    }
}

impl<K: SignAssertion> SignAssertion for Arc<K> {
    fn algorithm(&self) -> Algorithm {
        K::algorithm(self)
    }

    fn key_id(&self) -> Option<&str> {
        K::key_id(self)
    }

    fn sign(&self, message: &[u8]) -> impl Future<Output = Result<Vec<u8>, Error>> + Send {
        K::sign(self, message)
    }
}
