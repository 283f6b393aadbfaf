//! The same against `analytics_simulator`, in a process of its own.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::{collections::HashSet, time::Duration};

use serde_json::Value;

use support::{Exporter, ID, SECRET, SimulatorProcess};

#[tokio::test]
async fn twenty_thousand_conversations_come_from_another_process_through_expiry_and_rate_limit() {
    let limits = ["--rate-limit", "30", "--token-lifetime", "1s", "--server-error", "0.01"];
    let (summary, stats) = export("details", 20_000, &limits).await;
    assert!(summary["tokens_minted"].as_u64().unwrap() > 1, "{summary}");
    assert_eq!(summary["tokens_minted"], stats["tokens_minted"]);
    // It keeps within the limit that the API tells, and does not run into it; on a machine that is slower than the limit, it
    // need not be held back.
    let rate = summary["pages"].as_f64().unwrap() / summary["elapsed_s"].as_f64().unwrap();
    assert!(summary["held_back"].as_u64().unwrap() > 0 || rate < 25.0, "{summary}");
    assert!(stats["by_status"]["429"].as_u64().unwrap_or(0) <= 2, "{stats}");
}

#[tokio::test]
async fn every_shape_survives_every_fault() {
    let shapes = ["details", "results", "entities"].map(|shape| export(shape, 2_000, &FAULTS));
    let [details, results, entities] = shapes;
    for (summary, stats) in <[_; 3]>::from(tokio::join!(details, results, entities)) {
        assert!(summary["retries"].as_u64().unwrap() > 0, "{summary}");
        assert!(summary["replays_401"].as_u64().unwrap() > 0, "{summary}");
        assert!(stats["tokens_minted"].as_u64().unwrap() > 1, "{stats}");
        assert!(summary["held_back"].as_u64().unwrap() > 0, "{summary}");
        assert!(stats["by_status"]["429"].as_u64().unwrap_or(0) <= 2, "{stats}");
    }
}

#[tokio::test]
async fn statistics_go_to_a_file_if_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let simulator = SimulatorProcess::start(dir.path(), &["--stats", "stats.json"]).await;
    let printed = simulator.terminate().await;
    assert!(!printed.contains('{'), "{printed}");
    let stats: Value = serde_json::from_slice(&std::fs::read(dir.path().join("stats.json")).unwrap()).unwrap();
    assert_eq!(stats["requests"], 0);
}

#[tokio::test]
async fn a_simulator_whose_reader_is_gone_ends_without_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let SimulatorProcess { mut child, stdout, .. } = SimulatorProcess::start(dir.path(), &[]).await;
    drop(stdout);
    support::signal(&child, "TERM").await;
    let status = tokio::time::timeout(Duration::from_secs(10), child.wait()).await.unwrap().unwrap();
    assert_ne!(status.code(), Some(101));
}

#[tokio::test]
async fn a_simulator_refuses_what_it_cannot_do() {
    for args in [["--client", "no-colon"], ["--server-error", "1.5"], ["--reset", "NaN"], ["--records", "many"]] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_analytics_simulator"));
        let output = command.env_clear().args(["--listen", "127.0.0.1:0"]).args(args).kill_on_drop(true).output();
        let output = tokio::time::timeout(Duration::from_secs(10), output).await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty());
    }
}

/// Exports all that a simulator process with these flags has; the summary, and what the simulator counted.
async fn export(shape: &str, records: u64, flags: &[&str]) -> (Value, Value) {
    let dir = tempfile::tempdir().unwrap();
    let (client, count) = (format!("{ID}:{SECRET}"), records.to_string());
    let flags = [&["--client", &client, "--records", &count], flags].concat();
    let simulator = SimulatorProcess::start(dir.path(), &flags).await;
    let outcome = Exporter::at(&simulator.url).args(["--shape", shape]).exits(0).await;
    let text = simulator.terminate().await;
    let stats: Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();

    let mut ids = HashSet::new();
    for line in outcome.output().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert!(
            ids.insert(record["conversationId"].as_str().unwrap().to_owned()),
            "twice: {}",
            record["conversationId"]
        );
    }
    assert_eq!(ids.len() as u64, records);
    let summary = outcome.summary();
    assert_eq!((&summary["records"], &summary["complete"]), (&records.into(), &true.into()));
    assert_eq!(stats["records"], records, "each record once");
    assert_eq!(stats["requests_inside_retry_after"], 0);
    assert_eq!(stats["largest_concurrency"], 1);
    (summary, stats)
}

/// Twenty pages, and half of the requests go wrong in some way.
const FAULTS: [&str; 18] = [
    "--rate-limit",
    "12",
    "--server-error",
    "0.1",
    "--reset",
    "0.1",
    "--truncate",
    "0.08",
    "--html",
    "0.06",
    "--empty",
    "0.06",
    "--revoke-every",
    "11",
    "--seed",
    "7",
    "--token-lifetime",
    "30s",
];
