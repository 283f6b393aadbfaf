//! What can be said on the command line.

use std::{fmt, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use bytesize::ByteSize;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, ValueEnum, parser::ValueSource};
use jiff::{Span, SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    form::{Compression, Format},
    source::{Source, Vendor},
};

/// Exports Genesys Cloud and NICE CXone analytics to files: each record as the API wrote it, none lost, none twice.
///
/// Without credentials in the environment it starts a simulator of the API on this machine and exports from that.
#[derive(Clone, Debug, Parser)]
#[command(version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Args {
    /// What to export
    #[arg(long, value_enum, default_value_t)]
    pub source: Source,

    /// Region: its domain (mypurecloud.ie), its AWS name (eu-west-1), or mypurecloud for the first one
    #[arg(long, env = "GENESYS_ENVIRONMENT", value_name = "REGION", help_heading = "API")]
    pub region: Option<String>,

    /// Base URL of the API, instead of a region's
    #[arg(long, env = "GENESYS_ENV_URL", value_name = "URL", help_heading = "API")]
    pub api_url: Option<String>,

    /// Token endpoint, instead of a region's
    #[arg(long, env = "GENESYS_TOKEN_URL", value_name = "URL", help_heading = "API")]
    pub token_url: Option<String>,

    /// Scopes to ask for, separated by spaces; Genesys Cloud itself needs none
    #[arg(long, env = "GENESYS_SCOPE", value_name = "SCOPE", help_heading = "API")]
    pub scope: Option<String>,

    /// Issuer of CXone's tokens; where its token endpoint and the tenant's API are is found out there, unless both URLs are said
    #[arg(long, env = "CXONE_ISSUER", default_value = tower_oauth2::cxone::ISSUER, value_name = "URL", help_heading = "API")]
    pub cxone_issuer: String,

    /// First instant to export, RFC 3339 [default: where the last complete run into the same output ended, or seven days
    /// before --to]
    #[arg(long, value_name = "INSTANT")]
    pub from: Option<Timestamp>,

    /// First instant not to export, RFC 3339 [default: now; of a job, until when the API has data]
    #[arg(long, value_name = "INSTANT")]
    pub to: Option<Timestamp>,

    /// How much of what the last complete run had is exported again without --from, for what came late or has changed since
    #[arg(long, default_value = "0s", value_parser = lookback, value_name = "DURATION")]
    pub lookback: Duration,

    /// Export only one of N equal pieces of the period, counted from 1, such as 2/3; the others are for other machines
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,

    /// Parts of the period to ask for at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64), value_name = "N")]
    pub concurrency: u32,

    /// Records a page [default: the most that the API takes]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub page_size: Option<u32>,

    /// What the pages of the details query look like
    #[arg(long, value_enum, default_value_t)]
    pub shape: Shape,

    /// JSON object with filters to merge into the query, such as segmentFilters; neither its period nor its paging
    #[arg(long, value_name = "FILE")]
    pub query: Option<PathBuf>,

    /// Where to write; - is the standard output. A run that stops is gone on with by the next one with the same flags, from
    /// the .checkpoint beside it [default: the records' name and format, such as conversations.ndjson]
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// How to write
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub format: Format,

    /// Columns of CSV and Parquet, separated by commas: a name, or names with dots between for what is nested, such as
    /// participants.0.purpose; NAME=PATH calls it something else, and :int, :float, :bool or :timestamp behind it is its type in
    /// Parquet [default: some of each source]
    #[arg(long, value_delimiter = ',', value_name = "FIELD", help_heading = "Output")]
    pub fields: Vec<String>,

    /// Compress, page by page, so that what a crash leaves can be gone on with
    #[arg(long, value_enum, value_name = "HOW", help_heading = "Output")]
    pub compress: Option<Compression>,

    /// Begin another file after the page with which one is this long, such as 100MB: conversations-00001.ndjson, …
    #[arg(long, value_name = "SIZE", help_heading = "Output")]
    pub rotate: Option<ByteSize>,

    /// Begin anew, whatever earlier runs have left in the output
    #[arg(long, help_heading = "Output")]
    pub restart: bool,

    /// How much of what is fetched ahead of its turn, with --concurrency, may wait on the disk, for each part
    #[arg(long, default_value = "1GB", value_name = "SIZE", help_heading = "Output")]
    pub spool: ByteSize,

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
        let matches = Self::command().get_matches();
        let args = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let of_environment = |name: &str| matches.value_source(name) == Some(ValueSource::EnvVariable);
        args.of_vendor(of_environment).without_blanks()
    }

    /// Which ends of the period were said.
    pub const fn said(&self) -> Said {
        Said { from: self.from.is_some(), to: self.to.is_some() }
    }

    /// Where to write.
    pub fn output(&self) -> PathBuf {
        let name = || format!("{}.{}", self.source.noun(), self.format.extension(self.compress)).into();
        self.output.clone().unwrap_or_else(name)
    }

    /// Without what the environment says of Genesys Cloud, where that is not asked: CXone's secrets are not for its URLs.
    fn of_vendor(mut self, of_environment: impl Fn(&str) -> bool) -> Self {
        if self.source.vendor() == Vendor::Cxone {
            let genesys = [
                ("region", &mut self.region),
                ("api_url", &mut self.api_url),
                ("token_url", &mut self.token_url),
                ("scope", &mut self.scope),
            ];
            for (name, text) in genesys {
                text.take_if(|_| of_environment(name));
            }
        }
        self
    }

    fn without_blanks(mut self) -> Self {
        for text in [&mut self.region, &mut self.api_url, &mut self.token_url, &mut self.scope] {
            text.take_if(|text| text.trim().is_empty());
        }
        if self.cxone_issuer.trim().is_empty() {
            self.cxone_issuer = tower_oauth2::cxone::ISSUER.to_owned();
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

/// One of so many pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Shard {
    pub piece: u32,
    pub of: u32,
}

// === impl Shard ===

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (piece, of) = text.split_once('/')?;
            Some(Self { piece: piece.parse().ok()?, of: of.parse().ok()? })
        };
        let there = |shard: &Self| (1..=shard.of).contains(&shard.piece) && shard.of <= 10_000;
        read().filter(there).ok_or_else(|| "say which piece of how many, such as 2/3; 10,000 at the most".to_owned())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.piece, self.of)
    }
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
    within(text, Duration::from_nanos(1)..=DAY)
        .ok_or_else(|| "say seconds, such as 30, or a duration, such as 1500ms or 2m; a day at the most".to_owned())
}

