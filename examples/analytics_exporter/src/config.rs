//! From what was said to what will be done: every mistake is found before anything is sent.

use std::{
    collections::VecDeque,
    env, fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tower_oauth2::{genesys::Region, grant::ClientAuth, retry::RetryPolicy};

use crate::{args::Args, disk::beside, failure::Failure, output::CHECKPOINT};

/// Whom to ask, as whom.
#[derive(Debug)]
pub struct Api {
    pub base_url: String,
    pub token_url: String,
    pub auth: ClientAuth,
}

/// The variables that say who asks.
#[derive(Clone, Default)]
pub struct Credentials {
    pub id: Option<String>,
    pub secret: Option<String>,
}

/// What to ask for: from the first instant on, and before the second, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Period {
    pub from: Timestamp,
    pub to: Timestamp,
}

// === impl Credentials ===

impl Credentials {
    /// # Errors
    ///
    /// If one is there and cannot be read, which must not be taken for its not being there.
    pub fn from_env() -> Result<Self, Failure> {
        let read = |name| match env::var(name) {
            Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => Err(Failure::usage(format!("{name} is not valid UTF-8"))),
        };
        Ok(Self { id: read(CLIENT_ID)?, secret: read(CLIENT_SECRET)? })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).finish_non_exhaustive()
    }
}

// === impl Api ===

impl Api {
    /// `None` if nothing points to a real API: then the simulator is asked.
    ///
    /// # Errors
    ///
    /// If something does, and something else is missing or wrong.
    pub fn resolve(args: &Args, credentials: Credentials) -> Result<Option<Self>, Failure> {
        let somewhere = args.region.is_some() || args.api_url.is_some() || args.token_url.is_some();
        let (id, secret) = match (credentials.id, credentials.secret) {
            (Some(id), Some(secret)) => (id, secret),
            (None, None) if !somewhere => return Ok(None),
            (id, secret) => {
                let missing = [(id.is_none(), CLIENT_ID), (secret.is_none(), CLIENT_SECRET)];
                let names: Vec<_> = missing.iter().filter(|(missing, _)| *missing).map(|(_, name)| *name).collect();
                let are = if names.len() > 1 { "are" } else { "is" };
                return Err(Failure::usage(format!(
                    "{} {are} missing in the environment (without credentials, and without a region or URL, the \
                     simulator is used)",
                    names.join(" and ")
                )));
            }
        };
        let (base_url, token_url) = urls(args)?;
        Ok(Some(Self { base_url, token_url, auth: ClientAuth::basic(id, secret) }))
    }
}

// === impl Period ===

impl Period {
    /// The last seven days, unless something else was said.
    ///
    /// # Errors
    ///
    /// If it ends before it begins.
    pub fn resolve(args: &Args, now: Timestamp) -> Result<Self, Failure> {
        let to = args.to.unwrap_or(now);
        let from = match args.from {
            Some(from) => from,
            None => to.checked_sub(WEEK).map_err(|_| Failure::usage("--to is too far in the past"))?,
        };
        let (from, to) = (whole_millis(from), whole_millis(to));
        if from >= to {
            return Err(Failure::usage(format!("--from {from} is not before --to {to}")));
        }
        Ok(Self { from, to })
    }

    /// Cut into parts that the API answers for, in their order.
    pub fn parts(&self) -> VecDeque<Self> {
        let mut parts = VecDeque::new();
        let mut from = self.from;
        while from < self.to {
            let to = from.checked_add(LONGEST_PART).map_or(self.to, |to| to.min(self.to));
            parts.push_back(Self { from, to });
            from = to;
        }
        parts
    }

    /// Its halves; `None` if it is no longer than a millisecond.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let middle = (self.from.as_millisecond() + self.to.as_millisecond()).div_euclid(2);
        let middle = Timestamp::from_millisecond(middle).ok().filter(|middle| self.from < *middle)?;
        Some([Self { to: middle, ..*self }, Self { from: middle, ..*self }])
    }

    /// Start and end, to the millisecond, as Genesys Cloud writes them.
    pub fn bounds(&self) -> [String; 2] {
        [self.from, self.to].map(|at| at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
    }
}

fn whole_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// Refuses to write over what is written or read elsewhere.
///
/// # Errors
///
/// If two of the files of a run are the same.
pub fn check_files(args: &Args) -> Result<(), Failure> {
    let checkpoint = beside(&args.output, CHECKPOINT);
    let files = [
        ("--output", Some(&args.output)),
        ("the checkpoint of --output", Some(&checkpoint)),
        ("--summary", args.summary.as_ref()),
        ("--query", args.query.as_ref()),
    ];
    let files: Vec<_> = files.into_iter().filter_map(|(flag, path)| Some((flag, resolve(path?)))).collect();
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
    let most = tower_oauth2::genesys::ConversationDetails::MAX_PAGE_SIZE;
    if args.page_size > most {
        tracing::warn!(
            "the API takes {most} conversations a page at the most: --page-size {} is taken as {most}",
            args.page_size
        );
    }
    args.page_size.min(most)
}

