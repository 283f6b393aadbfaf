//! The output is the same, byte for byte, wherever a run was killed, the power went, or the disk failed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod api;
mod disk;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use analytics_exporter::{
    args::Shape,
    checkpoint::{Checkpoint, Subject},
    config::Patience,
    form::{Compression, Form, Format},
    frame::{Common, Halt, Jobs},
    output::{Opened, Output, Said, Unusable},
    period::Period,
    pump::{Manner, pump},
    source::Source,
};
use serde_json::{Map, Value};
use tokio::sync::watch;

use api::Api;
use disk::{After, Fault, SimDisk};

const OUTPUT: &str = "/out/conversations";
const CHECKPOINT: &str = "/out/conversations.checkpoint";

/// What is exported, and how.
#[derive(Clone, Debug, Default)]
struct Setup {
    source: Source,
    form: Form,
    /// Parts at once.
    at_once: u32,
    /// Whether no job outlives a run.
    jobs_expire: bool,
}

// === impl Setup ===

impl Setup {
    fn plain() -> Self {
        Self { at_once: 1, ..Self::default() }
    }

    fn subject(&self) -> Subject {
        Subject {
            api: "https://api.example.com".into(),
            source: self.source,
            shape: Shape::Details,
            page_size: api::PAGE_SIZE,
            filters: Map::new(),
            form: self.form.clone(),
            shard: None,
            period: Some(Period { from: api::FROM.parse().unwrap(), to: api::TO.parse().unwrap() }),
        }
    }

    /// One process: to its end, or to the fault that is in the disk.
    async fn run(&self, api: &Api, disk: &SimDisk) -> Result<(), String> {
        if self.jobs_expire {
            api.expire_jobs();
        }
        let subject = self.subject();
        let second = Duration::from_secs(1);
        let said = Said { from: true, to: true, at_once: self.at_once, ..Said::default() };
        let common = Arc::new(Common {
            subject: subject.clone(),
            patience: Patience { connect: second, request: second, idle: second, max_retry_after: second },
            keep_jobs: true,
            repeats: AtomicU64::new(0),
            jobs: Jobs::default(),
        });
        let output = Output::open(disk.process(), Path::new(OUTPUT), subject, said);
        let mut output = match output {
            Ok(Opened::Output(output)) => *output,
            Ok(Opened::NothingNew(to, _)) => panic!("nothing new since {to}"),
            Err(Unusable::Io(error)) => return Err(error.to_string()),
            Err(Unusable::Refused(problem)) => panic!("{problem}"),
        };
        let (_stop, stop) = watch::channel(false);
        let manner = Manner { lanes: self.at_once as usize, spool: 1_000_000, stop };
        let pumped = pump(api.service(), &common, &mut output, &manner, |_| {}).await;
        assert!(output.found().records <= output.mark().records, "what begins again was not found");
        match pumped {
            // It is at its end as well, whatever was not there yet.
            Ok(()) | Err(Halt::Incomplete(_)) => Ok(()),
            Err(Halt::Output(error)) => Err(error.to_string()),
            Err(halt) => panic!("{halt:?}"),
        }
    }

    /// What an undisturbed run writes, and in how many steps.
    async fn undisturbed(&self, api: &Api) -> (BTreeMap<PathBuf, Vec<u8>>, u64) {
        let disk = SimDisk::new(0);
        self.run(api, &disk).await.unwrap();
        (written(&disk), disk.steps())
    }

    /// Runs again and again, until one comes to its end.
    async fn to_the_end(&self, api: &Api, disk: &SimDisk, mut fault: impl FnMut() -> Option<Fault>) {
        for _ in 0..100 {
            disk.set_fault(fault());
            if self.run(api, disk).await.is_ok() {
                return;
            }
            disk.restart();
        }
        panic!("it never comes to its end");
    }

    /// A crash at every step, each time followed by a run that nothing disturbs.
    async fn crash_everywhere(&self, api: &Api, seed: u64, mut check: impl FnMut(u64, After, &SimDisk, u64)) -> u64 {
        let (expected, steps) = self.undisturbed(api).await;
        for step in 0..steps {
            for after in [After::Kill, After::PowerCut] {
                let disk = SimDisk::new(seed * 1_000_003 + step);
                let before = api.asked();
                disk.set_fault(Some(Fault::Crash { step, after }));
                self.run(api, &disk).await.unwrap_err();
                disk.restart();
                disk.set_fault(None);
                let begun = disk.copy();
                self.run(api, &disk).await.unwrap();
                let found = written(&disk);
                assert!(
                    found == expected,
                    "{after:?} at step {step}, seed {seed}, {self:?}: {}",
                    differs(&found, &expected)
                );
                check(step, after, &begun, api.asked() - before);
            }
        }
        2 * steps
    }
}

/// All files but those of the exporter's own.
fn written(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let own = |path: &PathBuf| path.extension().is_some_and(|it| it == "checkpoint" || it == "lock");
    let files = disk.files().into_iter().filter(|path| !own(path));
    files.map(|path| (path.clone(), disk.content(&path).unwrap())).collect()
}

