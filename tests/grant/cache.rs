//! What a token endpoint sees of a grant behind a `TokenCache`, whatever it answers.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::service_fn;
use tower_oauth2::{
    TokenCache,
    grant::{ClientAuth, ClientCredentials},
};

#[tokio::test(start_paused = true)]
async fn no_lifetime_makes_a_hot_loop() {
    for (spelled, most) in [
        ("0", 301),
        ("-1", 301),
        ("1", 301),
        ("0.001", 301),
        ("30", 14),
        ("3600.7", 1),
        (r#""3600""#, 1),
        ("1e300", 1),
        ("1000000000000000000000000000000", 1),
        ("null", 2),
        ("{}", 2),
        (r#""NaN""#, 2),
        (r#""inf""#, 2),
        (r#""soon""#, 2),
    ] {
        let (tokens, requests) = issuer(200, format!(r#"{{"access_token":"abc","expires_in":{spelled}}}"#));
        let start = Instant::now();
        let mut served = 0;
        // Five minutes of a caller every 10 ms who waits for no other.
        let mut callers = tokio::task::JoinSet::new();
        while Instant::now() - start < Duration::from_secs(300) {
            let tokens = tokens.clone();
            callers.spawn(async move { tokens.token().await.is_ok() });
            sleep(Duration::from_millis(10)).await;
            while let Some(done) = callers.try_join_next() {
                served += usize::from(done.unwrap());
            }
        }
        served += callers.join_all().await.into_iter().filter(|ok| *ok).count();
        let requests = requests.load(Ordering::SeqCst);
        assert!((1..=most).contains(&requests), "{requests} requests for expires_in {spelled}");
        assert_eq!(served, 30_000, "everybody got a token: {spelled}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_lifetime_is_five_minutes() {
    for spelled in ["null", "{}", r#""soon""#] {
        let (tokens, requests) = issuer(200, format!(r#"{{"access_token":"abc","expires_in":{spelled}}}"#));
        let first = tokens.token().await.unwrap().generation();
        // The refresh begins a fifth of it before its end, ± 10 %.
        sleep(Duration::from_secs(233)).await;
        tokens.token().await.unwrap();
        sleep(Duration::from_millis(10)).await;
        assert_eq!(requests.load(Ordering::SeqCst), 1);
        sleep(Duration::from_secs(14)).await;
        assert_eq!(tokens.token().await.unwrap().generation(), first, "the old one serves until the new one is there");
        sleep(Duration::from_millis(10)).await;
        assert_eq!(requests.load(Ordering::SeqCst), 2);
        assert_ne!(tokens.token().await.unwrap().generation(), first);
    }
    let (tokens, requests) = issuer(200, r#"{"access_token":"abc"}"#.to_owned());
    tokens.token().await.unwrap();
    sleep(Duration::from_millis(300_001)).await;
    tokens.token().await.unwrap();
    assert_eq!(requests.load(Ordering::SeqCst), 2, "it is gone after five minutes");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_asked_ten_thousand_times_makes_five_requests_at_most() {
    for (status, body) in
        [(401, r#"{"error":"invalid_client"}"#), (400, r#"{"error":"invalid_client"}"#), (403, ""), (302, "")]
    {
        let (tokens, requests) = issuer(status, body.to_owned());
        let start = Instant::now();
        for _ in 0..10_000 {
            let error = tokens.token().await.unwrap_err();
            assert!(!error.is_transient() && error.retry_at().is_some());
            sleep(Duration::from_millis(60)).await;
        }
        assert!(Instant::now() - start >= Duration::from_secs(600));
        let requests = requests.load(Ordering::SeqCst);
        assert!((2..=5).contains(&requests), "{requests} requests for {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_asked_about_by_back_off_not_by_callers() {
    let (tokens, requests) = issuer(503, String::new());
    for _ in 0..10_000 {
        assert!(tokens.token().await.unwrap_err().is_transient());
        sleep(Duration::from_millis(60)).await;
    }
    // Ten minutes of a beat of 30 s at the most, its three steps before, and the two more attempts of the first question.
    let requests = requests.load(Ordering::SeqCst);
    assert!((20..=27).contains(&requests), "{requests}");
}

#[tokio::test(start_paused = true)]
async fn a_limited_issuer_is_left_alone_as_long_as_it_asked() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    let endpoint = service_fn(move |_: Request<Full<Bytes>>| {
        let first = counter.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let limited = Response::builder().status(429).header("retry-after", "90").body(Full::<Bytes>::default());
            let good = Response::new(Full::from(r#"{"access_token":"abc"}"#));
            Ok::<_, Infallible>(if first { limited.unwrap() } else { good })
        }
    });
    let tokens = TokenCache::new(ClientCredentials::new(endpoint, "https://h/", ClientAuth::none("id")).unwrap());
    let start = Instant::now();
    while tokens.token().await.is_err() {
        assert_eq!(requests.load(Ordering::SeqCst), 1);
        sleep(Duration::from_millis(10)).await;
    }
    let waited = Instant::now() - start;
    assert!(waited >= Duration::from_secs(90) && waited < Duration::from_secs(91), "{waited:?}");
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_make_one_token_request() {
    let (tokens, requests) = issuer(200, r#"{"access_token":"abc","expires_in":60}"#.to_owned());
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let tokens = tokens.clone();
        callers.spawn(async move { tokens.token().await.unwrap().generation() });
    }
    let generations = callers.join_all().await;
    assert!(generations.iter().all(|generation| *generation == generations[0]));
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

/// A cache over an endpoint that takes 5 ms and always answers alike, and the count of its HTTP requests.
fn issuer(status: u16, body: String) -> (TokenCache, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    let endpoint = service_fn(move |_: Request<Full<Bytes>>| {
        counter.fetch_add(1, Ordering::SeqCst);
        let body = body.clone();
        async move {
            sleep(Duration::from_millis(5)).await;
            Ok::<_, Infallible>(Response::builder().status(status).body(Full::<Bytes>::from(body)).unwrap())
        }
    });
    let auth = ClientAuth::basic("id", "wrong");
    (TokenCache::new(ClientCredentials::new(endpoint, "https://login.example.com/t", auth).unwrap()), requests)
}
