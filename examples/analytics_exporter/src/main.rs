//! `analytics_exporter`: exports Genesys Cloud conversations to NDJSON.

use std::process::ExitCode;

use analytics_exporter::{args::Args, config::Credentials, export, progress::Progress};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::read();
    let progress = Progress::new(args.quiet);
    progress.install_log(args.log);
    let result = match Credentials::from_env() {
        Ok(credentials) => export::run(&args, credentials, progress.clone()).await,
        Err(failure) => Err(failure),
    };
    match result {
        Ok(summary) => {
            if !args.quiet {
                progress.say(&summary.line(&args.output));
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
