//! The token endpoint (RFC 6749 §3.2) over any HTTP client.

use std::{
    error::Error as _,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri,
    header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tower::BoxError;
use tower_service::Service;
use tracing::debug;
use zeroize::Zeroizing;

use super::{client_auth::ClientAuth, form::Form, response::Answer};
use crate::{
    causes::{causes, is_untrusted},
    error::{Error, Kind},
    origin::Origin,
    token::Token,
};

/// Where tokens are asked for, and how patiently.
pub(super) struct Endpoint<S> {
    /// Locked to be cloned, and for no longer, so that a client need not be `Sync`.
    http: Mutex<S>,
    uri: Uri,
    host: Box<str>,
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
    pub(super) rng: Mutex<fastrand::Rng>,
}

/// Whether the body of a token request may cross the network in clear text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Secure,
    DangerPlain,
}

// === impl Endpoint ===

impl<S> Endpoint<S> {
    pub(super) fn new(http: S, url: &str, transport: Transport) -> Result<Self, Error> {
        let url = url.trim();
        if url.contains('#') {
            return Err(Error::config("the token URL must not have a fragment"));
        }
        let absolute = "the token URL must be absolute, such as https://login.example.com/oauth/token";
        let uri: Uri = url.parse().map_err(|error| Error::config(absolute).with_source(error))?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(Error::config("the token URL must not carry a user name or password: use ClientAuth"));
        }
        let origin = Origin::of(&uri).ok_or_else(|| Error::config(absolute))?;
        if transport == Transport::Secure && !origin.is_trustworthy() {
            return Err(Error::config(format!(
                "a token request to {origin} would carry the client secret in clear text: use https"
            )));
        }
        Ok(Self {
            http: Mutex::new(http),
            host: uri.host().unwrap_or_default().into(),
            uri,
            timeout: Duration::from_secs(10),
            attempts: 3,
            rng: Mutex::new(fastrand::Rng::new()),
        })
    }
}

impl<S, R> Endpoint<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: Body + Send,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    /// Asks for a token, again after a failure that may pass, all within the timeout.
    pub(super) async fn token(&self, auth: &ClientAuth, form: impl Fn() -> Form + Send + Sync) -> Result<Token, Error> {
        let give_up_at = Instant::now() + self.timeout;
        let mut attempt = 1;
        loop {
            // Each may take all that is left: shares of it would fail a server that is slow and well.
            let outcome = timeout_at(give_up_at, self.attempt(auth, form())).await;
            let error = match outcome {
                Ok(Ok(token)) => return Ok(token),
                Ok(Err(error)) => error,
                Err(_) => {
                    let timeout = Kind::Timeout { what: "the token request", after: self.timeout };
                    return Err(Error::new(timeout).with_transient(true));
                }
            };
            let pause = self.pause(attempt);
            let worth_it = attempt < self.attempts && is_worth_another(&error);
            if !worth_it || Instant::now() + pause >= give_up_at {
                return Err(error);
            }
            debug!(host = %self.host, attempt, wait = ?pause, %error, "retrying the token request");
            sleep(pause).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, auth: &ClientAuth, mut form: Form) -> Result<Token, Error> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        auth.apply(headers, &mut form)?;
        let request = request.map(|()| Full::new(form.into_bytes()));

        let mut http = self.http.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let silent = |error: BoxError| {
            // What the client itself refused to send says best why.
            if let Some(error) = Error::find(error.as_ref()) {
                return error.clone();
            }
            let transient = !causes(error.as_ref()).any(is_untrusted);
            Error::new(Kind::Transport { host: self.host.clone() }).with_source(error).with_transient(transient)
        };
        std::future::poll_fn(|cx| http.poll_ready(cx)).await.map_err(|error| silent(error.into()))?;
        let sent_at = Instant::now();
        let response = http.call(request).await.map_err(|error| silent(error.into()))?;
        let (head, body) = response.into_parts();
        let body = self.read(&head.headers, body);
        let body = if head.status.is_success() {
            body.await?
        } else {
            // A refusal stays a refusal, and an outage an outage, whatever page comes with it, or does not come.
            timeout(ERROR_PAGE_TIMEOUT, body).await.ok().and_then(Result::ok).unwrap_or_default()
        };
        let answer = Answer { host: &self.host, auth, status: head.status, headers: &head.headers, body, sent_at };
        answer.decode()
    }

    async fn read(&self, headers: &HeaderMap, body: R) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.refuse_encoding(headers)?;
        self.collect(body).await
    }

    /// None was asked for, and unpacking is how a small answer becomes a large one.
    fn refuse_encoding(&self, headers: &HeaderMap) -> Result<(), Error> {
        let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
        if headers.get_all(CONTENT_ENCODING).iter().all(plain) {
            return Ok(());
        }
        Err(self.unusable("has a content encoding that was not asked for"))
    }

    async fn collect(&self, body: R) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut body = std::pin::pin!(body);
        // All of it at once, so that no shorter copy is left behind by a reallocation.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.unusable("broke off").with_source(error).with_transient(true))?;
            let Ok(mut data) = frame.into_data() else { continue };
            if bytes.len() + data.remaining() > MAX_BYTES {
                return Err(self.unusable("is longer than 64 KiB"));
            }
            while data.has_remaining() {
                let chunk = data.chunk();
                bytes.extend_from_slice(chunk);
                let length = chunk.len();
                data.advance(length);
            }
        }
        Ok(bytes)
    }

    fn unusable(&self, problem: &'static str) -> Error {
        Error::new(Kind::Response { host: self.host.clone(), problem: problem.into() })
    }

    /// A second, and full jitter over 500 ms, 1 s, 2 s, … on top: never less than a second between two requests.
    fn pause(&self, attempt: u32) -> Duration {
        let most = JITTER.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        PAUSE + most.mul_f64(self.rng.lock().unwrap_or_else(PoisonError::into_inner).f64())
    }
}

impl<S> fmt::Debug for Endpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may carry anything.
        f.debug_struct("Endpoint").field("host", &self.host).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Whether to ask again at once. A server that limits us, says when to come back, or answers something that is whole and no
/// token, is left to the cache's cool-down.
fn is_worth_another(error: &Error) -> bool {
    let failed = match error.status() {
        Some(status) => status.is_server_error(),
        // Nothing came, or not all of it, for a reason that is told.
        None => error.source().is_some(),
    };
    error.is_transient() && error.retry_after().is_none() && failed
}

const MAX_BYTES: usize = 64 * 1024;
const ERROR_PAGE_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(1);
const JITTER: Duration = Duration::from_millis(500);
