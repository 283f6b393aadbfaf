//! Redirects among the layers: which hops are sent again, with whose token, and what a stranger's answer does.
//! `tests/layer/redirect.rs` has what goes to other origins.

use http::{HeaderValue, StatusCode, header::AUTHORIZATION};
use tower::ServiceBuilder;
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_oauth2::{Deadline, OAuthLayer, TokenCache, TokenRejected};

use crate::{
    support::{Issuer, secs},
    upstream::{ELSEWHERE, HERE, Reply, Stack, Upstream, get, oauth, post, retry},
};

const THERE: &str = "https://api.example.com/there";

#[tokio::test(start_paused = true)]
async fn followed_outside_of_both_only_the_hop_that_failed_is_sent_again() {
    let upstream = Upstream::new([Reply::Redirect(THERE), Reply::Status(503), Reply::Status(401)]);
    let client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(retry())
        .layer(oauth(&Issuer::new(secs(100))))
        .service(upstream.clone());
    assert_eq!(client.send(get(HERE)).await.unwrap().status(), StatusCode::OK);
    assert_eq!(uris(&upstream), [HERE, THERE, THERE, THERE]);
    assert_eq!(upstream.tokens(), ["t1", "t1", "t1", "t2"]);
}

#[tokio::test(start_paused = true)]
async fn followed_between_the_two_all_hops_are_sent_again() {
    let upstream = Upstream::new([Reply::Redirect(THERE), Reply::Status(401), Reply::Redirect(THERE)]);
    let client = ServiceBuilder::new()
        .layer(retry())
        .layer(FollowRedirectLayer::new())
        .layer(oauth(&Issuer::new(secs(100))))
        .service(upstream.clone());
    assert_eq!(client.send(post(HERE)).await.unwrap().status(), StatusCode::OK);
    assert_eq!(uris(&upstream), [HERE, THERE, HERE, THERE], "a POST that was answered, twice");
}

#[tokio::test(start_paused = true)]
async fn followed_inside_the_401_of_a_stranger_counts_against_the_token() {
    let outside = |upstream: Upstream, tokens: &TokenCache| {
        let oauth = OAuthLayer::for_origin(HERE, tokens.clone()).unwrap();
        let follow = FollowRedirectLayer::new();
        ServiceBuilder::new().layer(retry()).layer(follow).layer(oauth).service(upstream)
    };
    let inside = |upstream: Upstream, tokens: &TokenCache| {
        let oauth = OAuthLayer::for_origin(HERE, tokens.clone()).unwrap();
        let follow = FollowRedirectLayer::new();
        ServiceBuilder::new().layer(retry()).layer(oauth).layer(follow).service(upstream)
    };
    let script = || Upstream::new([Reply::Redirect(ELSEWHERE), Reply::Status(401)]);

    let (upstream, tokens) = (script(), TokenCache::new(Issuer::new(secs(100))));
    let response = outside(upstream.clone(), &tokens).send(get(HERE)).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.extensions().get::<TokenRejected>(), None);
    assert_eq!((tokens.stats().rejected, upstream.tokens()), (0, vec!["t1".to_owned(), String::new()]));

    let (upstream, tokens) = (script(), TokenCache::new(Issuer::new(secs(100))));
    inside(upstream.clone(), &tokens).send(get(HERE)).await.unwrap();
    // A token request, and a hop more, for nothing. The stranger still sees no token.
    assert_eq!(tokens.stats().rejected, 1);
    assert_eq!(upstream.tokens(), ["t1", "", "t2"]);
}

#[tokio::test(start_paused = true)]
async fn a_hop_to_another_origin_has_no_deadline_any_more() {
    for (to, bounded) in [(THERE, true), (ELSEWHERE, false)] {
        let upstream = Upstream::new([Reply::Redirect(to)]);
        let client = ServiceBuilder::new()
            .layer(FollowRedirectLayer::new())
            .layer(oauth(&Issuer::new(secs(100))))
            .service(upstream.clone());
        let mut request = get(HERE);
        request.extensions_mut().insert(Deadline::within(secs(5)));
        client.send(request).await.unwrap();
        let seen: Vec<_> = upstream.sent().iter().map(|sent| sent.bounded).collect();
        assert_eq!(seen, [true, bounded], "tower-http drops all extensions there");
    }
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_authorization_is_neither_sent_elsewhere_nor_replaced() {
    for (to, hops) in [(THERE, ["own", "own"]), (ELSEWHERE, ["own", ""])] {
        let upstream = Upstream::new([Reply::Redirect(to)]);
        let client = ServiceBuilder::new()
            .layer(FollowRedirectLayer::new())
            .layer(retry())
            .layer(oauth(&Issuer::new(secs(100))))
            .service(upstream.clone());
        let mut request = get(HERE);
        let mut own = HeaderValue::from_static("Bearer own");
        own.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, own);
        client.send(request).await.unwrap();
        assert_eq!(upstream.tokens(), hops);
    }
}

#[tokio::test(start_paused = true)]
async fn back_from_another_origin_it_is_the_layers_token_again() {
    let upstream = Upstream::new([Reply::Redirect(ELSEWHERE), Reply::Redirect(THERE)]).refusing("t1");
    let client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(retry())
        .layer(oauth(&Issuer::new(secs(100))))
        .service(upstream.clone());
    client.send(get(HERE)).await.unwrap();
    assert_eq!(upstream.tokens(), ["t1", "t2", "", "t2"]);
}

fn uris(upstream: &Upstream) -> Vec<String> {
    upstream.sent().into_iter().map(|sent| sent.uri).collect()
}
