//! reqwest under the layers, and its conveniences above them. `cargo run --example reqwest`

use std::{error::Error, time::Duration};

use futures_util::TryStreamExt;
use http::Request;
use serde_json::Value;
use tower::{ServiceBuilder, ServiceExt};
use tower_oauth2::{
    OAuthLayer, TokenCache,
    grant::{ClientAuth, ClientCredentials},
    pager::{Pager, Query, Rule},
    reqwest::ReqwestClient,
    retry::{ReplayBodyLayer, RetryLayer, RetryPolicy},
    testing::{Analytics, Fault, Issuer},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Stands in for an authorization server and an API.
    let issuer = Issuer::new();
    let analytics = Analytics::builder(&issuer).users(60).build();
    let server = analytics.serve_with_issuer().await?;

    // What reqwest is set up for stays with it: TLS, proxies, timeouts. Redirects and retries are for the layers.
    let builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
    let client = reqwest::Client::new();
    let http = ReqwestClient::build(builder)?;

    let auth = ClientAuth::basic("test-client", "test-secret");
    let tokens = TokenCache::new(ClientCredentials::new(http.clone(), server.url("/oauth/token"), auth)?);
    let policy = RetryPolicy::new();
    let api = ServiceBuilder::new()
        .layer(RetryLayer::new(policy.clone()))
        .layer(OAuthLayer::for_origin(server.url(""), tokens.clone())?)
        .service(http);

    // A request that reqwest made. Its body cannot be cloned, and is kept for the replay.
    let request = client.put(server.url("/echo")).header("content-type", "application/json").body("{}").build()?;
    let request: Request<reqwest::Body> = request.try_into()?;
    analytics.fail_next(Fault::Unauthorized);
    analytics.fail_next(Fault::RetryAfter(429, Duration::from_secs(1)));
    let uploads = ServiceBuilder::new().layer(ReplayBodyLayer::new()).service(api.clone());
    let response = reqwest::Response::from(uploads.oneshot(request).await?);
    let response = response.error_for_status()?;
    println!("{}: {}", response.status(), response.text().await?);
    println!("{:?}, with {} tokens", policy.stats(), tokens.stats().minted);

    let query = Query::get(server.url("/api/v2/users"), "/entities", Rule::next_url("/nextUri"))?;
    let users: Vec<Value> = Pager::new(api, query).items().try_collect().await?;
    println!("{} users on {} pages", users.len(), analytics.stats().requests - 3);
    Ok(())
}
