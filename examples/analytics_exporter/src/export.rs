//! The export, from what was said to what it did.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use tokio::{sync::watch, time::Instant};

use crate::{
    api::{Api, Environment},
    args::Args,
    checkpoint::{Mark, Subject},
    config,
    disk::RealDisk,
    failure::Failure,
    form::Form,
    frame::{Common, Jobs},
    output::{Opened, Output, Said, Unusable, is_stdout},
    progress::Progress,
    pump::{Manner, pump},
    simulator::Simulator,
    stack::Stack,
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
        let (mark, retries) = (output.mark(), stack.policy.stats());
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
