//! An answer that comes while the request's body is still being sent.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use h2::Reason;
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::sleep;
use tower::BoxError;

use crate::{
    callers::{Outcome, Streamed, http1_callers, http1_streamers, http2_callers, http2_streamers},
    frames::{self, Frame, Frames},
    wire::{Connection, Wire},
};

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
                assert!(matches!(&outcome, Outcome::Answer(_, body) if *body == size.to_string()), "{told}");
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
                assert!(matches!(&outcome, Outcome::Answer(_, body) if *body == size.to_string()), "{told}");
                assert_eq!((server.sends(), caller.policy.stats().replays), (2, 1), "{told}");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_early_is_replayed_whole_though_nobody_could_clone_it() {
    // The first is sent slowly: the answer is there before its end.
    for after in [After::Drains, After::Closes, After::Stalls] {
        for which in 0..3 {
            let status = |token: &str| if token == "Bearer t1" { 401 } else { 200 };
            let wire = Wire::start(move |_, connection| refuse(connection, status, after)).await;
            let caller = &http1_streamers(&wire.url())[which];
            let outcome = caller.ask(Method::POST, slow(5, 8 * 1024)).await;
            let told = format!("{} {after:?}: {outcome:?}", caller.name);
            assert!(matches!(&outcome, Outcome::Answer(_, body) if body == "40960"), "{told}");
            assert_eq!(wire.sends(), ["Bearer t1", "Bearer t2"], "{told}");

            let server = Frames::start(move |number, connection| {
                answer(connection, 401, if number == 0 { 1 } else { 0 }, after)
            })
            .await;
            let caller = &http2_streamers(&server.url())[which];
            let outcome = caller.ask(Method::POST, slow(5, 8 * 1024)).await;
            let told = format!("{} {after:?}: {outcome:?}", caller.name);
            assert!(matches!(&outcome, Outcome::Answer(_, body) if body == "40960"), "{told}");
            assert_eq!(server.sends(), 2, "{told}");
        }
    }
}

#[tokio::test]
async fn a_stream_of_which_more_was_sent_than_is_kept_has_its_refusal_handed_on() {
    for which in 0..3 {
        let wire = Wire::start(|_, mut connection| async move {
            let Some(head) = connection.head().await else { return };
            connection.some(100 * 1024).await;
            connection.write("HTTP/1.1 401 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
            connection.body(&head).await;
        })
        .await;
        let caller = &http1_streamers(&wire.url())[which];
        let outcome = caller.ask(Method::PUT, slow(20, 8 * 1024)).await;
        assert_eq!(outcome.status(), Some(401), "{}: {outcome:?}", caller.name);
        assert_eq!((wire.sends().len(), caller.policy.stats().given_up), (1, 1), "{}", caller.name);
    }
}

#[tokio::test]
async fn an_upload_that_does_not_end_is_over_when_its_answer_is_there() {
    for which in 0..3 {
        let wire = Wire::start(|_, connection| refuse(connection, |_| 413, After::Drains)).await;
        let caller = &http1_streamers(&wire.url())[which];
        let outcome = caller.ask(Method::POST, endless()).await;
        assert_eq!(outcome.status(), Some(413), "{}: {outcome:?}", caller.name);
        assert_eq!(wire.sends().len(), 1);

        for after in [After::Drains, After::Closes] {
            let server = Frames::start(move |_, connection| answer(connection, 413, usize::MAX, after)).await;
            let caller = &http2_streamers(&server.url())[which];
            let outcome = caller.ask(Method::POST, endless()).await;
            assert_eq!(outcome.status(), Some(413), "{}: {outcome:?}", caller.name);
            assert_eq!(server.sends(), 1);
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_in_the_midst_of_a_stream_has_it_sent_again_if_repeatable() {
    for (method, retried) in [(Method::PUT, true), (Method::POST, false)] {
        for which in 0..3 {
            let wire = Wire::start(|number, mut connection| async move {
                if number > 0 {
                    return connection.serve().await;
                }
                connection.head().await.unwrap();
                connection.some(8 * 1024).await;
                connection.stream.set_zero_linger().unwrap();
            })
            .await;
            let caller = &http1_streamers(&wire.url())[which];
            let outcome = caller.ask(method.clone(), slow(5, 8 * 1024)).await;
            let told = format!("{} {method}: {outcome:?}", caller.name);
            assert_eq!(matches!(&outcome, Outcome::Answer(_, body) if body == "40960"), retried, "{told}");
            assert_eq!(outcome.is_error(), !retried, "{told}");
            assert_eq!(
                (wire.sends().len(), caller.retries()),
                (1 + usize::from(retried), u64::from(retried)),
                "{told}"
            );
        }
    }
}

#[tokio::test]
async fn a_stream_that_fails_is_an_error_and_is_not_sent_again() {
    let failing = || {
        let chunks = [Ok(http_body::Frame::data(Bytes::from("begun"))), Err(BoxError::from("the disk is gone"))];
        StreamBody::new(stream::iter(chunks)).boxed_unsync()
    };
    for which in 0..3 {
        let wire = Wire::start(|_, connection| connection.serve()).await;
        let caller = &http1_streamers(&wire.url())[which];
        let outcome = caller.ask(Method::PUT, failing()).await;
        assert!(outcome.is_error(), "{}: {outcome:?}", caller.name);
        assert_eq!(caller.retries(), 0, "{}: {outcome:?}", caller.name);

        let server = Frames::start(|_, connection| connection.serve()).await;
        let caller = &http2_streamers(&server.url())[which];
        let outcome = caller.ask(Method::PUT, failing()).await;
        assert!(outcome.is_error(), "{}: {outcome:?}", caller.name);
        assert_eq!(caller.retries(), 0, "{}: {outcome:?}", caller.name);
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

/// A stream of so many chunks, which comes slowly and does not know its length.
fn slow(chunks: usize, size: usize) -> Streamed {
    let chunks = stream::unfold(chunks, move |left| async move {
        let left = left.checked_sub(1)?;
        sleep(Duration::from_millis(5)).await;
        Some((Ok(http_body::Frame::data(Bytes::from(body(size)))), left))
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// A stream that begins and does not go on.
fn endless() -> Streamed {
    let begun = stream::iter([Ok(http_body::Frame::data(Bytes::from("begun")))]);
    StreamBody::new(begun.chain(stream::pending())).boxed_unsync()
}

fn body(size: usize) -> Vec<u8> {
    vec![b'x'; size]
}

/// One that is sent at once, and one that is more than sockets and windows hold.
const SIZES: [usize; 2] = [1024, 16 * 1024 * 1024];
