//! The export: a stack of layers, a pager on it, a file.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;
use tower::ServiceBuilder;
use tower_http::decompression::DecompressionLayer;
use tower_oauth2::{
    OAuthLayer, TokenCache,
    client::HttpsClient,
    grant::ClientCredentials,
    retry::{RetryLayer, RetryPolicy},
};

use crate::{
    args::Args,
    checkpoint::Subject,
    config::{self, Api, Credentials, Patience, Period},
    disk::RealDisk,
    failure::Failure,
    output::{Output, Unusable},
    progress::Progress,
    pump::{Halt, Told, pump},
    query,
    simulator::Simulator,
    stop,
    summary::Summary,
};

/// Exports what `args` ask for. What the summary says is also saved if the run fails.
///
/// # Errors
///
/// Whatever kept a record from being exported.
pub async fn run(args: &Args, credentials: Credentials, progress: Progress) -> Result<Summary, Failure> {
    let api = Api::resolve(args, credentials)?;
    let filters = config::filters(args)?;
    config::check_files(args)?;
    let page_size = config::page_size(args);
    // Kept until the end of the run: it stops when it is dropped.
    let mut simulator = None;
    let restart = args.restart || api.is_none();
    let api = match api {
        Some(api) => api,
        None => simulator.insert(Simulator::start(&progress).await?).api(),
    };
    let period = Period::resolve(args, Timestamp::now())?;
    let subject = Subject { api: api.base_url.clone(), shape: args.shape, page_size, filters, period };
    // A mistake in it is found before the output is touched.
    drop(query::build(&subject, &period).map_err(|error| Failure::usage(error.to_string()))?);
    let mut export = Export::new(args, &api, subject, restart, progress)?;
    let (watch, told) = stop::watch(export.progress.clone());
    let result = tokio::select! {
        result = export.pages(args) => result,
        Ok(signal) = told => Err(Failure::stopped(signal)),
    };
    // What a simulator of this process has is gone with it.
    let result = export.finish(args, result, simulator.is_none());
    watch.abort();
    if let (Some(simulator), false) = (&simulator, args.quiet) {
        export.progress.say(&simulator.report());
    }
    result
}

struct Export {
    api_host: String,
    token_host: String,
    tokens: TokenCache,
    policy: RetryPolicy,
    http: HttpsClient,
    oauth: OAuthLayer,
    output: Output<RealDisk>,
    progress: Progress,
    /// Pages asked for again because their body was broken.
    repeats: u64,
    started: Instant,
}

// === impl Export ===

impl Export {
    /// Touches the output only when nothing else is left that could be wrong here.
    fn new(args: &Args, api: &Api, subject: Subject, restart: bool, progress: Progress) -> Result<Self, Failure> {
        let patience = Patience::from(args);
        let http = HttpsClient::builder();
        let http = http.connect_timeout(patience.connect).response_timeout(patience.request).build()?;
        let mut grant = ClientCredentials::new(http.clone(), &api.token_url, api.auth.clone())?;
        if let Some(scope) = &args.scope {
            grant = grant.scope(scope);
        }
        // A login server that is restarted is waited for, for some seconds.
        let grant = grant.attempts(5).timeout(TOKEN_TIMEOUT);
        // One request at a time cannot make a storm of 401s: each is replayed, and the first that stays one ends the run.
        let tokens =
            TokenCache::builder(grant).fetch_timeout(2 * TOKEN_TIMEOUT).flap_interval(Duration::from_millis(100));
        let tokens = tokens.build();
        let oauth = OAuthLayer::for_origin(&api.base_url, tokens.clone())?.acquire_timeout(2 * TOKEN_TIMEOUT);
        if let Some(path) = &args.summary {
            // Found out now rather than at the end; and no earlier run's summary outlives one that is killed.
            Summary::default().save(path).map_err(|error| Failure::output(path, &error))?;
        }
        let unusable = |unusable| match unusable {
            Unusable::Io(error) => Failure::output(&args.output, &error),
            Unusable::Refused(problem) => Failure::usage(problem),
        };
        let output = if args.output == Path::new("-") {
            Output::stdout(subject)
        } else {
            Output::open(RealDisk, &args.output, subject, args.said(), restart)
        };
        let output = output.map_err(unusable)?;
        if output.found() > 0 && !args.quiet {
            let at = output.state().records;
            progress.say(&format!("going on after {at} conversations that are in {}", args.output.display()));
        }
        Ok(Self {
            api_host: host_of(&api.base_url),
            token_host: host_of(&api.token_url),
            tokens,
            policy: patience.policy(),
            http,
            oauth,
            output,
            progress,
            repeats: 0,
            started: Instant::now(),
        })
    }

    /// Asks for page after page, and writes each before it asks for the next.
    async fn pages(&mut self, args: &Args) -> Result<(), Failure> {
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(self.policy.clone()))
            .layer(self.oauth.clone())
            .layer(DecompressionLayer::new())
            .service(self.http.clone());
        let Self { output, progress, repeats, .. } = self;
        let tell = |told: Told| progress.show(told.records, told.total);
        let pumped = pump(stack, &Patience::from(args), output, repeats, tell).await;
        pumped.map_err(|halt| match halt {
            Halt::Api(error) => Failure::of_pager(&error, &self.api_host, &self.token_host),
            Halt::Output(error) => Failure::output(&args.output, &error),
            Halt::TooDense(part) => Failure::too_dense(&part),
        })
    }

    fn finish(&mut self, args: &Args, result: Result<(), Failure>, lasting: bool) -> Result<Summary, Failure> {
        let (tokens, retries, state) = (self.tokens.stats(), self.policy.stats(), self.output.state());
        let summary = Summary {
            complete: result.is_ok(),
            records: state.records,
            records_before: self.output.found(),
            pages: state.pages,
            bytes: state.bytes,
            tokens_minted: tokens.minted,
            replays_401: retries.replays,
            retries: retries.retries + self.repeats,
            elapsed: Instant::now().saturating_duration_since(self.started),
        };
        self.progress.clear();
        let saved = args
            .summary
            .as_ref()
            .map_or(Ok(()), |path| summary.save(path).map_err(|error| Failure::output(path, &error)));
        // What ended the run matters more than that nobody could be told.
        let goes_on = lasting && self.output.can_go_on();
        result.and(saved).map(|()| summary).map_err(|failure| failure.after(summary.records, goes_on))
    }
}

fn host_of(url: &str) -> String {
    let uri: Option<http::Uri> = url.parse().ok();
    uri.and_then(|uri| uri.authority().map(ToString::to_string)).unwrap_or_else(|| url.to_owned())
}

const TOKEN_TIMEOUT: Duration = Duration::from_secs(20);
