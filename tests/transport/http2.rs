//! HTTP/2 streams and connections that are reset: what is sent again, and what is not.

use futures_util::future::join_all;
use h2::Reason;
use http::Method;
use tokio::time::sleep;

use crate::{
    callers::{Outcome, http2_callers},
    frames::{Frame, Frames, PAUSE},
};

#[tokio::test]
async fn a_refused_stream_is_sent_again_whatever_the_method() {
    for method in [Method::GET, Method::POST] {
        for early in [true, false] {
            assert_eq!(reset_stream(Reason::REFUSED_STREAM, &method, early).await, [true; CALLERS], "{method} {early}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_for_another_reason_is_sent_again_if_repeatable() {
    for (method, retried) in [(Method::GET, true), (Method::PUT, true), (Method::POST, false)] {
        for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::ENHANCE_YOUR_CALM] {
            for early in [true, false] {
                assert_eq!(reset_stream(reason, &method, early).await, [retried; CALLERS], "{method} {reason} {early}");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_after_the_head_of_the_response_is_for_who_reads_the_body() {
    // Even if the reason pretends that nothing was done.
    for reason in [Reason::INTERNAL_ERROR, Reason::REFUSED_STREAM] {
        for method in [Method::GET, Method::POST] {
            for which in 0..CALLERS {
                let server = Frames::start(move |_, mut connection| async move {
                    connection.requests(1).await?;
                    connection.begin(1, 200).await;
                    connection.data(1, b"01234", false).await;
                    // Else the one may overtake the other inside of the client.
                    sleep(PAUSE).await;
                    connection.reset_stream(1, reason).await;
                    connection.serve().await
                })
                .await;
                let caller = &http2_callers(&server.url())[which];
                let outcome = caller.send(method.clone(), "body").await;
                let told = format!("{} {method} {reason}: {outcome:?}", caller.name);
                assert!(matches!(&outcome, Outcome::Broken(status, _) if *status == 200), "{told}");
                assert_eq!((server.sends(), caller.retries()), (1, 0), "{told}");
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_ends_in_the_midst_of_a_head_is_tried_again_if_repeatable() {
    for (method, retried) in [(Method::GET, true), (Method::PUT, true), (Method::POST, false)] {
        for reset in [true, false] {
            for which in 0..CALLERS {
                let server = Frames::start(move |number, mut connection| async move {
                    if number > 0 {
                        return connection.serve().await;
                    }
                    connection.requests(1).await?;
                    connection.half_head(1).await;
                    if reset { connection.reset().await } else { connection.close().await }
                })
                .await;
                let caller = &http2_callers(&server.url())[which];
                let outcome = caller.send(method.clone(), "body").await;
                let told = format!("{} {method} {reset}: {outcome:?}", caller.name);
                assert_eq!(outcome.status() == Some(200), retried, "{told}");
                assert_eq!(
                    (server.sends(), caller.retries()),
                    (1 + usize::from(retried), u64::from(retried)),
                    "{told}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_takes_what_is_under_way_with_it() {
    for (method, retried) in [(Method::GET, true), (Method::POST, false)] {
        for which in 0..CALLERS {
            let server = Frames::start(|number, mut connection| async move {
                if number > 0 {
                    return connection.serve().await;
                }
                connection.requests(3).await?;
                connection.answer(1, 200).await;
                connection.reset().await
            })
            .await;
            let caller = &http2_callers(&server.url())[which];
            let outcomes = join_all((0..3).map(|_| caller.send(method.clone(), "body"))).await;
            let told = format!("{} {method}: {outcomes:?}", caller.name);
            let good = outcomes.iter().filter(|outcome| outcome.status() == Some(200)).count();
            assert_eq!(good, if retried { 3 } else { 1 }, "{told}");
            assert_eq!(server.sends(), if retried { 5 } else { 3 }, "{told}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_closes_without_a_word_leaves_it_open_what_was_done() {
    for (method, retried) in [(Method::GET, true), (Method::POST, false)] {
        for which in 0..CALLERS {
            let server = Frames::start(|number, mut connection| async move {
                if number > 0 {
                    return connection.serve().await;
                }
                connection.requests(1).await?;
                connection.close().await
            })
            .await;
            let caller = &http2_callers(&server.url())[which];
            let outcome = caller.send(method.clone(), "body").await;
            let told = format!("{} {method}: {outcome:?}", caller.name);
            assert_eq!(outcome.status(), retried.then_some(200), "{told}");
            assert_eq!(server.sends(), 1 + usize::from(retried), "{told}");
        }
    }
}

/// For each client, whether a request whose stream is reset, before or after its body came, is sent again; and that it is
/// not twice.
async fn reset_stream(reason: Reason, method: &Method, early: bool) -> [bool; CALLERS] {
    let mut again = [false; CALLERS];
    for (which, again) in again.iter_mut().enumerate() {
        let server = Frames::start(move |number, mut connection| async move {
            assert_eq!(number, 0, "the connection is as good as before");
            let Frame::Headers { stream, .. } = connection.frame().await? else { panic!("it begins with a head") };
            while !early && !matches!(connection.frame().await?, Frame::Data { last: true, .. }) {}
            connection.reset_stream(stream, reason).await;
            // What is left of the first body is still on its way.
            loop {
                match connection.frame().await? {
                    Frame::Data { stream, last: true, .. } if stream > 1 => connection.answer(stream, 200).await,
                    _ => {}
                }
            }
        })
        .await;
        let caller = &http2_callers(&server.url())[which];
        let outcome = caller.send(method.clone(), "body").await;
        *again = outcome.status() == Some(200);
        let told = format!("{} {method} {reason} {early}: {outcome:?}", caller.name);
        assert_eq!(outcome.is_error(), !*again, "{told}");
        assert_eq!((server.sends(), caller.retries()), (1 + usize::from(*again), u64::from(*again)), "{told}");
    }
    again
}

const CALLERS: usize = 3;
