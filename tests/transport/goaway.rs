//! A `GOAWAY` at any time: what it says was not looked at is sent again, whatever the method; what may have been, is not.

use futures_util::future::join_all;
use h2::Reason;
use http::Method;
use tokio::time::sleep;

use crate::{
    callers::http2_callers,
    frames::{Frames, PAUSE},
};

#[tokio::test]
async fn what_the_server_did_not_look_at_is_sent_again_whatever_the_method() {
    for method in [Method::GET, Method::POST] {
        // Streams 1, 3 and 5 are under way, and those up to `last` get an answer, before or after the `GOAWAY`.
        for (last, unseen) in [(0, 3), (1, 2), (3, 1), (5, 0), (7, 0), (i32::MAX as u32, 0)] {
            for answered_before in [true, false] {
                for which in 0..CALLERS {
                    let server = Frames::start(move |number, mut connection| async move {
                        if number > 0 {
                            return connection.serve().await;
                        }
                        connection.requests(3).await?;
                        if !answered_before {
                            connection.go_away(last, Reason::NO_ERROR).await;
                        }
                        for stream in [1, 3, 5].into_iter().filter(|stream| *stream <= last) {
                            connection.answer(stream, 200).await;
                        }
                        if answered_before {
                            connection.go_away(last, Reason::NO_ERROR).await;
                        }
                        connection.close().await
                    })
                    .await;
                    let caller = &http2_callers(&server.url())[which];
                    let outcomes = join_all((0..3).map(|_| caller.send(method.clone(), "body"))).await;
                    let told = format!("{} {method} {last} {answered_before}: {outcomes:?}", caller.name);
                    assert!(outcomes.iter().all(|outcome| outcome.status() == Some(200)), "{told}");
                    assert_eq!((server.sends(), caller.retries()), (3 + unseen, unseen as u64), "{told}");
                    assert_eq!(server.connections(), if unseen > 0 { 2 } else { 1 }, "{told}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_the_server_may_have_looked_at_is_sent_again_if_repeatable() {
    for (method, retried) in [(Method::GET, true), (Method::PUT, true), (Method::POST, false)] {
        // Of three the first is answered, the second may have been looked at, and the third was not.
        for which in 0..CALLERS {
            let server = Frames::start(|number, mut connection| async move {
                if number > 0 {
                    return connection.serve().await;
                }
                connection.requests(3).await?;
                connection.answer(1, 200).await;
                connection.go_away(3, Reason::NO_ERROR).await;
                sleep(PAUSE).await;
                connection.close().await
            })
            .await;
            let caller = &http2_callers(&server.url())[which];
            let outcomes = join_all((0..3).map(|_| caller.send(method.clone(), "body"))).await;
            let told = format!("{} {method}: {outcomes:?}", caller.name);
            let (good, bad): (Vec<_>, Vec<_>) = outcomes.iter().partition(|outcome| outcome.status() == Some(200));
            assert!(bad.iter().all(|outcome| outcome.is_error()), "{told}");
            assert_eq!(good.len(), if retried { 3 } else { 2 }, "{told}");
            assert_eq!(server.sends(), if retried { 5 } else { 4 }, "{told}");
        }
    }
}

#[tokio::test]
async fn one_that_comes_while_nothing_is_under_way_costs_nothing() {
    // With the last that was answered, and as the first half of a graceful shutdown.
    for last in [1, i32::MAX as u32] {
        for (which, closes) in [(0, true), (0, false), (1, true), (1, false), (2, true), (2, false)] {
            let server = Frames::start(move |number, mut connection| async move {
                if number > 0 {
                    return connection.serve().await;
                }
                connection.requests(1).await?;
                connection.answer(1, 200).await;
                connection.go_away(last, Reason::NO_ERROR).await;
                if closes {
                    return connection.close().await;
                }
                assert_eq!(connection.frame().await, None, "nothing may come after it");
                None
            })
            .await;
            let caller = &http2_callers(&server.url())[which];
            for _ in 0..2 {
                let outcome = caller.send(Method::POST, "body").await;
                assert_eq!(outcome.status(), Some(200), "{} {last} {closes}: {outcome:?}", caller.name);
                sleep(PAUSE).await;
            }
            assert_eq!((server.sends(), server.connections(), caller.retries()), (2, 2, 0), "{}", caller.name);
        }
    }
}

#[tokio::test]
async fn one_in_two_steps_costs_nothing_but_what_came_too_late() {
    for which in 0..CALLERS {
        let server = Frames::start(|number, mut connection| async move {
            if number > 0 {
                return connection.serve().await;
            }
            // RFC 9113 §6.8: first that there will be an end, then where it was.
            connection.requests(2).await?;
            connection.go_away(i32::MAX as u32, Reason::NO_ERROR).await;
            sleep(PAUSE).await;
            connection.go_away(1, Reason::NO_ERROR).await;
            connection.answer(1, 200).await;
            connection.close().await
        })
        .await;
        let caller = &http2_callers(&server.url())[which];
        let outcomes = join_all((0..2).map(|_| caller.send(Method::POST, "body"))).await;
        assert!(outcomes.iter().all(|outcome| outcome.status() == Some(200)), "{}: {outcomes:?}", caller.name);
        assert_eq!((server.sends(), caller.retries()), (3, 1), "{}", caller.name);
    }
}

#[tokio::test]
async fn one_with_an_error_leaves_it_open_what_was_looked_at() {
    for (method, retried) in [(Method::GET, true), (Method::POST, false)] {
        for reason in [Reason::ENHANCE_YOUR_CALM, Reason::INTERNAL_ERROR, Reason::PROTOCOL_ERROR] {
            for which in 0..CALLERS {
                let server = Frames::start(move |number, mut connection| async move {
                    if number > 0 {
                        return connection.serve().await;
                    }
                    connection.requests(1).await?;
                    connection.go_away(0, reason).await;
                    connection.close().await
                })
                .await;
                let caller = &http2_callers(&server.url())[which];
                let outcome = caller.send(method.clone(), "body").await;
                let told = format!("{} {method} {reason}: {outcome:?}", caller.name);
                assert_eq!(outcome.status(), retried.then_some(200), "{told}");
                assert_eq!(server.sends(), 1 + usize::from(retried), "{told}");
            }
        }
    }
}

const CALLERS: usize = 3;
