//! What can be said on the command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Exports Genesys Cloud conversations to NDJSON, one conversation a line, as the API wrote it.
///
/// Without credentials in the environment it starts a simulator of the API on this machine and exports from that.
#[derive(Clone, Debug, Parser)]
#[command(version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Args {
    /// Region: its domain (mypurecloud.ie), its AWS name (eu-west-1), or mypurecloud for the first one
    #[arg(long, env = "GENESYS_ENVIRONMENT", value_name = "REGION")]
    pub region: Option<String>,

    /// Base URL of the API, instead of a region's
    #[arg(long, env = "GENESYS_ENV_URL", value_name = "URL")]
    pub api_url: Option<String>,

    /// Token endpoint, instead of a region's
    #[arg(long, env = "GENESYS_TOKEN_URL", value_name = "URL")]
    pub token_url: Option<String>,

    /// Scopes to ask for, separated by spaces; Genesys Cloud itself needs none
    #[arg(long, env = "GENESYS_SCOPE", value_name = "SCOPE")]
    pub scope: Option<String>,

    /// First instant to export, RFC 3339 [default: seven days before --to]
    #[arg(long, value_name = "INSTANT")]
    pub from: Option<Timestamp>,

    /// First instant not to export, RFC 3339 [default: now]
    #[arg(long, value_name = "INSTANT")]
    pub to: Option<Timestamp>,

    /// Conversations a page; the API takes 100 at the most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub page_size: u32,

    /// What the API's pages look like
    #[arg(long, value_enum, default_value_t)]
    pub shape: Shape,

    /// JSON object with filters to merge into the query, such as segmentFilters; neither its period nor its paging
    #[arg(long, value_name = "FILE")]
    pub query: Option<PathBuf>,

    /// Where to write; - is the standard output. A run that stops is gone on with by the next one with the same flags, from
    /// the .checkpoint beside it
    #[arg(long, short, default_value = "conversations.ndjson", value_name = "FILE")]
    pub output: PathBuf,

    /// Begin anew, whatever an earlier run that did not come to its end has left in the output
    #[arg(long)]
    pub restart: bool,

    /// Where to write a summary of the run, as JSON
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,

    /// How to log, to the standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub log: Log,

    /// Print nothing but warnings and errors
    #[arg(long, short)]
    pub quiet: bool,

    /// How long connecting may take: seconds, or a duration such as 1500ms
    #[arg(long, default_value = "5s", value_parser = duration, value_name = "DURATION")]
    pub connect_timeout: Duration,

    /// How long the API may take to begin an answer, for each attempt
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "DURATION")]
    pub request_timeout: Duration,

    /// How long an answer may pause
    #[arg(long, default_value = "30s", value_parser = duration, value_name = "DURATION")]
    pub idle_timeout: Duration,

    /// The longest Retry-After to wait for; a longer one ends the run
    #[arg(long, default_value = "180s", value_parser = duration, value_name = "DURATION")]
    pub max_retry_after: Duration,
}

// === impl Args ===

impl Args {
    /// From the command line and the environment. What is blank was not said.
    pub fn read() -> Self {
        Self::parse().without_blanks()
    }

    /// Which ends of the period were said.
    pub const fn said(&self) -> Said {
        Said { from: self.from.is_some(), to: self.to.is_some() }
    }

    fn without_blanks(mut self) -> Self {
        for text in [&mut self.region, &mut self.api_url, &mut self.token_url, &mut self.scope] {
            text.take_if(|text| text.trim().is_empty());
        }
        self
    }
}

/// How to log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Log {
    /// For people
    #[default]
    Text,
    /// An object a line
    Json,
}

/// Which ends of the period were said; a run that is gone on with decides on the others.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub from: bool,
    pub to: bool,
}

/// What the API's pages look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// The real API: conversations and totalHits, pages by number
    #[default]
    Details,
    /// results and a nextPage URL
    Results,
    /// entities and a next_page token
    Entities,
}

// === impl Shape ===

impl Shape {
    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Details => "details",
            Self::Results => "results",
            Self::Entities => "entities",
        }
    }

    /// The members of a query that flags decide on, and those flags.
    pub const fn reserved(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Details => &[("interval", "--from and --to"), ("paging", "--page-size")],
            Self::Results => &[("dateFrom", "--from"), ("dateTo", "--to"), ("size", "--page-size")],
            Self::Entities => &[("time_filter", "--from and --to"), ("size", "--page-size")],
        }
    }
}

/// A number of seconds, or a duration with a unit; not zero, not negative, a day at the most.
///
/// # Errors
///
/// For anything else.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => text.parse::<SignedDuration>().ok().and_then(|signed| Duration::try_from(signed).ok()),
    };
    parsed
        .filter(|duration| !duration.is_zero() && *duration <= Duration::from_secs(24 * 60 * 60))
        .ok_or_else(|| "say seconds, such as 30, or a duration, such as 1500ms or 2m; a day at the most".to_owned())
}

const AFTER_HELP: &str = "\
Environment:
  GENESYS_CLIENT_ID, GENESYS_CLIENT_SECRET   an OAuth client of the grant type Client Credentials, whose role has
                                             analytics:conversationDetail:view
  RUST_LOG                                   what to log, such as tower_oauth2=debug [default: warn]

Exit codes:
  0 everything was exported    2 usage or configuration    3 authentication
  1 the output failed          4 the API refused           5 the data is not complete
  130 interrupted              143 terminated";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn durations_are_seconds_or_have_a_unit() {
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "0", "-1", "-1s", "soon", "inf", "NaN", "1e99", "25h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
