//! Exports that are scheduled: how to build one on the parts of this crate. How to use the one that is ready is in
//! [`exporter`](super::exporter).
//!
//! An export asks an API for all records of a period, page after page, and puts them into files; tomorrow it asks for what
//! is new. In between tokens expire, the API says 429, answers break off, and the machine is restarted. Here is which part
//! stands against what; `analytics_exporter`, a program in this repository for Genesys Cloud and NICE CXone, has all of it.
//!
//! # The stack
//!
//! What all requests go through; [`composing`](super::composing) says why in this order. A batch has time: it tries more
//! often than a page that somebody waits for, and waits for longer.
//!
//! ```
//! use std::time::Duration;
//! use futures_util::TryStreamExt;
//! use tower::ServiceBuilder;
//! use tower_http::decompression::DecompressionLayer;
//! use tower_oauth2::{
//!     OAuthLayer, TokenCache,
//!     client::HttpsClient,
//!     genesys::ConversationDetails,
//!     grant::{ClientAuth, ClientCredentials},
//!     pager::Pager,
//!     retry::{CooldownLayer, RetryLayer, RetryPolicy, cooldown::Pacing},
//! };
//! # use tower_oauth2::testing::{Analytics, Faults, Issuer};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let issuer = Issuer::builder().client("id", "secret").lifetime(Duration::from_secs(2)).build();
//! # let analytics = Analytics::builder(&issuer).faults(Faults::new().server_error(0.2).truncate(0.2)).build();
//! # let server = analytics.serve_with_issuer().await?;
//! # let (api_url, token_url, interval) = (server.url(""), server.url("/oauth/token"), analytics.interval());
//!
//! let longest_wait = Duration::from_secs(180);
//! let http = HttpsClient::builder().response_timeout(Duration::from_secs(60)).build()?;
//! let tokens = TokenCache::new(ClientCredentials::new(http.clone(), token_url, ClientAuth::basic("id", "secret"))?);
//! let policy = RetryPolicy::new()
//!     .max_attempts(8)
//!     .max_retry_after(longest_wait)
//!     .deadline(Duration::from_secs(30 * 60)); // of a request, with all its attempts and waits
//! let cooldown = CooldownLayer::new().max_wait(longest_wait).pace(Pacing::genesys());
//! let api = ServiceBuilder::new()
//!     .layer(RetryLayer::new(policy.clone()))
//!     .layer(cooldown.clone())
//!     .layer(OAuthLayer::for_origin(&api_url, tokens.clone())?)
//!     .layer(DecompressionLayer::new())
//!     .service(http);
//!
//! let query = ConversationDetails::query(&api_url, interval).build()?;
//! let mut pages = Pager::new(api, query);
//! let mut records = 0;
//! while let Some(page) = pages.try_next().await? {
//!     records += page.len();
//! }
//! assert_eq!(records, 1000);
//! // What there is to tell in a summary. The pager asks again for pages whose bodies are broken, the policy for all else.
//! let tries = policy.stats().retries + pages.repeats();
//! # assert!(tries > 0);
//! let (tokens, waits) = (tokens.stats().minted, cooldown.stats().waited);
//! # assert!(tokens >= 1 && waits < 1000);
//! # Ok::<(), tower::BoxError>(()) })?;
//! # Ok::<(), tower::BoxError>(())
//! ```
//!
//! | what goes wrong | who mends it |
//! |---|---|
//! | the token expires, is revoked | [`OAuthLayer`] and [`RetryLayer`] |
//! | 429 | [`CooldownLayer`] holds all clones, [`RetryLayer`] sends the request again; pacing keeps it from happening |
//! | 500 to 504, resets, no answer in time | [`RetryLayer`]; a query may be sent twice, unless it says otherwise |
//! | a page that breaks off, stalls, or is HTML with status 200 | [`Pager`], with the same page |
//! | the run ends | a checkpoint, [below](#pages-and-checkpoints) |
//! | a period that is too long or too full | a shorter one, [below](#periods) |
//!
//! # Pages and checkpoints
//!
//! [`Pager`] is a stream of pages, and after each [`Pager::continuation`] says where it goes on. Saved, it makes a
//! checkpoint; what makes it safe is the order:
//!
//! 1. The page is written, and synced to the disk.
//! 2. The checkpoint is written under another name, and synced. It says how many bytes of the output count, and the
//!    continuation.
//! 3. It is renamed to its own name, which replaces the one before at once.
//! 4. The folder is synced, which makes the rename last, and the output's own name.
//!
//! Killed between any two of these, the output has at least what the checkpoint says. What is behind that was written and
//! not told of: the next run cuts it off, and asks for that page again. The other order, checkpoint first, loses a page.
//!
//! ```
//! use std::{
//!     fs::{self, File, OpenOptions},
//!     io::{self, Seek, SeekFrom, Write},
//!     path::Path,
//! };
//! use futures_util::TryStreamExt;
//! use serde::{Deserialize, Serialize};
//! use tower::BoxError;
//! use tower_oauth2::pager::{Continuation, Pager, Query};
//! # use std::time::Duration;
//! # use tower::Layer;
//! # use tower_oauth2::{OAuthLayer, TokenCache, genesys::ConversationDetails, grant::{ClientAuth, ClientCredentials}};
//! # use tower_oauth2::testing::{Analytics, AnalyticsService, Issuer};
//! # type Api = tower_oauth2::OAuth<AnalyticsService>; // whatever the stack is
//!
//! #[derive(Default, Deserialize, Serialize)]
//! struct Checkpoint {
//!     bytes: u64,
//!     next: Option<Continuation>,
//!     complete: bool,
//! }
//!
//! async fn export(api: Api, query: Query, output: &Path, saved_at: &Path) -> Result<(), BoxError> {
//!     let saved: Checkpoint = match fs::read(saved_at) {
//!         Ok(text) => serde_json::from_slice(&text)?,
//!         Err(error) if error.kind() == io::ErrorKind::NotFound => Checkpoint::default(),
//!         Err(error) => return Err(error.into()),
//!     };
//!     if saved.complete {
//!         return Ok(());
//!     }
//!     let mut out = OpenOptions::new().write(true).create(true).truncate(false).open(output)?;
//!     if out.metadata()?.len() < saved.bytes {
//!         return Err("somebody has changed the output".into());
//!     }
//!     out.set_len(saved.bytes)?;
//!     out.seek(SeekFrom::End(0))?;
//!
//!     let mut pages = match saved.next {
//!         Some(next) => Pager::resume(api, query, next)?, // refuses that of another query
//!         None => Pager::new(api, query),
//!     };
//!     while let Some(page) = pages.try_next().await? {
//!         for item in page.raw_items() {
//!             // As the API wrote it; line breaks between its tokens would be lines here.
//!             let text = item.as_bytes().iter().filter(|byte| !matches!(byte, b'\n' | b'\r'));
//!             out.write_all(&text.chain(b"\n").copied().collect::<Vec<_>>())?;
//!         }
//!         out.sync_all()?;
//!         let next = pages.continuation(); // `None` after the last page
//!         let checkpoint = Checkpoint { bytes: out.stream_position()?, complete: next.is_none(), next };
//!         replace(saved_at, &serde_json::to_vec(&checkpoint)?)?;
//!     }
//!     Ok(())
//! }
//!
//! fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
//!     let beside = path.with_extension("tmp");
//!     let mut file = File::create(&beside)?;
//!     file.write_all(bytes)?;
//!     file.sync_all()?;
//!     fs::rename(&beside, path)?;
//!     File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all() // on Unix
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
//! # let issuer = Issuer::new();
//! # let analytics = Analytics::builder(&issuer).records(550).latency(Duration::from_millis(100)).build();
//! # let interval = analytics.interval();
//! # let auth = ClientAuth::basic("test-client", "test-secret");
//! # let tokens = TokenCache::new(ClientCredentials::new(issuer.service(), "https://login.example.com/token", auth)?);
//! # let api = OAuthLayer::for_origin("https://api.mypurecloud.ie", tokens)?.layer(analytics.service());
//! # let folder = tempfile::tempdir()?;
//! # let (output, saved_at) = (&folder.path().join("out.ndjson"), &folder.path().join("checkpoint.json"));
//! let query = ConversationDetails::query("https://api.mypurecloud.ie", interval).build()?;
//! // A run that is killed with its third page under way, and half a line on the disk.
//! let run = export(api.clone(), query.clone(), output, saved_at);
//! assert!(tokio::time::timeout(Duration::from_millis(250), run).await.is_err());
//! OpenOptions::new().append(true).open(output)?.write_all(b"{\"conversationId\":\"to")?;
//! // The next one.
//! export(api, query, output, saved_at).await?;
//! let all: String = (0..550).map(|index| analytics.record(index) + "\n").collect();
//! assert_eq!(fs::read_to_string(output)?, all);
//! # assert_eq!(analytics.stats().pages, 6);
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! A lock on the output keeps a second run away while the first is still there. Compressed, each page is a gzip member or a
//! zstd frame of its own, so that the file can be cut between them; tools read them as one.
//!
//! A continuation holds the API's own link or cursor, and is as secret as that. The checkpoint belongs where the output is,
//! with the same permissions.
//!
//! With [`Pager::read_ahead`] the continuation is that after the last page that was handed out, whatever was fetched beyond
//! it. After an error it is the page that failed: a run that ends with an error is gone on with like one that was killed.
//!
//! # Periods
//!
//! A details query answers for 31 days and counts 100,000 records at the most. Its interval is half open, from the first
//! instant on and before the second: parts that meet have each record once. A part whose first page counts more than
//! 100,000 is asked for in two halves, before anything of it is written.
//!
//! ```
//! use std::collections::VecDeque;
//! use futures_util::TryStreamExt;
//! use jiff::{SignedDuration, Timestamp};
//! use tower_oauth2::{genesys::ConversationDetails, pager::Pager};
//! # use tower::Layer;
//! # use tower_oauth2::{OAuthLayer, TokenCache, grant::{ClientAuth, ClientCredentials}, testing::{Analytics, Issuer}};
//!
//! /// From the first on, and before the second.
//! type Period = [Timestamp; 2];
//!
//! fn parts([mut from, to]: Period) -> VecDeque<Period> {
//!     let mut parts = VecDeque::new();
//!     while from < to {
//!         let end = to.min(from + SignedDuration::from_hours(31 * 24));
//!         parts.push_back([from, end]);
//!         from = end;
//!     }
//!     parts
//! }
//!
//! fn halves([from, to]: Period) -> Option<[Period; 2]> {
//!     let middle = Timestamp::from_millisecond((from.as_millisecond() + to.as_millisecond()).div_euclid(2)).ok()?;
//!     (from < middle).then_some([[from, middle], [middle, to]]) // the API counts in milliseconds
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let issuer = Issuer::new();
//! # let analytics = Analytics::builder(&issuer).records(350_000).interval("2026-03-01T00:00:00Z/2026-04-20T00:00:00Z")?.build();
//! # let auth = ClientAuth::basic("test-client", "test-secret");
//! # let tokens = TokenCache::new(ClientCredentials::new(issuer.service(), "https://login.example.com/token", auth)?);
//! # let api = OAuthLayer::for_origin("https://api.mypurecloud.ie", tokens)?.layer(analytics.service());
//! let mut parts = parts(["2026-03-01T00:00:00Z".parse()?, "2026-04-20T00:00:00Z".parse()?]); // with 350,000 records
//! assert_eq!(parts.len(), 2);
//! let mut counts = Vec::new();
//! while let Some(part) = parts.pop_front() {
//!     let [from, to] = part;
//!     let query = ConversationDetails::query("https://api.mypurecloud.ie", format!("{from}/{to}")).build()?;
//!     let mut pages = Pager::new(api.clone(), query);
//!     let Some(first) = pages.try_next().await? else { continue };
//!     if first.total() > Some(100_000) {
//!         for half in halves(part).ok_or("100,000 records in a millisecond")?.into_iter().rev() {
//!             parts.push_front(half);
//!         }
//!         continue;
//!     }
//!     // Here the first page is written, and then the others of `pages`.
//!     counts.push(first.total().unwrap_or_default());
//! }
//! assert_eq!(counts.len(), 6);
//! assert_eq!(counts.iter().sum::<u64>(), 350_000);
//! # Ok::<(), tower::BoxError>(()) })?;
//! # Ok::<(), tower::BoxError>(())
//! ```
//!
//! The checkpoint then has the parts that are left as well, the one in hand first with its continuation.
//!
//! An export of tomorrow begins where that of today ended, not at midnight as some clock has it. What changes later or comes
//! late is seen only by asking for the time before once more, and keeping the last copy by id.
//!
//! # Jobs
//!
//! A [`ConversationJob`] reaches further: attributes, no 31 days, no 100,000. It is not another details query:
//!
//! * **Its periods overlap.** A conversation is in each part that it was active in. The parts are asked for from the newest
//!   to the oldest, since of two copies the newer part has the newer one, and what is there already is dropped.
//! * **It outlives a run**, with [`keep_unfinished`](crate::genesys::ConversationJob::keep_unfinished): the continuation names it, the next
//!   run goes on with its pages, and it is deleted at its end. Save the continuation also while the job is waited for. An
//!   API has few places for jobs; whoever ends early without that waits for [`Pager::close`].
//! * **It expires.** A continuation of one that is gone ends with [`JobFailed`](crate::pager::ErrorKind::JobFailed). The part begins
//!   again: with another job, and the output cut back to where the part began, as another job may have other pages.
//! * **Its data lags behind.** If it does not reach the end of the period the stream ends with
//!   [`JobIncomplete`](crate::pager::ErrorKind::JobIncomplete), behind its last page. All there is was handed out; the period has to be
//!   asked for again later.
//!
//! ```
//! use std::collections::HashSet;
//! use futures_util::TryStreamExt;
//! use serde::Deserialize;
//! use serde_json::value::RawValue;
//! use tower_oauth2::{
//!     genesys::ConversationJob,
//!     pager::{ErrorKind, Pager, RawItem},
//! };
//! # use tower::Layer;
//! # use tower_oauth2::{OAuthLayer, TokenCache, grant::{ClientAuth, ClientCredentials}};
//! # use tower_oauth2::testing::{Analytics, Issuer, JobFate};
//!
//! #[derive(Deserialize)]
//! #[serde(rename_all = "camelCase")]
//! struct Conversation {
//!     conversation_id: String,
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
//! # let issuer = Issuer::new();
//! # let analytics = Analytics::builder(&issuer).records(5000).interval("2026-03-01T00:00:00Z/2026-03-02T00:00:00Z")?.build();
//! # let auth = ClientAuth::basic("test-client", "test-secret");
//! # let tokens = TokenCache::new(ClientCredentials::new(issuer.service(), "https://login.example.com/token", auth)?);
//! # let api = OAuthLayer::for_origin("https://api.mypurecloud.ie", tokens)?.layer(analytics.service());
//! # analytics.next_job(JobFate::ExpiredAfter(1));
//! let newest_first = ["2026-03-01T12:00:00Z/2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z/2026-03-01T12:00:00Z"];
//! let (mut out, mut seen, mut twice): (Vec<RawItem>, HashSet<String>, u32) = Default::default();
//! let mut complete = true;
//! for part in newest_first {
//!     let query = ConversationJob::query("https://api.mypurecloud.ie", part).keep_unfinished().build()?;
//!     let (begin, mut ids, mut jobs) = (out.len(), Vec::new(), 1);
//!     let mut pages = Pager::new(api.clone(), query.clone());
//!     loop {
//!         match pages.try_next().await {
//!             Ok(Some(page)) => {
//!                 for item in page.raw_items() {
//!                     let id = item.parse::<Conversation>()?.conversation_id;
//!                     if seen.contains(&id) {
//!                         twice += 1; // and there is a newer copy
//!                     } else {
//!                         ids.push(id);
//!                         out.push(item);
//!                     }
//!                 }
//!             }
//!             Ok(None) => break,
//!             Err(error) if error.kind() == ErrorKind::JobFailed && jobs < 3 => {
//!                 jobs += 1;
//!                 out.truncate(begin);
//!                 ids.clear();
//!                 pages = Pager::new(api.clone(), query.clone());
//!             }
//!             Err(error) if error.kind() == ErrorKind::JobIncomplete => {
//!                 complete = false;
//!                 break;
//!             }
//!             Err(error) => return Err(error.into()),
//!         }
//!     }
//!     seen.extend(ids);
//! }
//! assert!(complete && twice > 0);
//! assert_eq!(out.len(), 5000);
//! # assert_eq!(analytics.open_jobs(), 0);
//! # Ok::<(), tower::BoxError>(()) })?;
//! # Ok::<(), tower::BoxError>(())
//! ```
//!
//! [Pages and checkpoints](#pages-and-checkpoints) apply to it as they stand; only the ids that are to be dropped have to be
//! in the checkpoint too. Those of conversations that began before their part are enough.
//!
//! # Several at once
//!
//! Clones of one stack share its token, its cool-down, its pacing and its budget of retries: several pagers at once are one
//! client to the API. Parts side by side, in their order:
//!
//! ```
//! use futures_util::{StreamExt, TryStreamExt, stream};
//! use tower_oauth2::{
//!     genesys::ConversationDetails,
//!     pager::{Error, Pager, RawItem},
//! };
//! # use std::time::Duration;
//! # use tower::ServiceBuilder;
//! # use tower_oauth2::{OAuthLayer, TokenCache, grant::{ClientAuth, ClientCredentials}, testing::{Analytics, Issuer}};
//! # use tower_oauth2::retry::{CooldownLayer, RetryLayer, RetryPolicy};
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
//! # let issuer = Issuer::new();
//! # let analytics = Analytics::builder(&issuer).records(2000).interval("2026-03-01T00:00:00Z/2026-03-05T00:00:00Z")?
//! #     .latency(Duration::from_millis(10)).rate_limit(10, Duration::from_secs(1)).build();
//! # let auth = ClientAuth::basic("test-client", "test-secret");
//! # let tokens = TokenCache::new(ClientCredentials::new(issuer.service(), "https://login.example.com/token", auth)?);
//! # let api = ServiceBuilder::new()
//! #     .layer(RetryLayer::new(RetryPolicy::new()))
//! #     .layer(CooldownLayer::new())
//! #     .layer(OAuthLayer::for_origin("https://api.mypurecloud.ie", tokens)?)
//! #     .service(analytics.service());
//!
//! let days = (1..5).map(|day| format!("2026-03-{day:02}T00:00:00Z/2026-03-{:02}T00:00:00Z", day + 1));
//! let exports = days.map(|day| {
//!     let api = api.clone();
//!     async move {
//!         let query = ConversationDetails::query("https://api.mypurecloud.ie", day).build()?;
//!         Ok::<Vec<RawItem>, Error>(Pager::new(api, query).raw_items().try_collect().await?)
//!     }
//! });
//! let days: Vec<_> = stream::iter(exports).buffered(3).try_collect().await?;
//! let rows: Vec<&str> = days.iter().flatten().map(|row| std::str::from_utf8(row.as_bytes())).collect::<Result<_, _>>()?;
//! let all: Vec<String> = (0..2000).map(|index| analytics.record(index)).collect();
//! assert_eq!(rows, all);
//! assert_eq!(issuer.stats().minted, 1);
//! assert_eq!(analytics.stats().largest_concurrency, 3);
//! // A limit of ten requests a second was met, and nobody came back before its time.
//! assert!(analytics.stats().rate_limited > 0);
//! assert_eq!(analytics.stats().requests_inside_retry_after, 0);
//! # Ok::<(), tower::BoxError>(()) })?;
//! # Ok::<(), tower::BoxError>(())
//! ```
//!
//! Each part with a file and a checkpoint of its own is the simplest way to have that survive a crash; with one file for
//! all, what is ahead of its turn waits, in memory or on the disk, and only the part whose turn it is has a checkpoint.
//! Within one part [`Pager::concurrency`] asks for several numbered pages at once, in order. None of it gets more out of the
//! API than its rate limit: Genesys Cloud has 300 requests a minute for a token, which one pager uses up if a page takes
//! 200 ms or less.
//!
//! # Exit codes
//!
//! A scheduler knows a number. It should tell what can be tried again as it is from what a person has to look at:
//!
//! ```
//! use tower_oauth2::pager;
//! # use std::time::{Duration, SystemTime};
//! # use futures_util::TryStreamExt;
//! # use tower::{BoxError, Layer};
//! # use tower_oauth2::{OAuthLayer, TokenCache, genesys::{ConversationDetails, ConversationJob}, grant::{ClientAuth, ClientCredentials}};
//! # use tower_oauth2::testing::{Analytics, Fault, Issuer};
//!
//! fn exit_code(error: &pager::Error) -> u8 {
//!     use pager::ErrorKind::{Config, Incomplete, JobIncomplete};
//!     if let Some(token) = tower_oauth2::Error::find(error) {
//!         return if token.is_config() { 2 } else { 3 }; // `is_transient` tells an outage from a wrong secret
//!     }
//!     match error.status().map(|status| status.as_u16()) {
//!         Some(401) => 3, // also with a new token
//!         _ if error.kind() == Config => 2,
//!         _ if matches!(error.kind(), Incomplete | JobIncomplete) => 5,
//!         _ => 4,
//!     }
//! }
//! # async fn code(analytics: &Analytics, secret: &str, job: bool) -> Result<u8, BoxError> {
//! #     let auth = ClientAuth::basic("test-client", secret);
//! #     let grant = ClientCredentials::new(analytics.issuer().service(), "https://login.example.com/token", auth)?;
//! #     let api = OAuthLayer::for_origin("https://api.mypurecloud.ie", TokenCache::new(grant))?.layer(analytics.service());
//! #     let (url, interval) = ("https://api.mypurecloud.ie", analytics.interval());
//! #     let query = if job { ConversationJob::query(url, interval).build()? } else { ConversationDetails::query(url, interval).build()? };
//! #     let end = Pager::new(api, query).try_for_each(|_| std::future::ready(Ok(()))).await;
//! #     Ok(end.err().as_ref().map_or(0, exit_code))
//! # }
//! # use tower_oauth2::pager::Pager;
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
//! # let issuer = Issuer::new();
//! # let analytics = Analytics::builder(&issuer).available_until(SystemTime::now() - Duration::from_secs(86400)).build();
//! # assert_eq!(code(&analytics, "test-secret", false).await?, 0);
//! # assert_eq!(code(&analytics, "test-secret", true).await?, 5);
//! # assert_eq!(code(&analytics, "wrong", false).await?, 3);
//! # analytics.fail_next(Fault::Status(403));
//! # assert_eq!(code(&analytics, "test-secret", false).await?, 4);
//! # let analytics = Analytics::builder(&issuer).always_unauthorized(true).build();
//! # assert_eq!(code(&analytics, "test-secret", false).await?, 3);
//! # Ok::<(), BoxError>(()) })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! The output's own errors (a full disk) are another one, and a signal is 128 and its number, as a shell has it. What is
//! not complete is never 0.
//!
//! [`CooldownLayer`]: crate::retry::CooldownLayer
//! [`ConversationJob`]: crate::genesys::ConversationJob
//! [`OAuthLayer`]: crate::OAuthLayer
//! [`Pager`]: crate::pager::Pager
//! [`Pager::close`]: crate::pager::Pager::close
//! [`Pager::concurrency`]: crate::pager::Pager::concurrency
//! [`Pager::continuation`]: crate::pager::Pager::continuation
//! [`Pager::read_ahead`]: crate::pager::Pager::read_ahead
//! [`RetryLayer`]: crate::retry::RetryLayer
