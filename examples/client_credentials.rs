//! The smallest useful program: ask an API that wants a token. `cargo run --example client_credentials`
//!
//! With `TOKEN_URL`, `CLIENT_ID`, `CLIENT_SECRET` and `API_URL` in the environment it asks that API; without them, one
//! that it starts on this machine.

use std::{env, error::Error};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tower::{ServiceBuilder, ServiceExt};
use tower_oauth2::{
    OAuthLayer, TokenCache,
    client::HttpsClient,
    grant::{ClientAuth, ClientCredentials},
    retry::{RetryLayer, RetryPolicy},
    testing::{Analytics, Issuer},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Stands in for an authorization server and an API.
    let server = Analytics::new(&Issuer::new()).serve_with_issuer().await?;
    let setting = |name, default: String| env::var(name).unwrap_or(default);
    let token_url = setting("TOKEN_URL", server.url("/oauth/token"));
    let api_url = setting("API_URL", server.url("/api/v2/users"));
    let auth = ClientAuth::basic(
        setting("CLIENT_ID", "test-client".to_owned()),
        setting("CLIENT_SECRET", "test-secret".to_owned()),
    );

    let http = HttpsClient::new()?;
    let tokens = TokenCache::new(ClientCredentials::new(http.clone(), token_url, auth)?);
    let api = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(OAuthLayer::for_origin(&api_url, tokens)?)
        .service(http);

    let response = api.oneshot(Request::get(&api_url).body(Full::<Bytes>::default())?).await?;
    println!("{} from {api_url}", response.status());
    let body = response.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&body[..body.len().min(200)]));
    Ok(())
}
