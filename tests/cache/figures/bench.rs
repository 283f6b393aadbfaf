//! What the figures are measured on.

use std::time::Duration;

use http::{Request, Response};
use tokio::time::{Instant, sleep_until};
use tower::{BoxError, Service, ServiceBuilder, util::BoxCloneService};
use tower_oauth2::{
    OAuthLayer, TokenCache,
    grant::{ClientAuth, ClientCredentials},
    retry::{RetryLayer, RetryPolicy},
    testing::Issuer,
};

pub(crate) const API: &str = "https://api.example.com";

/// The scale that was asked for.
pub(crate) fn full<T>(full: T, small: T) -> T {
    if std::env::var("FIGURES").is_ok_and(|scale| scale == "full") { full } else { small }
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn grant(issuer: &Issuer, seed: u64) -> ClientCredentials {
    let auth = ClientAuth::basic("test-client", "test-secret");
    ClientCredentials::new(issuer.service(), "https://login.example.com/oauth/token", auth).unwrap().seed(seed)
}

pub(crate) fn tokens(issuer: &Issuer, seed: u64) -> TokenCache {
    TokenCache::builder(grant(issuer, seed)).seed(seed).build()
}

pub(crate) fn get() -> Request<String> {
    Request::get(format!("{API}/v1/things")).body(String::new()).unwrap()
}

pub(crate) fn api<S>(tokens: TokenCache, server: S) -> BoxCloneService<Request<String>, Response<String>, BoxError>
where
    S: Service<Request<String>, Response = Response<String>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
{
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new()))
        .layer(OAuthLayer::for_origin(API, tokens).unwrap())
        .service(server);
    BoxCloneService::new(stack)
}

/// So many a second, without adding up what each takes.
pub(crate) struct Pace {
    next: Instant,
    every: Duration,
    batch: u32,
    sent: u32,
}

impl Pace {
    pub(crate) fn new(per_second: u32) -> Self {
        // tokio's timer counts milliseconds.
        let batch = (per_second / 1_000).max(1);
        Self { next: Instant::now(), every: Duration::from_secs(1) * batch / per_second, batch, sent: 0 }
    }

    pub(crate) async fn next(&mut self) {
        self.sent += 1;
        if self.sent % self.batch == 0 {
            self.next = (self.next + self.every).max(Instant::now());
            sleep_until(self.next).await;
        }
    }
}
