//! The token endpoint as a tower service.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, LOCATION};
use http::{Request, Response, StatusCode, request};
use http_body_util::BodyExt as _;
use tower_service::Service;

use super::answer::{Refusal, answer, success};
use super::outage::{reset, suffer};
use super::state::State;
use super::{Dialect, Issuer, Outage, SeenTokenRequest, tenant};
use crate::testing::reply::{header, reply};
use crate::testing::{Body, BoxError};

/// The token endpoint of an [`Issuer`], for any request body.
#[derive(Clone, Debug)]
pub struct IssuerService {
    issuer: Issuer,
}

/// What came of a request that was worked on.
enum Work {
    Json(String),
    Refusal(Refusal),
    Moved(String),
}

// === impl IssuerService ===

impl IssuerService {
    pub(super) fn new(issuer: Issuer) -> Self {
        Self { issuer }
    }

    async fn handle(self, head: request::Parts, body: Bytes) -> Result<Response<Body>, BoxError> {
        let inner = &self.issuer.inner;
        let form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
        let (latency, scripted) = {
            let mut state = inner.state();
            state.stats.requests += 1;
            let (method, uri, headers) = (head.method.clone(), head.uri.clone(), head.headers.clone());
            state.remember(SeenTokenRequest::new(method, uri, headers, form.clone()));
            (state.settings.latency, state.script.pop_front())
        };
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let (outage, answered, dialect) = {
            let mut state = inner.state();
            let outage = scripted.or_else(|| state.outage.clone());
            state.stats.failed += u64::from(outage.is_some());
            let works = matches!(outage, None | Some(Outage::Truncate | Outage::LoseAnswer));
            let answered = works.then(|| work(&mut state, &head, &form));
            state.stats.refused += u64::from(matches!(answered, Some(Work::Refusal(_))));
            (outage, answered, state.settings.dialect)
        };
        let response = match (answered, outage) {
            (Some(Work::Json(_)), Some(Outage::LoseAnswer)) | (None, None) => return Err(reset()),
            (Some(Work::Json(json)), Some(Outage::Truncate)) => truncated(dialect, &json),
            (Some(Work::Json(json)), _) => success(dialect, json),
            (Some(Work::Refusal(refusal)), _) => refusal.response(dialect),
            (Some(Work::Moved(location)), _) => moved(&location),
            (None, Some(outage)) => suffer(outage).await?,
        };
        let status = response.status().as_u16();
        let mut state = inner.state();
        *state.stats.requests_by_status.entry(status).or_default() += 1;
        Ok(response)
    }
}

fn work(state: &mut State, head: &request::Parts, form: &[(String, String)]) -> Work {
    if let Some(location) = state.settings.dialect.moved(&head.uri) {
        return Work::Moved(location);
    }
    let published = state.settings.published.clone().or_else(|| tenant::published(&state.settings, head));
    let document = match published {
        Some(published) if published.is_asked_for(&head.method, &head.uri) => Some(Ok(published.document())),
        _ => tenant::configuration(&state.settings, head),
    };
    let answered = document.unwrap_or_else(|| answer(state, &head.method, &head.headers, form));
    answered.map_or_else(Work::Refusal, Work::Json)
}

fn moved(location: &str) -> Response<Body> {
    let mut response = reply(StatusCode::MOVED_PERMANENTLY, "text/html; charset=utf-8", Bytes::new());
    header(&mut response, LOCATION, location);
    response
}

/// The length promises more than will come, so that a client can tell.
fn truncated(dialect: Dialect, json: &str) -> Response<Body> {
    let half = Bytes::copy_from_slice(&json.as_bytes()[..json.len() / 2]);
    let mut response = success(dialect, Bytes::new());
    header(&mut response, CONTENT_LENGTH, &json.len().to_string());
    *response.body_mut() = Body::broken(half, io::ErrorKind::UnexpectedEof);
    response
}

