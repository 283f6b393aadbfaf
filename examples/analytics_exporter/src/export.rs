//! The export: a stack of layers, pagers on it, an output.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, Limited};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _};
use tower_http::decompression::DecompressionLayer;
use tower_oauth2::{
    OAuthLayer, TokenCache,
    client::HttpsClient,
    retry::{CooldownLayer, RetryLayer, RetryPolicy, cooldown::Pacing},
};

use crate::{
    api::{Api, Environment, Found, TOKEN_TIMEOUT, host_of},
    args::Args,
    checkpoint::{Mark, Subject},
    config::{self, Patience},
    disk::RealDisk,
    failure::{Failure, Scene},
    form::Form,
    lane::{Common, Halt, Jobs},
    output::{Opened, Output, Said, Unusable, is_stdout},
    period::Period,
    progress::{Counts, Progress},
    pump::{Manner, pump},
    simulator::Simulator,
    source::{Source, Vendor},
    stop,
    summary::Summary,
};

/// Exports what `args` ask for; what is to be said of it. What the summary says is also saved if the run fails.
///
/// # Errors
///
/// Whatever kept a record from being exported.
pub async fn run(args: &Args, environment: Environment, progress: Progress) -> Result<String, Failure> {
    config::check_flags(args)?;
    let api = Api::resolve(args, environment)?;
    let filters = config::filters(args)?;
    let form = Form::resolve(args)?;
    config::check_files(args, &form)?;
    let page_size = config::page_size(args);
    let period = config::period(args, Timestamp::now())?;
    // Kept until the end of the run: it stops when it is dropped.
    let mut simulator = None;
    let simulated = api.is_none();
    let api = match api {
        Some(api) => api,
        None => simulator.insert(Simulator::start(args.source, &progress).await?).api(args.source.vendor()),
    };
    let (watch, mut told) = stop::watch(progress.clone());
    let begin = async {
        let stack = Stack::new(args, api).await?;
        let api = stack.base_url.clone();
        let mut subject = Subject {
            api,
            source: args.source,
            shape: args.shape,
            page_size,
            filters,
            form,
            shard: args.shard,
            period,
        };
        // A mistake in it is found before the output is touched.
        drop(subject.query(subject.period.as_ref(), true).map_err(|error| Failure::usage(error.to_string()))?);
        if let Some(summary) = &args.summary {
            // Found out now rather than at the end; and no earlier run's summary outlives one that is killed.
            let nothing = Summary { source: args.source, ..Summary::default() };
            nothing.save(summary).map_err(|error| Failure::output(summary, &error))?;
        }
        if args.to.is_none() {
            stack.trim(&mut subject).await?;
        }
        Ok::<_, Failure>((stack, subject))
    };
    let (stack, subject) = tokio::select! {
        begun = begin => begun?,
        Ok(signal) = &mut told => return Err(Failure::stopped(signal)),
    };
    let said = Said {
        from: args.from.is_some(),
        to: args.to.is_some(),
        restart: args.restart,
        simulated,
        lookback: args.lookback,
        at_once: args.concurrency,
    };
    let mut export = match Export::open(args, stack, subject, said, progress.clone())? {
        Ok(export) => export,
        Err((to, mark)) => {
            watch.abort();
            if let Some(summary) = &args.summary {
                let all = Summary { source: args.source, complete: true, ..Summary::default() }.of(&mark, &mark);
                all.save(summary).map_err(|error| Failure::output(summary, &error))?;
            }
            return Ok(format!("nothing new: {} has everything until {to}", args.output().display()));
        }
    };
    let (stop, stopped) = watch::channel(false);
    let result = {
        let pages = export.pages(args, stopped);
        tokio::pin!(pages);
        tokio::select! {
            result = &mut pages => result,
            Ok(signal) = told => {
                // The page in hand is finished, if it comes soon.
                stop.send_replace(true);
                pages.await.map_err(|_| Failure::stopped(signal))
            }
        }
    };
    // What a simulator of this process has is gone with it.
    let result = export.finish(args, result, simulator.is_none());
    watch.abort();
    if let (Some(simulator), false) = (&simulator, args.quiet) {
        progress.say(&simulator.report());
    }
    result.map(|summary| summary.line(&export.path))
}

