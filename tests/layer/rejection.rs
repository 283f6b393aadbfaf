//! What a 401 does to the token, and what the response says about it.

use std::{cell::Cell, pin::pin};

use http::{
    Request, Response, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use tokio::{task::JoinSet, time::sleep};
use tower::{Service, ServiceExt};
use tower_layer::Layer;
use tower_oauth2::{OAuth, OAuthLayer, Token, TokenCache, TokenRejected, source_fn};
use tower_test::mock::{self, SendResponse};

use crate::support::{Answer, Issuer, api::Api, millis, poll_once, secs};

const HERE: &str = "https://api.example.com/v1/users";
const ELSEWHERE: &str = "https://files.example.com/1";

#[tokio::test(start_paused = true)]
async fn a_401_drops_the_token_and_marks_the_response_renewable() {
    let Stack { mut api, log, tokens, .. } = stack();
    log.refuse("t1");
    let response = call(&mut api, HERE).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(rejected(&response), Some(true));
    assert_eq!(tokens.stats().rejected, 1);
    assert_eq!(rejected(&call(&mut api, HERE).await), None);
    assert_eq!(log.tokens(), ["t1", "t2"], "this layer never sends twice");
}

#[tokio::test(start_paused = true)]
async fn a_token_without_the_scope_is_a_good_token() {
    for (challenge, drops) in [
        ("Bearer error=\"insufficient_scope\", scope=\"a\"", false),
        ("Basic realm=x, bearer error=insufficient_scope", false),
        ("Bearer error=\"invalid_token\"", true),
        ("Bearer realm=\"insufficient_scope\"", true),
        ("garbage,,=", true),
    ] {
        let answer = Response::builder().status(401).header(WWW_AUTHENTICATE, challenge).body(()).unwrap();
        let (response, rejections) = answered(answer).await;
        assert_eq!((rejected(&response), rejections), (drops.then_some(true), u64::from(drops)), "{challenge}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_401_says_anything_about_the_token() {
    for status in [200, 400, 403, 404, 407, 429, 500, 503] {
        let (response, rejections) = answered(Response::builder().status(status).body(()).unwrap()).await;
        assert_eq!((rejected(&response), rejections), (None, 0), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_401_to_what_is_not_our_token_is_none_of_our_business() {
    let Stack { mut api, log, tokens, issuer } = stack();
    call(&mut api, HERE).await;
    log.refuse_all();
    let mut own = Request::get(HERE).body(()).unwrap();
    own.headers_mut().insert(AUTHORIZATION, "Bearer t1".parse().unwrap());
    assert_eq!(rejected(&ready(&mut api).await.call(own).await.unwrap()), None);
    assert_eq!(rejected(&call(&mut api, ELSEWHERE).await), None);
    assert_eq!(rejected(&call(&mut api, "/v1").await), None);
    assert_eq!((tokens.stats().rejected, issuer.requests()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_late_401_for_an_old_token_mints_no_new_one() {
    let issuer = Issuer::new(secs(3600));
    let tokens = TokenCache::new(issuer.clone());
    let (mock, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let mut api = OAuthLayer::for_origin(HERE, tokens.clone()).unwrap().layer(mock);
    tokens.token().await.unwrap();
    let mut pending: Vec<(_, SendResponse<Response<()>>)> = Vec::new();
    for _ in 0..3 {
        let response = Box::pin(ready(&mut api).await.call(Request::get(HERE).body(()).unwrap()));
        pending.push((response, handle.next_request().await.unwrap().1));
    }
    for (number, (response, send)) in pending.into_iter().enumerate() {
        send.send_response(unauthorized());
        assert_eq!(rejected(&response.await.unwrap()), Some(true), "a replay would carry another token");
        sleep(secs(20)).await;
        assert_eq!(tokens.token().await.unwrap().secret(), "t2", "refusal {number}");
    }
    assert_eq!((issuer.requests(), tokens.stats().rejected), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_refused_with_one_token_make_one_request() {
    let Stack { mut api, log, issuer, .. } = stack();
    call(&mut api, HERE).await;
    sleep(secs(60)).await;
    log.refuse("t1");
    let mut callers = JoinSet::new();
    for _ in 0..1000 {
        let mut api = api.clone();
        callers.spawn(async move {
            let refused = call(&mut api, HERE).await;
            if rejected(&refused) == Some(true) { call(&mut api, HERE).await.status() } else { refused.status() }
        });
    }
    assert!(callers.join_all().await.into_iter().all(|status| status == StatusCode::OK));
    assert_eq!(issuer.requests(), 2);
    assert!(log.seen().len() <= 2001);
}

#[tokio::test(start_paused = true)]
async fn an_api_that_always_says_401_is_heard_and_starts_no_storm() {
    let Stack { mut api, log, issuer, tokens } = stack();
    log.refuse_all();
    let renewable = Cell::new(0);
    for _ in 0..600 {
        let response = call(&mut api, HERE).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(*response.body(), "the body");
        renewable.set(renewable.get() + usize::from(rejected(&response).unwrap()));
        sleep(millis(100)).await;
    }
    // At 0, 10, 20, … of the minute.
    let rejections = tokens.stats().rejected;
    assert!((5..=7).contains(&rejections), "{rejections}");
    assert!(issuer.requests() as u64 <= rejections + 1);
    assert_eq!(renewable.get() as u64, rejections, "in between a replay would carry the same token");
}

#[tokio::test(start_paused = true)]
async fn a_401_while_the_issuer_fails_is_final() {
    let Stack { mut api, log, tokens, issuer } = stack();
    call(&mut api, HERE).await;
    issuer.always(Answer::Permanent);
    sleep(secs(3500)).await;
    call(&mut api, HERE).await;
    sleep(millis(1)).await;
    assert_eq!(tokens.stats().failed, 1);
    log.refuse_all();
    assert_eq!(rejected(&call(&mut api, HERE).await), Some(false));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_cloned_is_sent_and_its_401_is_observed() {
    struct Once;
    let Stack { mut api, log, tokens, .. } = stack();
    log.refuse("t1");
    let request = Request::post(HERE).body(Once).unwrap();
    let response = ServiceExt::<Request<Once>>::ready(&mut api).await.unwrap().call(request).await.unwrap();
    assert_eq!(rejected(&response), Some(true));
    assert_eq!(tokens.stats().rejected, 1);
    let request = Request::post(HERE).body(Once).unwrap();
    assert_eq!(api.oneshot(request).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_401_after_a_wait_for_the_token_is_observed_too() {
    let Stack { mut api, log, tokens, .. } = stack();
    log.refuse("t1");
    let mut response = pin!(ready(&mut api).await.call(Request::get(HERE).body(()).unwrap()));
    assert!(poll_once(response.as_mut()).is_pending());
    assert_eq!(rejected(&response.await.unwrap()), Some(true));
    assert_eq!(tokens.stats().rejected, 1);
}

struct Stack {
    api: OAuth<Api>,
    log: Api,
    tokens: TokenCache,
    issuer: Issuer,
}

#[tokio::test(start_paused = true)]
async fn a_source_that_keeps_tokens_is_not_asked_more_often_by_an_api_that_refuses_them() {
    let minted = tokio::time::Instant::now();
    sleep(secs(600)).await;
    let tokens = TokenCache::new(source_fn(move |_| async move {
        Ok(Token::new("kept")?.with_lifetime(secs(3600)).issued_at(minted))
    }));
    for _ in 0..500 {
        let token = tokens.token().await.unwrap();
        tokens.reject(&token);
        sleep(millis(200)).await;
    }
    assert!(tokens.stats().requests <= 12, "the first, and one in ten seconds: {:?}", tokens.stats());
}

fn stack() -> Stack {
    let (issuer, log) = (Issuer::new(secs(3600)), Api::default());
    let tokens = TokenCache::new(issuer.clone());
    let api = OAuthLayer::for_origin(HERE, tokens.clone()).unwrap().layer(log.clone());
    Stack { api, log, tokens, issuer }
}

/// What the layer makes of an answer, and how many tokens the cache has dropped.
async fn answered(answer: Response<()>) -> (Response<()>, u64) {
    let tokens = TokenCache::new(Issuer::new(secs(3600)));
    let (mock, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let mut api = OAuthLayer::for_origin(HERE, tokens.clone()).unwrap().layer(mock);
    let response = ready(&mut api).await.call(Request::get(HERE).body(()).unwrap());
    let server = async { handle.next_request().await.unwrap().1.send_response(answer) };
    (tokio::join!(response, server).0.unwrap(), tokens.stats().rejected)
}

fn rejected<B>(response: &Response<B>) -> Option<bool> {
    response.extensions().get::<TokenRejected>().map(TokenRejected::renewable)
}

fn unauthorized() -> Response<()> {
    Response::builder().status(StatusCode::UNAUTHORIZED).body(()).unwrap()
}

async fn ready<S: Service<Request<()>>>(service: &mut S) -> &mut S {
    service.ready().await.unwrap_or_else(|_| panic!("not ready"))
}

async fn call(api: &mut OAuth<Api>, uri: &str) -> Response<&'static str> {
    ready(api).await.call(Request::get(uri).body(()).unwrap()).await.unwrap()
}
