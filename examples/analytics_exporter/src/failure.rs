//! How a run ends when it does not end well: a sentence, a hint, an exit code.

use std::{error::Error as StdError, fmt, io, path::Path};

use jiff::Timestamp;
use tower_oauth2::{Error as TokenError, pager};

use crate::{
    frame::Halt,
    source::{Source, Vendor},
    stop::Signal,
};

/// Of whom a failure is.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    pub source: Source,
    pub api_host: &'a str,
    pub token_host: &'a str,
    pub output: &'a Path,
}

/// Why the run failed.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
}

// === impl Failure ===

impl Failure {
    /// What the process exits with.
    pub const fn code(&self) -> u8 {
        self.code
    }

    /// Something on the command line or in the environment.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into(), hint: None }
    }

    /// The output, or the summary, cannot be written. Whoever reads a pipe may stop to.
    pub fn output(path: &Path, error: &io::Error) -> Self {
        let code = if error.kind() == io::ErrorKind::BrokenPipe { SIGPIPE } else { 1 };
        Self { code, message: format!("cannot write {}: {error}", path.display()), hint: None }
    }

    /// Somebody wants the run to end.
    pub fn stopped(signal: Signal) -> Self {
        let (code, message) = match signal {
            Signal::Interrupt => (130, "interrupted"),
            Signal::Terminate => (143, "terminated"),
        };
        Self { code, message: message.into(), hint: None }
    }

    /// Says what was exported before it, and whether the next run goes on there.
    #[must_use]
    pub fn after(mut self, records: u64, noun: &str, goes_on: bool) -> Self {
        if records > 0 && self.code != INCOMPLETE {
            let then = if goes_on { ": run it again with the same flags to go on" } else { "" };
            self.message = format!("{} (after {records} {noun}; the output is not complete{then})", self.message);
        }
        self
    }

    /// What stopped the records.
    pub fn of(halt: &Halt, scene: &Scene<'_>) -> Self {
        let noun = scene.source.noun();
        match halt {
            Halt::Api(error) => Self::of_pager(error, scene),
            Halt::Output(error) => Self::output(scene.output, error),
            Halt::Spool(error) => {
                let message = format!("cannot keep what is ahead of its turn on the disk: {error}");
                Self { code: 1, message, hint: Some("make room, or say a lower --concurrency".into()) }
            }
            Halt::Misfit(misfit) => Self {
                code: 1,
                message: format!("cannot write {}: {misfit}", scene.output.display()),
                hint: Some("say other --fields, or --format ndjson".into()),
            },
            Halt::TooDense(part) => {
                let [from, to] = part.bounds();
                let message =
                    format!("more than 100,000 {noun} began between {from} and {to}, and the API counts no further");
                Self { code: 4, message, hint: Some("ask for fewer, with filters in --query".into()) }
            }
            Halt::Incomplete(problem) => Self {
                code: INCOMPLETE,
                message: format!("the output has all that the API has so far, and that is not everything: {problem}"),
                hint: Some(
                    "run it again with the same flags later: it asks for the period again, in place of this".into(),
                ),
            },
            // Whoever stopped it says why.
            Halt::Stopped => Self::stopped(Signal::Interrupt),
        }
    }

    /// The API has nothing of the period, and will.
    pub fn no_data_yet(until: Timestamp) -> Self {
        let message = format!("the API has data until {until} only, which is before the period begins");
        Self { code: INCOMPLETE, message, hint: Some("run it again later".into()) }
    }

    /// Whether there is nobody left to tell.
    pub const fn is_silent(&self) -> bool {
        self.code == SIGPIPE
    }

    /// There is no token.
    pub fn authentication(error: &TokenError, token_host: &str, vendor: Vendor) -> Self {
        if error.is_config() {
            return Self::usage(error.to_string());
        }
        let hint = match error.oauth_code() {
            Some("invalid_client" | "unauthorized_client" | "invalid_grant") if vendor == Vendor::Cxone => {
                "check CXONE_CLIENT_ID and CXONE_CLIENT_SECRET, and that the access key is whole, with the ==== at its end, and \
                 active"
                    .to_owned()
            }
            Some("invalid_client" | "unauthorized_client") => format!(
                "check GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET, that the client is of the grant type Client \
                 Credentials and not disabled, and that it belongs to the region of {token_host}"
            ),
            Some("invalid_scope") => "check GENESYS_SCOPE".to_owned(),
            _ if error.is_transient() => format!(
                "check that {token_host} can be reached and that the token URL is that of your region, and try again later"
            ),
            _ => format!("check the token URL: is {token_host} the login host of your region?"),
        };
        Self { code: 3, message: format!("no token: {}", chain(error)), hint: Some(hint) }
    }

    fn of_pager(error: &pager::Error, scene: &Scene<'_>) -> Self {
        let Scene { source, api_host, token_host, .. } = scene;
        if let Some(token) = TokenError::find(error) {
            return Self::authentication(token, token_host, source.vendor());
        }
        let (code, hint) = match error.status().map(|status| status.as_u16()) {
            Some(401) => (3, Some("the API refuses the tokens it is sent: are API and token URL of the same region?")),
            Some(403) => (4, Some(source.permission())),
            Some(429) => (4, Some("the API asks for a longer wait than --max-retry-after, or limits without end")),
            Some(503) => {
                (4, Some("the API was down at every attempt, or asks for a longer wait than --max-retry-after"))
            }
            _ if error.kind() == pager::ErrorKind::Config => (2, None),
            _ if error.kind() == pager::ErrorKind::Incomplete => (
                INCOMPLETE,
                Some("the API ended before all that it counts: run it again to go on there, or ask for another period"),
            ),
            _ => (4, None),
        };
        Self { code, message: format!("{api_host}: {}", chain(error)), hint: hint.map(str::to_owned) }
    }
}

impl From<tower_oauth2::Error> for Failure {
    fn from(error: tower_oauth2::Error) -> Self {
        Self::usage(chain(&error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl StdError for Failure {}

/// An error with its causes, each once.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// The data is not complete.
const INCOMPLETE: u8 = 5;
/// As a shell reports a process that a broken pipe ended.
const SIGPIPE: u8 = 128 + 13;