/// What requests go through.
struct Stack {
    source: Source,
    base_url: String,
    token_url: String,
    tokens: TokenCache,
    policy: RetryPolicy,
    cooldown: CooldownLayer,
    oauth: OAuthLayer,
    http: HttpsClient,
    patience: Patience,
}

// === impl Stack ===

impl Stack {
    async fn new(args: &Args, api: Api) -> Result<Self, Failure> {
        let patience = Patience::from(args);
        let http = HttpsClient::builder();
        let http = http.connect_timeout(patience.connect).response_timeout(patience.request).build()?;
        let Found { base_url, token_url, tokens } = api.find(args, http.clone()).await?;
        let oauth = OAuthLayer::for_origin(&base_url, tokens.clone())?.acquire_timeout(2 * TOKEN_TIMEOUT);
        let cooldown = CooldownLayer::new().max_wait(patience.max_retry_after);
        let cooldown = match args.source.vendor() {
            Vendor::Genesys => cooldown.pace(Pacing::genesys().margin(Duration::ZERO)),
            Vendor::Cxone => cooldown,
        };
        let policy = patience.policy();
        Ok(Self { source: args.source, base_url, token_url, tokens, policy, cooldown, oauth, http, patience })
    }

    /// One token, one cool-down, whatever is asked for at once.
    fn service(
        &self,
    ) -> impl Service<
        Request<Full<Bytes>>,
        Response = Response<impl Body<Data: Send, Error: Into<BoxError>> + Send + 'static + use<>>,
        Error = BoxError,
        Future: Send,
    >
    + Clone
    + Send
    + 'static
    + use<> {
        ServiceBuilder::new()
            .layer(RetryLayer::new(self.policy.clone()))
            .layer(self.cooldown.clone())
            .layer(self.oauth.clone())
            .layer(DecompressionLayer::new())
            .service(self.http.clone())
    }

    fn failure(&self, halt: &Halt, output: &Path) -> Failure {
        let (api_host, token_host) = (host_of(&self.base_url), host_of(&self.token_url));
        Failure::of(halt, &Scene { source: self.source, api_host: &api_host, token_host: &token_host, output })
    }
}

impl Stack {
    /// Ends the period where there is no data yet, if the API says that: nobody asked for more.
    async fn trim(&self, subject: &mut Subject) -> Result<(), Failure> {
        let (Source::Job, Some(period)) = (self.source, &mut subject.period) else { return Ok(()) };
        // Without an answer it is left as it is: what is wrong is told by the export itself.
        let answer = timeout(self.patience.request, self.availability()).await;
        let until = answer.map_err(BoxError::from).and_then(|answer| answer);
        let until = until.inspect_err(|error| tracing::debug!(error, "until when there is data is not known")).ok();
        if let Some(until) = until.filter(|until| *until < period.to) {
            tracing::info!(%until, "the API has data until then");
            *period = Period::new(period.from, until);
            if period.is_empty() {
                let halt = Halt::Incomplete(format!("there is data until {until} only"));
                return Err(self.failure(&halt, Path::new("")));
            }
        }
        Ok(())
    }

    /// Until when jobs have data.
    async fn availability(&self) -> Result<Timestamp, BoxError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Availability {
            data_availability_date: Timestamp,
        }
        let url = format!("{}{AVAILABILITY}", self.base_url.trim_end_matches('/'));
        let answer = self.service().oneshot(Request::get(url).body(Full::default())?).await?;
        let body = Limited::new(answer.into_body(), MOST_OF_AN_ANSWER).collect().await?.to_bytes();
        Ok(serde_json::from_slice::<Availability>(&body)?.data_availability_date)
    }

    fn counts(&self) -> impl Fn() -> Counts + Send + 'static + use<> {
        let (tokens, policy, cooldown) = (self.tokens.clone(), self.policy.clone(), self.cooldown.clone());
        move || Counts { tokens: tokens.stats().minted, waits: policy.stats().retries + cooldown.stats().waited }
    }
}

