//! A deadline bounds a request as a whole, until its response begins.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use http::{Request, Response, header::AUTHORIZATION};
use tokio::time::{Instant, sleep};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_oauth2::{
    Deadline, Error, OAuthLayer, TokenCache,
    retry::{RetryLayer, RetryOutcome, RetryPolicy, Stopped},
};
use tower_test::mock;

use crate::support::{Issuer, api::Api, poll_once, secs};

const HERE: &str = "https://api.example.com/v1/users";
const ELSEWHERE: &str = "https://files.example.com/1";

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_answered_in_time_ends_at_its_deadline() {
    for (uri, own) in [(HERE, None), (ELSEWHERE, None), (HERE, Some("Basic x")), ("/relative", None)] {
        let hang = Hang::default();
        let mut api = layer(&Issuer::new(secs(100))).layer(hang.service());
        for _ in 0..3 {
            let mut request = get(uri, Some(5));
            request.headers_mut().extend(own.map(|own| (AUTHORIZATION, own.parse().unwrap())));
            let start = Instant::now();
            let mut response = pin!(api.ready().await.unwrap().call(request));
            let error = response.as_mut().await.unwrap_err();
            assert_eq!(Instant::now() - start, secs(5), "{uri}");
            assert_eq!(hang.under_way(), 0, "what was sent is dropped, although the response future is not yet");
            let error = Error::find(error.as_ref()).unwrap();
            assert!(error.is_timeout() && error.is_transient() && !error.is_config(), "{error}");
            assert_eq!(error.to_string(), "the deadline of the request passed before its answer came");
            let again = response.await.unwrap_err();
            assert!(again.to_string().contains("polled after completion"), "{again}");
        }
        assert_eq!(hang.sent(), 3);
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "there is no runtime, and that is the point")]
fn a_deadline_that_has_passed_needs_no_timer() {
    let inner = service_fn(|_: Request<()>| std::future::pending::<Result<Response<()>, BoxError>>());
    let mut api = layer(&Issuer::new(secs(100))).layer(inner);
    let mut request = get(ELSEWHERE, None);
    request.extensions_mut().insert(Deadline::within(std::time::Duration::from_millis(20)));
    let mut response = pin!(api.call(request));
    std::thread::sleep(std::time::Duration::from_millis(30));
    let Poll::Ready(Err(error)) = poll_once(response.as_mut()) else { panic!("it is over") };
    assert_eq!(error.to_string(), "the deadline of the request passed before its answer came");
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_sending_has_no_bound() {
    let hang = Hang::default();
    let mut api = layer(&Issuer::new(secs(100_000))).layer(hang.service());
    let mut response = pin!(api.ready().await.unwrap().call(get(HERE, None)));
    for _ in 0..10 {
        assert!(poll_once(response.as_mut()).is_pending());
        sleep(secs(1000)).await;
    }
    assert_eq!(hang.under_way(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_begins_in_time_is_a_response_however_long_its_body_takes() {
    let api = service_fn(|_: Request<()>| async {
        sleep(secs(5)).await;
        Ok::<_, BoxError>(Response::new(sleep(secs(100))))
    });
    let mut api = layer(&Issuer::new(secs(1000))).layer(api);
    let response = api.ready().await.unwrap().call(get(HERE, Some(5))).await.unwrap();
    let start = Instant::now();
    response.into_body().await;
    assert_eq!(Instant::now() - start, secs(100));
}

#[tokio::test(start_paused = true)]
async fn an_error_in_time_is_the_error_of_the_inner_service() {
    let api = service_fn(|_: Request<()>| async {
        sleep(secs(4)).await;
        Err::<Response<()>, BoxError>("reset".into())
    });
    let api = layer(&Issuer::new(secs(1000))).layer(api);
    assert_eq!(api.oneshot(get(HERE, Some(5))).await.unwrap_err().to_string(), "reset");
}

#[tokio::test(start_paused = true)]
async fn after_its_deadline_nothing_is_sent_and_nothing_held() {
    for uri in [HERE, ELSEWHERE] {
        let issuer = Issuer::new(secs(100));
        let log = Api::default();
        let mut api = layer(&issuer).layer(ConcurrencyLimit::new(log.clone(), 1));
        let mut other = api.clone();
        let request = get(uri, Some(1));
        sleep(secs(1)).await;
        let response = ready(&mut api).await.call(request);
        let Poll::Ready(other) = poll_once(pin!(ready(&mut other))) else { panic!("the permit is held") };
        drop(other.call(get(ELSEWHERE, None)));
        let error = response.await.unwrap_err();
        let error = Error::find(error.as_ref()).unwrap();
        assert!(error.is_timeout() && error.to_string().ends_with("before it was sent"), "{error}");
        assert_eq!((log.tokens(), issuer.requests()), (vec![String::new()], 0), "only that of the other");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_at_the_deadline_is_not_sent() {
    let issuer = Issuer::new(secs(100)).latency(secs(3));
    let log = Api::default();
    let api = layer(&issuer).layer(log.clone());
    let mut response = pin!(api.clone().oneshot(get(HERE, Some(3))));
    assert!(poll_once(response.as_mut()).is_pending());
    sleep(secs(4)).await;
    let Poll::Ready(Err(error)) = poll_once(response.as_mut()) else { panic!("it is over") };
    assert!(Error::find(error.as_ref()).unwrap().is_timeout(), "{error}");
    assert!(log.seen().is_empty());
    let Poll::Ready(Ok(_)) = poll_once(pin!(api.oneshot(get(HERE, None)))) else {
        panic!("the token came all the same")
    };
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_service_that_is_ready_again_ends_at_the_deadline() {
    let (mock, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let mut api = layer(&Issuer::new(secs(100)).latency(secs(1))).layer(mock);
    handle.allow(1);
    let start = Instant::now();
    let response = api.ready().await.unwrap().call(get(HERE, Some(5)));
    handle.allow(0);
    let error = response.await.unwrap_err();
    assert!(Error::find(error.as_ref()).unwrap().is_timeout(), "{error}");
    assert_eq!(Instant::now() - start, secs(5));
    assert!(poll_once(pin!(handle.next_request())).is_pending());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_after_a_wait_for_the_token_too() {
    let hang = Hang::default();
    let api = layer(&Issuer::new(secs(100)).latency(secs(2))).layer(hang.service());
    let start = Instant::now();
    let error = api.oneshot(get(HERE, Some(5))).await.unwrap_err();
    assert!(error.to_string().ends_with("before its answer came"), "{error}");
    assert_eq!((Instant::now() - start, hang.sent(), hang.under_way()), (secs(5), 1, 0));
}

#[tokio::test(start_paused = true)]
async fn token_send_replay_and_back_off_together_end_at_the_deadline() {
    // A token takes a second, an answer two: 401, the token again, 503, a pause.
    let script = [401, 503, 503, 503, 503];
    for deadline in 1..=20 {
        let issuer = Issuer::new(secs(1000)).latency(secs(1));
        let sent = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&sent);
        let api = service_fn(move |_: Request<()>| {
            let status = script[counter.fetch_add(1, Ordering::SeqCst)];
            async move {
                sleep(secs(2)).await;
                Ok::<_, BoxError>(Response::builder().status(status).body(()).unwrap())
            }
        });
        let policy = RetryPolicy::new().no_budget().seed(1);
        let api = ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).layer(layer(&issuer)).service(api);
        let start = Instant::now();
        let result = api.oneshot(get(HERE, Some(deadline))).await;
        let took = Instant::now() - start;
        assert!(took <= secs(deadline), "{took:?} of {deadline} s");
        let sent = sent.load(Ordering::SeqCst);
        match result {
            Err(error) => {
                assert!(Error::find(error.as_ref()).unwrap().is_timeout(), "{error}");
                assert_eq!(took, secs(deadline), "not sooner either");
                // 0 s token, 1 s first send, 3 s token, 4 s replay, 6 s and a pause.
                let sends = [(1, 0), (2, 1), (3, 1), (4, 1), (5, 2)];
                let expected = sends.iter().find(|(at, _)| *at == deadline).map(|(_, sends)| *sends);
                assert!(expected.is_none_or(|expected| expected == sent), "{sent} sent in {deadline} s");
            }
            Ok(response) => {
                assert!(deadline >= 3, "a 401 may come back at its replay's deadline only");
                let outcome = response.extensions().get::<RetryOutcome>().unwrap();
                let stopped = if sent == 5 { Stopped::Exhausted } else { Stopped::Deadline };
                assert_eq!((outcome.stopped, outcome.attempts as usize), (stopped, sent));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passed_is_not_tried_again() {
    let hang = Hang::default();
    let policy = RetryPolicy::new();
    let api = ServiceBuilder::new()
        .layer(RetryLayer::new(policy.clone()))
        .layer(layer(&Issuer::new(secs(100))))
        .service(hang.service());
    let start = Instant::now();
    api.oneshot(get(HERE, Some(5))).await.unwrap_err();
    assert_eq!((Instant::now() - start, hang.sent()), (secs(5), 1));
    assert_eq!((policy.stats().retries, policy.stats().replays), (0, 0));
}

#[test]
fn outside_of_a_runtime_an_answer_is_an_answer_and_a_wait_an_error() {
    let issuer = Issuer::new(secs(3600));
    let tokens = TokenCache::new(issuer);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokens.token()).unwrap();
    drop(runtime);
    let layer = OAuthLayer::for_origin(HERE, tokens).unwrap();
    let Poll::Ready(Ok(_)) = poll_once(pin!(layer.layer(Api::default()).oneshot(get(HERE, Some(5))))) else {
        panic!("it need not wait")
    };
    let hang = Hang::default();
    let mut response = pin!(layer.layer(hang.service()).oneshot(get(HERE, Some(5))));
    let Poll::Ready(Err(error)) = poll_once(response.as_mut()) else { panic!("nobody would end it in time") };
    assert!(Error::find(error.as_ref()).unwrap().to_string().contains("runtime"), "{error}");
    assert_eq!(hang.under_way(), 0);
}

/// Never answers.
#[derive(Clone, Default)]
struct Hang(Arc<Mutex<(usize, usize)>>);

impl Hang {
    fn service(
        &self,
    ) -> impl Service<Request<()>, Response = Response<()>, Error = BoxError, Future: Send> + Clone + use<> {
        let hang = self.clone();
        service_fn(move |_: Request<()>| {
            let mut counts = hang.0.lock().unwrap();
            counts.0 += 1;
            counts.1 += 1;
            let under_way = UnderWay(hang.clone());
            async move {
                let _under_way = under_way;
                std::future::pending().await
            }
        })
    }

    fn sent(&self) -> usize {
        self.0.lock().unwrap().0
    }

    fn under_way(&self) -> usize {
        self.0.lock().unwrap().1
    }
}

struct UnderWay(Hang);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().1 -= 1;
    }
}

fn layer(issuer: &Issuer) -> OAuthLayer {
    OAuthLayer::for_origin(HERE, TokenCache::new(issuer.clone())).unwrap()
}

fn get(uri: &str, deadline: Option<u64>) -> Request<()> {
    let mut request = Request::get(uri).body(()).unwrap();
    if let Some(deadline) = deadline {
        request.extensions_mut().insert(Deadline::within(secs(deadline)));
    }
    request
}

async fn ready<S: Service<Request<()>, Error: std::fmt::Debug>>(service: &mut S) -> &mut S {
    service.ready().await.unwrap()
}
