//! The whole stack over real sockets, with everything going wrong at once, and no record lost.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, future::try_join_all};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::Instant;
use tower::{BoxError, Service, ServiceBuilder};
use tower_oauth2::{
    OAuthLayer, TokenCache,
    client::HttpsClient,
    grant::{ClientAuth, ClientCredentials},
    pager::{Error, Pager, RawItem},
    retry::{RetryLayer, RetryPolicy},
    testing::{Analytics, Fault, Faults, Issuer, Outage, Server},
};

use crate::analytics_shapes::{assert_all_records, shapes};

/// What the records, the faults and every jitter are drawn from.
const SEED: u64 = 0x5eed;
const RECORDS: u64 = 3_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn details_survive_everything_at_once() {
    survives_everything(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_survive_everything_at_once() {
    survives_everything(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entities_survive_everything_at_once() {
    survives_everything(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pagers_that_share_a_cache_ask_for_one_token_at_a_time() {
    let issuer = Issuer::builder().lifetime(Duration::from_millis(400)).latency(Duration::from_millis(10)).build();
    // Once in the middle: a request whose second token is revoked as well gets its 401, as it should.
    let faults = Faults::new().server_error(0.03).reset(0.03).truncate(0.03).revoke_every(400);
    let analytics = Analytics::builder(&issuer).records(500).seed(SEED).faults(faults);
    let analytics = analytics.latency(Duration::from_millis(10)).build();
    let server = analytics.serve_with_issuer().await.unwrap();
    let (api, _) = stack(&server);
    let runs = (0..12).map(|n| {
        let query = shapes(&analytics, &server.url(""), 10)[n % 3].clone();
        Pager::new(api.clone(), query).page_attempts(10).raw_items().try_collect::<Vec<_>>()
    });
    let runs = try_join_all(runs).await.unwrap_or_else(|error| panic!("seed {SEED}: {error:?}"));

    for items in &runs {
        assert_all_records(&analytics, items);
    }
    let (tokens, calls) = (issuer.stats(), analytics.stats());
    assert!(calls.largest_concurrency > 4, "not enough at one time: {calls:?}");
    assert!(tokens.minted > 3, "{tokens:?}");
    assert_eq!(tokens.largest_concurrency, 1, "{tokens:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_server_goes_away_goes_on_with_the_next() {
    let issuer = Issuer::new();
    let analytics = Analytics::builder(&issuer).records(RECORDS).seed(SEED).build();
    let server = analytics.serve_with_issuer().await.unwrap();
    let addr = server.addr();
    let query = || shapes(&analytics, &format!("http://{addr}"), 100)[2].clone();

    let (api, _) = stack(&server);
    let mut first = Pager::new(api, query());
    let mut items = Vec::new();
    for _ in 0..RECORDS / 200 {
        items.extend(first.next().await.unwrap().unwrap().raw_items());
    }
    server.shutdown().await;
    assert!(first.next().await.unwrap().is_err());
    let saved = serde_json::to_string(&first.continuation().unwrap()).unwrap();

    let server = analytics.serve_with_issuer_on(addr).await.unwrap();
    let (api, _) = stack(&server);
    let mut rest = Pager::resume(api, query(), serde_json::from_str(&saved).unwrap()).unwrap().raw_items();
    items.extend(rest.by_ref().try_collect::<Vec<_>>().await.unwrap());
    assert_all_records(&analytics, &items);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limit_is_waited_out_in_both_forms_of_retry_after() {
    let runs = [false, true].map(|as_date| async move {
        // Far more than ten requests fit into two seconds.
        let analytics = Analytics::builder(&Issuer::new()).records(150).rate_limit(10, Duration::from_secs(2));
        let analytics = analytics.retry_after_as_date(as_date).build();
        let server = analytics.serve_with_issuer().await.unwrap();
        let (api, _) = stack(&server);
        let pager = Pager::new(api, shapes(&analytics, &server.url(""), 10)[0].clone());
        let items = pager.raw_items().try_collect::<Vec<_>>().await.unwrap();
        assert_all_records(&analytics, &items);
        let stats = analytics.stats();
        assert!(stats.rate_limited >= 1, "{stats:?}");
        assert_eq!(stats.requests_inside_retry_after, 0, "as a date: {as_date}: {stats:?}");
        Ok::<_, Error>(())
    });
    try_join_all(runs).await.unwrap();
}

/// Tokens that live a second, revocation, outages of the issuer, a rate limit, and each fault that a server can have.
async fn survives_everything(shape: usize) {
    let issuer = Issuer::builder().lifetime(Duration::from_secs(1)).latency(Duration::from_millis(5)).build();
    let faults = Faults::new().server_error(0.03).reset(0.06).truncate(0.06).stall(0.04).html(0.06).empty(0.06);
    let analytics = Analytics::builder(&issuer)
        .records(RECORDS)
        .seed(SEED)
        .faults(faults.revoke_every(11))
        .rate_limit(30, Duration::from_secs(1))
        .absolute_links(shape == 1)
        .build();
    let server = analytics.serve_with_issuer().await.unwrap();
    // Whether the rate limit bites depends on the machine; this 429 comes for sure, a request that is never answered
    // after it, and an issuer that fails as well.
    analytics.fail_next(Fault::RetryAfter(429, Duration::from_millis(900)));
    analytics.fail_next(Fault::Hang);
    issuer.fail_next(Outage::Status { status: 503, retry_after: None });
    issuer.fail_next(Outage::LoseAnswer);

    let (api, policy) = stack(&server);
    let query = shapes(&analytics, &server.url(""), 100)[shape].clone();
    let pager = Pager::new(api, query).page_attempts(10).idle_timeout(Duration::from_millis(100)).seed(SEED);
    let start = Instant::now();
    let (items, error) = collect(pager.raw_items()).await;
    let took = Instant::now() - start;

    let (tokens, calls, retries) = (issuer.stats(), analytics.stats(), policy.stats());
    let story = format!("seed {SEED}, {took:?}: {error:?}\n{calls:?}\n{tokens:?}\n{retries:?}");
    println!("{story}");
    assert!(error.is_none(), "{story}");
    assert_eq!(items.len() as u64, RECORDS, "{story}");
    assert_all_records(&analytics, &items);
    assert_eq!(calls.requests_inside_retry_after, 0, "{story}");
    // A request that was hung up on may still be there for a moment.
    assert!(calls.largest_concurrency <= 2 && tokens.largest_concurrency == 1, "{story}");
    // And all of it did happen.
    assert!(tokens.minted >= 3 && tokens.failed == 2, "{story}");
    assert!(calls.by_status[&429] >= 1 && calls.unauthorized >= 1 && retries.replays >= 1, "{story}");
    for fault in [Fault::ServerError, Fault::Reset, Fault::Truncate, Fault::Stall, Fault::Html, Fault::Empty] {
        assert!(calls.faults.contains_key(&fault), "no {fault:?}: {story}");
    }
}

/// As a user would stack it, but less patient; and the policy, to read its counters.
fn stack(
    server: &Server,
) -> (
    impl Service<Request<Full<Bytes>>, Response = Response<Incoming>, Error = BoxError, Future: Send>
    + Clone
    + Send
    + Unpin
    + use<>,
    RetryPolicy,
) {
    let http = HttpsClient::new().unwrap();
    let auth = ClientAuth::basic("test-client", "test-secret");
    let grant = ClientCredentials::new(http.clone(), server.url("/oauth/token"), auth).unwrap().seed(SEED);
    // The defaults hold a second between two tokens, and ten after a 401: more than this test lasts.
    let moment = Duration::from_millis(10);
    let tokens = TokenCache::builder(grant).min_interval(moment).flap_interval(moment).seed(SEED).build();
    let policy = RetryPolicy::new().max_attempts(10).backoff(moment, 10 * moment).seed(SEED);
    let api = ServiceBuilder::new()
        .layer(RetryLayer::new(policy.clone()))
        .layer(OAuthLayer::for_origin(server.url(""), tokens).unwrap())
        .timeout(Duration::from_millis(300))
        .service(http);
    (api, policy)
}

async fn collect(mut items: impl Stream<Item = Result<RawItem, Error>> + Unpin) -> (Vec<RawItem>, Option<Error>) {
    let mut good = Vec::new();
    loop {
        match items.next().await {
            Some(Ok(item)) => good.push(item),
            Some(Err(error)) => return (good, Some(error)),
            None => return (good, None),
        }
    }
}
