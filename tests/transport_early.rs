//! An answer that comes while the request's body is still being sent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "support/callers.rs"]
mod callers;
#[path = "support/frames.rs"]
mod frames;
#[path = "support/wire.rs"]
mod wire;

use std::collections::{HashMap, HashSet};

use h2::Reason;
use http::Method;

use callers::{http1_callers, http2_callers};
use frames::{Frame, Frames};
use wire::{Connection, Wire};

#[tokio::test]
async fn a_413_over_http1_is_the_answer_whether_the_rest_is_read_or_not() {
    for size in SIZES {
        for after in [After::Drains, After::Closes, After::Stalls] {
            let wire = Wire::start(move |_, connection| refuse(connection, |_| 413, after)).await;
            for caller in http1_callers(&wire.url()) {
                for method in [Method::PUT, Method::POST] {
                    let before = wire.sends().len();
                    let outcome = caller.send(method.clone(), body(size)).await;
                    assert_eq!(outcome.status(), Some(413), "{} {method} {size} {after:?}: {outcome:?}", caller.name);
                    assert_eq!((wire.sends().len() - before, caller.retries()), (1, 0), "{} {after:?}", caller.name);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_401_over_http1_is_replayed_with_the_whole_body_whether_the_rest_is_read_or_not() {
    for size in SIZES {
        for after in [After::Drains, After::Closes, After::Stalls] {
            for which in 0..3 {
                let status = |token: &str| if token == "Bearer t1" { 401 } else { 200 };
                let wire = Wire::start(move |_, connection| refuse(connection, status, after)).await;
                let caller = &http1_callers(&wire.url())[which];
                let outcome = caller.send(Method::POST, body(size)).await;
                let told = format!("{} {size} {after:?}: {outcome:?}", caller.name);
                assert!(matches!(&outcome, callers::Outcome::Answer(_, body) if *body == size.to_string()), "{told}");
                assert_eq!(wire.sends(), ["Bearer t1", "Bearer t2"], "{told}");
                assert_eq!(caller.policy.stats().replays, 1, "{told}");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_over_http1_that_a_reset_overtakes_is_an_answer_or_an_error_and_a_post_is_sent_once() {
    for size in SIZES {
        let wire = Wire::start(|_, connection| refuse(connection, |_| 413, After::Resets)).await;
        for caller in http1_callers(&wire.url()) {
            let before = wire.sends().len();
            let outcome = caller.send(Method::POST, body(size)).await;
            assert!(outcome.status() == Some(413) || outcome.is_error(), "{} {size}: {outcome:?}", caller.name);
            assert_eq!((wire.sends().len() - before, caller.retries()), (1, 0), "{}", caller.name);
        }
    }
}

#[tokio::test]
async fn a_413_over_http2_is_the_answer_whether_the_rest_is_read_or_not() {
    for size in SIZES {
        for after in [After::Drains, After::Closes, After::Stalls, After::Resets] {
            let server = Frames::start(move |_, connection| answer(connection, 413, usize::MAX, after)).await;
            for caller in http2_callers(&server.url()) {
                for method in [Method::PUT, Method::POST] {
                    let before = server.sends();
                    let outcome = caller.send(method.clone(), body(size)).await;
                    assert_eq!(outcome.status(), Some(413), "{} {method} {size} {after:?}: {outcome:?}", caller.name);
                    assert_eq!((server.sends() - before, caller.retries()), (1, 0), "{} {after:?}", caller.name);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_401_over_http2_is_replayed_with_the_whole_body_whether_the_rest_is_read_or_not() {
    for size in SIZES {
        for after in [After::Drains, After::Closes, After::Stalls, After::Resets] {
            for which in 0..3 {
                let server = Frames::start(move |number, connection| {
                    answer(connection, 401, if number == 0 { 1 } else { 0 }, after)
                })
                .await;
                let caller = &http2_callers(&server.url())[which];
                let outcome = caller.send(Method::POST, body(size)).await;
                let told = format!("{} {size} {after:?}: {outcome:?}", caller.name);
                assert!(matches!(&outcome, callers::Outcome::Answer(_, body) if *body == size.to_string()), "{told}");
                assert_eq!((server.sends(), caller.policy.stats().replays), (2, 1), "{told}");
            }
        }
    }
}

/// What a server does once it has answered and is still being sent a body.
#[derive(Clone, Copy, Debug)]
enum After {
    /// Reads the rest.
    Drains,
    /// Says that it sends nothing more, and reads until the client leaves. On HTTP/2, resets the stream with `NO_ERROR`.
    Closes,
    /// Reads nothing, and leaves it open. On HTTP/2, lets the windows run out.
    Stalls,
    /// Reads nothing, and resets the connection. On HTTP/2, the stream, with `CANCEL`.
    Resets,
}

/// Answers each request with the status that its token gets, as soon as its head came; 200 only when it is whole.
async fn refuse(mut connection: Connection, status: impl Fn(&str) -> u16, after: After) {
    while let Some(head) = connection.head().await {
        match status(&head.authorization) {
            200 => {
                let Some(length) = connection.body(&head).await else { return };
                let body = length.to_string();
                connection.write(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
            }
            status => {
                // Who does not read on must say so, or has the next request sent after this one.
                let close = if matches!(after, After::Drains) { "" } else { "connection: close\r\n" };
                connection.write(&format!("HTTP/1.1 {status} No\r\n{close}content-length: 0\r\n\r\n")).await;
                match after {
                    After::Drains => _ = connection.body(&head).await,
                    After::Closes => return connection.close().await,
                    After::Stalls => return std::future::pending().await,
                    After::Resets => return connection.stream.set_zero_linger().unwrap(),
                }
            }
        }
    }
}

/// Refuses the first requests of the connection as soon as their heads came, and does the others.
async fn answer(mut connection: frames::Connection, status: u16, refusals: usize, after: After) -> Option<()> {
    let mut refused = HashSet::new();
    let mut lengths = HashMap::<u32, usize>::new();
    loop {
        match connection.frame().await? {
            Frame::Headers { stream, .. } if refused.len() < refusals => {
                refused.insert(stream);
                connection.answer(stream, status).await;
                match after {
                    After::Drains | After::Stalls => {}
                    After::Closes => connection.reset_stream(stream, Reason::NO_ERROR).await,
                    After::Resets => connection.reset_stream(stream, Reason::CANCEL).await,
                }
            }
            Frame::Data { stream, length, last } if !refused.contains(&stream) => {
                let total = lengths.entry(stream).or_default();
                *total += length;
                let body = total.to_string();
                if last {
                    connection.begin(stream, 200).await;
                    connection.data(stream, body.as_bytes(), true).await;
                } else {
                    connection.open_window(stream, u32::try_from(length).unwrap()).await;
                }
            }
            Frame::Data { stream, length, last: false } if matches!(after, After::Drains) => {
                connection.open_window(stream, u32::try_from(length).unwrap()).await;
            }
            _ => {}
        }
    }
}

fn body(size: usize) -> Vec<u8> {
    vec![b'x'; size]
}

/// One that is sent at once, and one that is more than sockets and windows hold.
const SIZES: [usize; 2] = [1024, 16 * 1024 * 1024];
