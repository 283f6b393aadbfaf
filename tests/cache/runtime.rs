//! The cache and the runtimes that come and go around it.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::Poll,
};

use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_oauth2::{Error, OAuthLayer, TokenCache};

use crate::support::{Answer, Issuer, millis, poll_once, secs};

#[test]
fn a_cache_needs_no_runtime_and_asks_nothing_until_somebody_needs_a_token() {
    let issuer = Issuer::new(secs(100));
    let tokens = TokenCache::new(issuer.clone());
    assert_eq!(tokens.stats(), TokenCache::new(issuer.clone()).stats());
    assert_eq!(issuer.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_while_the_cache_is_idle() {
    let issuer = Issuer::new(secs(100));
    let tokens = TokenCache::new(issuer.clone());
    let metrics = tokio::runtime::Handle::current().metrics();
    tokio::time::sleep(secs(3600)).await;
    assert_eq!((metrics.num_alive_tasks(), issuer.requests()), (0, 0), "before the first call");
    tokens.token().await.unwrap();
    tokio::time::sleep(secs(6 * 3600)).await;
    assert_eq!((metrics.num_alive_tasks(), issuer.requests()), (0, 1), "after it");
}

#[test]
fn without_a_runtime_the_error_says_so() {
    let issuer = Issuer::new(secs(100));
    let tokens = TokenCache::new(issuer.clone());
    let Poll::Ready(Err(error)) = poll_once(pin!(tokens.token())) else { panic!("nothing to wait for") };
    assert!(error.to_string().contains("outside of a tokio runtime"), "{error}");
    let stats = tokens.stats();
    assert_eq!((stats.requests, stats.failed, issuer.requests()), (0, 0, 0), "the source was not asked");
}

#[test]
fn without_a_runtime_a_service_fails_with_that_error_and_sends_nothing() {
    let tokens = TokenCache::new(Issuer::new(secs(100)));
    let layer = OAuthLayer::for_origin("https://api.example.com", tokens).unwrap();
    let api = layer.layer(service_fn(|_: http::Request<()>| async {
        panic!("sent without a token");
        #[allow(unreachable_code, reason = "names the type")]
        Ok::<_, tower::BoxError>(http::Response::new(()))
    }));
    let request = http::Request::get("https://api.example.com/").body(()).unwrap();
    let Poll::Ready(Err(error)) = poll_once(pin!(api.oneshot(request))) else { panic!("nothing to wait for") };
    let error = Error::find(error.as_ref()).unwrap();
    assert!(error.to_string().contains("outside of a tokio runtime"), "{error}");
}

#[test]
fn without_a_runtime_nobody_can_wait_for_the_flight_of_another() {
    let tokens = TokenCache::new(Issuer::new(secs(100)));
    let runtime = current_thread();
    let mut first = Box::pin(tokens.token());
    assert!(on(&runtime, first.as_mut()).is_pending());
    let Poll::Ready(Err(error)) = poll_once(pin!(tokens.token())) else { panic!("nothing to wait with") };
    assert!(error.to_string().contains("outside of a tokio runtime"), "{error}");
    assert_eq!(runtime.block_on(first).unwrap().secret(), "t1", "and the other is not disturbed");
}

#[test]
fn without_a_runtime_a_valid_token_is_a_valid_token() {
    let tokens = TokenCache::builder(Issuer::new(secs(3600))).build();
    current_thread().block_on(tokens.token()).unwrap();
    let Poll::Ready(Ok(token)) = poll_once(pin!(tokens.token())) else { panic!("it is there") };
    assert_eq!(token.secret(), "t1");
}

#[test]
fn calls_that_could_not_ask_do_not_put_off_the_one_that_can() {
    let issuer = Issuer::new(secs(3600));
    let tokens = TokenCache::builder(issuer).min_interval(millis(20)).build();
    for _ in 0..10_000 {
        assert!(matches!(poll_once(pin!(tokens.token())), Poll::Ready(Err(_))));
    }
    let runtime = current_thread();
    let token = runtime.block_on(async { tokio::time::timeout(secs(20), tokens.token()).await });
    assert_eq!(token.expect("200 s of intervals have piled up").unwrap().secret(), "t1");
}

#[test]
fn a_flight_whose_runtime_ended_is_taken_over_by_those_who_wait_elsewhere() {
    let issuer = Issuer::new(secs(3600));
    issuer.next([Answer::Hang]);
    let tokens = TokenCache::builder(issuer.clone()).min_interval(millis(0)).build();
    let first = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let second = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut caller = Box::pin({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    assert!(on(&first, caller.as_mut()).is_pending());
    let waiter = second.spawn(async move { tokens.token().await });
    while issuer.requests() == 0 {
        std::thread::yield_now();
    }
    first.shutdown_background();
    assert_eq!(second.block_on(waiter).unwrap().unwrap().secret(), "t2");
    assert_eq!(second.block_on(caller).unwrap().secret(), "t2", "a caller may move to another runtime");
    assert_eq!(issuer.requests(), 2);
}

#[test]
fn a_runtime_that_has_ended_already_is_an_error_and_not_a_loop() {
    let issuer = Issuer::new(secs(3600));
    let tokens = TokenCache::builder(issuer.clone()).min_interval(millis(0)).build();
    let handle = current_thread().handle().clone();
    let inside = handle.enter();
    let Poll::Ready(Err(error)) = poll_once(pin!(tokens.token())) else { panic!("nobody would wake it") };
    assert!(error.is_transient(), "{error}");
    assert_eq!(issuer.requests(), 0);
    drop(inside);
    assert_eq!(current_thread().block_on(tokens.token()).unwrap().secret(), "t1");
}

#[test]
fn a_flight_whose_runtime_is_not_driven_is_taken_over_and_does_not_ask_when_it_is() {
    let issuer = Issuer::new(secs(3600));
    let tokens = TokenCache::builder(issuer.clone()).min_interval(millis(0)).fetch_timeout(millis(20)).build();
    let asleep = current_thread();
    let mut caller = Box::pin(tokens.token());
    assert!(on(&asleep, caller.as_mut()).is_pending());
    assert_eq!(issuer.requests(), 0, "nobody drives it");
    assert_eq!(current_thread().block_on(tokens.token()).unwrap().secret(), "t1");
    assert_eq!(asleep.block_on(caller).unwrap().secret(), "t1", "the same token, and no second request");
    asleep.block_on(tokio::task::yield_now());
    assert_eq!(issuer.requests(), 1);
    assert_eq!(tokens.stats().minted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_flight_goes_on_when_all_who_waited_have_left() {
    let issuer = Issuer::new(secs(3600)).latency(millis(500));
    let tokens = TokenCache::new(issuer.clone());
    let mut caller = Box::pin(tokens.token());
    assert!(poll_once(caller.as_mut()).is_pending());
    drop(caller);
    tokio::time::sleep(millis(600)).await;
    let before = Instant::now();
    assert_eq!(tokens.token().await.unwrap().secret(), "t1");
    assert_eq!(Instant::now(), before);
    assert_eq!(issuer.requests(), 1);
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Polls once with the runtime at hand, but without driving it.
fn on<F: Future>(runtime: &Runtime, future: Pin<&mut F>) -> Poll<F::Output> {
    let _inside = runtime.enter();
    poll_once(future)
}
