//! What a grant does when the token endpoint refuses, breaks down or stalls.

use std::{future::pending, sync::atomic::Ordering, time::Duration};

use tokio::time::{Instant, sleep};
use tower_oauth2::{
    TokenSource,
    grant::{ClientAuth, ClientCredentials},
};

use crate::endpoint::{GOOD, Script, Step, answer, ask, endpoint_of, whole};

#[tokio::test(start_paused = true)]
async fn a_hanging_endpoint_is_given_up_after_ten_seconds_in_all() {
    for seed in 0..20 {
        let (result, calls, took) = ask(seed, |_| async { pending().await }).await;
        let error = result.unwrap_err();
        assert!(error.is_timeout() && error.is_transient(), "{error:?}");
        assert_eq!(error.to_string(), "the token request took longer than 10s");
        assert_eq!((took, calls), (Duration::from_secs(10), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_timeout_can_be_set_and_each_attempt_may_take_all_of_it() {
    let endpoint = |_: usize| async {
        sleep(Duration::from_secs(19)).await;
        Ok(answer(200, whole(GOOD)))
    };
    let (calls, service) = endpoint_of(endpoint);
    let grant = ClientCredentials::new(service, "https://h/", ClientAuth::none("id")).unwrap();
    let grant = grant.timeout(Duration::from_secs(20));
    assert!(grant.token(None).await.is_ok());
    assert!(grant.timeout(Duration::from_secs(18)).token(None).await.unwrap_err().is_timeout());
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_whose_page_never_ends_is_a_refusal_all_the_same() {
    let (result, calls, took) = ask(1, |_| async { Ok(answer(401, Script::of([Step::Data("{"), Step::Hang]))) }).await;
    let error = result.unwrap_err();
    assert_eq!(error.status().unwrap(), 401);
    assert!(!error.is_transient());
    assert_eq!((calls, took), (1, Duration::from_secs(2)));
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_three_times_and_then_reported() {
    for status in [500, 502, 503, 504] {
        let (result, calls, took) = ask(1, move |_| async move { Ok(answer(status, whole(""))) }).await;
        let error = result.unwrap_err();
        assert!(error.is_transient());
        assert_eq!((calls, error.status().unwrap().as_u16()), (3, status));
        let [least, most] = [2_000, 3_500].map(Duration::from_millis);
        assert!(took > least && took < most, "a second each, 500 ms and 1 s more at the most: {took:?}");
    }
    let (result, calls, _) = ask(1, |_| async { Err("connection reset".into()) }).await;
    let error = result.unwrap_err();
    assert!(error.is_transient() && error.status().is_none());
    assert_eq!(calls, 3);
    assert!(error.to_string().contains("login.example.com"));
}

#[tokio::test(start_paused = true)]
async fn the_second_pause_can_be_longer_than_the_first() {
    let mut longest = Duration::ZERO;
    for seed in 0..20 {
        let (_, calls, took) = ask(seed, |_| async { Ok(answer(503, whole(""))) }).await;
        assert_eq!(calls, 3);
        longest = longest.max(took);
    }
    assert!(longest > Duration::from_millis(3000), "up to 500 ms, then up to 1 s more: {longest:?}");
}

#[tokio::test(start_paused = true)]
async fn no_pause_is_begun_that_would_end_too_late() {
    let late = Duration::from_millis(9200);
    let (result, calls, took) = ask(1, move |_| async move {
        sleep(late).await;
        Ok(answer(503, whole("")))
    })
    .await;
    let error = result.unwrap_err();
    assert_eq!(
        (error.status().unwrap().as_u16(), calls, took),
        (503, 1, late),
        "what was said, and not that time was up"
    );
}

#[tokio::test(start_paused = true)]
async fn a_blip_is_not_noticed() {
    for blip in [0, 1, 2] {
        let (result, calls, _) = ask(1, move |call| async move {
            match (call, blip) {
                (3.., _) => Ok(answer(200, whole(GOOD))),
                (_, 0) => Err("connection refused".into()),
                (_, 1) => Ok(answer(503, whole("<html>"))),
                (_, _) => Ok(answer(200, Script::of([Step::Data("{"), Step::Break]))),
            }
        })
        .await;
        assert_eq!((result.unwrap().header().to_str().unwrap(), calls), ("Bearer abc", 3), "blip {blip}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_asked_for_once() {
    for status in [400, 401, 403, 404, 408, 425, 429] {
        let refused = r#"{"error":"temporarily_unavailable"}"#;
        let (result, calls, took) = ask(1, move |_| async move { Ok(answer(status, whole(refused))) }).await;
        assert_eq!(result.unwrap_err().status().unwrap().as_u16(), status);
        assert_eq!((calls, took), (1, Duration::ZERO), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_when_is_left_alone_until_then() {
    for status in [429, 503] {
        let (result, calls, took) = ask(1, move |_| async move {
            let mut answer = answer(status, whole(""));
            answer.headers_mut().insert("retry-after", "3".parse().unwrap());
            Ok(answer)
        })
        .await;
        assert_eq!(result.unwrap_err().retry_after(), Some(Duration::from_secs(3)));
        assert_eq!((calls, took), (1, Duration::ZERO), "the cache waits, not the grant");
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_never_followed() {
    for status in [301, 302, 303, 307, 308] {
        let (result, calls, _) = ask(1, move |_| async move {
            let mut answer = answer(status, whole(GOOD));
            answer.headers_mut().insert("location", "https://evil.example/".parse().unwrap());
            Ok(answer)
        })
        .await;
        let error = result.unwrap_err();
        assert!(!error.is_transient() && error.to_string().contains("redirect"), "{error}");
        assert_eq!(calls, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_counts_from_the_attempt_that_brought_the_token() {
    let start = Instant::now();
    let (result, ..) = ask(1, |call| async move {
        if call == 1 {
            sleep(Duration::from_secs(5)).await;
            return Ok(answer(503, whole("")));
        }
        Ok(answer(200, whole(GOOD)))
    })
    .await;
    let issued = result.unwrap().expires_at().unwrap() - Duration::from_secs(60) - start;
    assert!(issued >= Duration::from_secs(6) && issued < Duration::from_millis(6500), "{issued:?}");
}
