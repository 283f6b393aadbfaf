//! How an output is opened: begun, gone on with, or added to.

use std::{collections::HashSet, io, path::Path, time::Duration};

use jiff::Timestamp;

use super::{Names, Output};
use crate::{
    args::Shape,
    checkpoint::{Checkpoint, Mark, Subject},
    disk::{Disk, DiskFile, RealDisk},
    form::Format,
    period::Period,
    sieve::Sieve,
    source::Overlap,
};

/// What was said of an output and is not part of what is exported.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said {
    /// Whether the start of the period was said; where it was not, earlier runs decide on it.
    pub from: bool,
    pub to: bool,
    /// Whether to begin anew.
    pub restart: bool,
    /// Whether the records are those of a simulator, which take the place of nothing but such.
    pub simulated: bool,
    /// How far to go back behind the end of a complete export.
    pub lookback: Duration,
    /// Into how many parts to cut a period at least.
    pub at_once: u32,
}

/// What comes of opening.
#[derive(Debug)]
pub enum Opened<D: Disk> {
    Output(Box<Output<D>>),
    /// It has everything until then, which is so much, and no more was asked for.
    NothingNew(Timestamp, Mark),
}

/// Why an output cannot be used.
#[derive(Debug)]
pub enum Unusable {
    Io(io::Error),
    /// In words that say what to do.
    Refused(String),
}

// === impl Output ===

impl<D: Disk> Output<D> {
    /// Opens the output. An export of the same subject that has not come to its end is gone on with, and one that has is added
    /// to, if it is of a period whose start was not said. Otherwise what an earlier one wrote stays until there is something
    /// to write.
    ///
    /// # Errors
    ///
    /// If it cannot be written, another process writes it, or it holds something else that is not complete.
    pub fn open(disk: D, path: &Path, subject: Subject, said: Said) -> Result<Opened<D>, Unusable> {
        let names = Names::new(path, &subject.form);
        let locked = disk.open(&names.lock())?;
        if locked.size()?.is_none() {
            return Ok(Opened::Output(Box::new(Self::stream(disk, locked, names, subject, said.at_once))));
        }
        if !locked.lock()? {
            return Err(written_elsewhere(path));
        }
        // With other flags it is another file that is locked, and the checkpoint is the same.
        let other = names.other_lock();
        let other = if disk.exists(&other)? { Some(disk.open(&other)?) } else { None };
        if other.as_ref().map(DiskFile::lock).transpose()? == Some(false) {
            return Err(written_elsewhere(path));
        }
        let saved = if said.restart { None } else { read(&disk, &names)? };
        let saved = saved.map_or(Ok(None), |saved| real(saved, said, path))?;
        let (mut state, cut) = match Plan::make(saved, subject, said, path)? {
            Plan::Begin(state) => (state, None),
            Plan::GoOn(state, mark) => (state, Some(mark)),
            Plan::NothingNew(to, mark) => return Ok(Opened::NothingNew(to, mark)),
        };
        state.simulated = said.simulated;
        let number = cut.map_or(1, |mark: Mark| mark.file);
        let is_lock = names.lock() == names.written(number);
        let (file, lock) = if is_lock { (locked, None) } else { (disk.open(&names.written(number))?, Some(locked)) };
        let locks = [lock, other];
        let sieve = sieve(&state);
        let seen = super::ids(&state);
        let saved_at = Some(names.checkpoint());
        let (begun, found) = (cut.is_some(), Mark::START);
        let (saved, unsaved) = (cut.unwrap_or(found), 0);
        let mut output =
            Self { disk, names, file, _locks: locks, saved_at, state, saved, unsaved, sieve, seen, begun, found };
        if let Some(mark) = cut {
            output.go_on(mark)?;
        }
        Ok(Opened::Output(Box::new(output)))
    }

    /// What is written to it cannot be gone on with.
    fn stream(disk: D, file: D::File, names: Names, subject: Subject, at_once: u32) -> Self {
        let state = Checkpoint::new(subject, at_once);
        let sieve = sieve(&state);
        let (saved_at, found) = (None, state.mark);
        Self {
            disk,
            names,
            file,
            _locks: [None, None],
            saved_at,
            state,
            saved: found,
            unsaved: 0,
            sieve,
            seen: HashSet::new(),
            begun: true,
            found,
        }
    }

    /// Cuts back to what the checkpoint tells of: `mark` is what it says is there, and no more may count of that.
    fn go_on(&mut self, mark: Mark) -> Result<(), Unusable> {
        let len = self.file.size()?.unwrap_or_default();
        let mut mark = mark;
        let begins = self.names.written(self.state.mark.file);
        if len == 0 && self.state.is_fresh() && (self.state.mark.file == mark.file || !self.disk.exists(&begins)?) {
            // Somebody took away what was complete.
            mark.bytes = 0;
            self.state.rewind(0);
        }
        if len < mark.bytes {
            return Err(Unusable::Refused(self.changed(&mark, len)));
        }
        self.drop_files_after(mark.file)?;
        self.file.cut(mark.bytes)?;
        let front = self.state.parts.front();
        let begins = front.is_some_and(|part| part.continuation.as_ref().is_none_or(|next| next.pages() == 0));
        if self.state.mark != mark {
            // An export whose data was not there: it comes again from where it began.
            let (state, mark) = (self.state.clone(), self.state.mark);
            self.cut_back(state, mark)?;
        } else if begins && self.state.part_mark != mark {
            self.again()?;
        }
        self.found = self.state.mark;
        Ok(())
    }
}

