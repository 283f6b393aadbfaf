//! The grant's part of [`crate::fuzzing`].

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::{HeaderMap, StatusCode, Uri};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{
    client_auth::ClientAuth,
    message::{Encoding, Message, Sent},
    metadata::Metadata,
    response::{Answer, Fields},
    token_endpoint::TokenEndpoint,
    transport::Reply,
};
use crate::{error::Error, token::Token};

/// A token request that was sent, and what must not be shown of it.
#[allow(missing_debug_implementations, reason = "it has secrets")]
pub struct Asked(Sent);

// === impl Asked ===

impl Asked {
    /// With a secret that is text: nothing is waited for.
    ///
    /// # Errors
    ///
    /// If `auth` cannot be sent.
    pub fn with(auth: &ClientAuth, json: bool) -> Result<Self, Error> {
        let endpoint = TokenEndpoint::new("https://login.example.com/token")?;
        let mut message = Message::default();
        let applied = pin!(auth.apply(&mut message, &endpoint)).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(applied) = applied else { return Err(Error::config("the secret is not text")) };
        applied?;
        Ok(Self(message.finish(if json { Encoding::Json } else { Encoding::Form }).2))
    }

    /// Reads an answer of the token endpoint at `host`.
    ///
    /// # Errors
    ///
    /// As a grant's.
    pub fn answered(&self, host: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Token, Error> {
        let body = Zeroizing::new(body.to_vec());
        let reply = Reply { status, headers: headers.clone(), body, sent_at: Instant::now() };
        Answer { host, sent: &self.0, fields: &Fields::default(), reply }.decode()
    }
}

/// Reads what `issuer` publishes about itself.
///
/// # Errors
///
/// As [`Metadata::discover`]'s, once a document is there.
pub fn metadata(issuer: &str, document: &[u8]) -> Result<Metadata, Error> {
    Metadata::parse(issuer, document)
}

/// Where a client that authenticates as `auth` asks for tokens.
pub fn endpoint(metadata: &Metadata, auth: &ClientAuth) -> Uri {
    metadata.token_endpoint().uri(auth).clone()
}
