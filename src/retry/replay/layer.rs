//! The layer.

use std::task::{Context, Poll};

use http::Request;
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{DEFAULT_CAP, ReplayBody};

/// Makes the body of every request a [`ReplayBody`]; outside of [`RetryLayer`](crate::retry::RetryLayer).
///
/// ```
/// use http::{Request, Response, StatusCode};
/// use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
/// use tower::{BoxError, ServiceBuilder, ServiceExt};
/// use tower_oauth2::retry::{ReplayBody, ReplayBodyLayer, RetryLayer, RetryPolicy};
/// # use bytes::Bytes;
/// # use http_body_util::Full;
/// # let mut answers = vec![StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].into_iter().rev();
/// # let answers = std::sync::Arc::new(std::sync::Mutex::new(answers));
/// # let client = tower::service_fn(move |request: Request<ReplayBody<UnsyncBoxBody<Bytes, BoxError>>>| {
/// #     let status = answers.lock().unwrap().next().unwrap();
/// #     async move {
/// #         let mut response = Response::new(request.into_body().collect().await?.to_bytes());
/// #         *response.status_mut() = status;
/// #         Ok::<_, BoxError>(response)
/// #     }
/// # });
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
///
/// let policy = RetryPolicy::new();
/// let stats = policy.clone();
/// let api = ServiceBuilder::new()
///     .layer(ReplayBodyLayer::new())
///     .layer(RetryLayer::new(policy))
///     .service(client);
///
/// // A body that cannot be cloned, to a server that answers 503 once and then echoes.
/// let body: UnsyncBoxBody<_, BoxError> = Full::from("all of it").map_err(BoxError::from).boxed_unsync();
/// let response = api.oneshot(Request::put("https://api.example.com/").body(body)?).await?;
/// assert_eq!(response.status(), StatusCode::OK);
/// assert_eq!(response.into_body(), "all of it");
/// assert_eq!(stats.stats().retries, 1);
/// # Ok::<(), BoxError>(()) })?;
/// # Ok::<(), BoxError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a layer does nothing until it is stacked"]
pub struct ReplayBodyLayer {
    cap: usize,
}

/// Service of [`ReplayBodyLayer`].
#[derive(Clone, Copy, Debug)]
pub struct ReplayBodyService<S> {
    inner: S,
    cap: usize,
}

// === impl ReplayBodyLayer ===

impl ReplayBodyLayer {
    /// With the limit at its default.
    pub fn new() -> Self {
        Self { cap: DEFAULT_CAP }
    }

    /// How many bytes of a body are kept, at most, while its request may have to be sent again. A longer body is sent once.
    /// Defaults to 64 KiB; with 0, only what was not begun and bodies without data are sent again.
    pub fn cap(self, bytes: usize) -> Self {
        Self { cap: bytes }
    }
}

impl Default for ReplayBodyLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ReplayBodyLayer {
    type Service = ReplayBodyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ReplayBodyService { inner, cap: self.cap }
    }
}

// === impl ReplayBodyService ===

impl<S, B> Service<Request<B>> for ReplayBodyService<S>
where
    S: Service<Request<ReplayBody<B>>>,
    B: Body + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        self.inner.call(ReplayBody::wrap(request, self.cap))
    }
}
