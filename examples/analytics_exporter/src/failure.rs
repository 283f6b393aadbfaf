//! How a run ends when it does not end well: a sentence, a hint, an exit code.

use std::{error::Error as StdError, fmt, io, path::Path};

use tower_oauth2::{Error as TokenError, pager};

use crate::{config::Period, stop::Signal};

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
    pub fn after(mut self, records: u64, goes_on: bool) -> Self {
        if records > 0 {
            let then = if goes_on { ": run it again with the same flags to go on" } else { "" };
            self.message =
                format!("{} (after {records} conversations; the output is not complete{then})", self.message);
        }
        self
    }

    /// More conversations at one time than the API counts.
    pub fn too_dense(part: &Period) -> Self {
        let [from, to] = part.bounds();
        let message =
            format!("more than 100,000 conversations began between {from} and {to}, and the API counts no further");
        Self { code: 4, message, hint: Some("ask for fewer, with filters in --query".into()) }
    }

    /// Whether there is nobody left to tell.
    pub const fn is_silent(&self) -> bool {
        self.code == SIGPIPE
    }

    fn authentication(error: &TokenError, token_host: &str) -> Self {
        let hint = match error.oauth_code() {
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

    /// What a pager failed with.
    pub fn of_pager(error: &pager::Error, api_host: &str, token_host: &str) -> Self {
        if let Some(token) = TokenError::find(error) {
            if token.is_config() {
                return Self::usage(token.to_string());
            }
            return Self::authentication(token, token_host);
        }
        let (code, hint) = match error.status().map(|status| status.as_u16()) {
            Some(401) => (3, Some("the API refuses the tokens it is sent: are API and token URL of the same region?")),
            Some(403) => (4, Some("give the client's role the permission analytics:conversationDetail:view")),
            Some(429) => (4, Some("the API asks for a longer wait than --max-retry-after, or limits without end")),
            Some(503) => {
                (4, Some("the API was down at every attempt, or asks for a longer wait than --max-retry-after"))
            }
            _ if error.kind() == pager::ErrorKind::Config => (2, None),
            _ if error.kind() == pager::ErrorKind::Incomplete => (
                5,
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

/// As a shell reports a process that a broken pipe ended.
const SIGPIPE: u8 = 128 + 13;
