//! No secret is anywhere, however much is logged.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tower_oauth2::testing::{Fault, Issuer, TokenStatus};

use support::{Api, Exporter, ID, Outcome, SECRET};

#[tokio::test]
async fn no_secret_is_logged_at_trace_by_a_run_that_succeeds_after_a_401() {
    // The issuer's tokens can be minted again from the same seed, to look for them.
    let issuer = |seed| Issuer::builder().client(ID, SECRET).seed(seed).build();
    let api = Api::serve_with(issuer(7), |it| it.records(60)).await;
    for fault in [Fault::Unauthorized, Fault::Truncate, Fault::Status(503)] {
        api.analytics.fail_next(fault);
    }
    let outcome = Exporter::of(&api).env("RUST_LOG", "trace").args(["--page-size", "20"]).exits(0).await;
    outcome.says(["TRACE", "hyper", "token rejected"]);
    let twin = issuer(7);
    let tokens = [twin.mint(), twin.mint()];
    for token in &tokens {
        assert_ne!(api.issuer.check(token), TokenStatus::Unknown, "the twin mints the same");
    }
    assert_eq!(outcome.summary()["tokens_minted"], 2);
    has_no_secret(&outcome, &tokens);
}

#[tokio::test]
async fn no_secret_is_logged_at_trace_by_a_run_whose_secret_is_wrong() {
    let api = Api::serve_with(Issuer::builder().client(ID, "another").build(), |it| it).await;
    let outcome = Exporter::of(&api).env("RUST_LOG", "trace").exits(3).await;
    outcome.says(["TRACE"]);
    has_no_secret(&outcome, &[]);
}

#[tokio::test]
async fn no_secret_is_logged_at_trace_by_a_run_that_ends_with_a_401() {
    let issuer = |seed| Issuer::builder().client(ID, SECRET).seed(seed).build();
    let api = Api::serve_with(issuer(8), |it| it.always_unauthorized(true).challenge(true)).await;
    let outcome = Exporter::of(&api).env("RUST_LOG", "trace").exits(3).await;
    let twin = issuer(8);
    has_no_secret(&outcome, &[twin.mint(), twin.mint()]);
}

#[tokio::test]
async fn a_secret_in_a_url_is_refused_and_not_repeated() {
    for flag in ["--api-url", "--token-url"] {
        let other = if flag == "--api-url" { "--token-url" } else { "--api-url" };
        let exporter = Exporter::with_credentials().args([other, "http://127.0.0.1:1/"]);
        let outcome = exporter.args([flag, "https://user:S3cretInUrl@login.example/"]).exits(2).await;
        assert!(!outcome.stderr.contains("S3cretInUrl"), "{}", outcome.stderr);
    }
}

fn has_no_secret(outcome: &Outcome, tokens: &[String]) {
    // As an URL would carry it, in either way to write it in a form.
    let encoded = "Not%2FEvery%2BDay%3As%25ecret";
    let basic = [STANDARD.encode(format!("{ID}:{SECRET}")), STANDARD.encode(format!("{ID}:{encoded}"))];
    let mut secrets = vec![SECRET.to_owned(), encoded.to_owned()];
    secrets.extend(basic);
    secrets.extend(tokens.iter().cloned());
    let files = [outcome.output(), outcome.read("summary.json")];
    let stdout = String::from_utf8(outcome.stdout.clone()).unwrap();
    for text in files.iter().chain([&outcome.stderr, &stdout]) {
        for secret in &secrets {
            let at = text.find(secret.as_str());
            assert!(at.is_none(), "{secret} in: {}", text.lines().find(|line| line.contains(secret)).unwrap());
        }
    }
}
