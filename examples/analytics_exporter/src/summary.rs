//! What a run did.

use std::{fs, io, path::Path, time::Duration};

use serde_json::json;

use crate::{checkpoint::Mark, output::is_stdout, source::Source};

/// What a run did, for people and, as JSON, for programs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    pub source: Source,
    pub complete: bool,
    pub records: u64,
    /// Those of earlier runs, which this one went on with or added to.
    pub records_before: u64,
    pub pages: u64,
    pub bytes: u64,
    pub files: u32,
    pub tokens_minted: u64,
    pub replays_401: u64,
    pub retries: u64,
    /// Requests that waited because another one had been told to.
    pub held_back: u64,
    pub elapsed: Duration,
}

// === impl Summary ===

impl Summary {
    /// With what there is in the output, and was there before.
    #[must_use]
    pub const fn of(self, mark: &Mark, before: &Mark) -> Self {
        // The last file may have nothing in it.
        let files = if mark.bytes == 0 && mark.file > 1 { mark.file - 1 } else { mark.file };
        let Mark { records, pages, all_bytes: bytes, .. } = *mark;
        Self { records, records_before: before.records, pages, bytes, files, ..self }
    }

    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let json = json!({
            "source": self.source.name(),
            "complete": self.complete,
            "records": self.records,
            "records_before": self.records_before,
            "pages": self.pages,
            "bytes": self.bytes,
            "files": self.files,
            "tokens_minted": self.tokens_minted,
            "replays_401": self.replays_401,
            "retries": self.retries,
            "held_back": self.held_back,
            "elapsed_s": (self.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
        });
        fs::write(path, format!("{json:#}\n"))
    }

    /// One line.
    pub fn line(&self, output: &Path) -> String {
        let rate = self.records.saturating_sub(self.records_before) as f64 / self.elapsed.as_secs_f64().max(0.001);
        format!(
            "{} {} ({:.1} MB) on {} pages in {:.1} s, {rate:.0} a second; {} tokens, {} replays after a 401, {} retries; \
             written to {}",
            self.records,
            self.source.noun(),
            self.bytes as f64 / 1e6,
            self.pages,
            self.elapsed.as_secs_f64(),
            self.tokens_minted,
            self.replays_401,
            self.retries,
            if is_stdout(output) { "the standard output".into() } else { output.display().to_string() },
        )
    }
}
