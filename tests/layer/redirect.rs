//! A redirect, followed on either side of the layer, takes the token to no other origin.

use http::Request;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_oauth2::{OAuthLayer, TokenCache};

use crate::support::{Issuer, api::Api, secs};

const FROM: &str = "https://api.example.com/from";
const OTHERS: [&str; 6] = [
    "https://evil.example/to",
    "https://api.example.com:8443/to",
    "http://api.example.com/to",
    "https://sub.api.example.com/to",
    "https://example.com/to",
    "//evil.example/to",
];
const SAME: [&str; 4] = ["/to", "to?a=b", "https://api.example.com/to", "https://API.example.com:443/to"];

#[tokio::test(start_paused = true)]
async fn followed_outside_of_the_layer_the_token_stays_at_its_origin() {
    for to in OTHERS {
        assert_eq!(outside(to).await, ["t1", ""], "{to}");
    }
    for to in SAME {
        assert_eq!(outside(to).await, ["t1", "t1"], "{to}");
    }
}

#[tokio::test(start_paused = true)]
async fn followed_inside_of_the_layer_the_token_stays_at_its_origin() {
    for to in OTHERS {
        assert_eq!(inside(to).await, ["t1", ""], "{to}");
    }
    for to in &SAME[..3] {
        assert_eq!(inside(to).await, ["t1", "t1"], "{to}");
    }
}

#[tokio::test(start_paused = true)]
async fn followed_outside_an_origin_that_is_bound_as_well_gets_the_token() {
    let log = Api::default();
    let tokens = TokenCache::new(Issuer::new(secs(100)));
    let layer = OAuthLayer::for_origins([FROM, "https://files.example.com"], tokens).unwrap();
    let api = ServiceBuilder::new().layer(FollowRedirectLayer::new()).layer(layer).service(log.clone());
    assert_eq!(followed(api, &log, "https://files.example.com/1").await, ["t1", "t1"]);
}

async fn outside(to: &str) -> Vec<String> {
    let log = Api::default();
    let api = ServiceBuilder::new().layer(FollowRedirectLayer::new()).layer(layer()).service(log.clone());
    followed(api, &log, to).await
}

async fn inside(to: &str) -> Vec<String> {
    let log = Api::default();
    let api = ServiceBuilder::new().layer(layer()).layer(FollowRedirectLayer::new()).service(log.clone());
    followed(api, &log, to).await
}

/// The tokens that both hops carried; more than one header fails.
async fn followed<S>(mut api: S, log: &Api, to: &str) -> Vec<String>
where
    S: Service<Request<String>, Error: std::fmt::Debug>,
{
    log.redirect(to);
    let request = Request::get(FROM).body(String::new()).unwrap();
    api.ready().await.unwrap().call(request).await.unwrap();
    assert!(log.seen()[1].uri.contains("/to") || log.seen()[1].uri.ends_with("/1"), "{:?}", log.seen());
    log.tokens()
}

fn layer() -> OAuthLayer {
    OAuthLayer::for_origin(FROM, TokenCache::new(Issuer::new(secs(100)))).unwrap()
}
