//! The export: a stack of layers, a pager on it, a file.

use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::{task::block_in_place, time::Instant};
use tower::ServiceBuilder;
use tower_http::decompression::DecompressionLayer;
use tower_oauth2::{
    OAuthLayer, TokenCache,
    client::HttpsClient,
    grant::ClientCredentials,
    pager::{Error, Page, Pager, Query},
    retry::{RetryLayer, RetryPolicy},
};

use crate::{
    args::Args,
    config::{self, Api, Credentials, Patience, Period},
    failure::Failure,
    progress::Progress,
    query,
    simulator::Simulator,
    sink::Sink,
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
    let period = Period::resolve(args, Timestamp::now())?;
    let filters = config::filters(args)?;
    config::check_files(args)?;
    let page_size = config::page_size(args);
    // Kept until the end of the run: it stops when it is dropped.
    let mut simulator = None;
    let api = match api {
        Some(api) => api,
        None => simulator.insert(Simulator::start(&progress).await?).api(),
    };
    let query = query::build(args.shape, &api.base_url, &period, page_size, filters)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let mut export = Export::new(args, &api, progress)?;
    let (watch, told) = stop::watch(export.progress.clone());
    let result = tokio::select! {
        result = export.pages(args, query) => result,
        Ok(signal) = told => Err(Failure::stopped(signal)),
    };
    let result = export.finish(args, result);
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
    sink: Sink,
    progress: Progress,
    pages: u64,
    /// Pages asked for again because their body was broken.
    repeats: u64,
    started: Instant,
}

// === impl Export ===

impl Export {
    /// Touches the output only when nothing else is left that could be wrong here.
    fn new(args: &Args, api: &Api, progress: Progress) -> Result<Self, Failure> {
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
        let sink = Sink::create(&args.output).map_err(|error| Failure::output(&args.output, &error))?;
        Ok(Self {
            api_host: host_of(&api.base_url),
            token_host: host_of(&api.token_url),
            tokens,
            policy: patience.policy(),
            http,
            oauth,
            sink,
            progress,
            pages: 0,
            repeats: 0,
            started: Instant::now(),
        })
    }

    /// Asks for page after page, and writes each before it asks for the next.
    async fn pages(&mut self, args: &Args, query: Query) -> Result<(), Failure> {
        let patience = Patience::from(args);
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(self.policy.clone()))
            .layer(self.oauth.clone())
            .layer(DecompressionLayer::new())
            .service(self.http.clone());
        let mut pages = Pager::new(stack, query).idle_timeout(patience.idle).body_timeout(patience.body());
        while let Some(page) = pages.next().await {
            self.repeats = pages.repeats();
            self.write(args, page)?;
        }
        Ok(())
    }

    fn write(&mut self, args: &Args, page: Result<Page, Error>) -> Result<(), Failure> {
        let page = page.map_err(|error| Failure::of_pager(&error, &self.api_host, &self.token_host))?;
        // Tells the runtime that this thread waits for a disk.
        block_in_place(|| self.sink.write(&page)).map_err(|error| Failure::output(&args.output, &error))?;
        self.pages += 1;
        self.progress.show(self.sink.records(), page.total());
        Ok(())
    }

    fn finish(&mut self, args: &Args, result: Result<(), Failure>) -> Result<Summary, Failure> {
        let flushed =
            block_in_place(|| self.sink.finish(result.is_ok())).map_err(|error| Failure::output(&args.output, &error));
        let result = result.and(flushed);
        let (tokens, retries) = (self.tokens.stats(), self.policy.stats());
        let summary = Summary {
            complete: result.is_ok(),
            records: self.sink.records(),
            pages: self.pages,
            bytes: self.sink.bytes(),
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
        result.and(saved).map(|()| summary).map_err(|failure| failure.after(summary.records))
    }
}

fn host_of(url: &str) -> String {
    let uri: Option<http::Uri> = url.parse().ok();
    uri.and_then(|uri| uri.authority().map(ToString::to_string)).unwrap_or_else(|| url.to_owned())
}

const TOKEN_TIMEOUT: Duration = Duration::from_secs(20);
