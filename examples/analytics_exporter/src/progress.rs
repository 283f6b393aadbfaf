//! How far it is: a bar on a terminal, a line now and then elsewhere, on the standard error only.

use std::{
    env, fmt,
    io::{self, IsTerminal as _, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tokio::time::Instant;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::args::Log;

/// Shows progress. Cheap to clone; clones show on the same line.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
    lines: Option<Duration>,
    last: Instant,
}

// === impl Progress ===

impl Progress {
    pub fn new(quiet: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let bar = if terminal && !quiet {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8))
        } else {
            ProgressBar::hidden()
        };
        if !bar.is_hidden() {
            // So that it is seen to live while it waits for a Retry-After.
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        bar.set_style(style("{spinner} {human_pos} conversations, {rate}, {elapsed}"));
        let lines = (!terminal && !quiet).then_some(Duration::from_secs(2));
        Self { bar, lines, last: Instant::now() }
    }

    /// Logs to the standard error, above the bar. `RUST_LOG` says what; by default warnings.
    pub fn install_log(&self, form: Log) {
        let said = env::var(EnvFilter::DEFAULT_ENV).ok().filter(|said| !said.trim().is_empty());
        let filter = said.and_then(|said| EnvFilter::try_new(said).ok()).unwrap_or_else(|| EnvFilter::new("warn"));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Above(self.bar.clone()));
        // Only a test could have installed one before.
        let _already = match form {
            Log::Text => log.with_ansi(io::stderr().is_terminal()).try_init(),
            Log::Json => log.json().try_init(),
        };
    }

    /// `records` of `total`, if that is known.
    pub fn show(&mut self, records: u64, total: Option<u64>) {
        if let Some(total) = total.filter(|total| self.bar.length() != Some(*total)) {
            self.bar.set_length(total);
            self.bar.set_style(style("{wide_bar} {human_pos}/{human_len} conversations, {rate}, {eta} left"));
        }
        self.bar.set_position(records);
        let Some(every) = self.lines else { return };
        let now = Instant::now();
        if now >= self.last + every {
            self.last = now;
            let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
            self.say(&format!("{records}{of} conversations"));
        }
    }

    /// A line, whether there is a bar or not.
    pub fn say(&self, line: &str) {
        // Nobody may be listening; the export goes on.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "{line}")));
    }

    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // Whole ones: its own `per_sec` shows four digits behind the point.
    let rate = |state: &ProgressState, line: &mut dyn fmt::Write| {
        let _never_fails = write!(line, "{:.0} a second", state.per_sec());
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("rate", rate)
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