fn differs(found: &BTreeMap<PathBuf, Vec<u8>>, expected: &BTreeMap<PathBuf, Vec<u8>>) -> String {
    let text = |files: &BTreeMap<PathBuf, Vec<u8>>| {
        let lines = files.iter().map(|(path, bytes)| format!("{}: {}", path.display(), String::from_utf8_lossy(bytes)));
        lines.collect::<Vec<_>>().join("\n")
    };
    format!("{}\ninstead of\n{}", text(found), text(expected))
}

/// With seeds that are `first`, and each `step` further, so many crashes.
async fn crashes(first: u64, step: u64, count: u64) {
    let (api, setup) = (Api::new(), Setup::plain());
    // Each page is written before the next one comes, as nearly always.
    api.slow_down();
    setup.undisturbed(&api).await;
    let asked_at_best = api.asked();
    let (mut crashes, mut seed) = (0, first);
    while crashes < count {
        crashes += setup
            .crash_everywhere(&api, seed, |step, after, begun, asked| {
                let saved = begun.content(Path::new(CHECKPOINT)).map(|saved| Checkpoint::read(&saved).unwrap());
                // One that was complete, and could not say so any more, is made anew.
                let extra = if saved.is_some_and(|saved| saved.complete) { asked_at_best } else { 2 };
                assert!(asked <= asked_at_best + extra, "{after:?} at step {step}: {asked}, {asked_at_best}");
            })
            .await;
        seed += step;
    }
}

#[test]
fn ten_thousand_crashes_change_nothing_and_cost_two_pages_each_at_the_most() {
    // A thread a core: nothing is shared.
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
                runtime.block_on(crashes(thread, threads, 10_000_u64.div_ceil(threads)));
            });
        }
    });
}

fn forms() -> Vec<Form> {
    let fields =
        || ["conversationId", "conversationStart:timestamp", "x", "nothing:int"].map(|it| it.parse().unwrap()).to_vec();
    let rotate = Some(300);
    let table = |format| Form { format, fields: fields(), ..Form::default() };
    let mut forms = vec![
        Form { rotate, ..Form::default() },
        Form { compress: Some(Compression::Gzip), ..Form::default() },
        Form { compress: Some(Compression::Zstd), rotate, ..Form::default() },
        Form { rotate, ..table(Format::Csv) },
    ];
    if cfg!(feature = "parquet") {
        forms.extend([table(Format::Parquet), Form { rotate, ..table(Format::Parquet) }]);
    }
    forms
}

#[tokio::test]
async fn a_crash_changes_nothing_in_any_form() {
    for form in forms() {
        let (api, rotates) = (Api::new(), form.rotate.is_some());
        let setup = Setup { form, ..Setup::plain() };
        let (files, _) = setup.undisturbed(&api).await;
        assert_eq!(files.len() > 1, rotates, "{files:?}");
        assert!(!files.keys().any(|path| path.extension().is_some_and(|it| it == "staging")), "{files:?}");
        setup.crash_everywhere(&api, 1, |_, _, _, _| {}).await;
    }
}

#[tokio::test]
async fn a_crash_changes_nothing_where_parts_come_at_once() {
    let api = Api::new();
    let (expected, _) = Setup::plain().undisturbed(&api).await;
    let setup = Setup { at_once: 3, ..Setup::plain() };
    assert_eq!(setup.undisturbed(&api).await.0, expected, "the same as one after another");
    setup.crash_everywhere(&api, 2, |_, _, _, _| {}).await;
}

#[tokio::test]
async fn a_crash_changes_nothing_of_jobs_whether_they_are_still_there_or_not() {
    for (at_once, jobs_expire) in [(1, false), (1, true), (3, false), (3, true)] {
        for form in [Form::default(), forms().pop().unwrap()] {
            let api = Api::new();
            let setup = Setup { source: Source::Job, at_once, jobs_expire, form };
            setup.crash_everywhere(&api, 3, |_, _, _, _| {}).await;
        }
    }
}

#[tokio::test]
async fn a_crash_changes_nothing_where_data_is_missing() {
    for at_once in [1, 2] {
        let api = Api::new();
        api.lack();
        let setup = Setup { source: Source::Job, at_once, ..Setup::plain() };
        setup.crash_everywhere(&api, 4, |_, _, _, _| {}).await;
    }
}

