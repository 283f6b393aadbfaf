//! The API as a tower service.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode, request};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tower_service::Service;

use super::Analytics;
use super::cxone::is_cxone;
use super::decide::{Cut, Decision, Verdict};
use super::error_body::ErrorBody;
use super::handle::Inner;
use super::route::{Reply, route};
use crate::testing::reply::{HTML, header, reply, whole_seconds};
use crate::testing::{Body, BoxError, IssuerService};

const JSON: &str = "application/json";

/// An [`Analytics`], for any request body.
#[derive(Clone, Debug)]
pub struct AnalyticsService {
    analytics: Analytics,
    issuer: Option<IssuerService>,
}

type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

// === impl AnalyticsService ===

impl AnalyticsService {
    pub(super) fn new(analytics: Analytics, issuer: Option<IssuerService>) -> Self {
        Self { analytics, issuer }
    }
}

impl<B> Service<Request<B>> for AnalyticsService
where
    B: http_body::Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        if let (Some(issuer), true) = (&mut self.issuer, is_for_issuer(request.uri().path())) {
            return issuer.call(request);
        }
        let inner = Arc::clone(&self.analytics.inner);
        Box::pin(async move {
            let _entered = inner.gauge.enter();
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(Into::into)?.to_bytes();
            inner.answer(head, body).await
        })
    }
}

// === impl Inner ===

impl Inner {
    async fn answer(&self, head: request::Parts, body: Bytes) -> Result<Response<Body>, BoxError> {
        let visit = self.arrive(&head.headers);
        if !self.config.latency.is_zero() {
            tokio::time::sleep(self.config.latency).await;
        }
        let Decision { verdict, tally, correlation_id } = self.decide(&visit);
        let cxone = is_cxone(head.uri.path());
        let refuse = |error: ErrorBody| if cxone { error.in_header() } else { error.reply(&correlation_id) };

        let mut wait = None;
        let mut response = match verdict {
            Verdict::Serve(cut) => {
                let served = route(self, &head, &body);
                let served = served.unwrap_or_else(refuse);
                self.count_page(&served, cut);
                cut_off(served, cut)
            }
            Verdict::Refuse(error, after) => {
                wait = after;
                cut_off(refuse(error), Cut::Whole)
            }
            Verdict::Html => reply(StatusCode::OK, "text/html", HTML),
            Verdict::Empty => reply(StatusCode::OK, JSON, Bytes::new()),
            Verdict::Hang => std::future::pending().await,
            Verdict::Reset => {
                let kind = io::ErrorKind::ConnectionReset;
                return Err(io::Error::new(kind, "connection reset by the test server").into());
            }
        };

        let mut name = |name: &'static str, value: &str| {
            header(&mut response, HeaderName::from_static(name), value);
        };
        name(if cxone { "correlationid" } else { "inin-correlation-id" }, &correlation_id);
        if let Some(tally) = tally {
            name("inin-ratelimit-count", &tally.count.to_string());
            name("inin-ratelimit-allowed", &tally.allowed.to_string());
            name("inin-ratelimit-reset", &tally.reset().to_string());
        }
        header(&mut response, CACHE_CONTROL, "no-cache, no-store, must-revalidate");
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED && self.config.challenge {
            header(&mut response, WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"");
        }
        let advertised = wait.map(|wait| {
            let (value, advertised) = retry_after(wait, self.config.retry_after_as_date);
            header(&mut response, RETRY_AFTER, &value);
            advertised
        });

        let mut state = self.state();
        if let Some(until) = advertised.and_then(|wait| Instant::now().checked_add(wait)) {
            state.not_before.insert(visit.client, until);
        }
        state.stats.unauthorized += u64::from(status == StatusCode::UNAUTHORIZED);
        *state.stats.by_status.entry(status.as_u16()).or_default() += 1;
        Ok(response)
    }

    fn count_page(&self, served: &Reply, cut: Cut) {
        let Some(records) = served.records.filter(|_| cut == Cut::Whole) else {
            return;
        };
        let mut state = self.state();
        state.stats.pages += 1;
        state.stats.records += records;
        let (pages, every) = (state.stats.pages, state.faults.revoke_every);
        drop(state);
        if every > 0 && pages % every == 0 {
            self.issuer.revoke_all();
        }
    }
}

