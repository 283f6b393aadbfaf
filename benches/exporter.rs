//! What an export costs: `cargo bench -p tower-oauth2-benches --bench exporter`.
//!
//! `analytics_exporter` beside a client of hyper-util's that asks for the same pages and writes the same lines, and does
//! nothing else: it retries nothing, checks nothing, and begins anew when it is stopped. Once it leaves to the system when the
//! disk has them, and once it waits for the disk after each page, as whoever wants to go on after a power cut must. All on one
//! core; the simulator, which is the same for all, has the other one.
//!
//! What it showed on two shared cores of a virtual machine, November 2026: 0.90 to 0.93 of the records a second of the client that
//! does not wait for the disk, 1.21 to 1.28 of the one that does, and 1.4 to 1.5 and 1.25 to 1.33 of their CPU time: 15 to 19 µs
//! a record. Before the next page was asked for while one is written it was 0.33 and 0.48, and 35 µs.

#![allow(clippy::disallowed_types, clippy::expect_used, clippy::panic, missing_docs, reason = "a bench")]

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use harness::{Report, interleaved, median};
use http::{Request, header::AUTHORIZATION};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jiff::{Timestamp, ToSpan as _, Unit};
use nix::sys::resource::{UsageWho, getrusage};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [word, url, from, to, output, sync] = &arguments[..] {
        if word == BARE {
            return bare(url, &format!("{from}/{to}"), Path::new(output), sync == "sync");
        }
    }
    let [exporter, simulator] = build();
    let folder = tempfile::tempdir().expect("a folder");
    let simulator = Simulator::start(&simulator);
    // Its conversations lie in the week before it starts.
    let now = Timestamp::now().round(Unit::Second).expect("a second");
    let [from, to] = [now - (8 * 24).hours(), now + 1.hour()].map(|time| time.to_string());
    let output = |name: &str| folder.path().join(name);
    let itself = env::current_exe().expect("this program");
    let bare = |name: &str, sync: &str| {
        let mut command = on_core(0, &itself);
        command.args([BARE, &simulator.url, &from, &to]).arg(output(name)).arg(sync);
        command
    };
    let ours = || {
        let mut command = on_core(0, &exporter);
        command.args(["--api-url", &simulator.url, "--token-url", &format!("{}/oauth/token", simulator.url)]);
        command.args(["--from", &from, "--to", &to, "--restart", "--quiet"]).arg("--output").arg(output("ours"));
        command.env("GENESYS_CLIENT_ID", CLIENT.0).env("GENESYS_CLIENT_SECRET", CLIENT.1);
        command
    };
    let mut cpu: [Vec<f64>; 3] = Default::default();
    let cpu_of = std::cell::RefCell::new(&mut cpu);
    let measure = |index: usize, command: Command| {
        let (seconds, cpu) = run(command);
        cpu_of.borrow_mut()[index].push(cpu);
        seconds
    };
    let seconds = interleaved(
        ROUNDS,
        &mut [&mut || measure(0, bare("bare", "")), &mut || measure(1, bare("synced", "sync")), &mut || {
            measure(2, ours())
        }],
    );
    let read = |name| fs::read(output(name)).expect("an output");
    assert!(read("bare") == read("ours") && read("synced") == read("ours"), "they wrote the same");
    let lines = BufReader::new(&*read("ours")).lines().count();
    assert_eq!(lines, RECORDS);

    let mut report = Report::new("exporter", &["s", "records/s", "÷ bare", "÷ synced", "CPU µs", "÷ bare", "÷ synced"]);
    let records = RECORDS as f64;
    let cpu = cpu.map(median);
    for (index, name) in ["bare client", "bare client, synced", "analytics_exporter"].into_iter().enumerate() {
        report.row(
            name,
            &[
                seconds[index],
                records / seconds[index],
                seconds[0] / seconds[index],
                seconds[1] / seconds[index],
                cpu[index] * 1e6 / records,
                cpu[index] / cpu[0],
                cpu[index] / cpu[1],
            ],
        );
    }
    report.finish();
}