impl<B> Service<Request<B>> for IssuerService
where
    B: http_body::Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let _entered = service.issuer.inner.gauge.enter();
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(Into::into)?.to_bytes();
            service.handle(head, body).await
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use futures_util::FutureExt as _;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;
    use crate::testing::TokenStatus;

    const GRANT: &str = "grant_type=client_credentials";

    fn post() -> request::Builder {
        let request = Request::post("/oauth/token");
        request.header("content-type", "application/x-www-form-urlencoded;charset=utf-8")
    }

    fn basic(id_and_secret: &str, form: &str) -> Request<String> {
        post()
            .header("authorization", format!("Basic {}", STANDARD.encode(id_and_secret)))
            .body(form.to_owned())
            .unwrap()
    }

    fn good() -> Request<String> {
        basic("test-client:test-secret", GRANT)
    }

    async fn ask(issuer: &Issuer, request: Request<String>) -> (u16, http::HeaderMap, String) {
        let response = issuer.service().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        (head.status.as_u16(), head.headers, text)
    }

    async fn token(issuer: &Issuer) -> String {
        let json: Value = serde_json::from_str(&ask(issuer, good()).await.2).unwrap();
        json["access_token"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn token_response_says_what_was_set() {
        let issuer = Issuer::builder()
            .seed(7)
            .token_type("bearer")
            .lifetime(Duration::from_millis(1500))
            .field("error", "\"\"")
            .build();
        let form = format!("{GRANT}&scope=a+b");
        let (status, headers, text) = ask(&issuer, basic("test-client:test-secret", &form)).await;
        assert_eq!(status, 200);
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["content-type"], "application/json;charset=utf-8");
        let rest = text.split_once(r#"","token_type""#).unwrap();
        assert_eq!(rest.0.len(), r#"{"access_token":""#.len() + 43);
        assert_eq!(rest.1, r#":"bearer","expires_in":1.5,"scope":"a b","error":""}"#);
    }

    #[tokio::test]
    async fn expiry_is_reported_raw_or_not_at_all() {
        let raw = Issuer::builder().expires_in_json("1e300").build();
        assert!(ask(&raw, good()).await.2.contains(r#""expires_in":1e300"#));
        let none = Issuer::builder().without_expires_in().build();
        assert!(!ask(&none, good()).await.2.contains("expires_in"));
        let whole = Issuer::new();
        assert!(ask(&whole, good()).await.2.contains(r#""expires_in":3600}"#));
    }

    #[tokio::test]
    async fn clients_are_authenticated_as_registered() {
        let issuer = Issuer::builder().client("a b", "c d:+").build();
        let cases = [
            (basic("a+b:c%20d%3A%2B", GRANT), 200, "access_token"),
            (basic("a b:wrong", GRANT), 401, "authentication failed"),
            (basic("nobody:c", GRANT), 400, "client not found"),
            (basic("a b:c", &format!("{GRANT}&client_secret=c")), 400, "invalid_request"),
            (basic("a+b:c+d%3A%2B", "grant_type=password"), 400, "unsupported_grant_type"),
            (basic("a+b:c+d%3A%2B", "a=b"), 400, "invalid_request"),
        ];
        for (request, status, has) in cases {
            let (got, headers, text) = ask(&issuer, request).await;
            assert_eq!(got, status, "{text}");
            assert!(text.contains(has), "{text}");
            assert_eq!(headers.contains_key("www-authenticate"), status == 401);
        }
        let form = format!("{GRANT}&client_id=a%20b&client_secret=c+d:%2B");
        let posted = post().body(form).unwrap();
        assert_eq!(ask(&issuer, posted).await.0, 200);
        let get = Request::get("/oauth/token").body(String::new()).unwrap();
        assert_eq!(ask(&issuer, get).await.0, 405);
        let json = Request::post("/").header("content-type", "application/json");
        assert_eq!(ask(&issuer, json.body("{}".into()).unwrap()).await.0, 400);
        assert_eq!(issuer.stats().refused, 7);
        assert_eq!(issuer.stats().minted, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn token_dies_of_age_or_by_revocation() {
        let issuer = Issuer::new();
        let (first, second) = (token(&issuer).await, token(&issuer).await);
        assert_ne!(first, second);
        assert_eq!(issuer.check(&first), TokenStatus::Valid);
        assert!(issuer.revoke(&first));
        assert_eq!(issuer.check(&first), TokenStatus::Revoked);
        tokio::time::advance(Duration::from_secs(3599)).await;
        assert_eq!(issuer.check(&second), TokenStatus::Valid);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(issuer.check(&second), TokenStatus::Expired);
        let third = token(&issuer).await;
        issuer.revoke_all();
        assert_eq!(issuer.check(&third), TokenStatus::Revoked);
        assert_eq!(issuer.check("other"), TokenStatus::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn same_string_within_a_second_and_another_after_it() {
        let issuer = Issuer::builder().same_token_per_second(true).build();
        let first = token(&issuer).await;
        assert_eq!(first, token(&issuer).await);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_ne!(first, token(&issuer).await);
    }

    #[tokio::test]
    async fn outages_come_and_go() {
        let issuer = Issuer::new();
        issuer.set_outage(Some(Outage::Status { status: 503, retry_after: Some(Duration::from_millis(1200)) }));
        let (status, headers, _) = ask(&issuer, good()).await;
        assert_eq!((status, &headers["retry-after"]), (503, &"2".parse().unwrap()));
        issuer.set_outage(None);

        issuer.fail_next(Outage::LoseAnswer);
        issuer.fail_next(Outage::Truncate);
        issuer.fail_next(Outage::Hang);
        issuer.fail_next(Outage::OAuthError {
            status: 400,
            code: "invalid_request".into(),
            description: "rate limit exceeded".into(),
        });
        let lost = issuer.service().oneshot(good()).await.unwrap_err();
        let lost = lost.downcast::<io::Error>().unwrap();
        assert_eq!(lost.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(issuer.stats().minted, 1);
        let broken = issuer.service().oneshot(good()).await.unwrap();
        assert!(broken.into_body().collect().await.is_err());
        assert!(issuer.service().oneshot(good()).now_or_never().is_none());
        let (status, _, text) = ask(&issuer, good()).await;
        assert_eq!(status, 400);
        assert!(text.contains(r#""description":"rate limit exceeded""#));
        assert_eq!(ask(&issuer, good()).await.0, 200);
        assert_eq!(issuer.stats().failed, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn concurrency_is_counted_and_latency_kept() {
        let issuer = Issuer::builder().latency(Duration::from_secs(2)).build();
        let start = tokio::time::Instant::now();
        tokio::join!(token(&issuer), token(&issuer), token(&issuer));
        assert_eq!(start + Duration::from_secs(2), tokio::time::Instant::now());
        assert_eq!(issuer.stats().largest_concurrency, 3);
        issuer.set_secret("new");
        assert_eq!(ask(&issuer, good()).await.0, 401);
    }

    #[tokio::test]
    async fn what_was_sent_is_seen_and_its_secrets_are_not_printed() {
        let issuer = Issuer::new();
        let form = format!("{GRANT}&client_id=test-client&client_secret=hunter2");
        ask(&issuer, post().body(form).unwrap()).await;
        ask(&issuer, good()).await;
        let seen = issuer.seen();
        assert_eq!(seen[0].param("client_secret"), Some("hunter2"));
        assert_eq!(seen[1].scheme.as_deref(), Some("Basic"));
        let printed = format!("{seen:?}");
        assert!(!printed.contains("hunter2"));
        assert!(!printed.contains(&STANDARD.encode("test-client:test-secret")));
    }
}
