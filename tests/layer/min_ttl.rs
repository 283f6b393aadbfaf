//! A request whose token must live on waits for one that does; the others go on with the one there is.

use std::{
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http::{Request, Response, header::AUTHORIZATION};
use tokio::time::{Instant, Sleep, sleep};
use tower::{BoxError, Layer, Service, ServiceExt};
use tower_oauth2::{Deadline, Error, MinTtl, OAuth, OAuthLayer, TokenCache, TokenCaches, TokenKey};

use crate::support::{Answer, Issuer, api::Api, poll_once, secs};

const HERE: &str = "https://api.example.com/v1/recordings";

#[tokio::test(start_paused = true)]
async fn an_upload_of_ten_minutes_does_not_start_with_a_token_of_ten_seconds_and_the_others_do_not_wait() {
    let (mut api, log, issuer) = stack(2);
    send(&mut api, None).await.unwrap();
    sleep(secs(3590)).await;
    let mut other = api.clone();
    let start = Instant::now();
    let upload = tokio::spawn(async move { send(&mut api, Some(600)).await.map(|_| Instant::now()) });
    tokio::task::yield_now().await;
    let Poll::Ready(Ok(_)) = poll_once(pin!(send(&mut other, None))) else { panic!("it need not wait") };
    assert_eq!(upload.await.unwrap().unwrap() - start, secs(2));
    assert_eq!(log.tokens(), ["t1", "t1", "t2"]);
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_kept_the_token_looks_at_the_demand_of_each_request() {
    let (mut api, log, issuer) = stack(0);
    for _ in 0..3 {
        send(&mut api, None).await.unwrap();
    }
    let clones = log.clones();
    // Long before the refresh: 2,800 s are left.
    sleep(secs(800)).await;
    for ttl in [0, 600, 1700] {
        send(&mut api, Some(ttl)).await.unwrap();
    }
    assert_eq!(log.clones(), clones, "who need not wait is sent as always");
    sleep(secs(2300)).await;
    send(&mut api, None).await.unwrap();
    send(&mut api, Some(499)).await.unwrap();
    assert_eq!((log.tokens(), issuer.requests()), (vec!["t1".to_owned(); 8], 1));
    send(&mut api, Some(501)).await.unwrap();
    send(&mut api, None).await.unwrap();
    assert_eq!((log.tokens()[8..].to_vec(), issuer.requests()), (vec!["t2".to_owned(); 2], 2));
}

#[tokio::test(start_paused = true)]
async fn more_than_a_fresh_token_has_asks_for_no_token_at_every_request() {
    let (mut api, log, issuer) = stack(0);
    for _ in 0..5 {
        send(&mut api, Some(100_000)).await.unwrap();
        sleep(secs(100)).await;
    }
    assert_eq!((log.tokens(), issuer.requests()), (vec!["t1".to_owned(); 5], 1));
}

#[tokio::test(start_paused = true)]
async fn its_wait_ends_at_the_deadline_and_nothing_is_sent() {
    let (mut api, log, issuer) = stack(5);
    send(&mut api, None).await.unwrap();
    sleep(secs(3590)).await;
    for (deadline, sent) in [(3, false), (3, true)] {
        let start = Instant::now();
        let mut request = put(Some(600));
        request.extensions_mut().insert(Deadline::within(secs(deadline)));
        let result = ready(&mut api).await.call(request).await;
        match result {
            Ok(_) => assert!(sent && Instant::now() - start == secs(2), "the token request went on"),
            Err(error) => {
                assert!(Error::find(error.as_ref()).unwrap().is_timeout() && !sent, "{error}");
                assert_eq!(Instant::now() - start, secs(3));
            }
        }
    }
    assert_eq!((log.tokens(), issuer.requests()), (vec!["t1".to_owned(), "t2".to_owned()], 2));
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_fails_it_fails_and_the_others_go_on() {
    let (mut api, log, issuer) = stack(0);
    send(&mut api, None).await.unwrap();
    sleep(secs(3100)).await;
    issuer.always(Answer::Permanent);
    for _ in 0..2 {
        let error = send(&mut api, Some(600)).await.unwrap_err();
        assert!(Error::find(error.as_ref()).unwrap().retry_at().is_some(), "{error}");
        send(&mut api, None).await.unwrap();
    }
    assert_eq!((log.tokens(), issuer.requests()), (vec!["t1".to_owned(); 3], 2));
}

#[tokio::test(start_paused = true)]
async fn it_holds_when_the_service_is_ready_too() {
    for (ttl, expected) in [(None, "Bearer t1"), (Some(4), "Bearer t1"), (Some(8), "")] {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let tokens = TokenCache::new(Issuer::new(secs(20)).latency(secs(1)));
        let api = OAuthLayer::for_origin(HERE, tokens).unwrap().layer(Slow { ready: None, sent: Arc::clone(&sent) });
        match api.oneshot(put(ttl)).await {
            Ok(_) => assert_eq!(*sent.lock().unwrap(), [expected]),
            Err(error) => {
                let error = Error::find(error.as_ref()).unwrap();
                assert!(error.to_string().contains("`MinTtl`") && expected.is_empty(), "{error}");
                assert!(sent.lock().unwrap().is_empty());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_of_the_token_that_the_key_names() {
    let issuer = Issuer::new(secs(3600));
    let source = issuer.clone();
    let tokens = TokenCaches::new(move |_| Ok(TokenCache::new(source.clone())));
    let log = Api::default();
    let mut api = OAuthLayer::for_origin(HERE, tokens).unwrap().layer(log.clone());
    let mut send = async |tenant: &str, ttl| {
        let mut request = put(ttl);
        request.extensions_mut().insert(TokenKey::new().tenant(tenant));
        ready(&mut api).await.call(request).await.unwrap();
    };
    send("a", None).await;
    sleep(secs(3100)).await;
    for (tenant, ttl) in [("b", None), ("b", Some(600)), ("a", None), ("a", Some(600)), ("a", None)] {
        send(tenant, ttl).await;
    }
    assert_eq!(log.tokens(), ["t1", "t2", "t2", "t1", "t3", "t3"]);
}

/// Is ready 15 s after it was asked for the first time, in each clone.
struct Slow {
    ready: Option<Pin<Box<Sleep>>>,
    sent: Arc<Mutex<Vec<String>>>,
}

impl Clone for Slow {
    fn clone(&self) -> Self {
        Self { ready: None, sent: Arc::clone(&self.sent) }
    }
}

impl Service<Request<()>> for Slow {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<()>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let ready = self.ready.get_or_insert_with(|| Box::pin(sleep(secs(15))));
        ready.as_mut().poll(cx).map(Ok)
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        self.sent.lock().unwrap().push(request.headers()[AUTHORIZATION].to_str().unwrap().to_owned());
        std::future::ready(Ok(Response::new(())))
    }
}

/// Tokens live an hour, and take `latency` seconds.
fn stack(latency: u64) -> (OAuth<Api>, Api, Issuer) {
    let (issuer, log) = (Issuer::new(secs(3600)).latency(secs(latency)), Api::default());
    (OAuthLayer::for_origin(HERE, TokenCache::new(issuer.clone())).unwrap().layer(log.clone()), log, issuer)
}

async fn send(api: &mut OAuth<Api>, ttl: Option<u64>) -> Result<Response<&'static str>, BoxError> {
    ready(api).await.call(put(ttl)).await
}

async fn ready(api: &mut OAuth<Api>) -> &mut OAuth<Api> {
    ServiceExt::<Request<()>>::ready(api).await.unwrap()
}

fn put(ttl: Option<u64>) -> Request<()> {
    let mut request = Request::put(HERE).body(()).unwrap();
    if let Some(ttl) = ttl {
        request.extensions_mut().insert(MinTtl::new(secs(ttl)));
    }
    request
}
