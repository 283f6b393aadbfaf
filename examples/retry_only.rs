//! The retry policy without OAuth: for an API with a key of its own, or with none. `cargo run --example retry_only`

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header::AUTHORIZATION};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt};
use tower_oauth2::{
    client::HttpsClient,
    retry::{Repeat, RetryLayer, RetryOutcome, RetryPolicy},
    testing::{Analytics, Fault, Issuer},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Stands in for an API. The key is one that it knows.
    let issuer = Issuer::new();
    let analytics = Analytics::new(&issuer);
    let server = analytics.serve().await?;
    let mut key = HeaderValue::from_str(&format!("Bearer {}", issuer.mint()))?;
    key.set_sensitive(true);

    let policy = RetryPolicy::new()
        .max_attempts(3)
        .backoff(Duration::from_millis(50), Duration::from_secs(1))
        .repeatable_when(|method, uri| method == Method::POST && uri.path().ends_with("/search"));
    let api = ServiceBuilder::new()
        .layer(RetryLayer::new(policy.clone()))
        .map_request(move |mut request: Request<Full<Bytes>>| {
            request.headers_mut().insert(AUTHORIZATION, key.clone());
            request
        })
        .service(HttpsClient::new()?);

    let mut always = Request::post(server.url("/echo/report")).body(Full::<Bytes>::from("{}"))?;
    always.extensions_mut().insert(Repeat::Always);
    let requests = [
        (2, "GET, 503", Fault::Status(503), Request::get(server.url("/echo")).body(Full::default())?),
        (1, "POST, 503", Fault::Status(503), Request::post(server.url("/echo")).body(Full::from("{}"))?),
        (2, "POST, 429", Fault::RetryAfter(429, SECOND), Request::post(server.url("/echo")).body(Full::from("{}"))?),
        (
            2,
            "POST to a search, 503",
            Fault::Status(503),
            Request::post(server.url("/echo/search")).body(Full::from("{}"))?,
        ),
        (2, "POST that may be repeated, reset", Fault::Reset, always),
        (
            1,
            "GET, a long Retry-After",
            Fault::RetryAfter(503, 3600 * SECOND),
            Request::get(server.url("/echo")).body(Full::default())?,
        ),
    ];
    for (sends, what, fault, request) in requests {
        analytics.fail_next(fault);
        let before = analytics.stats().requests;
        let response = api.clone().oneshot(request).await?;
        let sent = analytics.stats().requests - before;
        assert_eq!(sent, sends, "{what}");
        let outcome = response.extensions().get::<RetryOutcome>();
        let why = outcome.map_or(String::new(), |outcome| format!(", given up: {:?}", outcome.stopped));
        println!("{what}: {} after {sent} sent{why}", response.status());
    }
    println!("{:?}", policy.stats());
    Ok(())
}

const SECOND: Duration = Duration::from_secs(1);
