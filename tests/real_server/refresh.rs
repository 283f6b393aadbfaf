//! Refresh tokens at a real authorization server that rotates them, and revokes all when one is used twice.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::future::{join_all, try_join_all};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tower_oauth2::{
    Token, TokenCache, TokenSource,
    grant::{ClientAuth, RefreshToken, Secret},
};

use crate::oidc_provider::{self, Provider};

/// Where refresh tokens are kept: all that ever were, the latest last.
#[derive(Clone, Default)]
struct Kept {
    tokens: Arc<Mutex<Vec<String>>>,
    failures: Arc<AtomicU32>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_callers_never_use_a_refresh_token_twice() {
    let Some(server) = Provider::start(config(2)).await else { return };
    let kept = Kept::default();
    let grant = grant(&server, server.refresh_token(APP).await, &kept);
    // Two caches share it, as clones of it may be.
    let caches = [TokenCache::new(grant.clone()), TokenCache::new(grant)];
    let end = Instant::now() + Duration::from_millis(6_500);
    let callers = (0..200).map(|n| {
        let (tokens, kept) = (caches[n % 2].clone(), kept.clone());
        tokio::spawn(async move {
            let mut calls = 0;
            while Instant::now() < end {
                let token = tokens.token().await.unwrap();
                kept.assert_has_what_came_with(&token);
                if n % 10 == 0 {
                    // Gone before there is an answer, whatever there was to wait for.
                    tokens.reject(&token);
                    let _ = timeout(Duration::from_millis(1), tokens.token()).await;
                }
                calls += 1;
                sleep(Duration::from_millis(20)).await;
            }
            calls
        })
    });
    let calls: u32 = try_join_all(callers).await.unwrap().iter().sum();

    // A refresh that is under way outlives who asked for it: the server has counted it, and its token is not kept yet.
    let mut stats = server.stats().await;
    for _ in 0..100 {
        if stats.of(APP).len() == kept.all().len() {
            break;
        }
        sleep(Duration::from_millis(50)).await;
        stats = server.stats().await;
    }
    let story = format!("{calls} calls: {stats:?}");
    println!("{story}");
    let requests = stats.of(APP);
    assert!(requests.len() >= 4 && requests.iter().all(Option::is_none), "{story}");
    assert_eq!((stats.largest_concurrency, kept.all().len()), (1, requests.len()), "{story}");
    // Whoever starts anew goes on from what was kept.
    let token = TokenCache::new(self::grant(&server, kept.latest(), &kept)).token().await.unwrap();
    assert_eq!(server.whoami(&token).await["account"], "somebody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_lose_neither_refresh_token_nor_access_token() {
    let Some(server) = Provider::start(config(3600)).await else { return };
    let kept = Kept::default();
    let grant = grant(&server, server.refresh_token(APP).await, &kept);
    server.delay_answers(Duration::from_millis(600)).await;
    let impatient = (0..50).map(|_| timeout(Duration::from_millis(50), grant.token(None)));
    assert!(join_all(impatient).await.iter().all(Result::is_err));
    assert_eq!(kept.all().len(), 0, "not answered yet");

    let token = grant.token(None).await.unwrap();
    assert_eq!((server.stats().await.of(APP), kept.all().len()), (vec![None], 1));
    kept.assert_has_what_came_with(&token);

    // The same through a cache, which is all that is left when everybody is gone.
    let tokens = TokenCache::new(grant);
    let impatient = (0..50).map(|_| timeout(Duration::from_millis(50), tokens.token()));
    assert!(join_all(impatient).await.iter().all(Result::is_err));
    let token = tokens.token().await.unwrap();
    assert_eq!((server.stats().await.of(APP), kept.all().len()), (vec![None, None], 2));
    assert_eq!(server.whoami(&token).await["client"], APP);
}

#[tokio::test]
async fn a_refresh_token_that_is_not_kept_is_not_used_and_not_lost() {
    let Some(server) = Provider::start(config(3600)).await else { return };
    let kept = Kept::default();
    kept.failures.store(2, SeqCst);
    let grant = grant(&server, server.refresh_token(APP).await, &kept);
    for _ in 0..2 {
        assert!(grant.token(None).await.unwrap_err().is_transient());
    }
    let token = grant.token(None).await.unwrap();
    kept.assert_has_what_came_with(&token);
    assert_eq!(server.stats().await.of(APP), [None]);
    assert_eq!(server.whoami(&token).await["client"], APP);
}

#[tokio::test]
async fn a_revoked_access_token_is_refreshed_and_the_user_stays_signed_in() {
    let Some(server) = Provider::start(config(3600)).await else { return };
    let kept = Kept::default();
    let grant = grant(&server, server.refresh_token(APP).await, &kept);
    let (api, url) = (server.stack(&TokenCache::new(grant)), server.api_url());
    for revocations in 0..2 {
        let calls = (0..20).map(|_| oidc_provider::call(api.clone(), &url));
        assert!(join_all(calls).await.iter().all(|status| *status == 200));
        assert_eq!(server.stats().await.of(APP), vec![None; revocations + 1]);
        server.revoke_all().await;
        // The least time between two token requests.
        sleep(Duration::from_millis(1_000)).await;
    }
}

#[tokio::test]
async fn a_refresh_token_that_somebody_used_ends_in_a_sign_in_and_not_in_a_storm() {
    let Some(server) = Provider::start(config(2)).await else { return };
    let first = server.refresh_token(APP).await;
    let (ours, theirs) = (Kept::default(), Kept::default());
    let tokens = TokenCache::new(grant(&server, first.clone(), &ours));
    tokens.token().await.unwrap();
    let error = grant(&server, first, &theirs).token(None).await.unwrap_err();
    assert!(error.requires_sign_in() && !error.is_transient(), "{error:?}");
    let asked = server.stats().await;
    assert_eq!(asked.of(APP), [None, Some("invalid_grant: refresh token already used")]);

    // The server revoked all that came of it: ours as well, once it is wanted.
    sleep(Duration::from_millis(2_100)).await;
    for _ in 0..20 {
        let error = tokens.token().await.unwrap_err();
        assert!(error.requires_sign_in() && error.oauth_code() == Some("invalid_grant"), "{error:?}");
    }
    let asked = server.stats().await;
    assert_eq!(asked.of(APP).len(), 3, "{asked:?}");
}

#[tokio::test]
async fn a_user_who_signed_in_again_is_found_where_the_token_is_kept() {
    let Some(server) = Provider::start(config(3600)).await else { return };
    let kept = Kept::default();
    kept.put("revoked long ago".into());
    let place = kept.clone();
    let secret = Secret::from_fn(move || {
        let latest = place.latest();
        async move { Ok::<_, io::Error>(latest) }
    });
    let grant = grant(&server, secret, &kept);
    for _ in 0..2 {
        assert!(grant.token(None).await.unwrap_err().requires_sign_in());
    }
    assert_eq!(server.stats().await.of(APP).len(), 1, "sent once");
    kept.put(server.refresh_token(APP).await);
    let token = grant.token(None).await.unwrap();
    assert_eq!(server.whoami(&token).await["account"], "somebody");
    assert_eq!(kept.all().len(), 3);
}

#[tokio::test]
async fn a_lost_answer_of_a_server_without_grace_ends_in_a_sign_in() {
    let Some(server) = Provider::start(config(3600)).await else { return };
    let kept = Kept::default();
    let grant = grant(&server, server.refresh_token(APP).await, &kept);
    server.lose_answers(1).await;
    let error = grant.token(None).await.unwrap_err();
    assert!(error.requires_sign_in(), "{error:?}");
    let stats = server.stats().await;
    assert_eq!(stats.of(APP), [None, Some("invalid_grant: refresh token already used")]);
}

// === impl Kept ===

impl Kept {
    fn put(&self, token: String) {
        self.tokens.lock().unwrap().push(token);
    }

    fn all(&self) -> Vec<String> {
        self.tokens.lock().unwrap().clone()
    }

    fn latest(&self) -> String {
        self.tokens.lock().unwrap().last().unwrap().clone()
    }

    /// As somebody must be able to say who has the access token in hand.
    fn assert_has_what_came_with(&self, token: &Token) {
        let next = token.field::<String>("refresh_token").unwrap();
        assert!(
            self.tokens.lock().unwrap().contains(&next),
            "an access token is used before its refresh token is kept"
        );
    }
}

fn grant(server: &Provider, first: impl Into<Secret>, kept: &Kept) -> RefreshToken {
    let kept = kept.clone();
    let persist = move |next: String| {
        let kept = kept.clone();
        async move {
            // As a disk takes its time.
            sleep(Duration::from_millis(20)).await;
            if kept.failures.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
                return Err(io::Error::other("the disk is full"));
            }
            kept.put(next);
            Ok(())
        }
    };
    RefreshToken::new(server.http(), server.token_url(), ClientAuth::none(APP), first, persist).unwrap()
}

fn config(lifetime: u64) -> Value {
    let app = json!({ "client_id": APP, "token_endpoint_auth_method": "none", "grant_types": ["refresh_token"] });
    json!({ "clients": [app], "lifetime": lifetime })
}

const APP: &str = "an app";
