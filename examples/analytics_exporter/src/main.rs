//! `analytics_exporter`: exports Genesys Cloud and NICE CXone analytics to files.

use std::process::ExitCode;

use analytics_exporter::{api::Environment, args::Args, export, failure::Failure, progress::Progress};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let args = Args::read();
    let progress = Progress::new(args.quiet, args.log);
    progress.install_log();
    let result = Runtime::new().map_err(|error| Failure::usage(format!("cannot run: {error}"))).and_then(|runtime| {
        let result = runtime.block_on(run(&args, &progress));
        // A name that is being looked up cannot be interrupted, and whoever wants the run to end does not wait for it.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(said) => {
            if !args.quiet {
                progress.say(&said);
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            progress.clear();
            if !failure.is_silent() {
                progress.fail(&failure.to_string());
            }
            ExitCode::from(failure.code())
        }
    }
}

async fn run(args: &Args, progress: &Progress) -> Result<String, Failure> {
    export::run(args, Environment::read()?, progress.clone()).await
}
