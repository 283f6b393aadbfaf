//! How far an export is: what is in its output, and where it goes on.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tower_oauth2::pager::Continuation;

use crate::{args::Shape, config::Period};

/// What is exported. Another one does not go on where this one stopped.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Subject {
    /// The base URL of the API.
    pub api: String,
    pub shape: Shape,
    pub page_size: u32,
    pub filters: Map<String, Value>,
    pub period: Period,
}

/// Saved after every page, when what it tells of is on the disk.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Checkpoint {
    version: u32,
    pub subject: Subject,
    pub complete: bool,
    /// Of the output.
    pub bytes: u64,
    pub records: u64,
    pub pages: u64,
    /// What is still to be exported, the part in hand first.
    pub parts: VecDeque<Period>,
    /// Where the part in hand goes on, unless it has not begun.
    pub continuation: Option<Continuation>,
}

// === impl Subject ===

impl Subject {
    /// What is different in `other`, for people.
    pub fn differs(&self, other: &Self) -> Option<String> {
        let [from, to] = self.period.bounds();
        let [other_from, other_to] = other.period.bounds();
        let differences = [
            (self.api != other.api, format!("the API {}", self.api)),
            (self.shape != other.shape, format!("--shape {}", self.shape.name())),
            (self.page_size != other.page_size, format!("--page-size {}", self.page_size)),
            (self.filters != other.filters, "another --query".to_owned()),
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
    pub fn new(subject: Subject) -> Self {
        let parts = if subject.shape == Shape::Details { subject.period.parts() } else { [subject.period].into() };
        let (complete, bytes, records, pages, continuation) = (false, 0, 0, 0, None);
        Self { version: VERSION, subject, complete, bytes, records, pages, parts, continuation }
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

const VERSION: u32 = 1;
