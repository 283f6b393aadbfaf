//! Using `analytics_exporter`, the export that is ready: from the first run to cron, systemd and Kubernetes.
//!
//! It is for Genesys Cloud and NICE CXone, and made of what [`exporting`](super::exporting) shows.
//!
//! `analytics_exporter` is in `examples/analytics_exporter` of the repository. It is built with the first of these, with Parquet
//! by the second, and is one program without anything beside it:
//!
//! ```sh
//! cargo build --release -p analytics_exporter
//! cargo build --release -p analytics_exporter --features parquet
//! target/release/analytics_exporter --help
//! ```
//!
//! Without credentials in the environment it exports from a simulator within it, which is a way to see what it does:
//!
//! ```sh
//! analytics_exporter --concurrency 2
//! ```
//!
//! # Sources
//!
//! | `--source` | records | period | page | filters | permission of the client's role |
//! |---|---|---|---|---|---|
//! | `details` (default) | Genesys Cloud conversations that **began** within the period | yes | 100 | `--query` | `analytics:conversationDetail:view` |
//! | `job` | those that were **active** within it, with attributes | yes | 1,000 | `--query` | `analytics:conversationDetail:view` |
//! | `users` | Genesys Cloud users | as they are now | 100 | | `directory:user:view` |
//! | `contacts` | Genesys Cloud external contacts | as they are now | 200 | | `externalContacts:contact:view` |
//! | `cxone-contacts` | NICE CXone contacts that were completed, by the time they began | yes | 10,000 | | a user that may see contact history reports |
//!
//! `--query` names a file with a JSON object that is merged into the query: `segmentFilters` and the like, but neither the
//! period nor the paging.
//!
//! # Credentials
//!
//! They come from the environment and from nowhere else, and are in no file that it writes and no log.
//!
//! | for | variables | where the API is |
//! |---|---|---|
//! | Genesys Cloud | `GENESYS_CLIENT_ID`, `GENESYS_CLIENT_SECRET`: an OAuth client with the grant type Client Credentials | `--region mypurecloud.ie` or `--region eu-west-1`; `GENESYS_ENVIRONMENT` is the same |
//! | CXone | `CXONE_CLIENT_ID`, `CXONE_CLIENT_SECRET`, `CXONE_ACCESS_KEY_ID`, `CXONE_ACCESS_KEY_SECRET` | found out; `--cxone-issuer` for another issuer |
//! | either, behind a gateway | the same | `--api-url` and `--token-url`; `GENESYS_ENV_URL` and `GENESYS_TOKEN_URL`, or `CXONE_API_URL` and `CXONE_TOKEN_URL`, are the same |
//!
//! **Say `--region` on the command line of a scheduled export.** Then missing credentials are an error, with exit code 2. Where
//! nothing points to a real API, neither credentials nor a region nor a URL, the simulator is exported, the run says so even
//! with `--quiet`, and it succeeds: into a new file, or one that has simulated records, which a real export then takes the place of;
//! and only with `--restart` into one of a real API. For CXone, `--api-url` and `--token-url` do what `--region` does.
//!
//! # Periods
//!
//! `--from` is the first instant, `--to` the first that is not exported, both RFC 3339. Without them it is the last seven days.
//! What the API does not answer for at once is cut into parts; no part is asked for twice, and none left out.
//!
//! | what there is of the same output | without `--from` | with `--from` |
//! |---|---|---|
//! | nothing | the seven days before `--to` | that period |
//! | a run that did not come to its end | goes on with its period | goes on, if it is of that period |
//! | a complete one | **adds what is new since its end**, until `--to` or now | begins anew, in place of it |
//!
//! A conversation of `details` is of the part, and of the run, that it began in, to the millisecond; the start of a period belongs
//! to it, the end does not. All that Genesys Cloud says of an interval is that conversations began on a day which it touches.
//!
//! So a nightly export is the same command each time, without any date in it:
//!
//! ```sh
//! analytics_exporter --region mypurecloud.ie --lookback 2d
//! ```
//!
//! `--lookback` asks for so much of the time before once more, for what came late or has changed since. A record of that
//! time comes again, newer, behind its older copy: **keep the last one by id.** In a warehouse that is a merge by
//! `conversationId` and the order of the lines; with what any machine has:
//!
//! ```sh
//! python3 -c '
//! import json, sys
//! last = {json.loads(line)["conversationId"]: line for line in sys.stdin}
//! sys.stdout.writelines(last.values())' < conversations.ndjson > latest.ndjson
//! ```
//!
//! A `job` needs that as well, without `--lookback`: a conversation that goes on over the end of one run is also in the next.
//! A `job` without `--to` ends where the API says that it has data. `users` and `contacts` are of no period; each run writes
//! all of them anew.
//!
//! # Stopping and going on
//!
//! A run that stops, by whatever, is gone on with by the next one with the same flags: the same source, API, period, page
//! size, filters, format, fields, rotation and shard. `--concurrency`, `--lookback`, timeouts and the log may be others. What
//! it needs is in `conversations.ndjson.checkpoint`, beside the output; keep the two together. If something differs, it
//! refuses in words, with exit code 2, and touches nothing:
//!
//! ```text
//! error: conversations.ndjson holds a part of another export, with --page-size 100: go on with that, say --restart to begin anew, or say another --output
//! ```
//!
//! `--restart` begins anew, whatever is there. What was there stays until the first page has come. The standard output,
//! `--output -`, has no checkpoint. `crash_test.sh`, beside the exporter's sources, kills it 200 times and compares:
//!
//! ```sh
//! examples/analytics_exporter/crash_test.sh
//! examples/analytics_exporter/crash_test.sh 50 -- --compress gzip --concurrency 3
//! ```
//!
//! # Formats
//!
//! | `--format` | what | nested values | no value |
//! |---|---|---|---|
//! | `ndjson` (default) | a record a line, digit for digit as the API wrote it | as they are | as it is |
//! | `csv` | a header, and a row a record | JSON in a cell | an empty cell |
//! | `parquet` | typed columns, compressed within | JSON, as text | null |
//!
//! `--fields` chooses the columns of the last two. A field is a name, or names and numbers with dots between; `NAME=` before it
//! names the column, `:int`, `:float`, `:bool` or `:timestamp` behind it is its type in Parquet. Without a type it is text. A name
//! with a dot in it is written as a JSON pointer: `/attributes/a.b`.
//!
//! ```sh
//! analytics_exporter --format csv --fields conversationId,purpose=participants.0.purpose
//! analytics_exporter --format parquet --fields conversationId,conversationStart:timestamp
//! ```
//!
//! A value that does not fit its type ends the run with exit code 1 and says which; it is not written as something else. In CSV,
//! text that a spreadsheet would take for a formula has an apostrophe before it. A Parquet file is there when it is whole; until
//! then its rows are in `….parquet.staging` beside it. Nothing can be added to one that is at its end: an export that goes on
//! each night takes `--rotate`, and each night is a file of its own.
//!
//! # Compression
//!
//! `--compress gzip` or `zstd`: each page is a gzip member or a zstd frame of its own, so that what a crash leaves can be gone on
//! with. One after the other they are one file to all tools that know the format:
//!
//! ```sh
//! zcat conversations.ndjson.gz | wc -l
//! zstd -dc conversations.ndjson.zst | wc -l
//! ```
//!
//! # Rotation
//!
//! `--rotate 100MB` begins another file after the page with which one is as long as that. The number goes before the first
//! dot, and the checkpoint keeps the name without one: `conversations-00001.ndjson.gz`, `conversations-00002.ndjson.gz`,
//! `conversations.ndjson.gz.checkpoint`. All but the last are at their end; the next run goes on in the last one. For Parquet
//! what counts is what is staged, and the files become shorter than that. Whoever takes files away while a run goes on takes
//! none but those before the last.
//!
//! # Shards and concurrency
//!
//! `--concurrency 4` asks for four parts of the period at once. They share one token and one rate limit, and are written in
//! their order: the records and their order are those of one at a time. It helps where the API takes its time to answer, and no
//! further than its rate limit. What is ahead of its turn waits in memory, 8 MiB of all parts together, and then on the disk, in
//! the output's folder, up to `--spool` for each part. A part by itself is never further ahead than 2 MiB and a page, in memory.
//! What has no period is one part.
//!
//! `--shard 2/3` exports the second of three equal pieces of the period, for three machines; each wants the same `--from` and
//! `--to`, and an output of its own. The pieces have each record once, also those of a `job`, and one after the other they are the
//! whole of `details`:
//!
//! ```sh
//! period="--from 2026-03-01T00:00:00Z --to 2026-04-01T00:00:00Z"
//! analytics_exporter $period --shard 1/2 --output first.ndjson
//! analytics_exporter $period --shard 2/2 --output second.ndjson
//! ```
//!
//! The machines share the rate limit of their client, if it is the same one.
//!
//! # Progress, log, summary
//!
//! All of it goes to the standard error: a bar on a terminal, elsewhere a line every two seconds and a last one. `--quiet`
//! leaves warnings and errors. `--log json` makes an object a line of what is logged, not of the progress;
//! `RUST_LOG=tower_oauth2=debug` logs each token, retry and cool-down. `--summary FILE` writes this, when the run ends,
//! whatever ended it. A mistake that is found before it begins leaves that of the run before: look at the exit code first.
//!
//! | member | what |
//! |---|---|
//! | `complete` | whether nothing is missing; `false` also while the run is under way, or if it was killed |
//! | `records`, `pages`, `bytes`, `files` | what is in the output, with what earlier runs wrote |
//! | `records_before` | how many of the records earlier runs wrote |
//! | `elapsed_s` | how long this run took |
//! | `tokens_minted`, `replays_401`, `retries`, `held_back` | tokens, requests sent again after a 401, requests or pages asked for again after another failure, requests that waited for a rate limit; of this run |
//! | `source` | as on the command line |
//!
//! # Exit codes
//!
//! And what the next run does, with the same flags:
//!
//! | code | what happened | the next run |
//! |---|---|---|
//! | 0 | everything was exported, or there is nothing new | adds what is new, or begins anew: see [Periods](#periods) |
//! | 1 | the output failed: a full disk, a record that does not fit its column | goes on, once there is room |
//! | 2 | usage or configuration: a flag, a variable, another run that writes the same output, another export in it | the same; the output was not touched |
//! | 3 | no token, or the API refuses each | goes on |
//! | 4 | the API refused, or cannot be reached, in all attempts | goes on |
//! | 5 | the data is not complete: a job's data ends before the period, or the API ended before its own total | asks for the period again, in place of what it has of that job; or goes on |
//! | 130, 143 | interrupted (SIGINT), terminated (SIGTERM) | goes on |
//! | 137 | killed (SIGKILL), as the system does when memory runs out | goes on |
//! | 141 | whoever read the standard output has stopped | begins anew: that has no checkpoint |
//!
//! 1, 4, 5 and the signals are worth trying again by themselves; 2 and 3 need a person, but for 3 while a login server is
//! down. At SIGINT or SIGTERM the page in hand is finished, if it comes within a second; the process ends within two. A second
//! signal ends it at once. (`timeout` of the GNU coreutils sends its signal twice, unless it is told `--foreground`.)
//!
//! # Scheduled by cron
//!
//! With the credentials in a file that nobody else can read, as `NAME=value` lines. A run that is still there when the next one
//! begins keeps it away, with exit code 2.
//!
//! ```text
//! 17 2 * * * cd /srv/exports && set -a && . /etc/analytics.env && analytics_exporter --region mypurecloud.ie --lookback 2d --compress gzip --summary summary.json --quiet 2>>export.log
//! ```
//!
//! # Scheduled by systemd
//!
//! `/etc/systemd/system/analytics-export.service`, which tries again what is worth it, twelve times in six hours:
//!
//! ```text
//! [Unit]
//! Description=Export of conversations
//! Wants=network-online.target
//! After=network-online.target
//! StartLimitIntervalSec=6h
//! StartLimitBurst=12
//!
//! [Service]
//! Type=oneshot
//! User=exports
//! WorkingDirectory=/srv/exports
//! EnvironmentFile=/etc/analytics.env
//! ExecStart=/usr/local/bin/analytics_exporter --region mypurecloud.ie --lookback 2d --compress gzip --log json
//! Restart=on-failure
//! RestartSec=10min
//! RestartPreventExitStatus=2 3
//! SuccessExitStatus=143
//! ```
//!
//! `/etc/systemd/system/analytics-export.timer`, then `systemctl enable --now analytics-export.timer`:
//!
//! ```text
//! [Unit]
//! Description=Export of conversations, each night
//!
//! [Timer]
//! OnCalendar=*-*-* 02:17:00
//! RandomizedDelaySec=10min
//! Persistent=true
//!
//! [Install]
//! WantedBy=timers.target
//! ```
//!
//! # Scheduled by Kubernetes
//!
//! The output and its checkpoint have to outlive the pod: a volume that is claimed once. `Forbid` keeps two runs apart, and
//! `podFailurePolicy` does not try again what a person has to look at. The default of 30 s between SIGTERM and SIGKILL is more than
//! it needs.
//!
//! ```text
//! apiVersion: batch/v1
//! kind: CronJob
//! metadata:
//!   name: analytics-export
//! spec:
//!   schedule: "17 2 * * *"
//!   concurrencyPolicy: Forbid
//!   jobTemplate:
//!     spec:
//!       backoffLimit: 12
//!       podFailurePolicy:
//!         rules:
//!           - action: FailJob
//!             onExitCodes: {containerName: exporter, operator: In, values: [2, 3]}
//!       template:
//!         spec:
//!           restartPolicy: Never
//!           containers:
//!             - name: exporter
//!               image: registry.example.com/analytics_exporter
//!               args: [--region, mypurecloud.ie, --lookback, 2d, --compress, gzip, --log, json]
//!               workingDir: /exports
//!               envFrom: [{secretRef: {name: genesys-client}}]
//!               volumeMounts: [{name: exports, mountPath: /exports}]
//!           volumes:
//!             - name: exports
//!               persistentVolumeClaim: {claimName: exports}
//! ```
