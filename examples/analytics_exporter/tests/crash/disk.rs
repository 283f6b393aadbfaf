//! A file system in memory that fails, and that forgets what a real one may forget.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use analytics_exporter::disk::{Disk, DiskFile};

/// Clones are the same file system.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

/// A file system as one process sees it.
#[derive(Debug)]
pub(crate) struct Process(SimDisk);

#[derive(Debug)]
pub(crate) struct SimFile {
    disk: SimDisk,
    inode: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// That step is begun, and neither it nor any later one comes to its end.
    Crash { step: u64, after: After },
    /// That step fails with this error, once; a part of what it writes may be there.
    Fails { step: u64, code: i32 },
    /// There is room for so many bytes in all files.
    Room { bytes: usize },
}

/// What is left after a crash.
#[derive(Clone, Copy, Debug)]
pub(crate) enum After {
    /// Whatever was written, also if nobody waited for the disk.
    Kill,
    /// Of what nobody waited for, anything between all and nothing.
    PowerCut,
}

#[derive(Debug)]
struct State {
    names: BTreeMap<PathBuf, usize>,
    /// What the folder was after each step that nobody waited for; the first is on the disk.
    names_since: Vec<BTreeMap<PathBuf, usize>>,
    inodes: Vec<Inode>,
    fault: Option<Fault>,
    crashed: bool,
    step: u64,
    rng: Rng,
}

#[derive(Debug, Default)]
struct Inode {
    data: Vec<u8>,
    /// What it was after each step that nobody waited for; the first is on the disk.
    since: Vec<Vec<u8>>,
}

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

// === impl Rng ===

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }
}

// === impl SimDisk ===

