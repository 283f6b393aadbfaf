//! The output is the same, byte for byte, wherever a run was killed, the power went, or the disk failed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod api;
mod disk;

use std::{path::Path, time::Duration};

use analytics_exporter::{
    args::{Said, Shape},
    checkpoint::{Checkpoint, Subject},
    config::{Patience, Period},
    output::{Output, Unusable},
    pump::{Halt, pump},
};
use serde_json::Map;

use api::Api;
use disk::{After, Fault, SimDisk};

const OUTPUT: &str = "/out/conversations.ndjson";
const CHECKPOINT: &str = "/out/conversations.ndjson.checkpoint";
const SAID: Said = Said { from: true, to: true };

/// One process: to its end, or to the fault that is in the disk.
async fn run(api: &Api, disk: &SimDisk) -> Result<(), String> {
    let subject = Subject {
        api: "https://api.example.com".into(),
        shape: Shape::Details,
        page_size: api::PAGE_SIZE,
        filters: Map::new(),
        period: Period { from: api::FROM.parse().unwrap(), to: api::TO.parse().unwrap() },
    };
    let second = Duration::from_secs(1);
    let patience = Patience { connect: second, request: second, idle: second, max_retry_after: second };
    let output = Output::open(disk.process(), Path::new(OUTPUT), subject, SAID, false);
    let mut output = output.map_err(|unusable| match unusable {
        Unusable::Io(error) => error.to_string(),
        Unusable::Refused(problem) => panic!("{problem}"),
    })?;
    let pumped = pump(api.service(), &patience, &mut output, &mut 0, |_| {}).await;
    pumped.map_err(|halt| match halt {
        Halt::Output(error) => error.to_string(),
        Halt::Api(error) => panic!("{error}"),
        Halt::TooDense(part) => panic!("{part:?}"),
    })
}

/// What an undisturbed run writes, and in how many steps.
async fn undisturbed(api: &Api) -> (Vec<u8>, u64) {
    let disk = SimDisk::new(0);
    run(api, &disk).await.unwrap();
    (disk.content(Path::new(OUTPUT)).unwrap(), disk.steps())
}

/// Runs again and again, until one comes to its end.
async fn to_the_end(api: &Api, disk: &SimDisk, mut fault: impl FnMut() -> Option<Fault>) {
    for _ in 0..100 {
        disk.set_fault(fault());
        if run(api, disk).await.is_ok() {
            return;
        }
        disk.restart();
    }
    panic!("it never comes to its end");
}

#[tokio::test]
async fn ten_thousand_crashes_change_nothing_and_cost_a_page_each() {
    let api = Api::new();
    let (expected, steps) = undisturbed(&api).await;
    let asked_at_best = api.asked();
    let mut crashes = 0;
    for seed in 0.. {
        for step in 0..steps {
            for after in [After::Kill, After::PowerCut] {
                let disk = SimDisk::new(seed * 1_000_003 + step);
                let before = api.asked();
                disk.set_fault(Some(Fault::Crash { step, after }));
                run(&api, &disk).await.unwrap_err();
                disk.restart();
                let saved = disk.content(Path::new(CHECKPOINT)).map(|saved| Checkpoint::read(&saved).unwrap());
                disk.set_fault(None);
                run(&api, &disk).await.unwrap();
                let found = disk.content(Path::new(OUTPUT)).unwrap();
                assert!(
                    found == expected,
                    "{after:?} at step {step}, seed {seed}: {}",
                    String::from_utf8_lossy(&found)
                );
                let asked = api.asked() - before;
                // One that was complete, and could not say so any more, is made anew.
                let extra = if saved.is_some_and(|saved| saved.complete) { asked_at_best } else { 1 };
                assert!(
                    asked <= asked_at_best + extra,
                    "{after:?} at step {step} of {steps}: {asked}, {asked_at_best}"
                );
                crashes += 1;
            }
        }
        if crashes >= 10_000 {
            break;
        }
    }
}

#[tokio::test]
async fn crash_upon_crash_changes_nothing() {
    let api = Api::new();
    let (expected, steps) = undisturbed(&api).await;
    for seed in 0..500 {
        let disk = SimDisk::new(seed);
        let mut rng = disk.rng();
        to_the_end(&api, &disk, || {
            let after = if rng.next() % 2 == 0 { After::Kill } else { After::PowerCut };
            // The further, the likelier that it comes to its end.
            (rng.next() % 8 != 0).then(|| Fault::Crash { step: rng.next() % steps, after })
        })
        .await;
        assert!(disk.content(Path::new(OUTPUT)).unwrap() == expected, "seed {seed}");
    }
}

#[tokio::test]
async fn a_disk_that_is_full_or_fails_at_any_step_is_an_error_and_the_next_run_goes_on() {
    let api = Api::new();
    let (expected, steps) = undisturbed(&api).await;
    for (step, code) in (0..steps).flat_map(|step| [(step, ENOSPC), (step, EIO)]) {
        let disk = SimDisk::new(step);
        disk.set_fault(Some(Fault::Fails { step, code }));
        let error = run(&api, &disk).await.unwrap_err();
        assert!(error.contains(&format!("os error {code}")), "step {step}: {error}");
        disk.set_fault(None);
        run(&api, &disk).await.unwrap();
        assert!(disk.content(Path::new(OUTPUT)).unwrap() == expected, "step {step}, error {code}");
    }
}

#[tokio::test]
async fn a_disk_without_room_is_tried_in_vain_until_there_is_some() {
    let api = Api::new();
    let (expected, _) = undisturbed(&api).await;
    let disk = SimDisk::new(7);
    // Room for a little more each time: each run gets a page further at most, and none is lost.
    for room in (0..expected.len() + 4_096).step_by(97) {
        disk.set_fault(Some(Fault::Room { bytes: room }));
        if run(&api, &disk).await.is_ok() {
            break;
        }
    }
    disk.set_fault(None);
    run(&api, &disk).await.unwrap();
    assert!(disk.content(Path::new(OUTPUT)).unwrap() == expected);
}

/// As Linux numbers them; elsewhere they are just numbers.
const ENOSPC: i32 = 28;
const EIO: i32 = 5;
