//! From what was said to what will be done: every mistake is found before anything is sent.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use tower_oauth2::retry::RetryPolicy;

use crate::{
    args::{Args, Shape},
    failure::Failure,
    form::Form,
    output::Names,
    period::Period,
    source::{Source, Vendor},
};

/// Refuses flags that would do nothing.
///
/// # Errors
///
/// If one was said that the source does not know.
pub fn check_flags(args: &Args) -> Result<(), Failure> {
    let source = args.source.name();
    if args.source != Source::Details && args.shape != Shape::Details {
        return Err(Failure::usage(format!("--shape is of the details query: leave it out for --source {source}")));
    }
    if args.source.vendor() == Vendor::Cxone {
        let said = [(args.region.is_some(), "--region"), (args.scope.is_some(), "--scope")];
        if let Some((_, flag)) = said.iter().find(|(said, _)| *said) {
            return Err(Failure::usage(format!("{flag} is of Genesys Cloud: leave it out for --source {source}")));
        }
    }
    Ok(())
}

/// What to ask for: the last seven days, unless something else was said; `None` for what is of no period.
///
/// # Errors
///
/// If it ends before it begins, or is said where there is none.
pub fn period(args: &Args, now: Timestamp) -> Result<Option<Period>, Failure> {
    let lookback = !args.lookback.is_zero();
    if !args.source.has_period() {
        let said = [
            (args.from.is_some(), "--from"),
            (args.to.is_some(), "--to"),
            (args.shard.is_some(), "--shard"),
            (lookback, "--lookback"),
        ];
        if let Some((_, flag)) = said.iter().find(|(said, _)| *said) {
            let source = args.source.name();
            return Err(Failure::usage(format!("{flag} is for what is of a period, and {source} is as it is now")));
        }
        return Ok(None);
    }
    if args.shard.is_some() && (args.from.is_none() || args.to.is_none()) {
        return Err(Failure::usage("--shard needs --from and --to, so that all machines mean the same"));
    }
    if lookback && args.from.is_some() {
        return Err(Failure::usage("--lookback goes back from where the last run ended: leave --from out"));
    }
    let to = args.to.unwrap_or(now);
    let from = match args.from {
        Some(from) => from,
        None => to.checked_sub(WEEK).map_err(|_| Failure::usage("--to is too far in the past"))?,
    };
    let period = Period::new(from, to);
    if period.is_empty() {
        return Err(Failure::usage(format!("--from {} is not before --to {}", period.from, period.to)));
    }
    Ok(Some(period))
}

/// Refuses to write over what is written or read elsewhere.
///
/// # Errors
///
/// If two of the files of a run are the same.
pub fn check_files(args: &Args, form: &Form) -> Result<(), Failure> {
    let output = args.output();
    let names = Names::new(&output, form);
    let [checkpoint, written, lock] = [names.checkpoint(), names.written(1), names.lock()];
    let others = [(&written, "the first file of --output"), (&lock, "the lock of --output")];
    let others = others.into_iter().filter(|(path, _)| **path != output).map(|(path, what)| (what, Some(path)));
    let files = [
        ("--output", Some(&output)),
        ("the checkpoint of --output", Some(&checkpoint)),
        ("--summary", args.summary.as_ref()),
        ("--query", args.query.as_ref()),
    ];
    let files: Vec<_> =
        files.into_iter().chain(others).filter_map(|(flag, path)| Some((flag, resolve(path?)))).collect();
    for (index, (flag, path)) in files.iter().enumerate() {
        if let Some((other, _)) = files.iter().take(index).find(|(_, other)| other == path) {
            return Err(Failure::usage(format!("{flag} and {other} are the same file")));
        }
    }
    Ok(())
}

/// One path for one file, also where it is not there yet.
fn resolve(path: &Path) -> PathBuf {
    let there = path.canonicalize().ok();
    let parent = || {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(parent.canonicalize().ok()?.join(path.file_name()?))
    };
    there.or_else(parent).unwrap_or_else(|| path.to_owned())
}

/// The filters of `--query`.
///
/// # Errors
///
/// If the file cannot be read, is not a JSON object, or says what flags say.
pub fn filters(args: &Args) -> Result<Map<String, Value>, Failure> {
    let Some(path) = &args.query else { return Ok(Map::new()) };
    if !args.source.has_filters() {
        return Err(Failure::usage(format!("--query has filters, and {} takes none", args.source.name())));
    }
    let unusable = |problem: String| Failure::usage(format!("--query {}: {problem}", path.display()));
    let text = fs::read(path).map_err(|error| unusable(error.to_string()))?;
    match serde_json::from_slice(&text).map_err(|error| unusable(format!("not JSON: {error}")))? {
        Value::Object(filters) => {
            match args.shape.reserved().iter().find(|(member, _)| filters.contains_key(*member)) {
                Some((member, flags)) => {
                    Err(unusable(format!("{member} is not a filter: say {flags}, and leave it out")))
                }
                None => Ok(filters),
            }
        }
        _ => Err(unusable("not a JSON object".into())),
    }
}

