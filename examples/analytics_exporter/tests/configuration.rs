//! What is said on the command line and in the environment, and what of it is refused before anything is sent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use serde_json::Value;
use tower_oauth2::testing::Issuer;

use support::{Api, Exporter, ID, SECRET};

#[tokio::test]
async fn each_missing_variable_is_named() {
    for (exporter, missing, present) in [
        (Exporter::new().env("GENESYS_CLIENT_ID", ID), "GENESYS_CLIENT_SECRET is missing", "GENESYS_CLIENT_ID"),
        (Exporter::new().env("GENESYS_CLIENT_SECRET", SECRET), "GENESYS_CLIENT_ID is missing", "GENESYS_CLIENT_SECRET"),
    ] {
        let outcome = exporter.args(["--region", "mypurecloud.ie"]).exits(2).await;
        outcome.says([missing]);
        assert!(!outcome.stderr.contains(present), "{}", outcome.stderr);
    }
    let both = Exporter::new().args(["--region", "mypurecloud.ie"]).exits(2).await;
    both.says(["GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET are missing"]);
    Exporter::with_credentials().exits(2).await.says([
        "--region",
        "GENESYS_ENVIRONMENT",
        "--api-url",
        "GENESYS_ENV_URL",
    ]);
    let gateway = Exporter::with_credentials().args(["--api-url", "https://gateway.example"]).exits(2).await;
    gateway.says(["--token-url", "GENESYS_TOKEN_URL"]);
}

#[tokio::test]
async fn an_empty_variable_is_a_missing_one() {
    let empty = ["GENESYS_ENVIRONMENT", "GENESYS_ENV_URL", "GENESYS_TOKEN_URL", "GENESYS_SCOPE"];
    let api = Api::serve(|it| it.records(10)).await;
    let url = api.server.url("");
    for nothing in ["", "  "] {
        let with_empty = |exporter: Exporter| empty.iter().fold(exporter, |it, name| it.env(name, nothing));
        let secret = with_empty(Exporter::new().env("GENESYS_CLIENT_ID", ID)).env("GENESYS_CLIENT_SECRET", nothing);
        secret.exits(2).await.says(["GENESYS_CLIENT_SECRET is missing"]);
        with_empty(Exporter::with_credentials()).exits(2).await.says(["where is the API?"]);
        let flags = ["--api-url", &url, "--token-url", &format!("{url}/oauth/token")];
        with_empty(Exporter::with_credentials()).args(flags).exits(0).await.kept(&api, 10);
    }
    assert!(api.issuer.seen().iter().all(|request| request.param("scope").is_none()));
}

#[tokio::test]
async fn an_empty_rust_log_does_not_silence_warnings() {
    let api = Api::serve(|it| it.records(10)).await;
    let outcome = Exporter::of(&api).env("RUST_LOG", "").args(["--page-size", "250"]).exits(0).await;
    outcome.says(["--page-size 250 is taken as 100"]);
}

#[tokio::test]
async fn a_log_can_be_an_object_a_line() {
    let api = Api::serve(|it| it.records(10)).await;
    let outcome = Exporter::of(&api).args(["--page-size", "250", "--log", "json", "--quiet"]).exits(0).await;
    let lines: Vec<Value> = outcome.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1, "{}", outcome.stderr);
    assert_eq!(lines[0]["level"], "WARN");
    assert!(lines[0]["fields"]["message"].as_str().unwrap().contains("--page-size 250 is taken as 100"));
}

#[tokio::test]
async fn whatever_is_said_is_an_object_where_the_log_is() {
    let api = Api::serve(|it| it.records(10)).await;
    let good = Exporter::of(&api).args(["--log", "json"]).exits(0).await;
    let bad = Exporter::of(&api).args(["--log", "json", "--query", "absent.json"]).exits(2).await;
    for (outcome, level, says) in [(good, "INFO", "10 conversations"), (bad, "ERROR", "absent.json")] {
        let lines: Vec<Value> = outcome.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let last = lines.last().unwrap();
        assert_eq!(last["level"], level, "{last}");
        assert!(last["fields"]["message"].as_str().unwrap().contains(says), "{last}");
    }
}

