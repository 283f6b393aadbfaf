//! Asking a token endpoint, and how patiently.

use std::{
    error::Error as _,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Method, Request};
use http_body_util::Full;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout_at},
};
use tracing::debug;
use zeroize::Zeroizing;

use super::{
    client_auth::ClientAuth,
    message::{Encoding, Message},
    params::Params,
    response::{Answer, Fields},
    token_endpoint::TokenEndpoint,
    transport::{Http, HttpClient, erase, host},
};
use crate::{
    error::{Error, Kind},
    json,
    token::Token,
};

/// Where and how tokens are asked for.
#[derive(Clone)]
pub(super) struct Endpoint {
    http: Arc<dyn Http>,
    target: TokenEndpoint,
    auth: ClientAuth,
    pub(super) encoding: Encoding,
    pub(super) fields: Fields,
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
    pub(super) rng: Arc<Mutex<fastrand::Rng>>,
    /// Whether all attempts of the last question failed: a server that is down is asked once a question from then on.
    down: Arc<AtomicBool>,
}

/// Why there is no token.
pub(super) struct Failure {
    pub(super) error: Error,
    /// The next one all the same: the access token of that answer cannot be used, and the refresh token sent is used up.
    pub(super) refresh_token: Option<Zeroizing<String>>,
}

// === impl Endpoint ===

impl Endpoint {
    pub(super) fn new(http: impl HttpClient, target: TokenEndpoint, auth: ClientAuth) -> Result<Self, Error> {
        auth.check(&target)?;
        Ok(Self {
            http: erase(http),
            target,
            auth,
            encoding: Encoding::Form,
            fields: Fields::default(),
            timeout: Duration::from_secs(10),
            attempts: 3,
            rng: Arc::new(Mutex::new(fastrand::Rng::new())),
            down: Arc::default(),
        })
    }

    /// Asks for a token, again after a failure that may pass, all within the timeout. `extra` is a secret parameter of this
    /// question only.
    pub(super) async fn token(&self, params: &Params, extra: Option<(&str, &str)>) -> Result<Token, Failure> {
        // Without one, a timer panics.
        Handle::try_current().map_err(|_| Error::new(Kind::NoRuntime))?;
        let give_up_at = Instant::now() + self.timeout;
        let attempts = if self.down.load(Ordering::Relaxed) { 1 } else { self.attempts };
        let mut attempt = 1;
        loop {
            // Each may take all that is left: shares of it would fail a server that is slow and well.
            let Failure { error, refresh_token } = match timeout_at(give_up_at, self.attempt(params, extra)).await {
                Ok(Ok(token)) => {
                    self.down.store(false, Ordering::Relaxed);
                    return Ok(token);
                }
                Ok(Err(failure)) => failure,
                Err(_) => {
                    let timeout = Kind::Timeout { what: "the token request", after: self.timeout };
                    Error::new(timeout).with_transient(true).into()
                }
            };
            let pause = self.pause(attempt);
            let worth_it = attempt < attempts && is_worth_another(&error) && refresh_token.is_none();
            if !worth_it || Instant::now() + pause >= give_up_at {
                self.down.store(error.is_transient(), Ordering::Relaxed);
                return Err(Failure { error, refresh_token });
            }
            debug!(host = %self.host(), attempt, wait = ?pause, %error, "retrying the token request");
            sleep(pause).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, params: &Params, extra: Option<(&str, &str)>) -> Result<Token, Failure> {
        let mut message = Message::default();
        params.apply(&mut message).await?;
        if let Some((name, value)) = extra {
            message.push_secret(name, value);
        }
        self.auth.apply(&mut message, &self.target).await?;
        let (headers, body, sent) = message.finish(self.encoding);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.uri(&self.auth).clone();
        *request.headers_mut() = headers;
        let reply = self.http.ask(request, MAX_BYTES).await?;
        let rotated = || json::at(&reply.body, &self.fields.refresh_token).filter(|next: &String| !next.is_empty());
        let refresh_token = if reply.status.is_success() { rotated().map(Zeroizing::new) } else { None };
        let answer = Answer { host: &self.host(), sent: &sent, fields: &self.fields, reply };
        answer.decode().map_err(|error| Failure { error, refresh_token })
    }

    fn host(&self) -> Box<str> {
        host(self.target.uri(&self.auth))
    }

    /// A second, and full jitter over 500 ms, 1 s, 2 s, … on top: never less than a second between two requests.
    fn pause(&self, attempt: u32) -> Duration {
        let most = JITTER.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        PAUSE + most.mul_f64(self.rng.lock().unwrap_or_else(PoisonError::into_inner).f64())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may carry anything.
        f.debug_struct("Endpoint")
            .field("host", &self.host())
            .field("auth", &self.auth)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

// === impl Failure ===

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, refresh_token: None }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
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
const PAUSE: Duration = Duration::from_secs(1);
const JITTER: Duration = Duration::from_millis(500);