/// The page size the API takes, with a warning where that is not the one asked for.
pub fn page_size(args: &Args) -> u32 {
    let (least, most) = (args.source.smallest_page(), args.source.page_size());
    let said = args.page_size.unwrap_or(most);
    let taken = said.clamp(least, most);
    if said != taken {
        let noun = args.source.noun();
        tracing::warn!("the API takes {least} to {most} {noun} a page: --page-size {said} is taken as {taken}");
    }
    taken
}

/// How patiently to ask.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub connect: Duration,
    pub request: Duration,
    pub idle: Duration,
    pub max_retry_after: Duration,
}

// === impl Patience ===

impl Patience {
    /// How long a body may take in all: one that trickles must end, and one that pauses as long as allowed must not.
    pub fn body(&self) -> Duration {
        self.idle.saturating_mul(2).max(Duration::from_secs(300))
    }

    /// With a deadline that leaves room for every wait and every attempt that is allowed.
    pub fn policy(&self) -> RetryPolicy {
        let attempt = self.request.saturating_add(self.max_retry_after.max(LONGEST_BACKOFF).mul_f64(1.2));
        let policy = RetryPolicy::new().max_attempts(ATTEMPTS).max_retry_after(self.max_retry_after);
        policy.deadline(attempt.saturating_mul(ATTEMPTS))
    }
}

impl From<&Args> for Patience {
    fn from(args: &Args) -> Self {
        Self {
            connect: args.connect_timeout,
            request: args.request_timeout,
            idle: args.idle_timeout,
            max_retry_after: args.max_retry_after,
        }
    }
}

const ATTEMPTS: u32 = 8;
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn a_period_is_the_last_seven_days_unless_said_otherwise() {
        let now = "2026-03-08T12:00:00.5Z".parse().unwrap();
        let resolve = |flags: &[&str]| period(&args(flags), now);
        let period = |flags: &[&str]| resolve(flags).map(|period| period.unwrap().bounds().join("/"));
        assert_eq!(period(&[]).unwrap(), "2026-03-01T12:00:00.500Z/2026-03-08T12:00:00.500Z");
        assert_eq!(
            period(&["--from", "2026-03-07T00:00:00+01:00"]).unwrap(),
            "2026-03-06T23:00:00.000Z/2026-03-08T12:00:00.500Z"
        );
        assert_eq!(resolve(&["--source", "users"]).unwrap(), None);
        let from = ["--from", "2026-03-01T00:00:00Z"];
        for bad in [
            &["--from", "2026-03-09T00:00:00Z"][..],
            &["--source", "contacts", "--lookback", "1h"],
            &[&["--source", "users"], &from[..]].concat(),
            &[&["--shard", "1/2"], &from[..]].concat(),
            &[&["--lookback", "1h"], &from[..]].concat(),
        ] {
            assert_eq!(resolve(bad).unwrap_err().code(), 2, "{bad:?}");
        }
    }

    #[test]
    fn what_would_do_nothing_is_refused() {
        for bad in [
            &["--source", "job", "--shape", "results"][..],
            &["--source", "cxone-contacts", "--shape", "entities"],
            &["--source", "cxone-contacts", "--region", "mypurecloud.ie"],
            &["--source", "cxone-contacts", "--scope", "x"],
        ] {
            assert_eq!(check_flags(&args(bad)).unwrap_err().code(), 2, "{bad:?}");
        }
        for good in [&["--shape", "results"][..], &["--source", "job", "--shape", "details", "--scope", "x"]] {
            check_flags(&args(good)).unwrap();
        }
    }

    #[test]
    fn one_file_cannot_be_two_things() {
        let check = |flags: &[&str]| check_files(&args(flags), &Form::default()).map_err(|failure| failure.to_string());
        assert_eq!(check(&["-o", "a", "--summary", "b", "--query", "c"]), Ok(()));
        assert!(check(&["-o", "a", "--summary", "a.checkpoint"]).unwrap_err().contains("checkpoint"));
        assert!(check(&["-o", "out", "--summary", "./out"]).unwrap_err().contains("--summary and --output"));
        assert!(
            check(&["-o", "Cargo.toml", "--query", "src/../Cargo.toml"]).unwrap_err().contains("--query and --output")
        );
    }

    fn args(flags: &[&str]) -> Args {
        Args::parse_from([&["analytics_exporter"], flags].concat())
    }
}