fn lookback(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO..=366 * DAY)
        .ok_or_else(|| "say seconds, such as 3600, or a duration, such as 36h or 7d; a year at the most".to_owned())
}

fn within(text: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        // A day is 24 hours here, as nobody has said in which time zone it is.
        Err(_) => text.parse::<Span>().ok().and_then(|span| {
            let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
            Duration::try_from(signed).ok()
        }),
    };
    parsed.filter(|duration| range.contains(duration))
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const AFTER_HELP: &str = "\
Environment:
  GENESYS_CLIENT_ID, GENESYS_CLIENT_SECRET   an OAuth client of the grant type Client Credentials, whose role has
                                             analytics:conversationDetail:view, directory:user:view or
                                             externalContacts:contact:view, as the source needs it
  CXONE_CLIENT_ID, CXONE_CLIENT_SECRET,      a back-end application of CXone, and the access key of a user that it
  CXONE_ACCESS_KEY_ID, CXONE_ACCESS_KEY_SECRET   signs in as
  CXONE_API_URL, CXONE_TOKEN_URL             --api-url and --token-url for CXone
  RUST_LOG                                   what to log, such as tower_oauth2=debug [default: warn]

Exit codes:
  0 everything was exported    2 usage or configuration    3 authentication
  1 the output failed          4 the API refused           5 the data is not complete
  130 interrupted              143 terminated";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_shard_is_one_of_so_many() {
        assert_eq!("2/3".parse(), Ok(Shard { piece: 2, of: 3 }));
        for bad in ["", "2", "0/3", "4/3", "-1/3", "1/0", "a/b", "1/3/5", "1/10001"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_output_is_called_after_what_is_in_it() {
        for (flags, name) in [
            (&[][..], "conversations.ndjson"),
            (&["--source", "users", "--format", "csv"], "users.csv"),
            (&["--source", "cxone-contacts", "--compress", "gzip"], "contacts.ndjson.gz"),
            (&["--format", "parquet"], "conversations.parquet"),
            (&["--compress", "zstd", "-o", "x"], "x"),
        ] {
            let args = Args::parse_from([&["analytics_exporter"], flags].concat());
            assert_eq!(args.output(), PathBuf::from(name));
        }
    }

    #[test]
    fn durations_are_seconds_or_have_a_unit() {
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "0", "-1", "-1s", "soon", "inf", "NaN", "1e99", "25h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!(lookback("7d"), Ok(7 * DAY));
        assert_eq!(lookback("0"), Ok(Duration::ZERO));
        assert!(lookback("-1h").is_err() && lookback("367d").is_err());
    }
}
