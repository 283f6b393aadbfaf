//! The shapes in which the analytics API pages, as queries, and a service that it takes requests from.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use http_body_util::Full;
use serde_json::json;
use tower::{BoxError, Service, ServiceBuilder};
use tower_oauth2::{
    genesys,
    pager::{Query, RawItem},
    testing::{Analytics, Body},
};

pub(crate) const API: &str = "https://api.example.com";

/// The real one, and those of the tutorials.
pub(crate) fn shapes(analytics: &Analytics, api: &str, size: u32) -> [Query; 3] {
    let interval = analytics.interval();
    let (from, to) = interval.split_once('/').unwrap();
    [
        genesys::ConversationDetails::query(api, &interval).page_size(size).build().unwrap(),
        genesys::results(api, json!({"dateFrom": from, "dateTo": to, "size": size})).unwrap(),
        genesys::entities(api, json!({"time_filter": {"from_date": from, "to_date": to}, "size": size})).unwrap(),
    ]
}

/// In process, with a token that is good for an hour.
pub(crate) fn authorized(
    analytics: &Analytics,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Body>, Error = BoxError, Future: Send>
+ Clone
+ Send
+ Unpin
+ use<> {
    let bearer = HeaderValue::try_from(format!("Bearer {}", analytics.issuer().mint())).unwrap();
    let authorize = move |mut request: Request<Full<Bytes>>| {
        request.headers_mut().insert(AUTHORIZATION, bearer.clone());
        request
    };
    ServiceBuilder::new().map_request(authorize).service(analytics.service())
}

/// Each record once, in order, byte for byte.
pub(crate) fn assert_all_records(analytics: &Analytics, items: &[RawItem]) {
    assert_records(analytics, 0, items);
    assert_eq!(items.len() as u64, analytics.records());
}

/// The records from the `first` on.
pub(crate) fn assert_records(analytics: &Analytics, first: u64, items: &[RawItem]) {
    for (index, item) in (first..).zip(items) {
        assert_eq!(&item.as_bytes()[..], analytics.record(index).as_bytes(), "record {index}");
    }
}
