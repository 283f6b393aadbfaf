//! tower-http's layers that read and change heads: what they see of attempts and tokens, and what they leave of the marks.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{HeaderName, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::BodyExt;
use tower::{Layer, ServiceBuilder};
use tower_http::{
    decompression::DecompressionLayer,
    propagate_header::PropagateHeaderLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    trace::{DefaultMakeSpan, TraceLayer},
};
use tower_oauth2::{
    TokenRejected,
    retry::{RetryOutcome, Stopped},
};
use tracing::Level;

use crate::{
    log::Log,
    support::{Answer, Issuer, secs},
    upstream::{self, HERE, Reply, Stack, Upstream, get, oauth, post, retry},
};

// === Decompression ===

#[tokio::test(start_paused = true)]
async fn decompression_leaves_marks_and_asks_once_per_attempt_wherever_it_is() {
    let issuer = || Issuer::new(secs(100));
    let script = || Upstream::new([Reply::Gzip(401, gzip()), Reply::Gzip(503, gzip())]);
    let check = |upstream: &Upstream, response: Response<_>, body: bytes::Bytes| {
        assert_eq!((response.status(), &body[..]), (StatusCode::SERVICE_UNAVAILABLE, &b"the body"[..]));
        let outcome: &RetryOutcome = response.extensions().get().unwrap();
        assert_eq!((outcome.attempts, outcome.stopped), (2, Stopped::NotRepeatable));
        assert_eq!(upstream.tokens(), ["t1", "t2"]);
        for sent in upstream.sent() {
            assert_eq!(sent.headers.get_all("accept-encoding").iter().collect::<Vec<_>>(), ["gzip"]);
        }
    };
    let layer = DecompressionLayer::new;

    let upstream = script();
    let client = ServiceBuilder::new().layer(retry()).layer(oauth(&issuer())).layer(layer()).service(upstream.clone());
    let (head, body) = client.send(post(HERE)).await.unwrap().into_parts();
    check(&upstream, Response::from_parts(head, ()), body.collect().await.unwrap().to_bytes());

    let upstream = script();
    let client = ServiceBuilder::new().layer(retry()).layer(layer()).layer(oauth(&issuer())).service(upstream.clone());
    let (head, body) = client.send(post(HERE)).await.unwrap().into_parts();
    check(&upstream, Response::from_parts(head, ()), body.collect().await.unwrap().to_bytes());

    let upstream = script();
    let client = ServiceBuilder::new().layer(layer()).layer(retry()).layer(oauth(&issuer())).service(upstream.clone());
    let (head, body) = client.send(post(HERE)).await.unwrap().into_parts();
    check(&upstream, Response::from_parts(head, ()), body.collect().await.unwrap().to_bytes());
}

#[tokio::test(start_paused = true)]
async fn what_reads_bodies_reads_them_compressed_if_decompression_is_outside_of_it() {
    for inside in [true, false] {
        let upstream = Upstream::new([Reply::Gzip(200, gzip())]);
        let read: Arc<Mutex<Vec<bytes::Bytes>>> = Arc::default();
        let seen = Arc::clone(&read);
        let reads = move |data: bytes::Bytes| {
            seen.lock().unwrap().push(data.clone());
            data
        };
        let body = if inside {
            let reader = ServiceBuilder::new().map_response(move |response: Response<_>| {
                let reads = reads.clone();
                response.map(|body| BodyExt::map_frame(body, move |frame| frame.map_data(reads.clone())))
            });
            let client = ServiceBuilder::new().layer(retry()).layer(reader).layer(DecompressionLayer::new());
            client.service(upstream).send(get(HERE)).await.unwrap().into_body().collect().await.unwrap()
        } else {
            let reader = ServiceBuilder::new().map_response(move |response: Response<_>| {
                let reads = reads.clone();
                response.map(|body| BodyExt::map_frame(body, move |frame| frame.map_data(reads.clone())))
            });
            let client = ServiceBuilder::new().layer(DecompressionLayer::new()).layer(retry()).layer(reader);
            client.service(upstream).send(get(HERE)).await.unwrap().into_body().collect().await.unwrap()
        };
        assert_eq!(body.to_bytes(), "the body");
        assert_eq!(read.lock().unwrap().concat() == b"the body", inside);
    }
}

// === Trace ===

#[tokio::test(start_paused = true)]
async fn a_trace_outside_is_about_the_request_and_one_inside_about_attempts() {
    for inside in [true, false] {
        let [requests, responses, failures] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
        let [on_request, on_response, on_failure] = [&requests, &responses, &failures].map(Arc::clone);
        let trace = TraceLayer::new_for_http()
            .on_request(move |_: &Request<_>, _: &tracing::Span| count(&on_request))
            .on_response(move |_: &Response<_>, _, _: &tracing::Span| count(&on_response))
            .on_failure(move |_, _, _: &tracing::Span| count(&on_failure));
        let upstream = Upstream::new([Reply::Status(401), Reply::Status(503)]);
        let issuer = Issuer::new(secs(100));
        let status = if inside {
            let client = ServiceBuilder::new().layer(retry()).layer(oauth(&issuer)).layer(trace).service(upstream);
            client.send(get(HERE)).await.unwrap().status()
        } else {
            let client = ServiceBuilder::new().layer(trace).layer(retry()).layer(oauth(&issuer)).service(upstream);
            client.send(get(HERE)).await.unwrap().status()
        };
        assert_eq!(status, StatusCode::OK);
        let seen = [requests, responses, failures].map(|count| count.load(Ordering::SeqCst));
        // What was mended in between was no failure for the caller.
        assert_eq!(seen, if inside { [3, 3, 1] } else { [1, 1, 0] });
    }
}

