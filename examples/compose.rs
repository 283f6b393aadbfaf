//! The layers of this crate among those of tower and tower-http.
//! `cargo run --example compose`

use std::{error::Error, time::Duration};

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::Request;
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, buffer::BufferLayer, limit::ConcurrencyLimitLayer, timeout::TimeoutLayer};
use tower_http::{
    decompression::DecompressionLayer,
    follow_redirect::FollowRedirectLayer,
    request_id::{MakeRequestUuid, SetRequestIdLayer},
    trace::TraceLayer,
};
use tower_oauth2::{
    OAuthLayer, TokenCache,
    client::HttpsClient,
    grant::{ClientAuth, ClientCredentials},
    retry::{CooldownLayer, RetryLayer, RetryPolicy},
    testing::{Analytics, Faults, Issuer},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    tracing_subscriber::fmt().with_env_filter("tower_oauth2=debug").init();

    // An API that answers in 20 ms, and fails one request in fifty.
    let issuer = Issuer::new();
    let faults = Faults::new().server_error(0.02);
    let analytics = Analytics::builder(&issuer).latency(Duration::from_millis(20)).faults(faults).build();
    let server = analytics.serve_with_issuer().await?;

    let http = HttpsClient::new()?;
    let auth = ClientAuth::basic("test-client", "test-secret");
    let tokens = TokenCache::new(ClientCredentials::new(http.clone(), server.url("/oauth/token"), auth)?);

    // Why in this order, and what goes wrong in another: the guide `docs::composing`.
    let api = ServiceBuilder::new()
        // One id and one span for what the caller asked, waits and all attempts included.
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(TraceLayer::new_for_http())
        // A queue, and a handle to it that is cheap to clone.
        .layer(BufferLayer::new(64))
        // Each hop passes through all that is below.
        .layer(FollowRedirectLayer::new())
        // Outside of the token: what is sent again after a 401 gets a new one.
        .layer(RetryLayer::new(RetryPolicy::default()))
        // One 429 holds all of these requests back, and not only the one that got it.
        .layer(CooldownLayer::new())
        .layer(OAuthLayer::for_origin(server.url(""), tokens.clone())?)
        // What is being sent: neither a request that waits for a token nor one that backs off counts.
        .layer(ConcurrencyLimitLayer::new(8))
        .layer(TimeoutLayer::new(Duration::from_secs(10)))
        .layer(DecompressionLayer::new())
        .service(http);

    let ask = |_| {
        let request = Request::get(server.url("/api/v2/users")).body(Full::<Bytes>::default());
        let api = api.clone();
        async move { Ok::<_, Box<dyn Error + Send + Sync>>(api.oneshot(request?).await?.status()) }
    };
    let mut statuses = try_join_all((0..100).map(ask)).await?;
    // Somebody revokes the token; the requests that it is on are refused, and sent once more with one new token.
    issuer.revoke_all();
    statuses.extend(try_join_all((0..100).map(ask)).await?);
    let good = statuses.iter().filter(|status| status.is_success()).count();

    let seen = analytics.stats();
    println!("{good} of {} requests succeeded, with {} tokens", statuses.len(), tokens.stats().minted);
    println!(
        "the API saw {} requests, {} at once at the most, by status {:?}",
        seen.requests, seen.largest_concurrency, seen.by_status
    );
    Ok(())
}
