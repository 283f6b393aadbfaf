//! `analytics_exporter`: exports Genesys Cloud and NICE CXone analytics to files.

use std::process::ExitCode;

use analytics_exporter::{api::Environment, args::Args, export, progress::Progress};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::read();
    let progress = Progress::new(args.quiet);
    progress.install_log(args.log);
    let result = match Environment::read() {
        Ok(environment) => export::run(&args, environment, progress.clone()).await,
        Err(failure) => Err(failure),
    };
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
                progress.say(&format!("error: {failure}"));
            }
            ExitCode::from(failure.code())
        }
    }
}
