//! Runs the binaries as a shell would: as processes, in a folder of their own, with an environment of their own.

#![allow(dead_code, reason = "each root uses a part of it")]

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
    time::{Instant, timeout},
};
use tower_oauth2::testing::{Analytics, AnalyticsBuilder, Fault, Issuer, Server};

/// What the test's client is called. Its secret is one that has to be encoded, in a form and in a header.
pub(crate) const ID: &str = "exporter-tests";
pub(crate) const SECRET: &str = "Not/Every+Day:s%ecret";

/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// An API and its issuer, in this process.
pub(crate) struct Api {
    pub(crate) issuer: Issuer,
    pub(crate) analytics: Analytics,
    pub(crate) server: Server,
}

/// A run of the exporter to be.
pub(crate) struct Exporter {
    command: Command,
    dir: TempDir,
}

/// A run of the exporter under way.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) dir: TempDir,
    pub(crate) started: Instant,
}

/// How it ended.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
    dir: TempDir,
}

/// The simulator as a process.
pub(crate) struct SimulatorProcess {
    pub(crate) child: Child,
    pub(crate) url: String,
    pub(crate) stdout: BufReader<ChildStdout>,
}

// === impl Api ===

impl Api {
    pub(crate) async fn serve(build: impl FnOnce(AnalyticsBuilder) -> AnalyticsBuilder) -> Self {
        Self::serve_with(Issuer::builder().client(ID, SECRET).build(), build).await
    }

    pub(crate) async fn serve_with(issuer: Issuer, build: impl FnOnce(AnalyticsBuilder) -> AnalyticsBuilder) -> Self {
        let analytics = build(Analytics::builder(&issuer)).build();
        let server = analytics.serve_with_issuer().await.unwrap();
        Self { issuer, analytics, server }
    }

    /// The records, as a file should have them.
    pub(crate) fn ndjson(&self) -> String {
        (0..self.analytics.records()).map(|index| self.analytics.record(index) + "\n").collect()
    }

    /// Requests to either.
    pub(crate) fn requests(&self) -> u64 {
        self.issuer.stats().requests + self.analytics.stats().requests
    }
}

// === impl Exporter ===

impl Exporter {
    /// With nothing in its environment.
    pub(crate) fn new() -> Self {
        Self::bare().args(["--summary", "summary.json"])
    }

    /// Without a summary as well.
    pub(crate) fn bare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_analytics_exporter"));
        command.env_clear().current_dir(dir.path()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, dir }
    }

    /// With the credentials of the tests.
    pub(crate) fn with_credentials() -> Self {
        Self::new().env("GENESYS_CLIENT_ID", ID).env("GENESYS_CLIENT_SECRET", SECRET)
    }

    pub(crate) fn of(api: &Api) -> Self {
        Self::at(&api.server.url(""))
    }

    /// An API with its token endpoint at `url`.
    pub(crate) fn at(url: &str) -> Self {
        Self::with_credentials().args(["--api-url", url, "--token-url", &format!("{url}/oauth/token")])
    }

    /// In the folder of an earlier run.
    pub(crate) fn after(mut self, earlier: Outcome) -> Self {
        self.command.current_dir(earlier.dir.path());
        self.dir = earlier.dir;
        self
    }

    pub(crate) fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    pub(crate) fn write(self, name: &str, text: &str) -> Self {
        std::fs::write(self.dir.path().join(name), text).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn start(mut self) -> Running {
        Running { child: self.command.spawn().unwrap(), dir: self.dir, started: Instant::now() }
    }

    pub(crate) async fn run(self) -> Outcome {
        self.start().end().await
    }

    /// To its end, which has to be this one.
    pub(crate) async fn exits(self, code: i32) -> Outcome {
        let outcome = self.run().await;
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        outcome
    }
}

// === impl Running ===

impl Running {
    /// Waits until the file `name` has something in it.
    pub(crate) async fn has_written(&mut self, name: &str) {
        let path = self.dir.path().join(name);
        let written = async {
            while std::fs::metadata(&path).map_or(0, |file| file.len()) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, written).await.expect("something is written");
    }

