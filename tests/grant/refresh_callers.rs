//! One refresh at a time, whoever asks, goes away, or shares the grant.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use tokio::{
    runtime::Builder,
    task::{JoinSet, yield_now},
    time::{advance, sleep, timeout},
};
use tower_oauth2::{
    Error, TokenCache, TokenSource,
    grant::Secret,
    testing::{Issuer, TokenStatus},
};

use crate::issuer::{Disk, millis, refresh, secs, signed_in};

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_at_any_point_loses_nothing() {
    // Asking takes 50 ms, keeping another 50 ms.
    for polls in 0..16 {
        let issuer = Issuer::builder().latency(millis(50)).build();
        let disk = Disk::slow(millis(50));
        let grant = signed_in(&issuer, &disk);
        {
            let mut asking = pin!(grant.token(None));
            for _ in 0..polls {
                if asking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                yield_now().await;
                advance(millis(10)).await;
                yield_now().await;
            }
        }
        let token = grant.token(None).await.unwrap();
        assert_eq!(issuer.check(token.secret()), TokenStatus::Valid, "{polls}");
        assert_eq!(issuer.stats().reuses, 0, "{polls}");
        // An answer that had arrived with its caller is the caller's.
        let most = if polls >= 10 { 2 } else { 1 };
        assert!(issuer.stats().refreshes <= most, "{polls}: {:?}", issuer.stats());
        assert_eq!(disk.begun(), disk.kept(), "{polls}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_of_unknown_lifetime_whose_caller_went_away_is_the_next_ones() {
    let issuer = Issuer::builder().latency(millis(50)).without_expires_in().build();
    let disk = Disk::slow(millis(50));
    let grant = signed_in(&issuer, &disk);
    assert!(timeout(millis(75), grant.token(None)).await.is_err(), "it goes away while the refresh token is kept");
    sleep(secs(60)).await;
    grant.token(None).await.unwrap();
    assert_eq!(issuer.stats().refreshes, 1);
}

#[tokio::test(start_paused = true)]
async fn callers_that_go_away_while_they_queue_hold_nobody_up() {
    let issuer = Issuer::builder().latency(millis(50)).build();
    let disk = Disk::slow(millis(50));
    let grant = signed_in(&issuer, &disk);
    let mut rng = fastrand::Rng::with_seed(7);
    for round in 0..50 {
        let mut callers = JoinSet::new();
        for _ in 0..20 {
            let (grant, patience) = (grant.clone(), millis(rng.u64(0..300)));
            callers.spawn(async move { timeout(patience, grant.token(None)).await });
        }
        for result in callers.join_all().await {
            assert!(result.is_err() || result.unwrap().is_ok(), "round {round}");
        }
    }
    grant.token(None).await.unwrap();
    assert_eq!(issuer.stats().reuses, 0);
    assert_eq!(issuer.stats().largest_concurrency, 1);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_gives_up_before_the_answer_comes_gets_it_later() {
    let issuer = Issuer::builder().latency(secs(8)).build();
    let disk = Disk::slow(secs(4));
    let tokens = TokenCache::builder(signed_in(&issuer, &disk)).fetch_timeout(secs(1)).build();
    let mut failures = 0;
    let token = loop {
        match tokens.token().await {
            Ok(token) => break token,
            Err(error) => assert!(error.is_timeout() && error.is_transient(), "{error:?}"),
        }
        failures += 1;
        sleep(millis(100)).await;
    };
    assert!(failures > 0);
    assert_eq!(issuer.check(token.secret()), TokenStatus::Valid);
    assert_eq!((issuer.stats().refreshes, issuer.stats().reuses, disk.kept().len()), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn two_hundred_callers_never_use_a_refresh_token_twice() {
    let issuer = Issuer::builder().lifetime(secs(60)).latency(millis(20)).build();
    let disk = Disk::slow(millis(20));
    let tokens = TokenCache::new(signed_in(&issuer, &disk));
    for _ in 0..20 {
        let mut callers = JoinSet::new();
        for _ in 0..200 {
            let (tokens, issuer) = (tokens.clone(), issuer.clone());
            callers.spawn(async move { issuer.check(tokens.token().await.unwrap().secret()) });
        }
        assert!(callers.join_all().await.iter().all(|status| *status == TokenStatus::Valid));
        sleep(secs(61)).await;
    }
    assert_eq!((issuer.stats().refreshes, issuer.stats().reuses), (20, 0));
    assert_eq!((issuer.stats().largest_concurrency, disk.kept().len()), (1, 20));
}

#[tokio::test(start_paused = true)]
async fn caches_that_share_a_grant_share_its_refresh_token() {
    let issuer = Issuer::builder().lifetime(secs(60)).latency(millis(20)).build();
    let disk = Disk::slow(millis(20));
    let grant = signed_in(&issuer, &disk);
    let caches: Vec<_> = (0..5).map(|_| TokenCache::new(grant.clone())).collect();
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..20 {
        let mut callers = JoinSet::new();
        for _ in 0..100 {
            let (tokens, patience) = (caches[rng.usize(..5)].clone(), millis(rng.u64(0..500)));
            callers.spawn(async move { timeout(patience, tokens.token()).await });
        }
        for token in callers.join_all().await.into_iter().flatten() {
            assert_eq!(issuer.check(token.unwrap().secret()), TokenStatus::Valid);
        }
        sleep(secs(50)).await;
    }
    assert!(issuer.stats().refreshes >= 20, "{:?}", issuer.stats());
    assert_eq!((issuer.stats().reuses, issuer.stats().largest_concurrency), (0, 1));
    assert_eq!(issuer.stats().refreshes, disk.kept().len() as u64);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_nobody_waited_for_is_not_given_to_one_who_asks_for_something_else() {
    let issuer = Issuer::builder().latency(secs(1)).build();
    let grant = signed_in(&issuer, &Disk::default());
    let (reads, writes) = (grant.clone().scope("read"), grant.scope("write"));
    timeout(millis(500), reads.token(None)).await.unwrap_err();
    let token = writes.token(None).await.unwrap();
    assert_eq!(token.field::<String>("scope").as_deref(), Some("write"));
    // One who asks for the same gets it.
    timeout(millis(500), reads.token(None)).await.unwrap_err();
    assert_eq!(reads.clone().token(None).await.unwrap().field::<String>("scope").as_deref(), Some("read"));
    assert_eq!((issuer.stats().refreshes, issuer.stats().reuses), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_does_not_say_what_the_refresh_token_is_holds_nobody_up_for_ever() {
    let issuer = Issuer::new();
    let (first, lookups) = (issuer.sign_in(), Arc::new(AtomicUsize::new(0)));
    let place = Secret::from_fn(move || {
        let (first, hangs) = (first.clone(), lookups.fetch_add(1, Ordering::SeqCst) == 0);
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok::<_, Error>(first)
        }
    });
    let grant = refresh(&issuer, place, &Disk::default()).timeout(secs(5));
    let error = grant.token(None).await.unwrap_err();
    assert!(error.is_timeout() && error.is_transient(), "{error:?}");
    timeout(secs(60), grant.token(None)).await.expect("the first caller holds it").unwrap();
}

#[test]
fn a_runtime_that_ends_while_it_keeps_the_next_one_leaves_that_to_the_next_runtime() {
    let issuer = Issuer::new();
    let disk = Disk::slow(millis(100));
    let grant = signed_in(&issuer, &disk);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(millis(50), grant.token(None)).await.unwrap_err() });
    drop(runtime);
    assert_eq!((disk.begun().len(), disk.kept().len()), (1, 0));
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(grant.token(None)).unwrap();
    let begun = disk.begun();
    assert_eq!((begun.len(), begun[0] == begun[1], disk.kept().len()), (2, true, 1));
    assert_eq!(issuer.stats().refreshes, 1, "the access token was not lost either");
}

#[test]
fn a_runtime_that_ends_while_it_asks_leaves_that_to_the_next_runtime() {
    let issuer = Issuer::builder().latency(millis(100)).build();
    let grant = signed_in(&issuer, &Disk::default());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let asking = runtime.spawn({
        let grant = grant.clone();
        async move { grant.token(None).await }
    });
    runtime.block_on(async { sleep(millis(50)).await });
    drop(runtime);
    assert!(asking.is_finished());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(grant.token(None)).unwrap();
    assert_eq!((issuer.stats().requests, issuer.stats().reuses), (2, 0));
}

#[test]
fn outside_of_a_runtime_is_an_error_and_no_panic() {
    let issuer = Issuer::new();
    let grant = signed_in(&issuer, &Disk::default());
    let error = tokio_test::task::spawn(grant.token(None)).poll();
    let std::task::Poll::Ready(Err(error)) = error else { panic!("{error:?}") };
    assert!(error.to_string().contains("runtime"), "{error}");
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(Duration::from_secs(5), grant.token(None)).await.unwrap().unwrap() });
}
