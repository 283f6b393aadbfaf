//! How far it is: a bar on a terminal, a line now and then elsewhere, on the standard error only.

use std::{
    env, fmt,
    io::{self, IsTerminal as _, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{
    HumanCount, HumanDuration, HumanFloatCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};
use jiff::Timestamp;
use serde_json::json;
use tokio::{task::JoinHandle, time::Instant};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{args::Log, pump::Told};

/// Shows progress. Cheap to clone; clones show the same.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
    view: Arc<Mutex<View>>,
    lines: bool,
    log: Log,
}

/// What there is to show.
#[derive(Debug)]
struct View {
    noun: &'static str,
    began: Instant,
    last_page: Instant,
    /// When the last line was said.
    last_line: Instant,
    /// What was there when this run began.
    found: u64,
    records: u64,
    /// Of all, if that is known.
    total: Option<u64>,
    /// How much of it is done, from 0 to 1, and was when this run began.
    done: Option<f64>,
    done_at_first: Option<f64>,
    /// Of how many parts.
    parts: Option<(usize, usize)>,
    counts: Counts,
}

/// What happened beside the records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Tokens that were fetched.
    pub tokens: u64,
    /// Requests that had to wait, for a Retry-After or a retry.
    pub waits: u64,
}

// === impl Progress ===

impl Progress {
    pub fn new(quiet: bool, log: Log) -> Self {
        let terminal = io::stderr().is_terminal();
        let bar = if terminal && !quiet {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8))
        } else {
            ProgressBar::hidden()
        };
        let view = Arc::new(Mutex::new(View::new(Instant::now())));
        bar.set_style(style("{spinner} {status}", &view));
        if !bar.is_hidden() {
            // So that it is seen to live while it waits for a Retry-After.
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { bar, view, lines: !terminal && !quiet, log }
    }

    /// Logs to the standard error, above the bar. `RUST_LOG` says what; by default warnings.
    pub fn install_log(&self) {
        let said = env::var(EnvFilter::DEFAULT_ENV).ok().filter(|said| !said.trim().is_empty());
        let filter = said.and_then(|said| EnvFilter::try_new(said).ok()).unwrap_or_else(|| EnvFilter::new("warn"));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Above(self.bar.clone()));
        // Only a test could have installed one before.
        let _already = match self.log {
            Log::Text => log.with_ansi(io::stderr().is_terminal()).try_init(),
            Log::Json => log.json().try_init(),
        };
    }

    /// An export of these begins, or goes on after so many. Until the task is aborted `counts` is asked now and then, and
    /// without a terminal a line is said.
    pub fn begin(
        &self,
        noun: &'static str,
        found: u64,
        counts: impl Fn() -> Counts + Send + 'static,
    ) -> JoinHandle<()> {
        *self.view() = View { noun, found, records: found, ..View::new(Instant::now()) };
        let progress = self.clone();
        tokio::spawn(async move {
            let mut turn = tokio::time::interval(LOOK);
            loop {
                turn.tick().await;
                progress.view().counts = counts();
                progress.line_if(|view, now| now >= view.last_page + SILENCE && now >= view.last_line + SILENCE);
            }
        })
    }

    /// A page was written.
    pub fn show(&self, told: &Told<'_>) {
        let done = {
            let mut view = self.view();
            view.see(told, Instant::now());
            view.done
        };
        if let Some(done) = done {
            if self.bar.length().is_none() {
                self.bar.set_length(WHOLE);
                self.bar.set_style(style("{bar:24} {status}", &self.view));
            }
            #[allow(clippy::cast_possible_truncation, reason = "it is from 0 to 1")]
            self.bar.set_position((done * WHOLE as f64) as u64);
        }
        self.line_if(|view, now| now >= view.last_line + LINE);
    }

    fn line_if(&self, due: impl FnOnce(&View, Instant) -> bool) {
        let now = Instant::now();
        let line = {
            let mut view = self.view();
            let due = self.lines && due(&view, now);
            due.then(|| {
                view.last_line = now;
                view.status(now)
            })
        };
        if let Some(line) = line {
            self.say(&line);
        }
    }

    /// A line, whether there is a bar or not.
    pub fn say(&self, line: &str) {
        self.write("INFO", line);
    }

    /// Why the run failed.
    pub fn fail(&self, problem: &str) {
        self.write("ERROR", problem);
    }

    fn write(&self, level: &str, line: &str) {
        let line = match self.log {
            Log::Text if level == "ERROR" => format!("error: {line}"),
            Log::Text => line.to_owned(),
            // As the log has it: whoever reads that as objects reads these too.
            Log::Json => json!({
                "timestamp": Timestamp::now(),
                "level": level,
                "fields": {"message": line},
                "target": env!("CARGO_PKG_NAME"),
            })
            .to_string(),
        };
        // Nobody may be listening; the export goes on.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "{line}")));
    }

    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn view(&self) -> MutexGuard<'_, View> {
        look(&self.view)
    }
}

