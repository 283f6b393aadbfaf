//! Results, for people and for scripts.

use std::{env, fs, path::Path, process::ExitCode};

use serde::Serialize;

/// A table of results: printed, and kept where `BENCH_RESULTS` says.
#[derive(Debug, Serialize)]
pub struct Report {
    name: &'static str,
    columns: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    values: Vec<Option<f64>>,
}

/// What a figure is of, the figure, and what it must not exceed.
pub type Check<'a> = (&'a str, f64, f64);

/// Prints how each figure compares with its limit, and fails if one exceeds it, or is none.
pub fn verdict(checks: &[Check<'_>]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for (what, figure, limit) in checks {
        let word = if figure <= limit { "ok  " } else { "OVER" };
        println!("{word} {what}: {figure:.3}, at most {limit}");
        if word == "OVER" {
            code = ExitCode::FAILURE;
        }
    }
    code
}

// === impl Report ===

impl Report {
    /// Of the bench `name`; a column has its unit in its name.
    pub fn new(name: &'static str, columns: &[&str]) -> Self {
        Self { name, columns: columns.iter().map(|&column| column.into()).collect(), rows: Vec::new() }
    }

    /// A contestant, with a value for each column, `NaN` where there is none.
    pub fn row(&mut self, name: &str, values: &[f64]) {
        assert_eq!(values.len(), self.columns.len(), "{name}");
        let values = values.iter().map(|value| Some(*value).filter(|value| value.is_finite())).collect();
        self.rows.push(Row { name: name.into(), values });
    }

    /// Prints it, and writes it as JSON to the folder that the environment variable `BENCH_RESULTS` names, if it does: in a file
    /// of its name, with a dash for what is neither letter nor digit.
    ///
    /// # Panics
    ///
    /// If that cannot be written.
    pub fn finish(self) {
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(self.name.len());
        print!("\n{:<width$}", self.name);
        for column in &self.columns {
            print!("  {column:>10}");
        }
        println!();
        for row in &self.rows {
            print!("{:<width$}", row.name);
            for (value, column) in row.values.iter().zip(&self.columns) {
                let value = value.map_or_else(|| "–".into(), readable);
                print!("  {value:>column$}", column = column.chars().count().max(10));
            }
            println!();
        }
        if let Some(folder) = env::var_os("BENCH_RESULTS") {
            let name = self.name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            let path = Path::new(&folder).join(name + ".json");
            let json = serde_json::to_string_pretty(&self).expect("a table is JSON");
            fs::create_dir_all(&folder)
                .and_then(|()| fs::write(&path, json + "\n"))
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}

/// Three or four digits that count.
fn readable(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        ..1.0 => format!("{value:.3}"),
        1.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
