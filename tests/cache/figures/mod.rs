//! What the token cache is held to, in numbers: herds, callers that give up, outages, recoveries, refusals, lock-outs.
//!
//! Everything from the token endpoint's HTTP to the API's is there; time is virtual. The scale is a small one by default, so
//! that a debug build takes seconds. The full one, of which each test's doc has the result of 2026-11-21, is
//!
//! ```text
//! FIGURES=full cargo test --release --test cache figures -- --nocapture
//! ```

mod bench;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use self::bench::{API, Pace, api, full, get, grant, secs, tokens};
use futures_util::future::join_all;
use http::{Response, StatusCode};
use tokio::{
    runtime::Handle,
    time::{Instant, advance, sleep, sleep_until, timeout},
};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_oauth2::{
    Error, OAuthLayer, TokenCache, TokenSource,
    retry::{RetryLayer, RetryPolicy},
    testing::{Issuer, Outage},
};

/// 10,000 callers at once through 1,000 expiries make exactly 1,001 token requests.
#[tokio::test(start_paused = true)]
async fn a_herd_at_every_expiry_costs_one_token_request_each() {
    let (callers, expiries) = full((10_000, 1_000), (1_000, 20));
    let issuer = Issuer::builder().lifetime(secs(60)).latency(Duration::from_millis(50)).build();
    let tokens = tokens(&issuer, 1);
    for expiry in 0..=expiries {
        let herd = join_all((0..callers).map(|_| tokens.token())).await;
        let generation = herd[0].as_ref().unwrap().generation();
        assert!(herd.iter().all(|token| token.as_ref().unwrap().generation() == generation));
        assert_eq!(issuer.stats().requests, expiry + 1);
        advance(secs(61)).await;
    }
    println!("{callers} callers, {expiries} expiries: {} token requests", issuer.stats().requests);
}

/// 1,000 callers that wait 50 ms each for an issuer that takes 500 ms: one token request, its token is kept, and no task is
/// left behind.
#[tokio::test(start_paused = true)]
async fn callers_that_give_up_neither_cancel_the_token_request_nor_leave_anything_behind() {
    let issuer = Issuer::builder().lifetime(secs(60)).latency(Duration::from_millis(500)).build();
    let tokens = tokens(&issuer, 1);
    let callers = join_all((0..1_000).map(|_| timeout(Duration::from_millis(50), tokens.token()))).await;
    assert!(callers.iter().all(Result::is_err));
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 1, "the token request goes on");
    sleep(secs(1)).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    let start = Instant::now();
    tokens.token().await.unwrap();
    assert_eq!((Instant::now() - start, issuer.stats().requests), (Duration::ZERO, 1));
}

/// 1,000 requests a second for the 55 minutes that an issuer is dead while the token has them still to live: of 3,299,000 none
/// fails, none waits at all, and the issuer gets 14 requests where it resets connections, 12 where it hangs.
#[tokio::test(start_paused = true)]
async fn nobody_notices_an_issuer_that_is_dead_while_the_token_lives() {
    let rps = full(1_000, 10);
    for outage in [Outage::Reset, Outage::Hang] {
        let issuer = Issuer::builder().lifetime(secs(3600)).build();
        let mut api =
            api(tokens(&issuer, 2), service_fn(|_| async { Ok::<_, BoxError>(Response::new(String::new())) }));
        (&mut api).oneshot(get()).await.unwrap();
        let minted = Instant::now();
        sleep(secs(300)).await;
        issuer.set_outage(Some(outage.clone()));
        let (mut pace, mut requests) = (Pace::new(rps), 0_u64);
        while Instant::now() < minted + secs(3599) {
            let sent = Instant::now();
            assert_eq!((&mut api).oneshot(get()).await.unwrap().status(), 200);
            assert_eq!(Instant::now(), sent, "nobody waits");
            requests += 1;
            pace.next().await;
        }
        let asked = issuer.stats().requests - 1;
        println!("{outage:?}: {requests} requests, {asked} token requests");
        assert!((2..=30).contains(&asked), "{outage:?}: {asked}");
    }
}