impl Output<RealDisk> {
    /// To the standard output, whatever that is.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn stdout(subject: Subject, at_once: u32) -> Result<Self, Unusable> {
        #[cfg(unix)]
        let file = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?;
        #[cfg(windows)]
        let file = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned()?;
        let names = Names::new(Path::new("-"), &subject.form);
        Ok(Self::stream(RealDisk, file.into(), names, subject, at_once))
    }
}

/// What is to become of what is there.
enum Plan {
    /// Nothing of it counts.
    Begin(Checkpoint),
    /// It counts up to the mark, and what is there now is up to the other one.
    GoOn(Checkpoint, Mark),
    NothingNew(Timestamp, Mark),
}

// === impl Plan ===

impl Plan {
    fn make(saved: Option<Checkpoint>, subject: Subject, said: Said, path: &Path) -> Result<Self, Unusable> {
        let path = path.display();
        let Some(saved) = saved else { return Ok(Self::Begin(Checkpoint::new(subject, said.at_once))) };
        if saved.complete {
            if said.from {
                return Ok(Self::Begin(Checkpoint::new(subject, said.at_once)));
            }
            let same = Subject { period: saved.subject.period, ..subject.clone() };
            if let Some(difference) = saved.subject.differs(&same) {
                let flags = if subject.period.is_some() { "--from or --restart" } else { "--restart" };
                return Err(Unusable::Refused(format!(
                    "{path} holds a complete export of something else, with {difference}: say {flags} to write over it, or \
                     another --output"
                )));
            }
            let (Some(period), Some(complete_to)) = (subject.period, saved.complete_to) else {
                return Ok(Self::Begin(Checkpoint::new(subject, said.at_once)));
            };
            if period.to <= complete_to {
                return Ok(Self::NothingNew(complete_to, saved.mark));
            }
            if subject.form.format == Format::Parquet && subject.form.rotate.is_none() {
                return Err(Unusable::Refused(format!(
                    "nothing can be added to {path}, which is a Parquet file at its end: say --rotate for a file a run, \
                     --from or --restart to write over it, or another --output"
                )));
            }
            let from = complete_to.checked_sub(said.lookback).unwrap_or(Timestamp::MIN);
            let subject = Subject { period: Some(Period::new(from, period.to)), ..subject };
            return Ok(Self::GoOn(Checkpoint::after(saved.mark, saved.complete_to, subject, said.at_once), saved.mark));
        }
        let mut wanted = subject;
        if let (Some(wanted), Some(period)) = (&mut wanted.period, saved.subject.period) {
            if !said.from {
                wanted.from = period.from;
            }
            // Where data was missing it is asked for until now.
            if !said.to {
                wanted.to = if saved.lacks.is_some() { wanted.to.max(period.to) } else { period.to };
            }
        }
        let mut same = saved.subject.clone();
        if let (Some(_), Some(same), Some(wanted)) = (&saved.lacks, &mut same.period, wanted.period) {
            same.to = wanted.to;
        }
        if let Some(difference) = same.differs(&wanted) {
            return Err(Unusable::Refused(format!(
                "{path} holds a part of another export, with {difference}: go on with that, say --restart to begin anew, \
                 or say another --output"
            )));
        }
        if saved.lacks.is_some() {
            let state = Checkpoint::after(saved.run_mark, saved.complete_to, wanted, said.at_once);
            return Ok(Self::GoOn(state, saved.mark));
        }
        let mark = saved.mark;
        Ok(Self::GoOn(saved, mark))
    }
}

fn read<D: Disk>(disk: &D, names: &Names) -> Result<Option<Checkpoint>, Unusable> {
    let path = names.checkpoint();
    let saved = disk.read(&path)?.map(|bytes| Checkpoint::read(&bytes)).transpose();
    saved.map_err(|problem| {
        let problem = format!("{} {problem}", path.display());
        Unusable::Refused(format!("{problem}: say --restart to begin anew, or another --output"))
    })
}

fn written_elsewhere(path: &Path) -> Unusable {
    Unusable::Refused(format!(
        "{} is being written by another process: wait for it, or say another --output",
        path.display()
    ))
}

/// What counts of what is there. Simulated records are in nobody's way, and take the place of nothing but such: whoever has
/// lost the credentials has not asked for the end of what was exported with them.
fn real(saved: Checkpoint, said: Said, path: &Path) -> Result<Option<Checkpoint>, Unusable> {
    match (saved.simulated, said.simulated) {
        (true, _) => Ok(None),
        (false, false) => Ok(Some(saved)),
        (false, true) => Err(Unusable::Refused(format!(
            "{} holds an export of {}, and without credentials in the environment this one is of a simulator: say --restart \
             to write over it, or another --output",
            path.display(),
            saved.subject.api
        ))),
    }
}

fn sieve(state: &Checkpoint) -> Sieve {
    let subject = &state.subject;
    // Where runs came before this one, what began earlier is theirs.
    let from = state.complete_to.map(|_| Timestamp::MIN).or(subject.period.map(|period| period.from));
    let overlap = if subject.shape == Shape::Details { subject.source.overlap() } else { Overlap::None };
    Sieve::new(overlap, from, subject.piece())
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