struct Export {
    stack: Stack,
    path: PathBuf,
    output: Output<RealDisk>,
    common: Arc<Common>,
    progress: Progress,
    started: Instant,
}

// === impl Export ===

impl Export {
    /// Touches the output only when nothing else is left that could be wrong here. With an instant in place of an export
    /// there is nothing new since then; with it comes what there is.
    fn open(
        args: &Args,
        stack: Stack,
        subject: Subject,
        said: Said,
        progress: Progress,
    ) -> Result<Result<Self, (Timestamp, Mark)>, Failure> {
        let path = args.output();
        let unusable = |unusable| match unusable {
            Unusable::Io(error) => Failure::output(&path, &error),
            Unusable::Refused(problem) => Failure::usage(problem),
        };
        let output = if is_stdout(&path) {
            Output::stdout(subject, said.at_once).map_err(unusable)?
        } else {
            match Output::open(RealDisk, &path, subject, said).map_err(unusable)? {
                Opened::Output(output) => *output,
                Opened::NothingNew(to, mark) => return Ok(Err((to, mark))),
            }
        };
        let (state, found, noun) = (output.state(), output.found().records, args.source.noun());
        if found > 0 && !args.quiet {
            let added = if state.is_fresh() { "adding to" } else { "going on after" };
            progress.say(&format!("{added} {found} {noun} that are in {}", path.display()));
        }
        let common = Common {
            subject: state.subject.clone(),
            patience: stack.patience,
            keep_jobs: output.can_go_on(),
            repeats: AtomicU64::new(0),
            jobs: Jobs::default(),
        };
        Ok(Ok(Self { stack, path, output, common: Arc::new(common), progress, started: Instant::now() }))
    }

    /// Asks for page after page, and writes each before it is known to be there.
    async fn pages(&mut self, args: &Args, stop: watch::Receiver<bool>) -> Result<(), Failure> {
        let manner = Manner { lanes: args.concurrency as usize, spool: args.spool.as_u64(), stop };
        let Self { stack, output, common, progress, .. } = self;
        let looks = progress.begin(args.source.noun(), output.found().records, stack.counts());
        let pumped = pump(stack.service(), common, output, &manner, |told| progress.show(&told)).await;
        looks.abort();
        pumped.map_err(|halt| stack.failure(&halt, &self.path))
    }

    fn finish(&mut self, args: &Args, result: Result<(), Failure>, lasting: bool) -> Result<Summary, Failure> {
        let Self { stack, output, .. } = self;
        let (mark, retries) = (output.state().mark, stack.policy.stats());
        let summary = Summary {
            source: args.source,
            complete: result.is_ok(),
            tokens_minted: stack.tokens.stats().minted,
            replays_401: retries.replays,
            retries: retries.retries + self.common.repeats.load(Ordering::Relaxed),
            held_back: stack.cooldown.stats().waited,
            elapsed: Instant::now().saturating_duration_since(self.started),
            ..Summary::default()
        };
        let summary = summary.of(&mark, output.found());
        self.progress.clear();
        let saved = args
            .summary
            .as_ref()
            .map_or(Ok(()), |path| summary.save(path).map_err(|error| Failure::output(path, &error)));
        // What ended the run matters more than that nobody could be told.
        let (goes_on, noun) = (lasting && output.can_go_on(), args.source.noun());
        result.and(saved).map(|()| summary).map_err(|failure| failure.after(summary.records, noun, goes_on))
    }
}

const MOST_OF_AN_ANSWER: usize = 64 * 1024;
const AVAILABILITY: &str = "/api/v2/analytics/conversations/details/jobs/availability";