/// Wall clock and CPU, in seconds.
fn run(mut command: Command) -> (f64, f64) {
    let cpu = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage");
        [usage.user_time(), usage.system_time()].map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
    };
    let (before, started) = (cpu(), Instant::now());
    let status = command.stdout(Stdio::null()).status().expect("it starts");
    let seconds = started.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?}: {status}");
    (seconds, cpu().iter().sum::<f64>() - before.iter().sum::<f64>())
}

/// `program` on that core alone.
fn on_core(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(core.to_string()).arg(program);
    command
}

/// The exporter and the simulator.
fn build() -> [PathBuf; 2] {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "-p", "analytics_exporter", "--message-format=json-render-diagnostics"]);
    let output = command.stderr(Stdio::inherit()).output().expect("cargo");
    assert!(output.status.success(), "they build");
    let built: Vec<PathBuf> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter::<serde_json::Value>()
        .filter_map(|message| Some(message.ok()?.get("executable")?.as_str()?.into()))
        .collect();
    ["analytics_exporter", "analytics_simulator"].map(|name| {
        let found = built.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name));
        found.unwrap_or_else(|| panic!("no {name}")).clone()
    })
}

struct Simulator {
    child: Child,
    url: String,
}

// === impl Simulator ===

impl Simulator {
    fn start(program: &Path) -> Self {
        let mut command = on_core(1, program);
        command.args(["--listen", "127.0.0.1:0", "--client", &format!("{}:{}", CLIENT.0, CLIENT.1)]);
        command.args(["--records", &RECORDS.to_string(), "--seed", "42", "--token-lifetime", "86400"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a simulator");
        let mut said = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut said).expect("its address");
        let url = said.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("it said {said:?}")).to_owned();
        Self { child, url }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What the exporter is compared with.
fn bare(url: &str, interval: &str, output: &Path, sync: bool) {
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
    }
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow, default)]
        conversations: Vec<&'a RawValue>,
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let basic = STANDARD.encode(format!("{}:{}", CLIENT.0, CLIENT.1));
        let request = Request::post(format!("{url}/oauth/token"))
            .header(AUTHORIZATION, format!("Basic {basic}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials".into())
            .expect("a request");
        let granted: Granted = serde_json::from_slice(&answer(&client, request).await).expect("a token");
        let token = format!("Bearer {}", granted.access_token);
        let mut file = File::create(output).expect("a file");
        let mut lines = Vec::new();
        for number in 1.. {
            let query = json!({
                "interval": interval,
                "order": "asc",
                "orderBy": "conversationStart",
                "paging": { "pageSize": 100, "pageNumber": number },
            });
            let request = Request::post(format!("{url}/api/v2/analytics/conversations/details/query"))
                .header(AUTHORIZATION, &token)
                .header("content-type", "application/json")
                .body(query.to_string().into())
                .expect("a request");
            let body = answer(&client, request).await;
            let page: Page<'_> = serde_json::from_slice(&body).expect("a page");
            if page.conversations.is_empty() {
                break;
            }
            lines.clear();
            for conversation in page.conversations {
                lines.extend_from_slice(conversation.get().as_bytes());
                lines.push(b'\n');
            }
            file.write_all(&lines).expect("a disk");
            if sync {
                file.sync_data().expect("a disk");
            }
        }
    });
}

async fn answer(client: &Client<HttpConnector, Full<Bytes>>, request: Request<Full<Bytes>>) -> Bytes {
    let response = client.request(request).await.expect("an answer");
    assert!(response.status().is_success(), "{}", response.status());
    response.into_body().collect().await.expect("a body").to_bytes()
}

const BARE: &str = "--bare";
const CLIENT: (&str, &str) = ("bench", "bench");
const RECORDS: usize = 20_000;
const ROUNDS: usize = 7;
