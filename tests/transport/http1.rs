//! HTTP/1.1 connections that end when they should not: what is sent again, and what is not.

use futures_util::future::join_all;
use http::Method;
use tokio::time::sleep;

use crate::{
    callers::{Outcome, http1_callers},
    wire::{Connection, PAUSE, Wire},
};

#[tokio::test]
async fn connection_close_after_any_answer_costs_nothing() {
    for ending in [Farewell::Announced, Farewell::AnnouncedAndLeft, Farewell::Http10, Farewell::Silent] {
        for last in 0..4 {
            let wire = Wire::start(move |_, connection| close_after(connection, last, ending)).await;
            for (index, caller) in http1_callers(&wire.url()).iter().enumerate() {
                let (sends, connections) = (wire.sends().len(), wire.connections());
                for _ in 0..4 {
                    let outcome = caller.send(Method::POST, "body").await;
                    assert_eq!(outcome.status(), Some(200), "{ending:?} {last} {}: {outcome:?}", caller.name);
                    // One that closes without a word is noticed only when it does.
                    sleep(if matches!(ending, Farewell::Silent) { PAUSE } else { PAUSE / 50 }).await;
                }
                assert_eq!(wire.sends().len() - sends, 4, "{ending:?} {last} {index}");
                assert_eq!(wire.connections() - connections, 4_usize.div_ceil(last + 1), "{ending:?} {last} {index}");
                assert_eq!(caller.retries(), 0);
            }
        }
    }
}

#[tokio::test]
async fn connection_close_after_an_answer_that_is_tried_again_costs_one_connection() {
    for (status, method, retried) in
        [(429, Method::POST, true), (503, Method::GET, true), (503, Method::POST, false), (404, Method::GET, false)]
    {
        for leaves in [true, false] {
            let wire = Wire::start(move |number, mut connection| async move {
                if number > 0 {
                    return connection.serve().await;
                }
                let head = connection.head().await.unwrap();
                connection.body(&head).await.unwrap();
                let answer = format!("HTTP/1.1 {status} Busy\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbusy");
                connection.write(&answer).await;
                if leaves {
                    connection.close().await;
                } else {
                    assert!(connection.head().await.is_none(), "nothing may come after it");
                }
            })
            .await;
            let which = usize::from(leaves);
            let caller = &http1_callers(&wire.url())[which];
            let outcome = caller.send(method.clone(), "body").await;
            let told = format!("{} {status} {method} {leaves}: {outcome:?}", caller.name);
            assert_eq!(outcome.status(), Some(if retried { 200 } else { status }), "{told}");
            assert_eq!(wire.sends().len(), 1 + usize::from(retried), "{told}");
        }
    }
}

#[tokio::test]
async fn connection_close_after_every_answer_does_not_trouble_a_crowd() {
    let wire = Wire::start(|_, connection| close_after(connection, 0, Farewell::Announced)).await;
    for caller in http1_callers(&wire.url()) {
        let before = wire.sends().len();
        let outcomes = join_all((0..20).map(|_| caller.send(Method::POST, "body"))).await;
        assert!(outcomes.iter().all(|outcome| outcome.status() == Some(200)), "{}: {outcomes:?}", caller.name);
        assert_eq!((wire.sends().len() - before, caller.retries()), (20, 0));
    }
}

#[tokio::test]
async fn a_connection_that_ends_before_the_head_of_the_response_is_whole_is_tried_again_if_repeatable() {
    for point in [Point::AfterTheHead, Point::AfterTheRequest, Point::InTheStatusLine, Point::InTheHead] {
        for (method, retried) in [(Method::GET, true), (Method::PUT, true), (Method::POST, false)] {
            for reset in [true, false] {
                let fresh = (0..3).map(|which| end(which, &method, retried, point, reset, false));
                let used = (0..3).map(|which| end(which, &method, retried, point, reset, true));
                join_all(fresh).await;
                join_all(used).await;
            }
        }
    }
}

#[tokio::test]
async fn a_reset_before_anything_was_read_does_a_post_once_at_the_most() {
    for method in [Method::GET, Method::POST] {
        for which in 0..3 {
            let wire = Wire::start(|number, connection| async move {
                if number == 0 { connection.stream.set_zero_linger().unwrap() } else { connection.serve().await }
            })
            .await;
            let caller = &http1_callers(&wire.url())[which];
            let outcome = caller.send(method.clone(), "body").await;
            // Whether the client got to write before it noticed is not for us to say.
            let told = format!("{} {method}: {outcome:?}", caller.name);
            assert!(outcome.status() == Some(200) || (method == Method::POST && outcome.is_error()), "{told}");
            assert_eq!(wire.sends().len(), usize::from(!outcome.is_error()), "{told}");
        }
    }
}