/// Ten minutes of an issuer that is dead, without a token: 25 token requests at 1 and at 10,000 requests a second alike, 22
/// where it hangs, counted at the token endpoint; and while the cache cools down every caller has its error at once.
#[tokio::test(start_paused = true)]
async fn what_an_outage_costs_depends_on_its_length_and_not_on_the_load() {
    let loads = full([1, 10_000], [1, 50]);
    for outage in [Outage::Reset, Outage::Hang, Outage::Status { status: 503, retry_after: None }] {
        let mut asked = Vec::new();
        for rps in loads {
            let issuer = Issuer::builder().lifetime(secs(60)).build();
            let tokens = tokens(&issuer, 3);
            tokens.token().await.unwrap();
            issuer.set_outage(Some(outage.clone()));
            sleep(secs(60)).await;
            let before = issuer.stats().requests;
            let mut pace = Pace::new(rps);
            let until = Instant::now() + secs(600);
            while Instant::now() < until {
                let sent = Instant::now();
                let error = tokens.token().await.unwrap_err();
                let waited = Instant::now() - sent;
                assert!(waited <= secs(10), "{waited:?}");
                if error.retry_at().unwrap() > Instant::now() {
                    let again = tokens.token().await.unwrap_err();
                    assert_eq!((again.retry_at(), Instant::now() - sent), (error.retry_at(), waited), "at once");
                }
                pace.next().await;
            }
            asked.push(issuer.stats().requests - before);
        }
        println!("{outage:?}: {asked:?} token requests at {loads:?} requests a second");
        assert!(asked.iter().all(|asked| (10..=27).contains(asked)), "{outage:?}: {asked:?}");
        assert!(asked[0].abs_diff(asked[1]) <= 2, "{asked:?}");
    }
}

/// 1,000 processes, each with a cache of its own, notice within 30 s that the issuer is back, and do not all come at once: in
/// no second come more than three times the mean of those 30 s, which is 33; 43 in the busiest.
#[tokio::test(start_paused = true)]
async fn a_fleet_recovers_within_half_a_minute_and_not_all_at_once() {
    let pods = full(1_000, 300);
    for outage in [secs(40), secs(300)] {
        let issuer = Issuer::builder().lifetime(secs(3600)).build();
        issuer.set_outage(Some(Outage::Status { status: 503, retry_after: None }));
        let fleet: Vec<_> = (0..pods).map(|pod| tokens(&issuer, pod as u64)).collect();
        let healed = Instant::now() + outage;
        let recovered = join_all(fleet.iter().map(|tokens| async move {
            loop {
                match tokens.token().await {
                    Ok(_) => return Instant::now() - healed,
                    Err(error) => sleep_until(error.retry_at().unwrap()).await,
                }
            }
        }));
        let heal = async {
            sleep_until(healed).await;
            issuer.set_outage(None);
        };
        let (recovered, ()) = tokio::join!(recovered, heal);
        let mut seconds = [0_usize; 31];
        for after in &recovered {
            assert!(*after <= secs(30), "{after:?}");
            seconds[usize::try_from(after.as_secs()).unwrap()] += 1;
        }
        let (peak, mean) = (*seconds.iter().max().unwrap(), pods as f64 / 30.0);
        let first = recovered.iter().min().unwrap();
        println!("outage of {outage:?}: first after {first:?}, {peak} in the busiest second, {mean:.1} in the mean");
        assert!(peak as f64 <= 3.0 * mean, "{seconds:?}");
    }
}

/// 1,000 requests under way that are all refused with the same token make one token request, and are sent twice each at the
/// most; an API that refuses every token gets two sends a request, and the issuer one token request in ten seconds.
#[tokio::test(start_paused = true)]
async fn a_thousand_refusals_cost_one_token_request() {
    let issuer = Issuer::builder().lifetime(secs(3600)).build();
    let sends = Arc::new(AtomicUsize::new(0));
    let (checked, count) = (issuer.clone(), Arc::clone(&sends));
    let server = service_fn(move |request: http::Request<String>| {
        count.fetch_add(1, SeqCst);
        let token = request.headers()["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
        let issuer = checked.clone();
        async move {
            sleep(Duration::from_millis(100)).await;
            let good = issuer.check(&token) == tower_oauth2::testing::TokenStatus::Valid;
            let status = if good { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            Ok::<_, BoxError>(Response::builder().status(status).body(String::new()).unwrap())
        }
    });
    let tokens = tokens(&issuer, 4);
    let api = api(tokens.clone(), server);
    tokens.token().await.unwrap();
    issuer.revoke_all();
    let answers = join_all((0..1_000).map(|_| api.clone().oneshot(get()))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status() == 200));
    assert_eq!((issuer.stats().requests, sends.load(SeqCst)), (2, 2_000));
}

#[tokio::test(start_paused = true)]
async fn an_api_that_refuses_every_token_gets_two_sends_a_request_and_the_issuer_no_storm() {
    let issuer = Issuer::builder().lifetime(secs(3600)).build();
    let sends = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sends);
    let server = service_fn(move |_: http::Request<String>| {
        count.fetch_add(1, SeqCst);
        async { Ok::<_, BoxError>(Response::builder().status(401).body(String::new()).unwrap()) }
    });
    let api = api(tokens(&issuer, 5), server);
    let (mut requests, start) = (0, Instant::now());
    for _ in 0..60 {
        let before = sends.load(SeqCst);
        let answers = join_all((0..10).map(|_| api.clone().oneshot(get()))).await;
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status() == 401));
        assert!(sends.load(SeqCst) - before <= 20);
        requests += 10;
        sleep(secs(1)).await;
    }
    let minted = issuer.stats().requests;
    let elapsed = Instant::now() - start;
    println!("{requests} refused requests in {elapsed:?}: {} sends, {minted} token requests", sends.load(SeqCst));
    // The first, and then one that a refusal forced at the beginning and every ten seconds.
    assert!(minted <= 2 + elapsed.as_secs() / 10, "{minted}");
}

