//! A client that is known by its certificate (RFC 8705), with a server that it starts itself.
//!
//! ```text
//! cargo run --example mtls
//! ```

#[path = "../tests/support/mtls_server.rs"]
mod mtls_server;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use tower::{BoxError, ServiceBuilder, ServiceExt};
use tower_oauth2::{
    OAuthLayer, TokenCache,
    client::HttpsClient,
    grant::{ClientAuth, ClientCredentials, Metadata},
};

use mtls_server::MtlsServer;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let server = MtlsServer::start().await?;
    let identity = server.issue("exporter")?; // in earnest: read from PEM files

    // One client for both: the token is bound to the certificate of the connection that it was obtained over.
    let tls = server.client_config(Some(identity))?;
    let http = HttpsClient::builder().tls(tls).build()?;

    let metadata = Metadata::discover(http.clone(), server.url("")).await?;
    let grant = ClientCredentials::new(http.clone(), &metadata, ClientAuth::tls("exporter"))?;
    let api =
        ServiceBuilder::new().layer(OAuthLayer::for_origin(server.url("/"), TokenCache::new(grant))?).service(http);

    let request = Request::get(server.url("/hello")).body(Empty::<Bytes>::new())?;
    let response = api.oneshot(request).await?;
    println!("{}", response.status());
    println!("{}", String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()));
    for request in server.requests() {
        println!("the server saw {request}");
    }
    Ok(())
}
