//! What the files of an output are called.

use std::path::{Path, PathBuf};

use crate::{
    disk::beside,
    form::{Form, Format},
};

/// The files of an output.
#[derive(Clone, Debug)]
pub struct Names {
    output: PathBuf,
    rotates: bool,
    stages: bool,
}

// === impl Names ===

impl Names {
    pub fn new(output: &Path, form: &Form) -> Self {
        Self { output: output.to_owned(), rotates: form.rotate.is_some(), stages: form.format == Format::Parquet }
    }

    pub fn output(&self) -> &Path {
        &self.output
    }

    /// The file of this number, counted from 1, as a reader finds it: `conversations-00001.ndjson.gz`.
    pub fn file(&self, number: u32) -> PathBuf {
        if !self.rotates {
            return self.output.clone();
        }
        let name = self.output.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A dot at the beginning hides a file, and separates nothing.
        let dot = name.char_indices().skip(1).find(|(_, letter)| *letter == '.').map_or(name.len(), |(at, _)| at);
        let (stem, extensions) = name.split_at(dot);
        self.output.with_file_name(format!("{stem}-{number:05}{extensions}"))
    }

    /// What is written page by page: the file itself, or what becomes it at its end.
    pub fn written(&self, number: u32) -> PathBuf {
        if self.stages { beside(&self.file(number), STAGING) } else { self.file(number) }
    }

    /// What is locked.
    pub fn lock(&self) -> PathBuf {
        if self.rotates || self.stages { beside(&self.output, LOCK) } else { self.output.clone() }
    }

    /// What is locked of the same output with other flags.
    pub fn other_lock(&self) -> PathBuf {
        if self.rotates || self.stages { self.output.clone() } else { beside(&self.output, LOCK) }
    }

    pub fn checkpoint(&self) -> PathBuf {
        beside(&self.output, CHECKPOINT)
    }

    pub const fn rotates(&self) -> bool {
        self.rotates
    }

    pub const fn stages(&self) -> bool {
        self.stages
    }
}

/// What the name of a checkpoint has behind that of its output.
const CHECKPOINT: &str = ".checkpoint";
const STAGING: &str = ".staging";
const LOCK: &str = ".lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_put_before_what_says_the_format() {
        let names = |path: &str| {
            let form = Form { rotate: Some(1), ..Form::default() };
            Names::new(Path::new(path), &form).file(7).to_string_lossy().into_owned()
        };
        assert_eq!(names("a.b/conversations.ndjson.gz"), "a.b/conversations-00007.ndjson.gz");
        assert_eq!(names("out"), "out-00007");
        assert_eq!(names(".hidden"), ".hidden-00007");
        let plain = Names::new(Path::new("x.csv"), &Form::default());
        assert_eq!((plain.file(1), plain.written(1), plain.lock()), ("x.csv".into(), "x.csv".into(), "x.csv".into()));
    }
}