/// A wrong secret and 10,000 requests in ten minutes: 4 token requests, after 0, 60, 180 and 420 s.
#[tokio::test(start_paused = true)]
async fn a_wrong_secret_locks_nobody_out() {
    let issuer = Issuer::new();
    issuer.set_secret("another");
    let tokens = TokenCache::new(grant(&issuer, 6));
    let start = Instant::now();
    let mut pace = Pace::new(17);
    for _ in 0..10_000 {
        let error: Error = tokens.token().await.unwrap_err();
        assert_eq!(error.oauth_code(), Some("invalid_client"));
        pace.next().await;
    }
    assert!(Instant::now() - start > secs(580));
    assert_eq!(issuer.stats().requests, 4);
}

/// A machine that sleeps for eight hours, with a clock that sleeps too: the token is over and looks new. One 401, one replay.
#[tokio::test(start_paused = true)]
async fn a_clock_that_stood_still_costs_one_replay() {
    let issuer = Issuer::builder().lifetime(secs(3600)).build();
    let checked = issuer.clone();
    let server = service_fn(move |request: http::Request<String>| {
        let token = request.headers()["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
        let good = checked.check(&token) == tower_oauth2::testing::TokenStatus::Valid;
        let status = if good { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        async move { Ok::<_, BoxError>(Response::builder().status(status).body(String::new()).unwrap()) }
    });
    let policy = RetryPolicy::new();
    let tokens = tokens(&issuer, 7);
    let api = ServiceBuilder::new()
        .layer(RetryLayer::new(policy.clone()))
        .layer(OAuthLayer::for_origin(API, tokens).unwrap())
        .service(server);
    for nights in 1..=5 {
        assert_eq!(api.clone().oneshot(get()).await.unwrap().status(), 200);
        // Eight hours pass for the issuer, and none for us.
        issuer.revoke_all();
        assert_eq!(api.clone().oneshot(get()).await.unwrap().status(), 200);
        assert_eq!((policy.stats().replays, issuer.stats().requests), (nights, nights + 1));
        sleep(secs(11)).await;
    }
}

/// Wall clocks that are ten years apart, either way: only dates in answers are wall time, and they are measured by the
/// server's own.
#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_years_off_changes_nothing() {
    for date in ["Sat, 21 Nov 2016 12:00:00 GMT", "Sat, 21 Nov 2036 12:00:00 GMT"] {
        let at = httpdate::parse_http_date(date).unwrap_or(std::time::SystemTime::UNIX_EPOCH);
        let [now, later] = [at, at + secs(20)].map(httpdate::fmt_http_date);
        let http = service_fn(move |_| {
            let answer = Response::builder().status(503).header("date", &now).header("retry-after", &later);
            let answer = answer.body(String::new()).unwrap();
            async move { Ok::<_, BoxError>(answer) }
        });
        let auth = tower_oauth2::grant::ClientAuth::none("id");
        let grant = tower_oauth2::grant::ClientCredentials::new(http, "https://login.example.com/token", auth).unwrap();
        assert_eq!(grant.token(None).await.unwrap_err().retry_after(), Some(secs(20)), "{date}");
    }
}

/// A black hole instead of an issuer: callers hear what the token request came to, not just that they waited.
#[tokio::test(start_paused = true)]
async fn who_waits_for_an_issuer_that_hangs_hears_why_and_when_it_is_asked_again() {
    let issuer = Issuer::new();
    issuer.set_outage(Some(Outage::Hang));
    let api = api(tokens(&issuer, 8), service_fn(|_| async { Ok::<_, BoxError>(Response::new(String::new())) }));
    let error = api.oneshot(get()).await.unwrap_err();
    let error = Error::find(error.as_ref()).unwrap();
    assert!(error.is_timeout() && error.retry_at().is_some(), "{error}");
    assert!(error.to_string().contains("the token request"), "{error}");
}