#[tokio::test]
async fn of_conversations_in_many_jobs_the_newest_copies_are_exported_once() {
    for at_once in [1, 2, 5] {
        let api = Api::new();
        let setup = Setup { source: Source::Job, at_once, ..Setup::plain() };
        let disk = SimDisk::new(0);
        setup.run(&api, &disk).await.unwrap();
        let files = written(&disk);
        let (from, to): (jiff::Timestamp, jiff::Timestamp) = (api::FROM.parse().unwrap(), api::TO.parse().unwrap());
        let parts = Period { from, to }.parts(at_once);
        let parts: Vec<_> = parts.iter().map(|part| part.from.as_second().div_euclid(3600)).collect();
        let lines = String::from_utf8(files[Path::new(OUTPUT)].clone()).unwrap();
        let mut found = HashMap::new();
        for line in lines.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| record[name].as_str().unwrap().to_owned();
            assert_eq!(found.insert(text("conversationId"), text("copy")), None, "{line} is there twice");
        }
        let saved = Checkpoint::read(&disk.content(Path::new(CHECKPOINT)).unwrap()).unwrap();
        assert!(saved.seen.is_empty() && saved.mark.seen <= 10, "{:?}", saved.mark);
        assert_eq!(found, api::newest_copies(&parts));
        assert!(found.values().collect::<std::collections::HashSet<_>>().len() > 1);
    }
}

#[cfg(feature = "parquet")]
#[tokio::test]
async fn what_was_finished_of_a_part_that_begins_again_does_not_stay() {
    let (api, disk) = (Api::new(), SimDisk::new(0));
    let setup = Setup { form: forms().pop().unwrap(), ..Setup::plain() };
    let subject = setup.subject();
    let query = subject.query(subject.period.as_ref(), true).unwrap();
    let next = || tower_oauth2::pager::Pager::new(api.service(), query.clone()).continuation();
    let said = Said { from: true, to: true, at_once: 1, ..Said::default() };
    let Ok(Opened::Output(mut output)) = Output::open(disk.process(), Path::new(OUTPUT), subject, said) else {
        panic!("not opened")
    };
    let lines: String =
        (0..20).map(|n| format!("{{\"conversationId\":\"{n}\",\"x\":\"{}\"}}\n", "x".repeat(40))).collect();
    output.page(lines.as_bytes(), 20, None).unwrap();
    for _ in 0..3 {
        output.page(lines.as_bytes(), 20, next()).unwrap();
    }
    assert!(written(&disk).len() > 3, "{:?}", disk.files());
    output.again().unwrap();
    output.end_part(None).unwrap();
    output.complete().unwrap();
    let files: Vec<_> = written(&disk).into_keys().collect();
    assert_eq!(files, [Path::new("/out/conversations-00001")]);
}

#[tokio::test]
async fn crash_upon_crash_changes_nothing() {
    let rotated = Setup { form: forms().swap_remove(2), ..Setup::plain() };
    let job = Setup { source: Source::Job, at_once: 2, jobs_expire: true, ..rotated.clone() };
    for (setup, seeds) in [(Setup::plain(), 500), (rotated, 200), (job, 200)] {
        let api = Api::new();
        let (expected, steps) = setup.undisturbed(&api).await;
        for seed in 0..seeds {
            let disk = SimDisk::new(seed);
            let mut rng = disk.rng();
            setup
                .to_the_end(&api, &disk, || {
                    let after = if rng.next() % 2 == 0 { After::Kill } else { After::PowerCut };
                    // The further, the likelier that it comes to its end.
                    (rng.next() % 8 != 0).then(|| Fault::Crash { step: rng.next() % steps, after })
                })
                .await;
            assert!(written(&disk) == expected, "seed {seed} {setup:?}: {}", differs(&written(&disk), &expected));
        }
    }
}

#[tokio::test]
async fn a_disk_that_is_full_or_fails_at_any_step_is_an_error_and_the_next_run_goes_on() {
    for form in [Form::default()].into_iter().chain(forms()) {
        let (api, setup) = (Api::new(), Setup { form, ..Setup::plain() });
        let (expected, steps) = setup.undisturbed(&api).await;
        for (step, code) in (0..steps).flat_map(|step| [(step, ENOSPC), (step, EIO)]) {
            let disk = SimDisk::new(step);
            disk.set_fault(Some(Fault::Fails { step, code }));
            let error = setup.run(&api, &disk).await.unwrap_err();
            assert!(error.contains(&format!("os error {code}")), "step {step}: {error}");
            disk.set_fault(None);
            setup.run(&api, &disk).await.unwrap();
            assert!(written(&disk) == expected, "step {step}, error {code}: {}", differs(&written(&disk), &expected));
        }
    }
}

#[tokio::test]
async fn a_disk_without_room_is_tried_in_vain_until_there_is_some() {
    let (api, setup) = (Api::new(), Setup::plain());
    let (expected, _) = setup.undisturbed(&api).await;
    let disk = SimDisk::new(7);
    let len: usize = expected.values().map(Vec::len).sum();
    // Room for a little more each time: each run gets a page further at most, and none is lost.
    for room in (0..len + 4_096).step_by(97) {
        disk.set_fault(Some(Fault::Room { bytes: room }));
        if setup.run(&api, &disk).await.is_ok() {
            break;
        }
    }
    disk.set_fault(None);
    setup.run(&api, &disk).await.unwrap();
    assert!(written(&disk) == expected);
}

/// As Linux numbers them; elsewhere they are just numbers.
const ENOSPC: i32 = 28;
const EIO: i32 = 5;