#[tokio::test]
async fn a_reset_after_the_head_of_the_response_is_for_who_reads_the_body() {
    for body in ["", "01234"] {
        for method in [Method::GET, Method::POST] {
            let wire = Wire::start(move |_, mut connection| async move {
                let head = connection.head().await.unwrap();
                connection.body(&head).await;
                connection.write(&format!("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{body}")).await;
                connection.reset().await;
            })
            .await;
            for caller in http1_callers(&wire.url()) {
                let before = wire.sends().len();
                let outcome = caller.send(method.clone(), "body").await;
                assert!(matches!(&outcome, Outcome::Broken(status, _) if *status == 200), "{outcome:?}");
                assert_eq!((wire.sends().len() - before, caller.retries()), (1, 0), "{}", caller.name);
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_whose_body_breaks_off_is_a_refusal_all_the_same() {
    let wire = Wire::start(|number, mut connection| async move {
        let Some(head) = connection.head().await else { return };
        connection.body(&head).await;
        if number % 3 < 2 {
            let status = if number % 3 == 0 { "401 Unauthorized" } else { "429 Too Many Requests" };
            connection.write(&format!("HTTP/1.1 {status}\r\ncontent-length: 10\r\n\r\n01234")).await;
            connection.reset().await;
        } else {
            connection.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
            connection.close().await;
        }
    })
    .await;
    for caller in http1_callers(&wire.url()) {
        let before = wire.sends().len();
        let outcome = caller.send(Method::POST, "body").await;
        assert_eq!(outcome.status(), Some(200), "{}: {outcome:?}", caller.name);
        assert_eq!(wire.sends()[before..], ["Bearer t1", "Bearer t2", "Bearer t2"], "{}", caller.name);
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum Farewell {
    /// `Connection: close`, and it does.
    Announced,
    /// `Connection: close`, and the client has to do it.
    AnnouncedAndLeft,
    /// By the old rules the end of the connection is that of the body.
    Http10,
    /// Without a word.
    Silent,
}

/// Where a connection is reset.
#[derive(Clone, Copy, Debug)]
enum Point {
    AfterTheHead,
    AfterTheRequest,
    InTheStatusLine,
    InTheHead,
}

/// Answers `last` requests as usual and one more with the farewell.
async fn close_after(mut connection: Connection, last: usize, ending: Farewell) {
    for index in 0..=last {
        let Some(head) = connection.head().await else { return };
        connection.body(&head).await.unwrap();
        if index < last {
            connection.answer(200).await;
            continue;
        }
        let answer = match ending {
            Farewell::Announced | Farewell::AnnouncedAndLeft => {
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nlast"
            }
            Farewell::Http10 => "HTTP/1.0 200 OK\r\n\r\nlast",
            Farewell::Silent => "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlast",
        };
        connection.write(answer).await;
    }
    if matches!(ending, Farewell::AnnouncedAndLeft) {
        assert!(connection.head().await.is_none(), "nothing may come after it");
    } else {
        connection.close().await;
    }
}

/// Has the connection end there, while it answers its first or its second request, and asserts what comes of it.
async fn end(which: usize, method: &Method, retried: bool, point: Point, reset: bool, second: bool) {
    let wire = Wire::start(move |number, connection| async move {
        if number == 0 {
            fail(connection, point, reset, second).await;
        } else {
            connection.serve().await;
        }
    })
    .await;
    let caller = &http1_callers(&wire.url())[which];
    if second {
        assert_eq!(caller.send(Method::POST, "").await.status(), Some(200));
    }
    let outcome = caller.send(method.clone(), "body").await;
    let told = format!("{} {method} {point:?}, reset: {reset}, second: {second}: {outcome:?}", caller.name);
    assert_eq!(outcome.status(), retried.then_some(200), "{told}");
    assert_eq!(outcome.is_error(), !retried, "{told}");
    assert_eq!(wire.sends().len() - usize::from(second), 1 + usize::from(retried), "{told}");
    assert_eq!(caller.retries(), u64::from(retried), "{told}");
    assert!(wire.sends().iter().all(|token| token == "Bearer t1"), "the token is as good as before");
}

async fn fail(mut connection: Connection, point: Point, reset: bool, second: bool) {
    if second {
        let head = connection.head().await.unwrap();
        connection.body(&head).await;
        connection.answer(200).await;
    }
    let head = connection.head().await.unwrap();
    if !matches!(point, Point::AfterTheHead) {
        connection.body(&head).await;
    }
    match point {
        Point::AfterTheHead | Point::AfterTheRequest => {}
        Point::InTheStatusLine => connection.write("HTTP/1.1 20").await,
        Point::InTheHead => connection.write("HTTP/1.1 200 OK\r\ncontent-le").await,
    }
    if reset {
        connection.reset().await;
    } else {
        connection.close().await;
    }
}
