//! Frames of a part that wait for their turn: a few in memory, the others on the disk.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{
    blocking,
    frame::{Frame, Halt},
};

/// A queue with one who puts in and one who takes out.
#[derive(Debug)]
pub struct Spool {
    state: Mutex<State>,
    changed: Notify,
    limits: Limits,
}

/// How much may wait.
#[derive(Clone, Debug)]
pub struct Limits {
    /// In memory, in bytes; without a disk, a frame more.
    pub memory: usize,
    /// On the disk, in bytes. Whoever puts in waits if there is more. With zero all of them wait in memory.
    pub disk: u64,
    /// Where, in files that have no name and are gone with the process.
    pub folder: PathBuf,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Waiting>,
    memory: usize,
    disk: u64,
    /// What is written to, and how long it is. Another one begins before it is too long, and it is gone when everything
    /// was taken that is in it: of one file for all the beginning could not be given back.
    file: Option<(Arc<File>, u64)>,
    ended: bool,
}

#[derive(Debug)]
enum Waiting {
    Here(Result<Frame, Halt>),
    /// Its lines are on the disk.
    Away {
        frame: Frame,
        file: Arc<File>,
        at: u64,
        len: usize,
    },
}

// === impl Spool ===

impl Spool {
    pub fn new(limits: Limits) -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), limits }
    }

    /// Waits until there is room.
    pub async fn put(&self, frame: Result<Frame, Halt>) {
        loop {
            let changed = self.changed.notified();
            if self.has_room() {
                break;
            }
            changed.await;
        }
        if self.state().keeps(&frame, &self.limits) {
            self.state().keep(frame);
        } else if let Err(error) = blocking(|| self.state().put_away(frame, &self.limits)) {
            self.state().keep(Err(Halt::Spool(error)));
        }
        self.changed.notify_waiters();
    }

    /// There will be no more.
    pub fn end(&self) {
        self.state().ended = true;
        self.changed.notify_waiters();
    }

    /// The next one; `None` after the last. Cancelling it loses nothing.
    pub async fn take(&self) -> Option<Result<Frame, Halt>> {
        loop {
            // Made before it is looked, so that no change is missed.
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                if let Some(waiting) = state.take() {
                    // Under the lock: whoever writes to the file moves in it as well.
                    let frame = waiting.fetch();
                    drop(state);
                    self.changed.notify_waiters();
                    return Some(frame);
                }
                if state.ended {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Whether none is there.
    pub fn is_empty(&self) -> bool {
        self.state().queue.is_empty()
    }

    /// A frame has it in any case when no other waits: otherwise it could be too long for ever.
    fn has_room(&self) -> bool {
        let state = self.state();
        match self.limits.disk {
            0 => state.memory == 0 || state.memory < self.limits.memory,
            most => state.disk == 0 || state.disk < most,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// Whether it waits in memory.
    fn keeps(&self, frame: &Result<Frame, Halt>, limits: &Limits) -> bool {
        let len = len(frame);
        limits.disk == 0 || len == 0 || self.memory + len <= limits.memory
    }

    fn keep(&mut self, frame: Result<Frame, Halt>) {
        self.memory += len(&frame);
        self.queue.push_back(Waiting::Here(frame));
    }

    fn put_away(&mut self, frame: Result<Frame, Halt>, limits: &Limits) -> io::Result<()> {
        let Ok(mut frame) = frame else {
            self.keep(frame);
            return Ok(());
        };
        let lines = std::mem::take(&mut frame.lines);
        let (file, len) = match &mut self.file {
            Some(file) if file.1 < limits.disk / FILES => file,
            other => other.insert((Arc::new(tempfile::tempfile_in(&limits.folder)?), 0)),
        };
        let at = *len;
        (&**file).seek(SeekFrom::Start(at))?;
        (&**file).write_all(&lines)?;
        *len += lines.len() as u64;
        self.disk += lines.len() as u64;
        self.queue.push_back(Waiting::Away { frame, file: Arc::clone(file), at, len: lines.len() });
        Ok(())
    }

    fn take(&mut self) -> Option<Waiting> {
        let waiting = self.queue.pop_front()?;
        match &waiting {
            Waiting::Here(frame) => self.memory -= len(frame),
            Waiting::Away { len, .. } => self.disk -= *len as u64,
        }
        Some(waiting)
    }
}

// === impl Waiting ===

impl Waiting {
    fn fetch(self) -> Result<Frame, Halt> {
        match self {
            Self::Here(frame) => frame,
            Self::Away { frame, file, at, len } => {
                let lines = blocking(|| fetch(&file, at, len)).map_err(Halt::Spool)?;
                Ok(Frame { lines, ..frame })
            }
        }
    }
}

fn len(frame: &Result<Frame, Halt>) -> usize {
    frame.as_ref().map_or(0, |frame| frame.lines.len())
}

fn fetch(mut file: &File, at: u64, len: usize) -> io::Result<Bytes> {
    let mut lines = vec![0; len];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut lines)?;
    Ok(lines.into())
}

/// How many files what may wait is spread over.
const FILES: u64 = 4;

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::frame::Event;

    fn frame(number: u64, len: usize) -> Frame {
        let lines = vec![u8::try_from(number % 251).unwrap(); len].into();
        Frame { event: Event::Page { records: number, next: None, total: None }, lines }
    }

    fn spool(memory: usize, disk: u64) -> Spool {
        Spool::new(Limits { memory, disk, folder: std::env::temp_dir() })
    }

    async fn next(spool: &Spool) -> Option<(u64, usize)> {
        let frame = spool.take().await?.unwrap();
        let Event::Page { records, .. } = frame.event else { panic!("{frame:?}") };
        assert_eq!(frame.lines, vec![u8::try_from(records % 251).unwrap(); frame.lines.len()]);
        Some((records, frame.lines.len()))
    }

    #[tokio::test]
    async fn frames_come_out_in_their_order_whether_they_were_away_or_not() {
        let spool = Arc::new(spool(1_000, 3_000));
        let puts = Arc::clone(&spool);
        let put = tokio::spawn(async move {
            for number in 0..2_000 {
                puts.put(Ok(frame(number, usize::try_from(number * 7 % 400).unwrap()))).await;
                let state = puts.state();
                assert!(state.memory <= 1_000 && state.disk < 3_400, "{} {}", state.memory, state.disk);
            }
            puts.end();
        });
        for number in 0..2_000 {
            if number % 97 == 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(next(&spool).await, Some((number, usize::try_from(number * 7 % 400).unwrap())));
        }
        assert_eq!(next(&spool).await, None);
        put.await.unwrap();
        let state = spool.state();
        assert_eq!((state.memory, state.disk), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_puts_in_waits_for_room_and_not_for_ever() {
        let spool = Arc::new(spool(10, 100));
        for number in 0..4 {
            spool.put(Ok(frame(number, 25))).await;
        }
        let puts = Arc::clone(&spool);
        let put = tokio::spawn(async move { puts.put(Ok(frame(4, 25))).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!put.is_finished());
        for number in 0..3 {
            assert_eq!(next(&spool).await, Some((number, 25)));
        }
        put.await.unwrap();
    }

    #[tokio::test]
    async fn what_was_taken_is_not_on_the_disk_any_more_though_it_is_never_empty() {
        let spool = spool(0, 1_000);
        spool.put(Ok(frame(0, 100))).await;
        for number in 1..500 {
            spool.put(Ok(frame(number, 100))).await;
            assert_eq!(next(&spool).await, Some((number - 1, 100)));
            let state = spool.state();
            let there = state.queue.iter().filter_map(|waiting| match waiting {
                Waiting::Away { file, .. } => Some(file),
                Waiting::Here(_) => None,
            });
            let files: Vec<_> = there.chain(state.file.as_ref().map(|(file, _)| file)).collect();
            let len: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
            assert!(len <= 1_000, "{len} bytes in {} files", files.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_room_on_the_disk_frames_pass_nevertheless() {
        let spool = Arc::new(spool(10, 0));
        let puts = Arc::clone(&spool);
        let put = tokio::spawn(async move {
            for number in 0..20 {
                puts.put(Ok(frame(number, 25))).await;
            }
        });
        for number in 0..20 {
            let taken = tokio::time::timeout(Duration::from_secs(1), next(&spool)).await;
            assert_eq!(taken, Ok(Some((number, 25))));
        }
        put.await.unwrap();
    }

    #[tokio::test]
    async fn a_disk_that_cannot_be_used_is_told_in_its_turn() {
        let spool = Spool::new(Limits { memory: 10, disk: 100, folder: "/nowhere".into() });
        spool.put(Ok(frame(1, 5))).await;
        spool.put(Ok(frame(2, 50))).await;
        assert_eq!(next(&spool).await, Some((1, 5)));
        assert!(matches!(spool.take().await, Some(Err(Halt::Spool(_)))));
    }
}
