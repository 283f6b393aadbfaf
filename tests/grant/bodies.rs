//! What a grant does with bodies that are late, endless, packed or cut.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::endpoint::{GOOD, Script, Step, Text, answer, ask, whole};

#[tokio::test(start_paused = true)]
async fn a_hanging_body_is_given_up_as_well() {
    let (result, calls, took) = ask(1, |_| async { Ok(answer(200, Script::of([Step::Data("{"), Step::Hang]))) }).await;
    assert!(result.unwrap_err().is_timeout());
    assert_eq!((calls, took), (1, Duration::from_secs(10)));
}

#[tokio::test(start_paused = true)]
async fn a_content_encoding_that_was_not_asked_for_is_not_unpacked() {
    for (coding, fine) in
        [("gzip", false), ("br", false), ("gzip, identity", false), ("identity", true), ("Identity", true)]
    {
        let (result, calls, _) = ask(1, move |_| async move {
            let mut answer = answer(200, whole(GOOD));
            answer.headers_mut().insert("content-encoding", coding.parse().unwrap());
            Ok(answer)
        })
        .await;
        assert_eq!((result.is_ok(), calls), (fine, 1), "{coding}");
        assert!(result.is_ok() || !result.unwrap_err().is_transient());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_over_64_kib_is_refused_however_it_arrives() {
    let padded = |length: usize| format!("{GOOD}{}", " ".repeat(length - GOOD.len()));
    for (length, fine) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let text = padded(length);
        let (result, ..) = ask(1, move |_| {
            let body = whole(&text);
            async { Ok(answer(200, body)) }
        })
        .await;
        assert_eq!(result.is_ok(), fine, "{length} at once");
        let (result, calls, _) = ask(1, move |_| async move {
            let rest = (0..).take(length - GOOD.len()).map(|_| Step::Data(" "));
            Ok(answer(200, Script::of(std::iter::once(Step::Data(GOOD)).chain(rest))))
        })
        .await;
        assert_eq!(result.is_ok(), fine, "{length} in pieces");
        assert!(result.is_ok() || !result.unwrap_err().is_transient());
        assert_eq!(calls, 1);
    }
    let endless = |_| async { Ok(answer(200, Script::of(std::iter::repeat(Step::Data("0123456789"))))) };
    let (result, ..) = ask(1, endless).await;
    assert!(result.unwrap_err().to_string().contains("64 KiB"));
}

#[tokio::test(start_paused = true)]
async fn trailers_and_empty_frames_do_no_harm() {
    let steps = || [Step::Data(""), Step::Data(&GOOD[..9]), Step::Data(""), Step::Data(&GOOD[9..]), Step::Trailers];
    let (result, calls, _) = ask(1, move |_| async move { Ok(answer(200, Script::of(steps()))) }).await;
    assert_eq!((result.unwrap().lifetime(), calls), (Some(Duration::from_secs(60)), 1));
}

#[tokio::test(start_paused = true)]
async fn an_error_page_that_cannot_be_read_says_no_less_than_its_status() {
    let bodies: [(&str, MakeText); 4] = [
        ("gzip", || whole("\u{1f}...")),
        ("identity", || whole(&"x".repeat(70 * 1024))),
        ("identity", || Script::of([Step::Data("{"), Step::Break])),
        ("identity", || Script::of([Step::Break])),
    ];
    for (coding, body) in bodies {
        for (status, transient, after) in [(503, true, true), (429, true, true), (401, false, true), (302, false, true)]
        {
            let (result, calls, _) = ask(1, move |_| async move {
                let mut answer = answer(status, body());
                answer.headers_mut().insert("content-encoding", coding.parse().unwrap());
                if after {
                    answer.headers_mut().insert("retry-after", "3".parse().unwrap());
                }
                Ok(answer)
            })
            .await;
            let error = result.unwrap_err();
            assert_eq!(error.is_transient(), transient, "{status}: {error:?}");
            assert_eq!(error.retry_after().is_some(), transient, "{status}: {error:?}");
            assert_eq!(calls, 1, "{status}: {error:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_counts_from_when_the_request_left() {
    let start = Instant::now();
    let (result, ..) = ask(1, |_| async {
        sleep(Duration::from_secs(3)).await;
        Ok(answer(200, Script::of([Step::Sleep(Duration::from_secs(1)), Step::Data(GOOD)])))
    })
    .await;
    assert_eq!(result.unwrap().expires_at(), Some(start + Duration::from_secs(60)));
}

type MakeText = fn() -> Text;
