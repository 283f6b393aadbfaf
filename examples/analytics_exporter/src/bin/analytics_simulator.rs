//! `analytics_simulator`: the simulator of the exporter, on a port of its own, for any client.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use analytics_exporter::{
    args::duration,
    failure::Failure,
    simulator::{ID, SECRET, Simulator},
    stop,
};
use clap::Parser;
use tower_oauth2::testing::{Analytics, Faults, Issuer};

/// Serves an authorization server and a conversation analytics API like Genesys Cloud's on one port, until it is
/// interrupted or terminated. Then it prints what it was asked as JSON.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,

    /// How many users there are
    #[arg(long, default_value_t = 25, value_name = "N")]
    users: u64,

    /// How many external contacts there are
    #[arg(long, default_value_t = 25, value_name = "N")]
    contacts: u64,

    /// Access key of a CXone user to accept, as id:secret
    #[arg(long, value_name = "ID:SECRET")]
    access_key: Option<String>,

    /// Client id and secret to accept, as id:secret
    #[arg(long, default_value_t = format!("{ID}:{SECRET}"), value_name = "ID:SECRET")]
    client: String,

    /// How many conversations there are, spread over the last week
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    records: u64,

    /// How long a token lives
    #[arg(long, default_value = "2s", value_parser = duration, value_name = "DURATION")]
    token_lifetime: Duration,

    /// How long the token endpoint takes
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    token_latency: Option<Duration>,

    /// Requests a window for each client; none by default
    #[arg(long, value_name = "N")]
    rate_limit: Option<u32>,

    /// The window of the rate limit
    #[arg(long, default_value = "1s", value_parser = duration, value_name = "DURATION")]
    rate_window: Duration,

    /// How long the API takes
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    latency: Option<Duration>,

    /// Share of requests answered with 500, 502, 503 or 504
    #[arg(long, default_value_t = 0.0, value_name = "0..1")]
    server_error: f64,

    /// Share of requests whose connection is reset
    #[arg(long, default_value_t = 0.0, value_name = "0..1")]
    reset: f64,

    /// Share of pages that break off in the middle
    #[arg(long, default_value_t = 0.0, value_name = "0..1")]
    truncate: f64,

    /// Share of pages that stall in the middle
    #[arg(long, default_value_t = 0.0, value_name = "0..1")]
    stall: f64,

    /// Share of pages that are an HTML error with status 200
    #[arg(long, default_value_t = 0.0, value_name = "0..1")]
    html: f64,

    /// Share of pages that are empty
    #[arg(long, default_value_t = 0.0, value_name = "0..1")]
    empty: f64,

    /// Share of requests refused although their token is good
    #[arg(long, default_value_t = 0.0, value_name = "0..1")]
    unauthorized: f64,

    /// Revoke all tokens after every N pages
    #[arg(long, value_name = "N")]
    revoke_every: Option<u64>,

    /// Seed of the data and the faults
    #[arg(long, default_value_t = 42, value_name = "N")]
    seed: u64,

    /// Where to write what it was asked, when it ends
    #[arg(long, value_name = "FILE")]
    stats: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

async fn run(args: Args) -> Result<(), Failure> {
    let simulator = Simulator::serve(analytics(&args)?, args.listen).await?;
    // Before anybody can know that there is something to stop.
    let asked = stop::asked();
    say(&format!("listening on {}\ntry: {}\n", simulator.url(), hint(&args, &simulator)));
    asked.await;
    let stats = format!("{:#}\n", simulator.stats());
    match &args.stats {
        Some(path) => std::fs::write(path, stats).map_err(|error| Failure::output(path, &error)),
        None => {
            say(&stats);
            Ok(())
        }
    }
}

fn say(text: &str) {
    let mut out = io::stdout();
    // Whoever started it may have stopped listening; its clients have not.
    let _unheard = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn analytics(args: &Args) -> Result<Analytics, Failure> {
    let (id, secret) = args.client.split_once(':').ok_or_else(|| Failure::usage("--client takes id:secret"))?;
    let shares = [args.server_error, args.reset, args.truncate, args.stall, args.html, args.empty, args.unauthorized];
    if shares.iter().any(|share| !(0.0..=1.0).contains(share)) {
        return Err(Failure::usage("a share is a number from 0 to 1"));
    }
    let mut faults = Faults::new()
        .server_error(args.server_error)
        .reset(args.reset)
        .truncate(args.truncate)
        .stall(args.stall)
        .html(args.html)
        .empty(args.empty)
        .unauthorized(args.unauthorized);
    if let Some(pages) = args.revoke_every {
        faults = faults.revoke_every(pages);
    }
    let issuer = Issuer::builder()
        .client(id, secret)
        .lifetime(args.token_lifetime)
        .latency(args.token_latency.unwrap_or_default());
    let issuer = match args.access_key.as_deref().map(|key| key.split_once(':')) {
        None => issuer.build(),
        Some(Some((id, secret))) => issuer.access_key(id, secret).build(),
        Some(None) => return Err(Failure::usage("--access-key takes id:secret")),
    };
    let api = Analytics::builder(&issuer)
        .records(args.records)
        .users(args.users)
        .contacts(args.contacts)
        .seed(args.seed)
        .latency(args.latency.unwrap_or_default())
        .faults(faults);
    Ok(match args.rate_limit {
        Some(requests) => api.rate_limit(requests, args.rate_window).build(),
        None => api.build(),
    })
}

fn hint(args: &Args, simulator: &Simulator) -> String {
    let (id, secret) = args.client.split_once(':').unwrap_or_default();
    let url = simulator.url();
    format!(
        "GENESYS_CLIENT_ID={id} GENESYS_CLIENT_SECRET={secret} analytics_exporter --api-url {url} --token-url {url}/oauth/token"
    )
}
