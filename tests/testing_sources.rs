//! What the simulated API has besides conversations, read as an exporter reads it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "support/analytics_shapes.rs"]
#[allow(dead_code, reason = "not all of it is wanted here")]
mod analytics_shapes;

use futures_util::TryStreamExt;
use tower_oauth2::{
    genesys,
    pager::{Error, Pager, Query, RawItem},
    testing::{Analytics, AnalyticsBuilder, Issuer},
};

use analytics_shapes::{API, authorized};

const PERIOD: &str = "2026-03-01T00:00:00.000Z/2026-03-02T00:00:00.000Z";

#[tokio::test(start_paused = true)]
async fn a_listing_has_every_user_byte_for_byte() {
    let analytics = analytics(|it| it.users(7));
    let query = genesys::listing(API, "/api/v2/users?pageSize=3").unwrap();
    let expected: Vec<String> = (0..7).map(|index| analytics.user(index)).collect();
    assert_eq!(all(&analytics, query).await.unwrap(), expected);
}

fn analytics(build: impl FnOnce(AnalyticsBuilder) -> AnalyticsBuilder) -> Analytics {
    build(Analytics::builder(&Issuer::new()).interval(PERIOD).unwrap()).build()
}

async fn all(analytics: &Analytics, query: Query) -> Result<Vec<String>, Error> {
    let items: Vec<RawItem> = Pager::new(authorized(analytics), query).raw_items().try_collect().await?;
    Ok(texts(&items))
}

fn texts(items: &[RawItem]) -> Vec<String> {
    items.iter().map(|item| String::from_utf8(item.as_bytes().to_vec()).unwrap()).collect()
}