    /// Waits until the API has answered so many pages.
    pub(crate) async fn pages(&mut self, api: &Api, pages: u64) {
        while api.analytics.stats().pages < pages {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended too early");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Kills it when so many pages more are saved in the checkpoint of `output`, and before it is at its end: the API answers
    /// no request after those pages.
    pub(crate) async fn killed_after(mut self, api: &Api, pages: u64, output: &str) -> Outcome {
        let checkpoint = self.dir.path().join(format!("{output}.checkpoint"));
        let saved = || {
            let saved = std::fs::read(&checkpoint).ok()?;
            serde_json::from_slice::<Value>(&saved).ok()?["mark"]["pages"].as_u64()
        };
        let wanted = saved().unwrap_or_default() + pages;
        let answered = || api.analytics.stats().by_status.get(&200).copied().unwrap_or_default();
        let last = answered() + pages;
        while answered() < last {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended too early");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        api.analytics.fail_next(Fault::Hang);
        let is_saved = async {
            // The fault is for this run, and not for the next one.
            while saved().unwrap_or_default() < wanted || api.analytics.faults_to_come() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, is_saved).await.expect("what was answered is saved");
        self.killed().await
    }

    /// Kills it at once: whoever starts a process for it gives the API time to answer.
    pub(crate) async fn killed(mut self) -> Outcome {
        self.child.start_kill().unwrap();
        self.end().await
    }

    pub(crate) async fn end(self) -> Outcome {
        let Self { mut child, dir, started } = self;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let read_stdout = async {
            let mut bytes = Vec::new();
            if let Some(mut stdout) = stdout {
                stdout.read_to_end(&mut bytes).await.unwrap();
            }
            bytes
        };
        let read_stderr = async {
            let mut bytes = Vec::new();
            if let Some(mut stderr) = stderr {
                stderr.read_to_end(&mut bytes).await.unwrap();
            }
            String::from_utf8(bytes).unwrap()
        };
        let all = async { tokio::join!(read_stdout, read_stderr, child.wait()) };
        let Ok((stdout, stderr, status)) = timeout(PATIENCE, all).await else {
            panic!("the exporter was still running after {PATIENCE:?}");
        };
        assert!(!stderr.contains("panicked"), "{stderr}");
        let took = Instant::now().saturating_duration_since(started);
        Outcome { code: status.unwrap().code(), stdout, stderr, took, dir }
    }
}

// === impl Outcome ===

impl Outcome {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}: {}", self.stderr))
    }

    pub(crate) fn output(&self) -> String {
        self.read("conversations.ndjson")
    }

    pub(crate) fn summary(&self) -> Value {
        serde_json::from_str(&self.read("summary.json")).unwrap()
    }

    /// That each of these is said on the standard error.
    pub(crate) fn says<const N: usize>(&self, parts: [&str; N]) -> &Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not said in: {}", self.stderr);
        }
        self
    }

    pub(crate) fn within(&self, limit: Duration) -> &Self {
        assert!(self.took < limit, "it took {:?}: {}", self.took, self.stderr);
        self
    }

    /// That the output is the first so many records of `api`, whole, and nothing else.
    pub(crate) fn kept(&self, api: &Api, records: u64) -> &Self {
        let expected: String = (0..records).map(|index| api.analytics.record(index) + "\n").collect();
        let output = self.output();
        let (got, count) = (output.lines().count(), expected.lines().count());
        assert!(output == expected, "{got} lines instead of {count}, or others: {}", self.stderr);
        self
    }
}

// === impl SimulatorProcess ===

impl SimulatorProcess {
    pub(crate) async fn start(dir: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_analytics_simulator"));
        command.env_clear().current_dir(dir).kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped());
        command.args(["--listen", "127.0.0.1:0"]).args(args);
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        timeout(PATIENCE, stdout.read_line(&mut line)).await.expect("the simulator begins").unwrap();
        let url = line.trim().strip_prefix("listening on ").expect("it says where it listens").to_owned();
        Self { child, url, stdout }
    }

    /// Terminates it; what it printed after its first line.
    pub(crate) async fn terminate(mut self) -> String {
        signal(&self.child, "TERM").await;
        let mut text = String::new();
        timeout(PATIENCE, self.stdout.read_to_string(&mut text)).await.expect("the simulator ends").unwrap();
        let status = timeout(PATIENCE, self.child.wait()).await.expect("the simulator ends").unwrap();
        assert_eq!(status.code(), Some(0), "{text}");
        text
    }
}

/// Sends a signal as a shell does.
pub(crate) async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it runs").to_string();
    let status = Command::new("kill").args([&format!("-{name}"), &pid]).status().await.unwrap();
    assert!(status.success());
}
