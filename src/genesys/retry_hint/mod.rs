//! A 429 that says only in its message when to come back.

mod body;
mod future;

use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

pub use self::{body::RetryHintBody, future::RetryHintFuture};
use crate::json;

/// Finds "Retry the request in \[n\] seconds" in the message of a 429, where it has no `Retry-After`.
///
/// What it finds it puts into the response's extensions as a [`RetryHint`](crate::retry::RetryHint), which counts as a
/// `Retry-After` does. It belongs inside of [`RetryLayer`](crate::retry::RetryLayer),
/// [`CooldownLayer`](crate::retry::CooldownLayer), which would not hear of it, and [`OAuthLayer`](crate::OAuthLayer), which bounds
/// its reading by the request's [`Deadline`](crate::Deadline); and outside of a layer that decompresses. Other responses, and a 429 with a `Retry-After`, pass through untouched; the body of a 429 without one is
/// read, and handed on whole.
///
/// ```
/// use tower::ServiceBuilder;
/// use tower_oauth2::{genesys::RetryHintLayer, retry::{RetryHint, RetryLayer, RetryPolicy}};
/// # use std::time::Duration;
/// # use bytes::Bytes;
/// # use http::{Request, Response};
/// # use http_body_util::{BodyExt, Full};
/// # use tower::{BoxError, ServiceExt, service_fn};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # const LIMITED: &str = r#"{"message":"Rate limit exceeded the maximum. Retry the request in [142] seconds"}"#;
/// # let client = service_fn(|_: Request<()>| async {
/// #     Ok::<_, BoxError>(Response::builder().status(429).body(Full::<Bytes>::from(LIMITED))?)
/// # });
///
/// let api = ServiceBuilder::new()
///     .layer(RetryLayer::new(RetryPolicy::new()))
///     .layer(RetryHintLayer::new())
///     .service(client);
/// let response = api.oneshot(Request::get("https://api.mypurecloud.ie/").body(())?).await?; // longer than we wait
/// assert_eq!(response.extensions().get(), Some(&RetryHint(Duration::from_secs(142))));
/// assert_eq!(response.into_body().collect().await?.to_bytes(), LIMITED);
/// # Ok::<(), BoxError>(()) })?;
/// # Ok::<(), BoxError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a layer does nothing until it is stacked"]
pub struct RetryHintLayer {
    limits: Limits,
}

/// Service of [`RetryHintLayer`].
#[derive(Clone, Copy, Debug)]
pub struct RetryHintService<S> {
    inner: S,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    max_body: usize,
    timeout: Duration,
}

// === impl RetryHintLayer ===

impl RetryHintLayer {
    /// With both limits at their defaults.
    pub const fn new() -> Self {
        Self { limits: Limits { max_body: 16 * 1024, timeout: Duration::from_secs(2) } }
    }

    /// How much of a body is read, in bytes; one that is longer is not looked at. Defaults to 16 KiB; the message comes in
    /// 300 bytes.
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.limits.max_body = bytes;
        self
    }

    /// How long is waited for the end of a body; one that takes longer is not looked at. Defaults to 2 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }
}

impl Default for RetryHintLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for RetryHintLayer {
    type Service = RetryHintService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryHintService { inner, limits: self.limits }
    }
}

// === impl RetryHintService ===

impl<S, B, R> Service<Request<B>> for RetryHintService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    type Response = Response<RetryHintBody<R>>;
    type Error = S::Error;
    type Future = RetryHintFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        RetryHintFuture::new(self.inner.call(request), self.limits)
    }
}

/// What an `ErrorBody` says, in its message.
pub(crate) fn hint(body: &[u8]) -> Option<Duration> {
    seconds(&json::member::<String>(body, "message")?)
}

/// `Retry the request in [42] seconds`, anywhere, in any case, with or without the brackets.
fn seconds(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    message.match_indices(BEFORE).find_map(|(at, _)| {
        let rest = message.get(at + BEFORE.len()..)?.trim_start();
        let rest = rest.strip_prefix('[').unwrap_or(rest);
        let (digits, after) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
        let after = after.strip_prefix(']').unwrap_or(after);
        if digits.is_empty() || !after.trim_start().starts_with("second") {
            return None;
        }
        // Only too many digits can be wrong with it, and then it is for ever.
        Some(digits.parse().map_or(Duration::MAX, Duration::from_secs))
    })
}

const BEFORE: &str = "retry the request in";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seconds_are_found_wherever_the_message_has_them() {
        for (message, expected) in [
            ("Rate limit exceeded the maximum. Retry the request in [42] seconds", Some(42)),
            ("retry the request in 7 seconds.", Some(7)),
            ("Retry the request in[0]seconds", Some(0)),
            ("Retry the request in [1] second", Some(1)),
            ("Retry the request in a while. RETRY THE REQUEST IN [9] SECONDS", Some(9)),
            ("é Retry the request in [5] seconds é", Some(5)),
            ("Retry the request in [-5] seconds", None),
            ("Retry the request in [5.5] seconds", None),
            ("Retry the request in [5] minutes", None),
            ("Retry the request in [] seconds", None),
            ("Retry the request in", None),
            ("", None),
        ] {
            assert_eq!(seconds(message), expected.map(Duration::from_secs), "{message}");
        }
        assert_eq!(seconds("retry the request in [99999999999999999999] seconds"), Some(Duration::MAX));
    }

    #[test]
    fn only_the_message_of_an_object_is_looked_at() {
        assert_eq!(hint(br#"{"message":"Retry the request in [4\u0032] seconds"}"#), Some(Duration::from_secs(42)));
        for other in [
            &br#"{"details":"Retry the request in [42] seconds"}"#[..],
            br#"{"message":["Retry the request in [42] seconds"]}"#,
            br#""Retry the request in [42] seconds""#,
            b"Retry the request in [42] seconds",
            b"",
            b"\xff",
        ] {
            assert_eq!(hint(other), None);
        }
    }
}
