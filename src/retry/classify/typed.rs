//! Errors that are not boxed.

use std::error::Error as StdError;

use http::Response;

use super::{Classify, GrpcClassifier, HttpClassifier, Verdict};

/// A classifier for the errors of one type, as clients have them: `hyper_util::client::legacy::Error`, a
/// `tonic::transport::Error`, [`Infallible`](std::convert::Infallible).
///
/// ```
/// # use http::{Request, Response};
/// use tower::ServiceBuilder;
/// use tower_oauth2::retry::{HttpClassifier, RetryLayer, RetryPolicy, TypedErrors};
///
/// # let client = tower::service_fn(|_: Request<()>| async { Ok::<_, std::io::Error>(Response::new(())) });
/// let policy = RetryPolicy::new().classifier(TypedErrors::new(HttpClassifier::new()));
/// let api = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(client); // fails with an `io::Error`
/// # fn is_service(_: impl tower::Service<Request<()>, Error = std::io::Error>) {}
/// # is_service(api);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a classifier does nothing until a policy has it"]
pub struct TypedErrors<C = HttpClassifier> {
    classifier: C,
}

// === impl TypedErrors ===

impl<C> TypedErrors<C> {
    /// The same classifier, for errors of one type.
    pub const fn new(classifier: C) -> Self {
        Self { classifier }
    }
}

impl<R, E> Classify<R, E> for TypedErrors<HttpClassifier>
where
    E: StdError + 'static,
{
    fn classify(&self, result: Result<&Response<R>, &E>) -> Verdict {
        match result {
            Ok(response) => self.classifier.response(response),
            Err(error) => self.classifier.error(error),
        }
    }

    fn loggable<'a>(&self, error: &'a E) -> Option<&'a (dyn StdError + 'static)> {
        Some(error)
    }
}

impl<R, E> Classify<R, E> for TypedErrors<GrpcClassifier>
where
    E: StdError + 'static,
{
    fn classify(&self, result: Result<&Response<R>, &E>) -> Verdict {
        match result {
            Ok(response) => self.classifier.response(response),
            Err(error) => self.classifier.error(error),
        }
    }

    fn loggable<'a>(&self, error: &'a E) -> Option<&'a (dyn StdError + 'static)> {
        Some(error)
    }
}
