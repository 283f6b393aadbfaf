//! In which form records are written.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{args::Args, failure::Failure, fields::Field, output::is_stdout};

/// How to write records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A record a line, as the API wrote it
    #[default]
    Ndjson,
    /// A table, with what is nested as JSON; what a spreadsheet would take for a formula has an apostrophe before it
    Csv,
    /// A table; only in a build with the feature parquet
    Parquet,
}

/// How to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    Gzip,
    Zstd,
}

/// All that decides on the bytes of an output.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Form {
    pub format: Format,
    pub compress: Option<Compression>,
    /// The columns of a table.
    pub fields: Vec<Field>,
    /// After how many bytes another file begins.
    pub rotate: Option<u64>,
}

// === impl Format ===

impl Format {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// What the name of a file ends with.
    pub fn extension(self, compress: Option<Compression>) -> String {
        let compressed = match compress {
            None => "",
            Some(Compression::Gzip) => ".gz",
            Some(Compression::Zstd) => ".zst",
        };
        format!("{}{compressed}", self.name())
    }
}

// === impl Form ===

impl Form {
    /// # Errors
    ///
    /// If what was said does not go together.
    pub fn resolve(args: &Args) -> Result<Self, Failure> {
        let refuse = |problem: &str| Err(Failure::usage(problem.to_owned()));
        let table = args.format != Format::Ndjson;
        let to_stdout = is_stdout(&args.output());
        if !table && !args.fields.is_empty() {
            return refuse("--fields are columns: say --format csv or parquet as well");
        }
        if args.format == Format::Parquet && !cfg!(feature = "parquet") {
            return refuse("this build has no Parquet: build the exporter with --features parquet");
        }
        if args.format == Format::Parquet && args.compress.is_some() {
            return refuse("a Parquet file is compressed within: leave --compress out");
        }
        if to_stdout && (args.format == Format::Parquet || args.rotate.is_some()) {
            return refuse("--format parquet and --rotate need a file: say --output");
        }
        let rotate = args.rotate.map(|size| size.as_u64());
        if rotate == Some(0) {
            return refuse("--rotate takes a size, such as 100MB");
        }
        let said = args.fields.iter().map(String::as_str);
        let fields: Vec<&str> = match (table, args.fields.is_empty()) {
            (false, _) => Vec::new(),
            (true, true) => args.source.fields().to_vec(),
            (true, false) => said.collect(),
        };
        let fields: Result<Vec<Field>, _> = fields.into_iter().map(str::parse).collect();
        let fields = fields.map_err(|problem| Failure::usage(format!("--fields: {problem}")))?;
        for (index, field) in fields.iter().enumerate() {
            if fields.iter().take(index).any(|other| other.name == field.name) {
                return refuse(&format!("--fields: two columns are called {:?}", field.name));
            }
        }
        Ok(Self { format: args.format, compress: args.compress, fields, rotate })
    }
}
