//! What a pager costs: `cargo bench -p tower-oauth2-benches --bench pager`.
//!
//! 100 pages of 100 conversations of 2.2 kB each. First from memory, on one thread, in MB a second: to lines of JSON, and to
//! values, beside serde_json by itself. Then from a server that takes 5 ms for each page: one after the other, a page
//! ahead with a consumer that takes as long, and several at once.
//!
//! What it showed on two shared cores of a virtual machine, rustc 1.95, November 2026: pages 0.94 to 0.99 of the bare loop,
//! items 0.92 to 0.97, and 3.2 to 3.3 times typed values; a page ahead 1.89 times one by one, 4 at once 3.3 to 3.4, 8 at once 6.0 to
//! 6.3; a bare stream of futures that are `buffered`, 3.3 and 5.3.

#![allow(clippy::disallowed_types, clippy::expect_used, missing_docs, reason = "a bench")]

use std::{
    convert::Infallible,
    fmt::Write as _,
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harness::{Report, interleaved};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    runtime::{Builder, Runtime},
    time::sleep,
};
use tower::{Service, service_fn};
use tower_oauth2::pager::{Pager, Place, Query, Rule};

fn main() {
    let page = page();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    by_path(&runtime, &page);
    by_order(&page);
}

/// In memory, megabytes a second.
fn by_path(runtime: &Runtime, page: &Bytes) {
    let names = [
        "a bare RawValue loop to NDJSON",
        "raw_items to NDJSON",
        "pages to NDJSON",
        "serde_json, typed",
        "items, typed",
        "serde_json Value to NDJSON",
    ];
    let megabytes = (page.len() * PAGES) as f64 / 1e6;
    let mut out = Vec::with_capacity(page.len() * 2);
    let rate = |started: Instant| megabytes / started.elapsed().as_secs_f64();
    let medians = interleaved(
        ROUNDS,
        &mut [
            &mut || {
                let started = Instant::now();
                for _ in 0..PAGES {
                    out.clear();
                    let list: Raw<'_> = serde_json::from_slice(page).expect("a page");
                    for item in list.conversations {
                        out.extend_from_slice(item.get().as_bytes());
                        out.push(b'\n');
                    }
                    black_box(&out);
                }
                rate(started)
            },
            &mut || {
                let started = Instant::now();
                let mut lines = Vec::with_capacity(page.len() * 2);
                runtime.block_on(async {
                    let mut items = Pager::new(Memory(page.clone()), query()).no_repeat_check().raw_items();
                    while let Some(item) = items.try_next().await.expect("pages") {
                        lines.extend_from_slice(item.as_bytes());
                        lines.push(b'\n');
                        if lines.len() > page.len() {
                            black_box(&lines);
                            lines.clear();
                        }
                    }
                });
                rate(started)
            },
            &mut || {
                let started = Instant::now();
                let mut lines = Vec::with_capacity(page.len() * 2);
                runtime.block_on(async {
                    let mut pages = Pager::new(Memory(page.clone()), query()).no_repeat_check();
                    while let Some(page) = pages.try_next().await.expect("pages") {
                        lines.clear();
                        for item in page.raw_items() {
                            lines.extend_from_slice(item.as_bytes());
                            lines.push(b'\n');
                        }
                        black_box(&lines);
                    }
                });
                rate(started)
            },
            &mut || {
                let started = Instant::now();
                for _ in 0..PAGES {
                    let list: Typed = serde_json::from_slice(page).expect("a page");
                    black_box(list.conversations);
                }
                rate(started)
            },
            &mut || {
                let started = Instant::now();
                runtime.block_on(async {
                    let mut items = Pager::new(Memory(page.clone()), query()).no_repeat_check().items::<Conversation>();
                    while let Some(item) = items.try_next().await.expect("pages") {
                        black_box(item);
                    }
                });
                rate(started)
            },
            &mut || {
                let started = Instant::now();
                for _ in 0..PAGES {
                    let list: serde_json::Value = serde_json::from_slice(page).expect("a page");
                    let mut lines = Vec::with_capacity(page.len());
                    for item in list["conversations"].as_array().expect("a list") {
                        serde_json::to_writer(&mut lines, item).expect("memory");
                        lines.push(b'\n');
                    }
                    black_box(&lines);
                }
                rate(started)
            },
        ],
    );
    let mut report = Report::new("pager", &["MB/s", "÷ bare loop", "÷ typed"]);
    for (name, rate) in names.into_iter().zip(&medians) {
        report.row(name, &[*rate, rate / medians[0], rate / medians[3]]);
    }
    report.finish();
}

