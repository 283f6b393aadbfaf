//! How much memory an export takes does not depend on how much there is to export.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use support::{Api, Exporter};

#[tokio::test]
async fn ninety_megabytes_go_through_less_than_sixty_four() {
    let week = "2026-03-01T00:00:00.000Z/2026-03-08T00:00:00.000Z";
    let period = ["--from", "2026-03-01T00:00:00Z", "--to", "2026-03-08T00:00:00Z"];
    let api = Api::serve(|it| it.records(40_000).interval(week).unwrap()).await;
    // The second part is all there before the first one ends, and waits.
    let run = Exporter::of(&api).args(period).args(["--concurrency", "2"]).start();
    let status = format!("/proc/{}/status", run.child.id().unwrap());
    let watch = tokio::spawn(async move {
        let mut peak = 0;
        while let Ok(status) = std::fs::read_to_string(&status) {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            // A process that has ended has no memory.
            let Some(line) = line else { break };
            peak = line.trim().trim_end_matches(" kB").parse().unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        peak
    });
    let outcome = run.end().await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(outcome.summary()["records"], 40_000);
    let (peak, bytes): (u64, u64) = (watch.await.unwrap(), outcome.summary()["bytes"].as_u64().unwrap());
    assert!(bytes > 80_000_000);
    assert!((1..64 * 1024).contains(&peak), "{peak} kB");
}