fn look(view: &Mutex<View>) -> MutexGuard<'_, View> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl View ===

impl View {
    fn new(now: Instant) -> Self {
        Self {
            noun: "records",
            began: now,
            last_page: now,
            last_line: now,
            found: 0,
            records: 0,
            total: None,
            done: None,
            done_at_first: None,
            parts: None,
            counts: Counts::default(),
        }
    }

    fn see(&mut self, told: &Told<'_>, now: Instant) {
        let state = told.state;
        self.last_page = now;
        self.records = state.mark.records;
        let in_part = told.part.map(|(total, done)| done.min(total) as f64 / total.max(1) as f64);
        let left: i64 = state.parts.iter().filter_map(|part| Some(part.period?.millis())).sum();
        let all = state.subject.piece().map(|piece| piece.millis());
        match all.filter(|all| *all > 0) {
            Some(all) => {
                let in_hand = state.parts.front().and_then(|part| Some(part.period?.millis())).unwrap_or_default();
                let left = left as f64 - in_hand as f64 * in_part.unwrap_or_default();
                self.done = Some((1.0 - left / all as f64).clamp(0.0, 1.0));
                let done = state.cuts.saturating_sub(state.parts.len());
                self.parts = Some((done, state.cuts)).filter(|(_, all)| *all > 1);
            }
            None => self.done = in_part,
        }
        let alone = self.parts.is_none() && state.run_mark.records == 0;
        self.total = told.part.map(|(total, _)| total).filter(|_| alone).or(self.total.filter(|_| alone));
        self.done_at_first = self.done_at_first.or(self.done);
    }

    fn status(&self, now: Instant) -> String {
        let seconds = now.saturating_duration_since(self.began).as_secs_f64();
        let mut text = HumanCount(self.records).to_string();
        if let Some(total) = self.total {
            text = format!("{text} of {}", HumanCount(total));
        }
        text = format!("{text} {}", self.noun);
        if let Some(done) = self.done {
            text = format!("{text} ({:.0} %)", (done * 100.0).floor());
        }
        let rate = self.records.saturating_sub(self.found) as f64 / seconds.max(0.001);
        text = format!("{text}, {} a second", HumanFloatCount(rate.round()));
        if let Some((done, all)) = self.parts {
            text = format!("{text}, part {} of {all}", (done + 1).min(all));
        }
        let Counts { tokens, waits } = self.counts;
        text = format!("{text}, {tokens} token{}, {waits} wait{}", plural(tokens), plural(waits));
        let silent = now.saturating_duration_since(self.last_page);
        if silent >= SILENCE {
            return format!("{text}, waiting for {}", HumanDuration(silent));
        }
        match self.left(seconds) {
            Some(left) => format!("{text}, {} left", HumanDuration(left)),
            None => text,
        }
    }

    /// If it goes on as it did.
    fn left(&self, seconds: f64) -> Option<Duration> {
        let (done, first) = (self.done?, self.done_at_first?);
        let speed = (done - first) / seconds;
        Duration::try_from_secs_f64((1.0 - done) / speed).ok().filter(|_| speed > 0.0 && seconds >= 1.0)
    }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn style(template: &str, view: &Arc<Mutex<View>>) -> ProgressStyle {
    let view = Arc::clone(view);
    let status = move |_: &ProgressState, line: &mut dyn fmt::Write| {
        let _never_fails = line.write_str(&look(&view).status(Instant::now()));
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("status", status)
}

/// Writes log lines so that the bar does not tear them.
struct Above(ProgressBar);

struct Line(ProgressBar, Vec<u8>);

impl<'a> MakeWriter<'a> for Above {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.0.clone(), Vec::new())
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.1);
        self.0.suspend(|| io::stderr().write_all(&line))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _unheard = self.flush();
    }
}

const WHOLE: u64 = 10_000;
const LOOK: Duration = Duration::from_millis(200);
/// Without a terminal.
const LINE: Duration = Duration::from_secs(2);
/// After that long without a page it is said that it waits.
const SILENCE: Duration = Duration::from_secs(5);