fn is_for_issuer(path: &str) -> bool {
    matches!(path, "/oauth/token" | "/auth/token") || path.starts_with("/.well-known/")
}

/// The value of the header, and the time it stands for.
fn retry_after(wait: Duration, as_date: bool) -> (String, Duration) {
    let seconds = whole_seconds(wait);
    if !as_date {
        return (seconds.to_string(), Duration::from_secs(seconds));
    }
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    // A date has whole seconds only.
    let date = Duration::from_secs(whole_seconds(since.saturating_add(wait)));
    let text = UNIX_EPOCH.checked_add(date).map(httpdate::fmt_http_date);
    (text.unwrap_or_default(), date.saturating_sub(since))
}

fn cut_off(served: Reply, cut: Cut) -> Response<Body> {
    let whole = served.body.len();
    let half = served.body.slice(..whole / 2);
    let mut response = reply(served.status, JSON, served.body);
    if let Some(text) = &served.description {
        header(&mut response, HeaderName::from_static("icstatusdescription"), text);
    }
    // The length promises more than will come, so that a client can tell.
    match cut {
        Cut::Whole => return response,
        Cut::Broken => *response.body_mut() = Body::broken(half, io::ErrorKind::UnexpectedEof),
        Cut::Stalled => *response.body_mut() = Body::stalled(half),
    }
    header(&mut response, CONTENT_LENGTH, &whole.to_string());
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures_util::FutureExt as _;
    use serde_json::{Value, json};
    use tower::ServiceExt as _;

    use super::*;
    use crate::testing::{Fault, Faults, Issuer};

    const DETAILS: &str = "/api/v2/analytics/conversations/details/query";
    const PERIOD: &str = "2025-03-10T00:00:00.000Z/2025-03-11T00:00:00.000Z";

    struct Client {
        api: Analytics,
        token: String,
    }

    fn client(build: impl FnOnce(super::super::AnalyticsBuilder) -> super::super::AnalyticsBuilder) -> Client {
        let issuer = Issuer::new();
        let builder = Analytics::builder(&issuer).interval(PERIOD).unwrap();
        Client { token: issuer.mint(), api: build(builder).build() }
    }

    impl Client {
        async fn send(&self, method: &str, uri: &str, body: &str) -> Result<Response<Body>, BoxError> {
            let request = Request::builder()
                .method(method)
                .uri(uri)
                .header("host", "api.example")
                .header("authorization", format!("bearer {}", self.token))
                .body(body.to_owned())
                .unwrap();
            self.api.service().oneshot(request).await
        }

        async fn text(&self, method: &str, uri: &str, body: &str) -> (u16, String) {
            let response = self.send(method, uri, body).await.unwrap();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        }

        async fn json(&self, method: &str, uri: &str, body: &Value) -> Value {
            let (status, text) = self.text(method, uri, &body.to_string()).await;
            assert_eq!(status, 200, "{text}");
            serde_json::from_str(&text).unwrap()
        }

        async fn ping(&self) -> Response<Body> {
            self.send("GET", "/echo", "").await.unwrap()
        }
    }

    fn ids(page: &Value, name: &str) -> Vec<String> {
        let records = page[name].as_array().cloned().unwrap_or_default();
        let id = |record: &Value| record["conversationId"].as_str().unwrap().to_owned();
        records.iter().map(id).collect()
    }

    fn all_ids(api: &Analytics) -> Vec<String> {
        (0..api.records()).map(|index| api.conversation_id(index)).collect()
    }

    #[tokio::test]
    async fn real_shape_pages_to_the_end_in_either_order() {
        let client = client(|it| it.records(203));
        for order in ["asc", "desc"] {
            let mut seen = Vec::new();
            for number in 1.. {
                let query = json!({"interval": PERIOD, "order": order,
                    "paging": {"pageSize": 50, "pageNumber": number}});
                let page = client.json("POST", DETAILS, &query).await;
                assert_eq!(page["totalHits"], 203);
                if page.get("conversations").is_none() {
                    assert_eq!(number, 6);
                    break;
                }
                seen.extend(ids(&page, "conversations"));
            }
            if order == "desc" {
                seen.reverse();
            }
            assert_eq!(seen, all_ids(&client.api));
        }
        let stats = client.api.stats();
        assert_eq!((stats.pages, stats.records), (12, 406));
    }

    #[tokio::test]
    async fn page_holds_the_records_byte_for_byte() {
        let client = client(|it| it.records(3));
        let query = json!({"interval": PERIOD, "paging": {"pageSize": 2, "pageNumber": 2}});
        let (_, text) = client.text("POST", DETAILS, &query.to_string()).await;
        let record = client.api.record(2);
        assert_eq!(text, format!(r#"{{"conversations":[{record}],"totalHits":3}}"#));
        let day = json!({"interval": "2025-03-12T00:00:00Z/2025-03-13T00:00:00Z"});
        let (_, text) = client.text("POST", DETAILS, &day.to_string()).await;
        assert_eq!(text, r#"{"totalHits":0}"#);
    }

    #[tokio::test]
    async fn filters_part_the_records_among_themselves() {
        let client = client(|it| it.records(500));
        let mut total = 0;
        for media in ["voice", "chat", "email", "message", "callback"] {
            let predicate = json!({"dimension": "mediaType", "value": media});
            let query = json!({"interval": PERIOD, "paging": {"pageSize": 100, "pageNumber": 1},
                "segmentFilters": [{"type": "and", "predicates": [predicate]}]});
            let page = client.json("POST", DETAILS, &query).await;
            let hits = page["totalHits"].as_u64().unwrap();
            assert_eq!(ids(&page, "conversations").len() as u64, hits.min(100));
            let found = &page["conversations"][0]["participants"][0]["sessions"][0]["mediaType"];
            assert_eq!(found, media);
            total += hits;
        }
        assert_eq!(total, 500);
    }

    #[tokio::test]
    async fn results_shape_pages_to_the_end() {
        for absolute in [false, true] {
            let client = client(|it| it.records(120).absolute_links(absolute));
            let (from, to) = PERIOD.split_once('/').unwrap();
            let query = json!({"dateFrom": from, "dateTo": to, "size": 50});
            let mut page = client.json("POST", DETAILS, &query).await;
            let mut seen = ids(&page, "results");
            while let Some(next) = page["nextPage"].as_str().map(str::to_owned) {
                assert_eq!(next.starts_with("http://api.example/"), absolute);
                page = client.json("GET", &next, &Value::Null).await;
                seen.extend(ids(&page, "results"));
            }
            assert!(page["nextPage"].is_null() && page.get("nextPage").is_some());
            assert_eq!(seen, all_ids(&client.api));
        }
    }

    #[tokio::test]
    async fn entities_shape_pages_to_the_end_and_clamps_its_size() {
        let client = client(|it| it.records(250));
        let (from, to) = PERIOD.split_once('/').unwrap();
        let query = json!({"time_filter": {"from_date": from, "to_date": to}, "size": 250});
        let mut seen = Vec::new();
        let (mut uri, mut pages) = (DETAILS.to_owned(), 0);
        loop {
            let page = client.json("POST", &uri, &query).await;
            seen.extend(ids(&page, "entities"));
            pages += 1;
            match page["next_page"].as_str().unwrap() {
                "" => break,
                next => uri = format!("{DETAILS}?page_token={next}"),
            }
        }
        assert_eq!((pages, seen), (3, all_ids(&client.api)));

        let other = json!({"time_filter": {"from_date": from, "to_date": from}}).to_string();
        assert_eq!(client.text("POST", &uri, &other).await.0, 400);
        let bad = format!("{DETAILS}?pageToken=AAAA");
        assert_eq!(client.text("GET", &bad, "").await.0, 400);
    }

    #[tokio::test]
    async fn a_job_is_done_after_a_while_and_pages_to_the_end_by_cursor() {
        const JOBS: &str = "/api/v2/analytics/conversations/details/jobs";
        let client = client(|it| it.records(25).max_jobs(1));
        let query = json!({"interval": PERIOD});
        let (status, text) = client.text("POST", JOBS, &query.to_string()).await;
        assert_eq!(status, 202, "{text}");
        let job = serde_json::from_str::<Value>(&text).unwrap()["jobId"].as_str().unwrap().to_owned();
        let results = format!("{JOBS}/{job}/results?pageSize=10");
        assert_eq!(client.text("GET", &results, "").await.0, 400, "not yet");
        assert_eq!(client.text("POST", JOBS, &query.to_string()).await.0, 429, "no more than one");
        for state in ["PENDING", "PENDING", "FULFILLED", "FULFILLED"] {
            assert_eq!(client.json("GET", &format!("{JOBS}/{job}"), &Value::Null).await["state"], state);
        }
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = client.json("GET", &format!("{results}{cursor}"), &Value::Null).await;
            seen.extend(ids(&page, "conversations"));
            assert_eq!(page["dataAvailabilityDate"], "2200-01-01T00:00:00.000Z");
            let Some(next) = page["cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, all_ids(&client.api));
        assert_eq!(client.text("GET", &format!("{results}&cursor=AAAA"), "").await.0, 400);
        assert_eq!((client.api.open_jobs(), client.text("DELETE", &format!("{JOBS}/{job}"), "").await.0), (1, 204));
        for (method, uri, expected) in [
            ("GET", format!("{JOBS}/{job}"), 404),
            ("GET", results, 404),
            ("DELETE", format!("{JOBS}/{job}"), 404),
            ("PUT", JOBS.to_owned(), 405),
            ("PUT", format!("{JOBS}/x"), 405),
            ("GET", format!("{JOBS}/availability"), 200),
            ("GET", format!("{JOBS}er"), 404),
            ("GET", format!("{JOBS}/x/y"), 404),
        ] {
            assert_eq!(client.text(method, &uri, "").await.0, expected, "{method} {uri}");
        }
        let stats = client.api.stats();
        assert_eq!((stats.jobs, stats.jobs_deleted, client.api.open_jobs()), (1, 1, 0));
    }

    #[tokio::test]
    async fn a_job_holds_what_was_active_in_its_interval_and_so_overlaps_with_the_next() {
        const JOBS: &str = "/api/v2/analytics/conversations/details/jobs";
        let client = client(|it| it.records(2_000).job_polls(1));
        let mut of_slices = Vec::new();
        for interval in ["2025-03-10T00:00:00Z/2025-03-10T12:00:00Z", "2025-03-10T12:00:00Z/2025-03-11T00:00:00Z"] {
            let (_, text) = client.text("POST", JOBS, &json!({"interval": interval}).to_string()).await;
            let job = serde_json::from_str::<Value>(&text).unwrap()["jobId"].as_str().unwrap().to_owned();
            client.json("GET", &format!("{JOBS}/{job}"), &Value::Null).await;
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = client.json("GET", &format!("{JOBS}/{job}/results{cursor}"), &Value::Null).await;
                seen.extend(ids(&page, "conversations"));
                let Some(next) = page["cursor"].as_str() else { break };
                cursor = format!("?cursor={next}");
            }
            of_slices.push(seen);
        }
        let both = of_slices[0].iter().filter(|id| of_slices[1].contains(id)).count();
        assert!((1..20).contains(&both), "{both}");
        let mut all = of_slices.concat();
        all.sort();
        all.dedup();
        let mut expected = all_ids(&client.api);
        expected.sort();
        assert_eq!(all, expected);
    }

    #[tokio::test]
    async fn jobs_end_as_they_were_told_to() {
        use crate::testing::JobFate;
        const JOBS: &str = "/api/v2/analytics/conversations/details/jobs";
        let client = client(|it| it.records(3_000).job_polls(1));
        for (fate, before, after) in [
            (JobFate::Failed, "FAILED", "FAILED"),
            (JobFate::Cancelled, "CANCELLED", "CANCELLED"),
            (JobFate::Expired, "EXPIRED", "EXPIRED"),
            (JobFate::Pending, "PENDING", "PENDING"),
            (JobFate::ExpiredAfter(2), "FULFILLED", "EXPIRED"),
        ] {
            client.api.next_job(fate);
            let (_, text) = client.text("POST", JOBS, &json!({"interval": PERIOD}).to_string()).await;
            let job = serde_json::from_str::<Value>(&text).unwrap()["jobId"].as_str().unwrap().to_owned();
            let state = format!("{JOBS}/{job}");
            assert_eq!(client.json("GET", &state, &Value::Null).await["state"], before);
            for _ in 0..2 {
                let expected = if before == "FULFILLED" { 200 } else { 400 };
                assert_eq!(client.text("GET", &format!("{state}/results"), "").await.0, expected);
            }
            assert_eq!(client.json("GET", &state, &Value::Null).await["state"], after);
            assert_eq!(client.text("GET", &format!("{state}/results"), "").await.0, 400);
        }
    }

    #[tokio::test]
    async fn users_list_to_the_end_by_their_links() {
        let client = client(|it| it.users(7));
        let mut next = Some("/api/v2/users?pageSize=3&pageNumber=1".to_owned());
        let mut seen = 0;
        while let Some(uri) = next {
            let page = client.json("GET", &uri, &Value::Null).await;
            assert_eq!((&page["total"], &page["pageCount"]), (&json!(7), &json!(3)));
            seen += page["entities"].as_array().unwrap().len();
            next = page["nextUri"].as_str().map(str::to_owned);
        }
        assert_eq!(seen, 7);
    }

    #[tokio::test]
    async fn bad_queries_are_refused_in_the_words_of_the_real_api() {
        let client = client(|it| it);
        let cases = [
            (json!({"interval": "2025-01-01T00:00:00Z/2025-02-01T00:00:00.001Z"}), "does not exceed 31 days."),
            (json!({"order": "asc"}), "You must specify a search interval"),
            (json!({"interval": PERIOD, "paging": {"pageSize": 101}}), "exceeds the maximum of 100"),
            (
                json!({"interval": PERIOD, "paging": {"pageSize": 100, "pageNumber": 1001}}),
                "may not exceed 100000 results.\n\nTip: When extracting large chunks of data (multiple days/weeks), maximize pagination performance by querying in smaller intervals.",
            ),
            (json!({"interval": PERIOD, "paging": {"pageNumber": 0}}), "pageNumber"),
            (json!({"interval": PERIOD, "order": "up"}), "order"),
        ];
        for (query, message) in cases {
            let (status, text) = client.text("POST", DETAILS, &query.to_string()).await;
            let body: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(status, 400, "{query}");
            assert!(body["message"].as_str().unwrap().contains(message), "{text}");
            assert_eq!((&body["code"], &body["status"]), (&json!("bad.request"), &json!(400)));
        }
        assert_eq!(client.text("POST", DETAILS, "{").await.0, 400);
        assert_eq!(client.text("DELETE", DETAILS, "").await.0, 405);
        assert_eq!(client.text("GET", "/other", "").await.0, 404);
        let echo = client.text("PUT", "/echo/a", "12345").await;
        assert_eq!(echo, (200, r#"{"method":"PUT","path":"/echo/a","length":5}"#.to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn token_is_refused_when_missing_expired_or_revoked() {
        let mut client = client(|it| it.challenge(true));
        let response = client.ping().await;
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("www-authenticate"));
        let issuer = client.api.issuer().clone();
        let bare = Request::get("/echo").body(String::new()).unwrap();
        let bare = client.api.service().oneshot(bare).await.unwrap();
        let text = bare.into_body().collect().await.unwrap().to_bytes();
        assert!(text.starts_with(b"{\"message\":\"No authentication bearer token"));

        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(client.text("GET", "/echo", "").await.1.contains("credentials.expired"));
        client.token = issuer.mint();
        assert_eq!(client.ping().await.status(), 200);
        issuer.revoke(&client.token);
        let response = client.ping().await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer error=\"invalid_token\"");
        let id = response.headers()["inin-correlation-id"].to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["code"], &body["contextId"]), (&json!("bad.credentials"), &json!(id)));
        assert_eq!(client.api.stats().unauthorized, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn excess_is_refused_until_the_window_ends() {
        let client = client(|it| it.rate_limit(2, Duration::from_millis(10_500)));
        client.ping().await;
        let second = client.ping().await;
        assert_eq!(second.headers()["inin-ratelimit-count"], "2");
        assert_eq!(second.headers()["inin-ratelimit-allowed"], "2");
        tokio::time::advance(Duration::from_secs(2)).await;
        let third = client.ping().await;
        assert_eq!((third.status().as_u16(), &third.headers()["retry-after"]), (429, &"9".parse().unwrap()));
        let body = third.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["message"], "Rate limit exceeded the maximum. Retry the request in [9] seconds");
        assert_eq!(client.api.stats().requests_inside_retry_after, 0);
        tokio::time::advance(Duration::from_millis(8_499)).await;
        assert_eq!(client.ping().await.status(), 429);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(client.ping().await.status(), 200);
        let stats = client.api.stats();
        assert_eq!((stats.rate_limited, stats.requests_inside_retry_after), (2, 1));
        client.api.set_rate_limit(None);
        assert!(!client.ping().await.headers().contains_key("inin-ratelimit-count"));
    }

    #[tokio::test]
    async fn date_form_stands_for_no_less_than_the_wait() {
        let client = client(|it| it.retry_after_as_date(true));
        let wait = Duration::from_millis(2_500);
        let earliest = SystemTime::now() + wait;
        client.api.fail_next(Fault::RetryAfter(503, wait));
        let response = client.ping().await;
        let value = response.headers()["retry-after"].to_str().unwrap();
        let date = httpdate::parse_http_date(value).unwrap();
        assert!(date >= earliest && date < earliest + Duration::from_secs(2));
        client.ping().await;
        assert_eq!(client.api.stats().requests_inside_retry_after, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn scripted_faults_come_in_their_order_and_once() {
        let client = client(|it| it);
        let faults = [
            Fault::Reset,
            Fault::Truncate,
            Fault::Stall,
            Fault::Html,
            Fault::Empty,
            Fault::Unauthorized,
            Fault::Status(418),
            Fault::Hang,
        ];
        for fault in faults {
            client.api.fail_next(fault);
        }
        let reset = client.send("GET", "/echo", "").await.unwrap_err();
        let reset = reset.downcast::<io::Error>().unwrap();
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
        assert!(client.ping().await.into_body().collect().await.is_err());
        let stalled = client.ping().await.into_body().collect();
        assert!(tokio::time::timeout(Duration::from_secs(99), stalled).await.is_err());
        assert!(client.text("GET", "/echo", "").await.1.starts_with("<!DOCTYPE html>"));
        assert_eq!(client.text("GET", "/echo", "").await, (200, String::new()));
        assert_eq!(client.ping().await.status(), 401);
        assert_eq!(client.ping().await.status(), 418);
        assert!(client.send("GET", "/echo", "").now_or_never().is_none());
        assert_eq!(client.ping().await.status(), 200);
        assert_eq!(client.api.stats().faults.len(), faults.len());
    }

    #[tokio::test]
    async fn random_faults_are_the_same_in_every_run() {
        async fn run() -> BTreeMap<u16, u64> {
            let faults = Faults::new().server_error(0.2).html(0.1).unauthorized(0.1);
            let client = client(|it| it.seed(9).faults(faults));
            for _ in 0..200 {
                client.ping().await;
            }
            let stats = client.api.stats();
            assert!((20..=60).contains(&stats.faults[&Fault::ServerError]));
            stats.by_status
        }
        let first = run().await;
        assert!([200, 401, 500, 502, 503, 504].iter().all(|status| first.contains_key(status)));
        assert_eq!(first, run().await);
    }

    #[tokio::test]
    async fn live_tokens_are_revoked_after_so_many_pages() {
        let mut client = client(|it| it.faults(Faults::new().revoke_every(2)));
        let query = json!({"interval": PERIOD}).to_string();
        for expected in [200, 200, 401, 401] {
            assert_eq!(client.text("POST", DETAILS, &query).await.0, expected);
        }
        client.token = client.api.issuer().mint();
        assert_eq!(client.text("POST", DETAILS, &query).await.0, 200);
        client.api.set_faults(Faults::new());
        assert_eq!(client.text("POST", DETAILS, &query).await.0, 200);
        assert_eq!(client.text("POST", DETAILS, &query).await.0, 200);
    }

    #[tokio::test]
    async fn last_seven_days_hold_every_record() {
        let issuer = Issuer::new();
        let api = Analytics::new(&issuer);
        let (start, _) = api.interval().split_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let start: jiff::Timestamp = start.parse().unwrap();
        let age = jiff::Timestamp::now().duration_since(start).as_secs();
        assert_eq!(age / 60, 60 * (6 * 24 + 23));
        assert_ne!(api.record(0), Analytics::builder(&issuer).seed(1).build().record(0));
    }
}