impl SimDisk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            names: BTreeMap::new(),
            names_since: vec![BTreeMap::new()],
            inodes: Vec::new(),
            fault: None,
            crashed: false,
            step: 0,
            rng: Rng(seed),
        })))
    }

    pub(crate) fn process(&self) -> Process {
        Process(self.clone())
    }

    pub(crate) fn rng(&self) -> Rng {
        self.state().rng.clone()
    }

    /// From now on, counted from the next step.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.fault = fault;
        state.step = 0;
    }

    pub(crate) fn steps(&self) -> u64 {
        self.state().step
    }

    /// Another one with the same files.
    pub(crate) fn copy(&self) -> Self {
        let state = self.state();
        let copy = Self::new(0);
        for (path, inode) in &state.names {
            let made = copy.state().make(path);
            copy.state().inodes[made].data = state.inodes[*inode].data.clone();
        }
        copy
    }

    /// The files there are.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    pub(crate) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        Some(state.inodes[*state.names.get(path)?].data.clone())
    }

    /// After a crash: what is left is all there is.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        if let (true, Some(Fault::Crash { after: After::PowerCut, .. })) = (state.crashed, state.fault) {
            state.forget();
        }
        state.crashed = false;
        let names = state.names.clone();
        state.names_since = vec![names];
        for inode in &mut state.inodes {
            inode.since = vec![inode.data.clone()];
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

// === impl State ===

impl State {
    /// Begins a step; how much of it is to be done before the error, if there is one.
    fn step(&mut self) -> Result<(), (io::Error, usize)> {
        let step = self.step;
        self.step += 1;
        let part = self.rng.below(101);
        match self.fault {
            _ if self.crashed => Err((io::Error::other("the process is dead"), 0)),
            Some(Fault::Crash { step: at, .. }) if step == at => {
                self.crashed = true;
                Err((io::Error::other("the process is dead"), part))
            }
            Some(Fault::Fails { step: at, code }) if step == at => Err((io::Error::from_raw_os_error(code), part)),
            _ => Ok(()),
        }
    }

    /// Whether the step is done nevertheless, all or nothing.
    fn atomic(&mut self) -> (bool, io::Result<()>) {
        match self.step() {
            Ok(()) => (true, Ok(())),
            // Nobody knows whether it was done before the crash; one that failed was not.
            Err((error, part)) => (self.crashed && part > 50, Err(error)),
        }
    }

    fn room(&self) -> usize {
        let Some(Fault::Room { bytes }) = self.fault else { return usize::MAX };
        let used: usize = self.names.values().map(|inode| self.inodes[*inode].data.len()).sum();
        bytes.saturating_sub(used)
    }

    /// The power is gone: of what nobody waited for, some of the steps were done, the last of a file perhaps in part.
    fn forget(&mut self) {
        let kept = self.rng.below(self.names_since.len());
        self.names = self.names_since[kept].clone();
        for index in 0..self.inodes.len() {
            let kept = self.rng.below(self.inodes[index].since.len());
            let mut data = self.inodes[index].since[kept].clone();
            if let Some(next) = self.inodes[index].since.get(kept + 1).cloned() {
                // Its length came to the disk, and only a part of what is in it; the rest is zeros.
                if next.starts_with(&data) && self.rng.below(2) == 0 {
                    let part = data.len() + self.rng.below(next.len() - data.len() + 1);
                    data = next[..part].to_vec();
                    data.resize(next.len(), 0);
                }
            }
            self.inodes[index].data = data;
        }
    }

    fn make(&mut self, path: &Path) -> usize {
        self.inodes.push(Inode { data: Vec::new(), since: vec![Vec::new()] });
        let inode = self.inodes.len() - 1;
        self.names.insert(path.to_owned(), inode);
        self.names_since.push(self.names.clone());
        inode
    }
}

// === impl Process ===

impl Disk for Process {
    type File = SimFile;
    type Reader = io::Cursor<Vec<u8>>;

    fn open(&self, path: &Path) -> io::Result<SimFile> {
        let mut state = self.0.state();
        let (done, result) = state.atomic();
        let there = state.names.get(path).copied();
        let inode = if done { there.unwrap_or_else(|| state.make(path)) } else { 0 };
        result.map(|()| SimFile { disk: self.0.clone(), inode })
    }

    fn create(&self, path: &Path) -> io::Result<SimFile> {
        let mut state = self.0.state();
        let (done, result) = state.atomic();
        let inode = if done { state.make(path) } else { 0 };
        result.map(|()| SimFile { disk: self.0.clone(), inode })
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let mut state = self.0.state();
        state.step().map_err(|(error, _)| error)?;
        let inode = state.names.get(path).copied();
        Ok(inode.map(|inode| state.inodes[inode].data.clone()))
    }

    fn reader(&self, path: &Path) -> io::Result<io::Cursor<Vec<u8>>> {
        self.read(path)?.map(io::Cursor::new).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.0.state();
        state.step().map_err(|(error, _)| error)?;
        Ok(state.names.contains_key(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.state();
        let (done, result) = state.atomic();
        if done && state.names.remove(path).is_some() {
            let names = state.names.clone();
            state.names_since.push(names);
        }
        result
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.state();
        let (done, result) = state.atomic();
        if done {
            let inode = state.names.remove(from).unwrap();
            state.names.insert(to.to_owned(), inode);
            let names = state.names.clone();
            state.names_since.push(names);
        }
        result
    }

    fn sync_folder_of(&self, _: &Path) -> io::Result<()> {
        let mut state = self.0.state();
        let (done, result) = state.atomic();
        if done {
            let names = state.names.clone();
            state.names_since = vec![names];
        }
        result
    }
}

// === impl SimFile ===

impl SimFile {
    fn change(&self, state: &mut State, change: impl FnOnce(&mut Vec<u8>)) {
        let inode = &mut state.inodes[self.inode];
        change(&mut inode.data);
        inode.since.push(inode.data.clone());
    }
}

impl DiskFile for SimFile {
    fn lock(&self) -> io::Result<bool> {
        self.disk.state().step().map_err(|(error, _)| error)?;
        Ok(true)
    }

    fn size(&self) -> io::Result<Option<u64>> {
        let mut state = self.disk.state();
        state.step().map_err(|(error, _)| error)?;
        Ok(Some(state.inodes[self.inode].data.len() as u64))
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let (done, result) = state.atomic();
        if done {
            self.change(&mut state, |data| data.truncate(usize::try_from(len).unwrap()));
        }
        result
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let room = state.room();
        let result = match state.step() {
            Ok(()) if bytes.len() > room => Err((io::Error::from_raw_os_error(super::ENOSPC), 100)),
            step => step,
        };
        let part = result.as_ref().err().map_or(bytes.len(), |(_, part)| bytes.len() * part / 100);
        self.change(&mut state, |data| data.extend_from_slice(&bytes[..part.min(room)]));
        result.map_err(|(error, _)| error)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let (done, result) = state.atomic();
        if done {
            let inode = &mut state.inodes[self.inode];
            inode.since = vec![inode.data.clone()];
        }
        result
    }
}