/// From a server that takes a while, seconds for all pages.
fn by_order(page: &Bytes) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let body = page.clone();
    let server = service_fn(move |_: Request<Full<Bytes>>| {
        let body = body.clone();
        async move {
            sleep(LATENCY).await;
            Ok::<_, Infallible>(Response::new(Full::new(body)))
        }
    });
    let pager = || Pager::new(server.clone(), query()).no_repeat_check();
    let at_once = |pages| {
        let started = Instant::now();
        let seen = runtime.block_on(async { pager().concurrency(pages).try_fold(0, |n, _| ready(Ok(n + 1))).await });
        assert_eq!(seen.expect("pages"), PAGES);
        started.elapsed().as_secs_f64()
    };
    // What is to be had with nothing but a stream. It, too, knows how many there are when it has the first.
    let bare = |pages| {
        let fetch = |_: usize| {
            let mut server = server.clone();
            async move {
                let response = server.call(Request::new(Full::default())).await.expect("an answer");
                let page = response.into_body().collect().await.expect("a page").to_bytes();
                let list: Raw<'_> = serde_json::from_slice(&page).expect("a page");
                black_box(list.conversations).len()
            }
        };
        let started = Instant::now();
        let items = runtime.block_on(async {
            let first = fetch(0).await;
            stream::iter(1..PAGES).map(fetch).buffered(pages).fold(first, |n, items| ready(n + items)).await
        });
        assert_eq!(items, PAGES * ITEMS);
        started.elapsed().as_secs_f64()
    };
    let with_a_slow_consumer = |ahead| {
        let started = Instant::now();
        let seen = runtime.block_on(async {
            let count = |n, _| async move {
                sleep(LATENCY).await;
                Ok(n + 1)
            };
            if ahead { pager().read_ahead(1).try_fold(0, count).await } else { pager().try_fold(0, count).await }
        });
        assert_eq!(seen.expect("pages"), PAGES);
        started.elapsed().as_secs_f64()
    };
    let medians = interleaved(
        5,
        &mut [
            &mut || at_once(1),
            &mut || at_once(4),
            &mut || at_once(8),
            &mut || bare(1),
            &mut || bare(4),
            &mut || bare(8),
            &mut || with_a_slow_consumer(false),
            &mut || with_a_slow_consumer(true),
        ],
    );
    let mut report = Report::new("pages from a server of 5 ms", &["s", "speed-up"]);
    let names = [
        "one by one",
        "4 at once",
        "8 at once",
        "a bare stream, one by one",
        "a bare stream, 4 at once",
        "a bare stream, 8 at once",
        "one by one, slow consumer",
        "a page ahead, slow consumer",
    ];
    for (index, (name, seconds)) in names.into_iter().zip(&medians).enumerate() {
        let one_by_one = medians[index / 3 * 3];
        report.row(name, &[*seconds, one_by_one / seconds]);
    }
    report.finish();
}

fn query() -> Query {
    let rule = Rule::page_number(Place::query("pageNumber")).page_count("/pageCount");
    Query::get("https://api.example.com/conversations", "/conversations", rule).expect("a query")
}

/// Has the same page for ever.
#[derive(Clone)]
struct Memory(Bytes);

impl Service<Request<Full<Bytes>>> for Memory {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(Full::new(self.0.clone()))))
    }
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    conversations: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Typed {
    conversations: Vec<Conversation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "what is read is not looked at")]
struct Conversation {
    conversation_id: String,
    conversation_start: String,
    conversation_end: String,
    originating_direction: String,
    participants: Vec<Participant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "what is read is not looked at")]
struct Participant {
    participant_id: String,
    participant_name: String,
    purpose: String,
    sessions: Vec<Session>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "what is read is not looked at")]
struct Session {
    session_id: String,
    media_type: String,
    ani: String,
    dnis: String,
    segments: Vec<Segment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "what is read is not looked at")]
struct Segment {
    segment_start: String,
    segment_end: String,
    segment_type: String,
    queue_id: String,
    conference: bool,
    wrap_up_length: f64,
}

fn page() -> Bytes {
    let mut page = format!("{{\"pageCount\":{PAGES},\"conversations\":[");
    for number in 0..ITEMS {
        let comma = if number == 0 { "" } else { "," };
        write!(
            page,
            r#"{comma}{{"conversationId":"5f1c7d2e-9a34-4c1f-8a52-{number:012}","conversationStart":"2026-03-01T08:{:02}:11.513Z","conversationEnd":"2026-03-01T09:15:42.087Z","originatingDirection":"inbound","participants":["#,
            number % 60
        )
        .expect("memory");
        for participant in 0..2 {
            let comma = if participant == 0 { "" } else { "," };
            write!(page, r#"{comma}{{"participantId":"0b9c1e74-52d1-4e0b-9d0e-{participant:012}","participantName":"Contact centre, second line {participant}","purpose":"agent","sessions":[{{"sessionId":"7e3a4b15-0c66-4b5f-b1d3-{number:012}","mediaType":"voice","ani":"tel:+353861234567","dnis":"tel:+35315551234","segments":["#).expect("memory");
            for segment in 0..4 {
                let comma = if segment == 0 { "" } else { "," };
                write!(page, r#"{comma}{{"segmentStart":"2026-03-01T08:0{segment}:11.513Z","segmentEnd":"2026-03-01T08:1{segment}:42.087Z","segmentType":"interact","queueId":"c5d9f0a1-3b7e-4e6c-a2f4-8d1b6e90c{segment:03}","conference":false,"wrapUpLength":12.{segment}}}"#).expect("memory");
            }
            page.push_str("]}]}");
        }
        page.push_str("]}");
    }
    page.push_str("]}");
    Bytes::from(page)
}

const PAGES: usize = 100;
const ITEMS: usize = 100;
const ROUNDS: usize = 15;
const LATENCY: Duration = Duration::from_millis(5);