fn urls(args: &Args) -> Result<(String, String), Failure> {
    let region = |name: &String| name.parse::<Region>();
    let named = args.region.as_ref().map(region).transpose().map_err(|error| Failure::usage(error.to_string()))?;
    // A URL of a region's API says which region it is.
    let known = named.or_else(|| args.api_url.as_ref().and_then(|url| region(url).ok()));
    let base_url = args.api_url.clone().or_else(|| named.map(|region| region.api_url()));
    let token_url = args.token_url.clone().or_else(|| known.map(|region| region.token_url()));
    match (base_url, token_url) {
        (Some(base_url), Some(token_url)) => Ok((base_url, token_url)),
        (None, _) => Err(Failure::usage(
            "where is the API? say --region or GENESYS_ENVIRONMENT, or --api-url or GENESYS_ENV_URL",
        )),
        (_, None) => {
            Err(Failure::usage("--api-url is of no known region: say --token-url or GENESYS_TOKEN_URL as well"))
        }
    }
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
const CLIENT_ID: &str = "GENESYS_CLIENT_ID";
const CLIENT_SECRET: &str = "GENESYS_CLIENT_SECRET";
/// The API does not answer for more.
const LONGEST_PART: SignedDuration = SignedDuration::from_hours(31 * 24);
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn nothing_said_is_the_simulator_and_half_of_it_is_a_mistake() {
        assert!(resolve(&[], "", "").unwrap().is_none());
        for (flags, id, secret, missing) in [
            (&[][..], "id", "", "GENESYS_CLIENT_SECRET is missing"),
            (&[], "", "secret", "GENESYS_CLIENT_ID is missing"),
            (&["--region", "mypurecloud"], "", "", "GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET are missing"),
            (&[], "id", "secret", "--region"),
            (&["--region", "nowhere"], "id", "secret", "nowhere"),
            (&["--api-url", "https://gateway.example"], "id", "secret", "--token-url"),
        ] {
            let failure = resolve(flags, id, secret).unwrap_err();
            assert_eq!(failure.code(), 2);
            assert!(failure.to_string().contains(missing), "{failure}");
        }
    }

    #[test]
    fn a_region_is_named_in_many_ways() {
        for flags in [
            &["--region", "mypurecloud.ie"][..],
            &["--region", "eu-west-1"],
            &["--api-url", "https://api.mypurecloud.ie"],
        ] {
            let api = resolve(flags, "id", "secret").unwrap().unwrap();
            assert_eq!(api.base_url, "https://api.mypurecloud.ie");
            assert_eq!(api.token_url, "https://login.mypurecloud.ie/oauth/token");
            assert!(!format!("{api:?}").contains("secret\""));
        }
    }

    #[test]
    fn a_period_is_the_last_seven_days_unless_said_otherwise() {
        let now = "2026-03-08T12:00:00.5Z".parse().unwrap();
        let period = |flags: &[&str]| Period::resolve(&args(flags), now).map(|period| period.bounds().join("/"));
        assert_eq!(period(&[]).unwrap(), "2026-03-01T12:00:00.500Z/2026-03-08T12:00:00.500Z");
        assert_eq!(
            period(&["--from", "2026-03-07T00:00:00+01:00"]).unwrap(),
            "2026-03-06T23:00:00.000Z/2026-03-08T12:00:00.500Z"
        );
        assert_eq!(period(&["--from", "2026-03-09T00:00:00Z"]).unwrap_err().code(), 2);
    }

    #[test]
    fn a_period_is_cut_into_parts_without_gap_or_overlap() {
        let period = |from: &str, to: &str| Period { from: from.parse().unwrap(), to: to.parse().unwrap() };
        let year = period("2024-01-01T00:00:00.001Z", "2025-01-01T00:00:00Z");
        let parts = year.parts();
        assert_eq!(parts.len(), 12);
        assert_eq!((parts[0].from, parts[11].to), (year.from, year.to));
        assert!(parts.iter().zip(parts.iter().skip(1)).all(|(part, next)| part.to == next.from));
        assert!(parts.iter().all(|part| part.to.duration_since(part.from) <= LONGEST_PART));
        let month = period("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z");
        assert_eq!(month.parts(), [month]);
    }

    #[test]
    fn halves_meet_and_a_millisecond_has_none() {
        let period = |from, to| {
            let at = |millis| Timestamp::from_millisecond(millis).unwrap();
            Period { from: at(from), to: at(to) }
        };
        assert_eq!(period(0, 1_000).halves(), Some([period(0, 500), period(500, 1_000)]));
        assert_eq!(period(-3, 0).halves(), Some([period(-3, -2), period(-2, 0)]));
        assert_eq!(period(7, 9).halves(), Some([period(7, 8), period(8, 9)]));
        assert_eq!(period(7, 8).halves(), None);
    }

    #[test]
    fn one_file_cannot_be_two_things() {
        let check = |flags: &[&str]| check_files(&args(flags)).map_err(|failure| failure.to_string());
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

    fn resolve(flags: &[&str], id: &str, secret: &str) -> Result<Option<Api>, Failure> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Api::resolve(&args(flags), Credentials { id: some(id), secret: some(secret) })
    }
}
