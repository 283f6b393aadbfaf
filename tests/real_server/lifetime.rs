//! Tokens that expire and are revoked at a real authorization server, in real time, and callers that notice nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::future::{join_all, try_join_all};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower_oauth2::{
    TokenCache,
    cache::Builder,
    grant::{ClientAuth, ClientCredentials},
};

use crate::oidc_provider::{self, Provider, Stats};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_two_seconds_trouble_nobody() {
    let Some(server) = Provider::start(config(2)).await else { return };
    // All at its default: a second between two token requests, ten between two that a 401 forced.
    let tokens = cache(&server).build();
    let answers = hammer(&server, &tokens, 8, millis(5), async {
        sleep(millis(6_500)).await;
    });
    let answers = answers.await;
    let (stats, cached) = (server.stats().await, tokens.stats());
    let story = format!("{} answers: {cached:?} {stats:?}", answers.len());
    println!("{story}");
    assert!(answers.len() > 1_000 && answers.iter().all(|status| *status == 200), "{story}");
    // At least as often as they expire, and never twice in a second.
    let minted = stats.of("a b").len() as u64;
    assert!((4..=8).contains(&minted) && minted == cached.minted, "{story}");
    assert_eq!((stats.largest_concurrency, cached.failed), (1, 0), "{story}");
    assert_no_errors(&stats);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_come_now_and_then_get_a_good_token_each_time() {
    let Some(server) = Provider::start(config(2)).await else { return };
    // Each comes when the token is new, old, about to be replaced, or gone.
    let runs = [300, 700, 1_500, 2_300].map(|pause| {
        let (server, tokens) = (&server, cache(&server).build());
        async move {
            let answers = hammer(server, &tokens, 1, millis(pause), sleep(millis(4_500))).await;
            assert!(answers.iter().all(|status| *status == 200), "every {pause} ms: {answers:?}");
        }
    });
    join_all(runs).await;
    assert_no_errors(&server.stats().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_in_mid_flight_costs_one_token_request_and_no_caller_anything() {
    let Some(server) = Provider::start(config(3600)).await else { return };
    let tokens = cache(&server).build();
    let answers = hammer(&server, &tokens, 32, millis(1), async {
        sleep(millis(1_200)).await;
        server.revoke_all().await;
        sleep(millis(500)).await;
    });
    let answers = answers.await;
    let (stats, cached) = (server.stats().await, tokens.stats());
    let story = format!("{} answers: {cached:?} {stats:?}", answers.len());
    println!("{story}");
    assert!(answers.iter().all(|status| *status == 200), "{story}");
    assert_eq!((stats.of("a b").len(), cached.minted, cached.rejected), (2, 2, 1), "{story}");
    assert!(stats.api.refused >= 1, "{story}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_revocations_costs_one_token_request() {
    const REVOCATIONS: u64 = 10;
    let Some(server) = Provider::start(config(3600)).await else { return };
    let tokens = cache(&server).min_interval(millis(100)).flap_interval(millis(100)).build();
    let answers = hammer(&server, &tokens, 32, millis(1), async {
        for _ in 0..REVOCATIONS {
            sleep(millis(300)).await;
            server.revoke_all().await;
        }
        sleep(millis(300)).await;
    });
    let answers = answers.await;
    let (stats, cached) = (server.stats().await, tokens.stats());
    let story = format!("{} answers: {cached:?} {stats:?}", answers.len());
    println!("{story}");
    assert!(answers.iter().all(|status| *status == 200), "{story}");
    assert_eq!((stats.of("a b").len() as u64, cached.rejected), (REVOCATIONS + 1, REVOCATIONS), "{story}");
    assert!(stats.api.refused > REVOCATIONS, "never were two in flight: {story}");
    assert_no_errors(&stats);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_of_the_token_endpoint_is_asked_for_again() {
    let Some(server) = Provider::start(config(3600)).await else { return };
    server.lose_answers(1).await;
    let token = cache(&server).build().token().await.unwrap();
    assert_eq!(server.whoami(&token).await["client"], "a b");
    let stats = server.stats().await;
    assert_eq!(stats.of("a b"), [None, None], "the first was minted as well");
}

/// Asks the API from this many tasks, each with this pause between its requests, for as long as `story` lasts; what it
/// answered.
async fn hammer(
    server: &Provider,
    tokens: &TokenCache,
    tasks: usize,
    pause: Duration,
    story: impl Future<Output = ()>,
) -> Vec<StatusCode> {
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..tasks)
        .map(|_| {
            let (api, url, stop) = (server.stack(tokens), server.api_url(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut answers = Vec::new();
                while !stop.load(SeqCst) {
                    answers.push(oidc_provider::call(api.clone(), &url).await);
                    sleep(pause).await;
                }
                answers
            })
        })
        .collect();
    story.await;
    stop.store(true, SeqCst);
    try_join_all(callers).await.unwrap().concat()
}

fn config(lifetime: u64) -> Value {
    json!({ "clients": [{ "client_id": "a b", "client_secret": "c+d%e" }], "lifetime": lifetime })
}

fn cache(server: &Provider) -> Builder {
    let auth = ClientAuth::basic("a b", "c+d%e");
    TokenCache::builder(ClientCredentials::new(server.http(), server.token_url(), auth).unwrap())
}

fn assert_no_errors(stats: &Stats) {
    assert!(stats.token_requests.iter().all(|request| request.error.is_none()), "{stats:?}");
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
