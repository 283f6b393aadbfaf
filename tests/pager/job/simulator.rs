//! A job of the API that the crate simulates, through the whole stack, on a bad day.

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tower::{BoxError, ServiceBuilder, util::BoxCloneService};
use tower_oauth2::{
    OAuthLayer, TokenCache,
    genesys::ConversationJob,
    grant::{ClientAuth, ClientCredentials},
    pager::{ErrorKind, Pager},
    retry::{RetryLayer, RetryPolicy},
    testing::{Analytics, Body, Faults, Issuer, JobFate},
};

use crate::job::api::secs;

const API: &str = "https://api.example.com";
type Client = BoxCloneService<Request<Full<Bytes>>, Response<Body>, BoxError>;

struct World {
    analytics: Analytics,
    client: Client,
}

// === impl World ===

impl World {
    fn new(records: u64) -> Self {
        let issuer = Issuer::builder().client("id", "secret").lifetime(secs(30)).build();
        let analytics = Analytics::builder(&issuer).records(records).job_polls(4).build();
        let auth = ClientAuth::basic("id", "secret");
        let grant = ClientCredentials::new(issuer.service(), "https://login.example.com/oauth/token", auth).unwrap();
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(RetryPolicy::default().max_attempts(12)))
            .layer(OAuthLayer::for_origin(API, TokenCache::new(grant)).unwrap())
            .service(analytics.service());
        Self { analytics, client: BoxCloneService::new(stack) }
    }

    fn pager(&self) -> Pager<Client> {
        let query = ConversationJob::query(API, self.analytics.interval()).page_size(100).build().unwrap();
        Pager::new(self.client.clone(), query).page_attempts(20)
    }
}

#[tokio::test(start_paused = true)]
async fn every_conversation_comes_once_through_expiry_errors_and_broken_pages() {
    let world = World::new(2_000);
    let mut pager = world.pager();
    let mut seen = HashSet::new();
    let mut pages = 0;
    while let Some(page) = pager.next().await {
        let page = page.unwrap();
        pages += 1;
        for item in page.items::<Value>() {
            let id = item.unwrap()["conversationId"].as_str().unwrap().to_owned();
            assert!(seen.insert(id), "twice");
        }
        // What breaks a submission is an error, and not repeated; from here on everything is.
        world.analytics.set_faults(Faults::new().server_error(0.1).truncate(0.1).unauthorized(0.05).html(0.05));
        sleep(secs(10)).await;
    }
    assert_eq!((seen.len(), pages), (2_000, 20));
    let stats = world.analytics.stats();
    assert!(stats.faults.len() == 4 && world.analytics.issuer().stats().minted > 5, "{stats:?}");
    assert_eq!((stats.jobs, world.analytics.open_jobs()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn no_job_is_left_whenever_the_stream_is_dropped() {
    for millis in (0..8_000).step_by(163) {
        let world = World::new(400);
        let mut pager = world.pager();
        let slowly = async {
            while let Some(page) = pager.next().await {
                page.unwrap();
                sleep(Duration::from_millis(250)).await;
            }
        };
        let _over_or_not = timeout(Duration::from_millis(millis), slowly).await;
        drop(pager);
        sleep(secs(60)).await;
        let stats = world.analytics.stats();
        assert_eq!((world.analytics.open_jobs(), stats.jobs), (0, stats.jobs_deleted), "dropped after {millis} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn each_fate_of_a_job_is_told_and_leaves_none() {
    for (fate, pages, kind) in [
        (JobFate::Failed, 0, ErrorKind::JobFailed),
        (JobFate::Cancelled, 0, ErrorKind::JobFailed),
        (JobFate::Expired, 0, ErrorKind::JobFailed),
        (JobFate::ExpiredAfter(3), 3, ErrorKind::JobFailed),
        (JobFate::Pending, 0, ErrorKind::JobTimeout),
    ] {
        let world = World::new(1_000);
        world.analytics.next_job(fate);
        let mut pager = world.pager();
        let mut came = 0;
        let error = loop {
            match pager.next().await.unwrap() {
                Ok(_) => came += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((came, error.kind()), (pages, kind), "{fate:?}: {error}");
        assert!(pager.next().await.is_none());
        assert_eq!(world.analytics.open_jobs(), 0, "{fate:?}");
    }
}
