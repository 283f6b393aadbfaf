//! From the API to the output: part after part, page after page, several parts at once if wanted, in one order.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::sleep,
};

use crate::{
    blocking,
    checkpoint::Checkpoint,
    client::Client,
    disk::Disk,
    frame::{Common, Event, Frame, Halt},
    lane::Lane,
    output::Output,
    spool::{Limits, Spool},
};

/// How it is pumped.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Parts at once.
    pub lanes: usize,
    /// What may wait on the disk, of each of them.
    pub spool: u64,
    /// Whether it is to end after the page in hand.
    pub stop: watch::Receiver<bool>,
}

/// What is told of each page.
#[derive(Debug)]
pub struct Told<'a> {
    pub state: &'a Checkpoint,
    /// How many records the part in hand has, and has of them in the output.
    pub part: Option<(u64, u64)>,
}

/// Exports what `output` still lacks.
///
/// # Errors
///
/// Whatever kept a record from being exported. A later run goes on with the page that it was on.
pub async fn pump<S: Client, D: Disk>(
    service: S,
    common: &Arc<Common>,
    output: &mut Output<D>,
    manner: &Manner,
    mut tell: impl FnMut(Told<'_>),
) -> Result<(), Halt> {
    let mut feeds = Feeds { service, common, lanes: VecDeque::new(), manner };
    let result = flow(&mut feeds, output, &mut tell).await;
    feeds.close().await;
    // Whatever ended it, the pages before that count.
    let saved = blocking(|| output.commit());
    result?;
    saved.map_err(Halt::Output)?;
    blocking(|| output.complete())
}

async fn flow<S: Client, D: Disk>(
    feeds: &mut Feeds<'_, S>,
    output: &mut Output<D>,
    tell: &mut impl FnMut(Told<'_>),
) -> Result<(), Halt> {
    let mut stop = feeds.manner.stop.clone();
    let given_up = give_up(stop.clone());
    tokio::pin!(given_up);
    loop {
        feeds.fill(output);
        let Some((feed, parts)) = feeds.lanes.front_mut() else { return Ok(()) };
        let jobs = feeds.common.jobs.changed.notified();
        let frame = tokio::select! {
            biased;
            () = jobs => {
                for (period, continuation) in feeds.common.jobs.take() {
                    blocking(|| output.job(period, continuation)).map_err(Halt::Output)?;
                }
                continue;
            }
            () = &mut given_up => return Err(Halt::Stopped),
            frame = feed.spool.take() => frame,
        };
        let Some(frame) = frame else {
            if *stop.borrow_and_update() {
                return Err(Halt::Stopped);
            }
            feeds.lanes.pop_front();
            continue;
        };
        let Frame { event, lines } = frame?;
        match event {
            Event::Halved(halves) => {
                *parts += 1;
                blocking(|| output.halve(halves)).map_err(Halt::Output)?;
            }
            Event::Again => blocking(|| output.again()).map_err(Halt::Output)?,
            Event::Ended => {
                *parts -= 1;
                blocking(|| output.end_part(None)).map_err(Halt::Output)?;
            }
            Event::Lacks(problem) => {
                *parts -= 1;
                blocking(|| output.end_part(Some(problem))).map_err(Halt::Output)?;
            }
            Event::Page { records, next, total } => {
                if next.is_none() {
                    *parts -= 1;
                }
                let done = next.as_ref().map(tower_oauth2::pager::Continuation::items);
                blocking(|| {
                    output.page(&lines, records, next)?;
                    // What came while the disk was waited for is saved together.
                    let more = !feed.spool.is_empty() && output.unsaved() < TOGETHER;
                    if more { Ok(()) } else { output.commit().map_err(Halt::Output) }
                })?;
                tell(Told { state: output.state(), part: total.zip(done) });
            }
        }
        // What is there already is not asked for again by the next run.
        if *stop.borrow_and_update() && feed.spool.is_empty() {
            return Err(Halt::Stopped);
        }
    }
}

/// Waits until somebody wants it to end, and a little longer for the page in hand.
async fn give_up(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
    sleep(FINISH).await;
}

/// The lanes under way, each with the number of parts it is still to bring, in the order of the parts.
struct Feeds<'a, S> {
    service: S,
    common: &'a Arc<Common>,
    lanes: VecDeque<(Feed, usize)>,
    manner: &'a Manner,
}

/// A lane that runs ahead of what is written.
struct Feed {
    spool: Arc<Spool>,
    task: JoinHandle<()>,
    /// It stops when this is dropped.
    stop: oneshot::Sender<()>,
}

// === impl Feeds ===

impl<S: Client> Feeds<'_, S> {
    /// Begins as many parts as are wanted at once.
    fn fill<D: Disk>(&mut self, output: &Output<D>) {
        let mut begun: usize = self.lanes.iter().map(|(_, parts)| parts).sum();
        while self.lanes.len() < self.manner.lanes {
            let Some(part) = output.state().parts.get(begun) else { return };
            let lane = Lane::new(self.service.clone(), Arc::clone(self.common), part.clone());
            let limits = match self.manner.lanes {
                // It need be no further than what is written in the meantime.
                1 => Limits { memory: AHEAD, disk: 0, folder: output.folder() },
                lanes => Limits { memory: MEMORY / lanes, disk: self.manner.spool, folder: output.folder() },
            };
            self.lanes.push_back((Feed::new(lane, Spool::new(limits), self.manner.stop.clone()), 1));
            begun += 1;
        }
    }

    /// Ends what is under way, and waits until jobs that nobody goes on with are deleted.
    async fn close(self) {
        let tasks: Vec<_> = self.lanes.into_iter().map(|(feed, _)| feed.stop()).collect();
        // All of them together.
        for task in tasks {
            let _panicked = task.await;
        }
    }
}

// === impl Feed ===

impl Feed {
    /// It asks for no other page when it is known that all is to end.
    fn new<S: Client>(mut lane: Lane<S>, spool: Spool, ending: watch::Receiver<bool>) -> Self {
        let spool = Arc::new(spool);
        let (stop, stopped) = oneshot::channel();
        let puts = Arc::clone(&spool);
        let task = tokio::spawn(async move {
            let run = async {
                while let Some(frame) = lane.next().await {
                    puts.put(frame).await;
                    if *ending.borrow() {
                        break;
                    }
                }
            };
            tokio::select! {
                () = run => puts.end(),
                _ = stopped => {}
            }
            lane.close().await;
        });
        Self { spool, task, stop }
    }

    fn stop(self) -> JoinHandle<()> {
        drop(self.stop);
        self.task
    }
}

/// How long the page in hand may take when somebody wants it to end.
const FINISH: Duration = Duration::from_secs(1);
/// Pages that are saved together: a crash costs no more than these, and those that are ahead.
const TOGETHER: u32 = 32;
/// What may wait in memory, in bytes: of one part at a time,
const AHEAD: usize = 2 * 1024 * 1024;
/// and of several, all together.
const MEMORY: usize = 8 * 1024 * 1024;
