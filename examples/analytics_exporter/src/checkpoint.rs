//! How far an export is: what is in its output, and where it goes on.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tower_oauth2::pager::{Continuation, Error, Query};

use crate::{
    args::{Shape, Shard},
    form::Form,
    period::Period,
    sieve::Seen,
    source::{Ask, Source},
};

/// What is exported, and in which form. Another one does not go on where this one stopped.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Subject {
    /// The base URL of the API.
    pub api: String,
    pub source: Source,
    pub shape: Shape,
    pub page_size: u32,
    pub filters: Map<String, Value>,
    pub form: Form,
    pub shard: Option<Shard>,
    /// That of all shards. `None` for what is as it is now.
    pub period: Option<Period>,
}

/// Saved when what it tells of is on the disk: after a page, or after those that came while the disk was waited for.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Checkpoint {
    version: u32,
    pub subject: Subject,
    pub complete: bool,
    /// Whether the records are those of the simulator within the exporter.
    #[serde(default)]
    pub simulated: bool,
    /// What the API did not have yet, as it says.
    pub lacks: Option<String>,
    /// Until when the runs before this one were complete.
    pub complete_to: Option<Timestamp>,
    /// What is in the output.
    pub mark: Mark,
    /// What was there when this run of exports began, without those of earlier periods.
    pub run_mark: Mark,
    /// What was there when the part in hand began.
    pub part_mark: Mark,
    /// Into how many parts it was cut.
    pub cuts: usize,
    /// What is still to be exported, the part in hand first.
    pub parts: VecDeque<Part>,
    /// Records that began before their part, which the parts to come may have as well.
    pub seen: Vec<Seen>,
}

/// An amount of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Mark {
    /// The file in hand, counted from 1; all that come before are at their end.
    pub file: u32,
    /// Of that file.
    pub bytes: u64,
    /// Of all files, as they are written; of Parquet, what waits to become one does not count.
    pub all_bytes: u64,
    pub records: u64,
    pub pages: u64,
    /// How many records were remembered.
    pub seen: usize,
}

/// What is asked for at once.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Part {
    pub period: Option<Period>,
    /// Where it goes on, unless it has not begun.
    pub continuation: Option<Continuation>,
}

// === impl Part ===

impl Part {
    pub const fn new(period: Option<Period>) -> Self {
        Self { period, continuation: None }
    }
}

// === impl Mark ===

impl Mark {
    pub const START: Self = Self { file: 1, bytes: 0, all_bytes: 0, records: 0, pages: 0, seen: 0 };
}

// === impl Subject ===

impl Subject {
    /// What of the period is exported here.
    pub fn piece(&self) -> Option<Period> {
        let period = self.period?;
        Some(self.shard.map_or(period, |shard| period.piece(shard.piece, shard.of)))
    }

    /// How far the API counts the records of a part.
    pub fn counts_to(&self) -> Option<u64> {
        self.source.counts_to().filter(|_| self.shape == Shape::Details)
    }

    /// What is asked for, in the order of the output, so that as many parts can be asked for at once.
    fn parts(&self, at_once: u32) -> VecDeque<Part> {
        let Some(piece) = self.piece() else { return [Part::new(None)].into() };
        let parts = if self.shape == Shape::Details { piece.parts(at_once) } else { [piece].into() };
        let parts = parts.into_iter().map(|period| Part::new(Some(period)));
        // Of records in two parts the newer copy is to come first.
        if self.source.is_newest_first() { parts.rev().collect() } else { parts.collect() }
    }

    /// The query for a part.
    ///
    /// # Errors
    ///
    /// If the API is no absolute URL, or a filter has a name that flags decide on.
    pub fn query(&self, part: Option<&Period>, keep_job: bool) -> Result<Query, Error> {
        let Self { api, shape, page_size, filters, .. } = self;
        let ask = Ask { api, shape: *shape, page_size: *page_size, filters, keep_job };
        self.source.query(&ask, part)
    }

    /// What is different in `other`, for people.
    pub fn differs(&self, other: &Self) -> Option<String> {
        let bounds = |subject: &Self| subject.period.as_ref().map(Period::bounds).unwrap_or_default();
        let ([from, to], [other_from, other_to]) = (bounds(self), bounds(other));
        let (form, other_form) = (&self.form, &other.form);
        let shard = self.shard.map_or("no --shard".to_owned(), |shard| format!("--shard {shard}"));
        let compress = form.format.extension(form.compress);
        let differences = [
            (self.source != other.source, format!("--source {}", self.source.name())),
            (self.api != other.api, format!("the API {}", self.api)),
            (self.shape != other.shape, format!("--shape {}", self.shape.name())),
            (self.page_size != other.page_size, format!("--page-size {}", self.page_size)),
            (self.filters != other.filters, "another --query".to_owned()),
            (form.format != other_form.format, format!("--format {}", form.format.name())),
            (form.compress != other_form.compress, format!("another --compress ({compress})")),
            (form.fields != other_form.fields, "other --fields".to_owned()),
            (form.rotate != other_form.rotate, "another --rotate".to_owned()),
            (self.shard != other.shard, shard),
            (from != other_from, format!("--from {from}")),
            (to != other_to, format!("--to {to}")),
        ];
        let told: Vec<_> = differences.into_iter().filter(|(differs, _)| *differs).map(|(_, what)| what).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}

// === impl Checkpoint ===

impl Checkpoint {
    /// Nothing is there yet.
    pub fn new(subject: Subject, at_once: u32) -> Self {
        Self::after(Mark::START, None, subject, at_once)
    }

    /// Behind what earlier runs wrote.
    pub fn after(mark: Mark, complete_to: Option<Timestamp>, subject: Subject, at_once: u32) -> Self {
        let parts = subject.parts(at_once);
        let mark = Mark { seen: 0, ..mark };
        Self {
            version: VERSION,
            subject,
            complete: false,
            simulated: false,
            lacks: None,
            complete_to,
            mark,
            run_mark: mark,
            part_mark: mark,
            cuts: parts.len(),
            parts,
            seen: Vec::new(),
        }
    }

    /// Whether nothing of this run of exports is there yet.
    pub fn is_fresh(&self) -> bool {
        self.mark == self.run_mark && self.parts.iter().all(|part| part.continuation.is_none())
    }

    /// The file in hand has so many bytes, and none of this run of exports.
    pub fn rewind(&mut self, bytes: u64) {
        for mark in [&mut self.mark, &mut self.run_mark, &mut self.part_mark] {
            mark.bytes = bytes;
        }
    }

    /// # Errors
    ///
    /// What is the matter with it.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("is damaged: {error}"))?;
        match value.get("version").and_then(Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => return Err(format!("is of version {version}, and this program writes version {VERSION}")),
            None => return Err("is no checkpoint".to_owned()),
        }
        serde_json::from_value(value).map_err(|error| format!("is damaged: {error}"))
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

const VERSION: u32 = 2;