#[tokio::test(start_paused = true)]
async fn a_trace_inside_that_shows_headers_shows_no_token() {
    let log = Log::default();
    let _guard = log.listen();
    let issuer = Issuer::new(secs(100));
    issuer.always(Answer::Spell("canary"));
    let headers = DefaultMakeSpan::new().include_headers(true).level(Level::INFO);
    let client = ServiceBuilder::new()
        .layer(retry())
        .layer(oauth(&issuer))
        .layer(TraceLayer::new_for_http().make_span_with(headers))
        .service(Upstream::new([]));
    client.send(get(HERE)).await.unwrap();
    let log = log.text();
    assert!(log.contains(r#"\"authorization\": Sensitive"#), "{log}");
    assert!(!log.contains("canary"), "{log}");
}

// === Request ids ===

#[tokio::test(start_paused = true)]
async fn a_request_id_from_outside_is_that_of_all_attempts_and_one_from_inside_of_one() {
    let id = || {
        let set = SetRequestIdLayer::x_request_id(MakeRequestUuid);
        ServiceBuilder::new().layer(set).layer(PropagateRequestIdLayer::x_request_id())
    };
    for (outside, between, inside) in [(true, false, false), (false, true, false), (false, false, true)] {
        let upstream = Upstream::new([Reply::Status(401), Reply::Status(503)]);
        let client = ServiceBuilder::new()
            .option_layer(outside.then(id))
            .layer(retry())
            .option_layer(between.then(id))
            .layer(oauth(&Issuer::new(secs(100))))
            .option_layer(inside.then(id))
            .service(upstream.clone());
        let response = client.send(get(HERE)).await.unwrap();
        let ids: Vec<_> = upstream.sent().iter().map(|sent| sent.headers["x-request-id"].clone()).collect();
        let distinct: HashSet<_> = ids.iter().collect();
        // The retry layer copies a request as it came to it: with the id that it has by then.
        assert_eq!((ids.len(), distinct.len()), (3, if outside { 1 } else { 3 }));
        assert_eq!(response.headers()["x-request-id"], ids[2]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_made_inside_of_what_propagates_it_comes_back_to_nobody() {
    let upstream = Upstream::new([]);
    let client = ServiceBuilder::new()
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .service(upstream.clone());
    let response = client.send(get(HERE)).await.unwrap();
    assert!(!response.headers().contains_key("x-request-id"));
    assert!(upstream.sent()[0].headers.contains_key("x-request-id"));
}

// === Headers ===

#[tokio::test(start_paused = true)]
async fn a_header_is_propagated_from_wherever_but_inside_that_may_be_the_token() {
    for inside in [true, false] {
        let layer = || PropagateHeaderLayer::new(AUTHORIZATION);
        let both = || ServiceBuilder::new().layer(layer()).layer(PropagateHeaderLayer::new(X_TENANT));
        let client = ServiceBuilder::new()
            .option_layer((!inside).then(both))
            .layer(retry())
            .layer(oauth(&Issuer::new(secs(100))))
            .option_layer(inside.then(both))
            .service(Upstream::new([]).refusing("t1"));
        let mut request = get(HERE);
        request.headers_mut().insert(X_TENANT, "acme".parse().unwrap());
        let response = client.send(request).await.unwrap();
        assert_eq!(response.headers()[X_TENANT], "acme");
        assert_eq!(response.headers().contains_key(AUTHORIZATION), inside, "the token, in the caller's hands");
    }
}

// === Marks ===

#[tokio::test(start_paused = true)]
async fn what_builds_responses_anew_between_the_two_loses_the_replay_and_nothing_else() {
    let upstream = Upstream::new([]).refusing("t1");
    let client = ServiceBuilder::new()
        .layer(retry())
        .map_response(|response: Response<upstream::Body>| {
            let anew = Response::builder().status(response.status());
            anew.body(response.into_body()).unwrap()
        })
        .layer(oauth(&Issuer::new(secs(100))))
        .service(upstream.clone());
    let response = client.clone().send(get(HERE)).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.extensions().get::<TokenRejected>(), None);
    assert_eq!(upstream.tokens(), ["t1"]);
    // The cache was told all the same.
    assert_eq!(client.send(get(HERE)).await.unwrap().status(), StatusCode::OK);
    assert_eq!(upstream.tokens(), ["t1", "t2"]);
}

#[tokio::test(start_paused = true)]
async fn the_other_way_round_the_refused_token_stays_on_the_caller() {
    let upstream = Upstream::new([]).refusing("t1");
    let client = oauth(&Issuer::new(secs(100))).layer(retry().layer(upstream.clone()));
    let response = client.send(get(HERE)).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.extensions().get(), Some(&TokenRejected::new(true)), "nobody was left to read it");
    assert_eq!(upstream.tokens(), ["t1"]);
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::SeqCst);
}

/// `the body`, by gzip.
fn gzip() -> Vec<u8> {
    vec![31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 43, 201, 72, 85, 72, 202, 79, 169, 4, 0, 194, 39, 117, 150, 8, 0, 0, 0]
}

const X_TENANT: HeaderName = HeaderName::from_static("x-tenant");
