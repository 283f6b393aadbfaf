//! What a pager says when it cannot go on.

use std::{
    error::Error as _,
    future::Ready,
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use flate2::write::GzEncoder;
use futures_util::{FutureExt, TryStreamExt};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use tower::{BoxError, Service, ServiceBuilder};
use tower_http::decompression::DecompressionLayer;
use tower_oauth2::{
    OAuthLayer, TokenCache,
    grant::{ClientAuth, ClientCredentials},
    pager::{ApiError, ErrorKind, Pager, Query, Rule},
    retry::{RetryLayer, RetryPolicy},
    testing::{Analytics, Fault, Issuer},
};

use crate::scripted_api::{Answer, ScriptedApi, broken, drain, ok, status};

#[tokio::test(start_paused = true)]
async fn a_refusal_names_status_code_message_and_correlation_id_and_is_not_retried() {
    for code in [400, 401, 403, 404, 429, 500, 503, 504] {
        let body = format!(r#"{{"message":"Not now.","code":"some.code","status":{code}}}"#);
        let mut refusal = status(code, &body).unwrap();
        refusal.headers_mut().insert("x-correlation-id", "cor-1".parse().unwrap());
        let api = ScriptedApi::new([ok(r#"{"i":[1],"next":"/2"}"#), Ok(refusal), ok(r#"{"i":[2]}"#)]);
        let mut items = Pager::new(api.service(), query()).items::<u32>();
        let (good, error) = drain(&mut items).await;
        let error = error.unwrap();
        assert_eq!((good, api.requests()), (vec![1], 2));
        assert_eq!((error.kind(), error.page()), (ErrorKind::Status, Some(2)));
        assert_eq!(error.status().unwrap(), code);
        let said = error.api().unwrap();
        assert_eq!(said.code.as_deref(), Some("some.code"));
        assert_eq!(said.message.as_deref(), Some("Not now."));
        assert_eq!(said.correlation_id.as_deref(), Some("cor-1"));
        let text = error.to_string();
        assert!(text.contains(&code.to_string()) && text.contains("some.code: Not now."), "{text}");
        assert!(text.ends_with("(correlation id cor-1)"), "{text}");
        assert_eq!(items.continuation().unwrap().pages(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_a_readable_body_is_still_that_refusal() {
    let mut cut_off = broken(r#"{"code":"x","message":"half"#).unwrap();
    *cut_off.status_mut() = http::StatusCode::BAD_GATEWAY;
    let mut stalled = Response::new(tower_oauth2::testing::Body::stalled("{"));
    *stalled.status_mut() = http::StatusCode::BAD_GATEWAY;
    let huge = format!(r#"{{"message":"{}"}}"#, "x".repeat(1 << 20));
    for answer in [status(502, ""), status(502, "<html>Bad Gateway"), status(502, &huge), Ok(cut_off), Ok(stalled)] {
        let (_, error) = drain(&mut Pager::new(ScriptedApi::new([answer]).service(), query())).await;
        let error = error.unwrap();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Status, 502));
        assert_eq!(error.api(), Some(&ApiError::default()));
        assert_eq!(error.to_string(), "page 1: the API answered 502 Bad Gateway");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_wait_for_the_rest_of_its_body() {
    let mut stalled = Response::new(tower_oauth2::testing::Body::stalled("{"));
    *stalled.status_mut() = http::StatusCode::FORBIDDEN;
    let api = ScriptedApi::new([Ok(stalled)]);
    let started = tokio::time::Instant::now();
    let (_, error) = drain(&mut Pager::new(api.service(), query()).items::<u32>()).await;
    assert_eq!(error.unwrap().status().unwrap(), 403);
    assert_eq!(tokio::time::Instant::now() - started, std::time::Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn what_an_api_says_is_cleaned_and_shortened() {
    let body = serde_json::json!({"error": "a\u{1b}[2J\r\nb", "error_description": "é".repeat(9_999)}).to_string();
    let (_, error) = drain(&mut Pager::new(ScriptedApi::new([status(400, &body)]).service(), query())).await;
    let error = error.unwrap();
    assert_eq!(error.api().unwrap().code.as_deref(), Some("a [2J  b"));
    assert_eq!(error.api().unwrap().message.as_deref().map(|text| text.chars().count()), Some(400));
    assert!(error.to_string().len() < 2_000 && !error.to_string().chars().any(char::is_control));
}

#[tokio::test(start_paused = true)]
async fn an_error_is_explained_by_the_function_of_the_query() {
    let query = query().explain_errors(|headers, body| {
        let mut said = ApiError::default();
        said.message = Some(format!("{} {}", headers["x-a"].to_str().unwrap(), body.len()));
        said
    });
    let mut refusal = status(418, "four").unwrap();
    refusal.headers_mut().insert("x-a", "b".parse().unwrap());
    let (_, error) = drain(&mut Pager::new(ScriptedApi::new([Ok(refusal)]).service(), query)).await;
    assert_eq!(error.unwrap().to_string(), "page 1: the API answered 418 I'm a teapot: b 4");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_too_large_is_an_error_at_once() {
    let page = r#"{"i":[1],"next":null}"#;
    let api = ScriptedApi::of_pages([page, page]);
    let (_, error) = drain(&mut Pager::new(api.service(), query()).max_page_bytes(page.len() - 1)).await;
    let error = error.unwrap();
    assert_eq!((error.kind(), error.page(), api.requests()), (ErrorKind::TooLarge, Some(1), 1));
    assert!(error.to_string().contains("20 bytes"), "{error}");

    let api = ScriptedApi::of_pages([page]);
    let (pages, error) = drain(&mut Pager::new(api.service(), query()).max_page_bytes(page.len())).await;
    assert!(error.is_none() && pages.len() == 1);
}

#[tokio::test(start_paused = true)]
async fn a_small_answer_that_becomes_a_large_page_is_not_unpacked_to_its_end() {
    // 32 MiB of blanks, which are 32 KiB on the wire.
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::best());
    let blanks = vec![b' '; 1 << 20];
    for _ in 0..32 {
        packed.write_all(&blanks).unwrap();
    }
    let packed = Bytes::from(packed.finish().unwrap());
    assert!(packed.len() < 40_000, "{}", packed.len());

    let taken = Arc::new(AtomicUsize::new(0));
    let service = tower::service_fn({
        let taken = Arc::clone(&taken);
        move |_: Request<Full<Bytes>>| {
            let (packed, taken) = (packed.clone(), Arc::clone(&taken));
            let chunks = (0..packed.len()).step_by(1024).map(move |at| packed.slice(at..packed.len().min(at + 1024)));
            let chunks = chunks.map(move |chunk| {
                taken.fetch_add(chunk.len(), Ordering::SeqCst);
                Ok::<_, io::Error>(Frame::data(chunk))
            });
            let body = StreamBody::new(futures_util::stream::iter(chunks));
            async { Response::builder().header("content-encoding", "gzip").body(body) }
        }
    });
    let unpacked = ServiceBuilder::new().layer(DecompressionLayer::new()).service(service);
    let allocated = allocation_counter::measure(|| {
        let pager = Pager::new(unpacked, query()).max_page_bytes(1 << 20);
        let error = drain(&mut { pager }).now_or_never().unwrap().1.unwrap();
        assert_eq!((error.kind(), error.page()), (ErrorKind::TooLarge, Some(1)));
    });
    assert!(allocated.bytes_max < 4 << 20, "{} bytes at once", allocated.bytes_max);
    let taken = taken.load(Ordering::SeqCst);
    assert!(taken < 8 * 1024, "{taken} bytes of it were taken");
}

#[tokio::test(start_paused = true)]
async fn the_correlation_id_of_whatever_answer_failed_is_told() {
    let with_id = |mut answer: Answer, id: &str| {
        answer.as_mut().unwrap().headers_mut().insert("x-correlation-id", id.parse().unwrap());
        answer
    };
    let whole = r#"{"i":[1],"next":null,"total":1}"#;
    for (answer, kind) in [
        (ok("<html>"), ErrorKind::Body),
        (broken(r#"{"i":[1"#), ErrorKind::Body),
        (ok(r#"{"error":"internal"}"#), ErrorKind::Body),
        (ok(" ".repeat(99)), ErrorKind::TooLarge),
        (ok(whole.replace("total\":1", "total\":7")), ErrorKind::Incomplete),
        (status(503, ""), ErrorKind::Status),
    ] {
        let api = ScriptedApi::new([with_id(ok(r#"{"i":[],"next":"/2"}"#), "cor-1"), with_id(answer, "cor-2")]);
        let query = Query::get("https://api.example.com/1", "/i", Rule::next_url("/next").total("/total")).unwrap();
        let (_, error) = drain(&mut Pager::new(api.service(), query).page_attempts(1).max_page_bytes(98)).await;
        let error = error.unwrap();
        assert_eq!((error.kind(), error.correlation_id()), (kind, Some("cor-2")), "{error}");
        assert!(error.to_string().ends_with(" (correlation id cor-2)"), "{error}");
        assert_eq!(error.to_string().matches("cor-2").count(), 1, "{error}");
        assert_eq!(error.api().is_some(), kind == ErrorKind::Status);
    }
    // Without a response there is none, nor with a blank one.
    let api = ScriptedApi::default();
    let (_, error) = drain(&mut Pager::new(api.service(), query())).await;
    assert_eq!(error.unwrap().correlation_id(), None);
    let api = ScriptedApi::new([with_id(ok("<html>"), " ")]);
    let (_, error) = drain(&mut Pager::new(api.service(), query()).page_attempts(1)).await;
    assert_eq!(error.unwrap().correlation_id(), None);
}

#[tokio::test(start_paused = true)]
async fn a_failure_to_send_has_its_source_and_is_not_retried() {
    let reset = || Err(io::Error::new(io::ErrorKind::ConnectionReset, "reset by a test").into());
    let api = ScriptedApi::new([ok(r#"{"i":[1],"next":"/2"}"#), reset(), ok(r#"{"i":[2]}"#)]);
    let (_, error) = drain(&mut Pager::new(api.service(), query())).await;
    let error = error.unwrap();
    assert_eq!((error.kind(), error.page(), api.requests()), (ErrorKind::Send, Some(2), 2));
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::ConnectionReset);
    assert!(!error.to_string().contains("reset by a test"), "the source is said twice");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_is_a_failure_to_send() {
    let (_, error) = drain(&mut Pager::new(Closed, query())).await;
    let error = error.unwrap();
    assert_eq!((error.kind(), error.page()), (ErrorKind::Send, Some(1)));
    assert_eq!(error.source().unwrap().to_string(), "closed for good");
}

#[tokio::test(start_paused = true)]
async fn a_token_error_is_found_below_it() {
    let issuer = Issuer::new();
    let analytics = Analytics::new(&issuer);
    let auth = ClientAuth::basic("test-client", "wrong-secret");
    let grant = ClientCredentials::new(issuer.service(), "https://login.example.com/oauth/token", auth).unwrap();
    let api = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(OAuthLayer::for_origin("https://api.example.com", TokenCache::new(grant)).unwrap())
        .service(analytics.service());
    let error = Pager::new(api, query()).items::<u32>().try_collect::<Vec<_>>().await.unwrap_err();

    assert_eq!((error.kind(), error.page()), (ErrorKind::Send, Some(1)));
    let token_error = tower_oauth2::Error::find(&error).unwrap();
    assert_eq!(token_error.oauth_code(), Some("invalid_client"));
    assert!(!format!("{error} {error:?} {token_error} {token_error:?}").contains("wrong-secret"));
    assert_eq!((issuer.stats().requests, analytics.stats().requests), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_error_status_is_what_the_retry_policy_leaves() {
    let issuer = Issuer::new();
    let analytics = Analytics::new(&issuer);
    let bearer = http::HeaderValue::try_from(format!("Bearer {}", issuer.mint())).unwrap();
    let url = "https://api.example.com/api/v2/users";
    let query = Query::post(url, serde_json::json!({}), "/entities", Rule::next_url("/nextUri")).unwrap();
    let query = query.header(http::header::AUTHORIZATION, bearer);
    (0..9).for_each(|_| analytics.fail_next(Fault::Status(504)));
    let api = ServiceBuilder::new().layer(RetryLayer::new(RetryPolicy::default())).service(analytics.service());
    let (_, error) = drain(&mut Pager::new(api, query)).await;
    assert_eq!(error.unwrap().status().unwrap(), 504);
    // A POST: it is the query's `Repeat` that makes it repeatable.
    assert_eq!(analytics.stats().requests, 4);
}

#[derive(Clone)]
struct Closed;

impl Service<Request<Full<Bytes>>> for Closed {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Err("closed for good".into()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        panic!("called without being ready");
    }
}

fn query() -> Query {
    Query::get("https://api.example.com/1", "/i", Rule::next_url("/next")).unwrap()
}