#[tokio::test]
async fn an_unknown_region_is_answered_with_those_that_exist() {
    let flag = Exporter::with_credentials().args(["--region", "mypurecloud.mars"]);
    let variable = Exporter::with_credentials().env("GENESYS_ENVIRONMENT", "mypurecloud.mars");
    for exporter in [flag, variable] {
        let outcome = exporter.exits(2).await;
        outcome.says(["mypurecloud.mars", "mypurecloud.ie", "eu-west-1", "usw2.pure.cloud", "ap-southeast-2"]);
        assert!(!outcome.path("conversations.ndjson").exists());
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_anything_is_sent_or_overwritten() {
    let api = Api::serve(|it| it).await;
    for (flags, says) in [
        (["--from", "yesterday"], "--from"),
        (["--from", "2026-03-01"], "--from"),
        (["--to", "2026-03-01T25:00:00Z"], "--to"),
        (["--from", "2200-01-01T00:00:00Z"], "is not before"),
        (["--page-size", "0"], "--page-size"),
        (["--page-size=-1", "--quiet"], "--page-size"),
        (["--shape", "round"], "details"),
        (["--connect-timeout", "soon"], "--connect-timeout"),
        (["--request-timeout", "0"], "--request-timeout"),
        (["--idle-timeout=-5s", "--quiet"], "--idle-timeout"),
        (["--max-retry-after", "2d"], "--max-retry-after"),
        (["--query", "absent.json"], "absent.json"),
        (["--query", "broken.json"], "not JSON"),
        (["--query", "list.json"], "not a JSON object"),
        (["--token-url", "http://login.example/oauth/token"], "clear text"),
        (["--token-url", "login"], "token URL"),
        (["--api-url", "http://api.example"], "clear text"),
        (["--api-url", "api.example"], "absolute"),
        (["--output", "summary.json"], "--summary"),
    ] {
        let exporter = if flags[0].ends_with("-url") {
            let other = if flags[0] == "--api-url" { "GENESYS_TOKEN_URL" } else { "GENESYS_ENV_URL" };
            Exporter::with_credentials().env(other, &api.server.url("/oauth/token"))
        } else {
            Exporter::of(&api)
        };
        let exporter =
            exporter.write("conversations.ndjson", "yesterday\n").write("broken.json", "{").write("list.json", "[]");
        let outcome = exporter.args(flags).exits(2).await;
        outcome.says([says]);
        assert!(outcome.output() == "yesterday\n", "{flags:?}");
    }
    assert_eq!(api.requests(), 0);
}

#[tokio::test]
async fn an_output_or_summary_that_cannot_be_written_is_found_before_anything_is_sent() {
    let api = Api::serve(|it| it).await;
    for flags in [["--output", "no/such/folder/out.ndjson"], ["--output", "."]] {
        Exporter::of(&api).args(flags).exits(1).await.says(["cannot write", flags[1]]);
    }
    let url = api.server.url("");
    let exporter = Exporter::bare().env("GENESYS_CLIENT_ID", ID).env("GENESYS_CLIENT_SECRET", SECRET);
    let exporter = exporter.write("conversations.ndjson", "yesterday\n");
    let token_url = format!("{url}/oauth/token");
    let exporter = exporter.args(["--api-url", &url, "--token-url", &token_url, "--summary", "no/such/folder/s.json"]);
    let outcome = exporter.exits(1).await;
    outcome.says(["cannot write", "no/such/folder/s.json"]);
    assert!(outcome.output() == "yesterday\n");
    assert_eq!(api.requests(), 0);
}

#[tokio::test]
async fn a_page_size_above_the_limit_is_clamped_with_a_warning() {
    let api = Api::serve(|it| it.records(250)).await;
    for (shape, env) in [("details", ""), ("results", "warn"), ("entities", "off")] {
        let run = Exporter::of(&api).args(["--page-size", "250", "--shape", shape]).env("RUST_LOG", env);
        let outcome = run.exits(0).await;
        if env != "off" {
            outcome.says(["WARN", "--page-size 250 is taken as 100"]);
        }
        assert_eq!(outcome.summary()["pages"], 3);
        outcome.kept(&api, 250);
    }
}

#[tokio::test]
async fn filters_of_a_file_are_merged_into_the_query() {
    let api = Api::serve(|it| it.records(120)).await;
    let filter = |dimension: &str, value: &str| {
        let predicate = format!(r#"{{"dimension": "{dimension}", "value": "{value}"}}"#);
        format!(r#"[{{"type": "and", "predicates": [{predicate}]}}]"#)
    };
    let voice = format!(r#"{{"segmentFilters": {}}}"#, filter("mediaType", "voice"));
    let outbound = format!(r#"{{"conversationFilters": {}}}"#, filter("originatingDirection", "outbound"));
    for (query, pointer, value) in
        [(voice, "/participants/0/sessions/0/mediaType", "voice"), (outbound, "/originatingDirection", "outbound")]
    {
        let outcome = Exporter::of(&api).write("filters.json", &query).args(["--query", "filters.json"]).exits(0).await;
        let output = outcome.output();
        let records: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!records.is_empty() && records.len() < 120, "{}", records.len());
        assert!(records.iter().all(|record| record.pointer(pointer).unwrap() == value));
    }
}

#[tokio::test]
async fn filters_cannot_replace_the_period_or_the_pages() {
    let api = Api::serve(|it| it.records(20)).await;
    for (shape, member, value) in [
        ("details", "interval", r#""2020-01-01T00:00:00Z/2020-01-02T00:00:00Z""#),
        ("details", "paging", r#"{"pageSize": 25, "pageNumber": 3}"#),
        ("results", "dateFrom", r#""2020-01-01T00:00:00Z""#),
        ("entities", "time_filter", "{}"),
        ("entities", "size", "7"),
    ] {
        let query = format!(r#"{{"{member}": {value}}}"#);
        let exporter = Exporter::of(&api).write("filters.json", &query);
        let outcome = exporter.args(["--query", "filters.json", "--shape", shape]).exits(2).await;
        outcome.says(["--query filters.json", member, "--"]);
    }
    assert_eq!(api.requests(), 0);
}

#[tokio::test]
async fn urls_and_scope_come_from_the_environment_and_flags_go_before_it() {
    let api = Api::serve(|it| it.records(10)).await;
    let url = api.server.url("");
    let exporter = Exporter::with_credentials()
        .env("GENESYS_ENV_URL", &format!("{url}/"))
        .env("GENESYS_TOKEN_URL", &format!("{url}/oauth/token"))
        .env("GENESYS_SCOPE", "analytics:read users:read");
    exporter.exits(0).await.kept(&api, 10);
    assert_eq!(api.issuer.seen()[0].param("scope"), Some("analytics:read users:read"));
    let exporter = Exporter::of(&api).env("GENESYS_ENV_URL", "http://127.0.0.1:1").env("GENESYS_SCOPE", "other");
    exporter.args(["--scope", "analytics:read"]).exits(0).await;
    assert_eq!(api.issuer.seen()[1].param("scope"), Some("analytics:read"));
}

#[tokio::test]
async fn the_secrets_of_one_vendor_are_not_sent_to_the_urls_of_the_other() {
    let genesys = Api::serve(|it| it).await;
    let issuer = Issuer::builder().client(ID, SECRET).access_key("KEY====", "KEYSECRET====").build();
    let cxone = Api::serve_with(issuer, |it| it.records(10)).await;
    let [url, other] = [cxone.server.url(""), genesys.server.url("")];
    let outcome = Exporter::new()
        .args(["--source", "cxone-contacts"])
        .env("CXONE_CLIENT_ID", ID)
        .env("CXONE_CLIENT_SECRET", SECRET)
        .env("CXONE_ACCESS_KEY_ID", "KEY====")
        .env("CXONE_ACCESS_KEY_SECRET", "KEYSECRET====")
        .env("CXONE_API_URL", &url)
        .env("CXONE_TOKEN_URL", &format!("{url}/auth/token"))
        .env("GENESYS_ENVIRONMENT", "mypurecloud.ie")
        .env("GENESYS_ENV_URL", &other)
        .env("GENESYS_TOKEN_URL", &format!("{other}/oauth/token"))
        .exits(0)
        .await;
    assert_eq!((outcome.summary()["records"].as_u64(), genesys.requests()), (Some(10), 0));
}

#[tokio::test]
async fn a_region_of_the_environment_says_where_tokens_come_from() {
    // The token endpoint is here, so that nobody else is asked; the region is seen in what is said of the API.
    let issuer = Issuer::builder().client("someone", "else").build();
    let server = issuer.serve().await.unwrap();
    for region in ["mypurecloud.ie", "eu-west-1", "mypurecloud"] {
        let exporter = Exporter::with_credentials().env("GENESYS_ENVIRONMENT", region);
        let outcome = exporter.env("GENESYS_TOKEN_URL", &server.url("/oauth/token")).exits(3).await;
        outcome.within(Duration::from_secs(10));
    }
    assert_eq!(issuer.stats().requests, 3);
}

#[tokio::test]
async fn help_shows_the_environment_and_the_exit_codes_and_no_values_of_either() {
    let help = Exporter::with_credentials().env("GENESYS_SCOPE", "shown-nowhere").args(["--help"]).exits(0).await;
    let text = String::from_utf8(help.stdout).unwrap();
    for part in [
        "GENESYS_CLIENT_ID",
        "GENESYS_CLIENT_SECRET",
        "GENESYS_ENVIRONMENT",
        "GENESYS_ENV_URL",
        "GENESYS_TOKEN_URL",
        "GENESYS_SCOPE",
        "RUST_LOG",
        "analytics:conversationDetail:view",
        "Exit codes:",
        "0 everything was exported",
        "1 the output failed",
        "2 usage or configuration",
        "3 authentication",
        "4 the API",
        "5 the data is not complete",
        "130 interrupted",
        "--connect-timeout",
        "--request-timeout",
        "--idle-timeout",
        "--max-retry-after",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains(SECRET) && !text.contains(ID));
    Exporter::new().args(["--version"]).exits(0).await;
}
