//! One request, and its answer received whole.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, response::Parts};
use http_body::Body;
use http_body_util::Full;
use tokio::time::timeout;
use tower::BoxError;
use tower_service::Service;

use super::{
    collect::collect,
    error::{Error, ErrorKind},
    limits::Limits,
    query::Query,
};
/// # Errors
///
/// `Send` without an answer, `Status` for one that is no success, `Body` and `TooLarge` for one that is not whole.
pub(super) async fn exchange<S, R>(
    service: &mut S,
    request: Request<Full<Bytes>>,
    query: &Query,
    limits: Limits,
    max: usize,
) -> Result<(Parts, Bytes), Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    let unsent = |error: BoxError| Error::new(ErrorKind::Send, "the request got no answer").with_source(error);
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(|error| unsent(error.into()))?;
    let response = service.call(request).await.map_err(|error| unsent(error.into()))?;
    let (head, body) = response.into_parts();
    if head.status == StatusCode::NO_CONTENT {
        return Ok((head, Bytes::new()));
    }
    if !head.status.is_success() {
        // What it says matters less than that it was refused.
        let body = timeout(ERROR_BODY_TIMEOUT, collect(body, limits, MAX_ERROR_BYTES)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        return Err(Error::status_of(head.status, query.explain(&head.headers, &body)));
    }
    match collect(body, limits, max).await {
        Ok(bytes) => Ok((head, bytes)),
        // Whatever is wrong with it: support wants to know which answer it was.
        Err(error) => Err(error.with_correlation_id(query.correlation_id(&head.headers))),
    }
}

const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_ERROR_BYTES: usize = 64 * 1024;
