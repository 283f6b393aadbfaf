//! The output and its checkpoint: records in their form, and never one lost or twice.

mod files;
mod names;
mod open;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "no_parquet.rs"]
mod parquet;

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

use tower_oauth2::pager::Continuation;

use crate::{
    checkpoint::{Checkpoint, Mark, Part},
    disk::{Disk, DiskFile},
    frame::Halt,
    period::Period,
    sieve::Sieve,
};

pub use self::{
    names::Names,
    open::{Opened, Said, Unusable},
};

/// An output with its checkpoint beside it.
///
/// The order of steps is what makes it safe: pages are on the disk before the checkpoint that tells of them, and a checkpoint
/// takes the place of the one before it at once. Whatever is behind a checkpoint is cut off by the next run, which asks for
/// it again.
#[derive(Debug)]
pub struct Output<D: Disk> {
    disk: D,
    names: Names,
    /// What is written.
    file: D::File,
    /// Kept until the end, so that no other process writes; beside the file itself, if that is locked.
    _locks: [Option<D::File>; 2],
    /// `None` for a pipe or a device, which cannot be gone on with.
    saved_at: Option<PathBuf>,
    state: Checkpoint,
    /// What a later run finds.
    saved: Mark,
    /// Pages that were written since.
    unsaved: u32,
    sieve: Sieve,
    /// As in the state.
    seen: HashSet<String>,
    /// Whether what an earlier export wrote is gone.
    begun: bool,
    /// What was there when this run began, and is there still.
    found: Mark,
}

// === impl Output ===

impl<D: Disk> Output<D> {
    /// How far it is.
    pub const fn state(&self) -> &Checkpoint {
        &self.state
    }

    /// What a later run finds; of what cannot be gone on with, all that was written.
    pub const fn mark(&self) -> Mark {
        if self.can_go_on() { self.saved } else { self.state.mark }
    }

    /// How many pages were written that a later run would not find.
    pub const fn unsaved(&self) -> u32 {
        self.unsaved
    }

    /// What was there when this run began, and is there still.
    pub const fn found(&self) -> &Mark {
        &self.found
    }

    /// Whether a later run can go on where this one stops.
    pub const fn can_go_on(&self) -> bool {
        self.saved_at.is_some()
    }

    /// Where what waits for its turn can wait.
    pub fn folder(&self) -> PathBuf {
        let folder = self.names.output().parent().filter(|folder| !folder.as_os_str().is_empty());
        match (&self.saved_at, folder) {
            (Some(_), Some(folder)) => folder.to_owned(),
            (Some(_), None) => ".".into(),
            (None, _) => std::env::temp_dir(),
        }
    }

    /// Writes a page of the part in hand, its records a line each. It goes on at `next`, or ends. A later run finds it after
    /// the next [`commit`](Self::commit), or whatever else is saved.
    ///
    /// # Errors
    ///
    /// If the output fails: a full disk, a closed pipe; or a record does not fit. A later run goes on with the page.
    pub fn page(&mut self, lines: &[u8], records: u64, next: Option<Continuation>) -> Result<(), Halt> {
        self.begin().map_err(Halt::Output)?;
        self.rotate()?;
        let part = self.state.parts.front().and_then(|part| part.period);
        let kept = self.sieve.keep(lines, records, part.as_ref(), &self.seen);
        let bytes = self.state.subject.form.encode(&kept.lines, self.state.mark.bytes == 0).map_err(Halt::Misfit)?;
        self.file.write(&bytes).map_err(Halt::Output)?;
        let state = &mut self.state;
        state.mark.bytes += bytes.len() as u64;
        state.mark.all_bytes += if self.names.stages() { 0 } else { bytes.len() as u64 };
        state.mark.records += kept.records;
        state.mark.pages += 1;
        state.mark.seen += kept.spans.len();
        self.seen.extend(kept.spans.iter().map(|seen| seen.id.clone()));
        state.seen.extend(kept.spans);
        if let (Some(next), Some(part)) = (next, state.parts.front_mut()) {
            part.continuation = Some(next);
        } else {
            end(state);
            self.seen = ids(state);
        }
        self.unsaved += 1;
        Ok(())
    }

    /// Waits until the disk has all pages that were written, and saves that. It takes as long for many as for one.
    ///
    /// # Errors
    ///
    /// If it cannot be saved; a later run asks for those pages again.
    pub fn commit(&mut self) -> io::Result<()> {
        match self.unsaved {
            0 => Ok(()),
            _ => self.save(self.state.clone()),
        }
    }

    /// The part in hand has no more pages; what the API does not have of it yet, if it says so.
    ///
    /// # Errors
    ///
    /// If it cannot be saved.
    pub fn end_part(&mut self, lacks: Option<String>) -> io::Result<()> {
        let mut state = self.state.clone();
        end(&mut state);
        self.seen = ids(&state);
        state.lacks = state.lacks.or(lacks);
        self.save_if_begun(state)
    }

    /// A job that a later run can go on with. What an earlier export wrote goes: the checkpoint has to tell of the job.
    ///
    /// # Errors
    ///
    /// If it cannot be saved.
    pub fn job(&mut self, period: Option<Period>, continuation: Continuation) -> io::Result<()> {
        self.begin()?;
        let mut state = self.state.clone();
        let unread = |part: &Part| part.continuation.as_ref().is_none_or(|next| next.pages() == 0);
        let part = state.parts.iter_mut().find(|part| part.period == period && unread(part));
        if let Some(part) = part {
            part.continuation = Some(continuation);
            self.save(state)?;
        }
        Ok(())
    }

    /// Nothing of the part in hand counts that was written: it comes again from its beginning.
    ///
    /// # Errors
    ///
    /// If it cannot be cut off.
    pub fn again(&mut self) -> io::Result<()> {
        let mut state = self.state.clone();
        if let Some(part) = state.parts.front_mut() {
            part.continuation = None;
        }
        let mark = state.part_mark;
        if state.mark == mark {
            return self.save_if_begun(state);
        }
        self.cut_back(state, mark)
    }

    /// The part in hand comes in two halves, and nothing of it counts that was written.
    ///
    /// # Errors
    ///
    /// If it cannot be cut off.
    pub fn halve(&mut self, halves: [Period; 2]) -> io::Result<()> {
        self.again()?;
        self.state.parts.pop_front();
        self.state.cuts += 1;
        for half in halves.iter().rev() {
            self.state.parts.push_front(Part::new(Some(*half)));
        }
        Ok(())
    }

    /// Nothing is missing, unless the API said so. An export without a record leaves a file without one.
    ///
    /// # Errors
    ///
    /// If the output fails.
    pub fn complete(&mut self) -> Result<(), Halt> {
        self.begin().map_err(Halt::Output)?;
        if self.state.mark.bytes == 0 {
            // The header of a table without rows.
            let header = self.state.subject.form.encode(b"", true).map_err(Halt::Misfit)?;
            self.file.write(&header).map_err(Halt::Output)?;
            self.state.mark.bytes = header.len() as u64;
            self.state.mark.all_bytes += if self.names.stages() { 0 } else { header.len() as u64 };
        }
        let mut state = self.state.clone();
        if self.names.stages() {
            let staged = state.mark.bytes;
            // Another file only if there is something in it, but for the first.
            if staged > 0 || state.mark.file == 1 {
                state.mark.all_bytes += self.finish_file()?;
                state.mark = Mark { file: state.mark.file + 1, bytes: 0, ..state.mark };
            }
        }
        match state.lacks {
            Some(_) => {}
            None => {
                state.complete = true;
                let to = state.subject.piece().map(|piece| piece.to);
                state.complete_to = to.max(state.complete_to);
                state.seen.clear();
            }
        }
        self.save(state).map_err(Halt::Output)?;
        match &self.state.lacks {
            Some(problem) => Err(Halt::Incomplete(problem.clone())),
            None => self.drop_all_staged().map_err(Halt::Output),
        }
    }

    /// Removes what an earlier export wrote. That this one has begun is known before that is gone.
    fn begin(&mut self) -> io::Result<()> {
        if !self.begun {
            self.save(self.state.clone())?;
            self.drop_files_after(1)?;
            self.file.cut(0)?;
            self.begun = true;
        }
        Ok(())
    }

    fn save_if_begun(&mut self, state: Checkpoint) -> io::Result<()> {
        if self.begun {
            return self.save(state);
        }
        self.state = state;
        Ok(())
    }

    /// Data first: a checkpoint never tells of what is not on the disk.
    fn save(&mut self, state: Checkpoint) -> io::Result<()> {
        // Also if it fails: another try could succeed though the system has thrown away what it could not write.
        self.unsaved = 0;
        if let Some(saved_at) = &self.saved_at {
            self.file.sync()?;
            self.disk.replace(saved_at, &state.to_bytes())?;
            self.saved = state.mark;
        }
        self.state = state;
        Ok(())
    }
}

/// The part in hand is at its end.
fn end(state: &mut Checkpoint) {
    let part = state.parts.pop_front().and_then(|part| part.period);
    // The parts to come are older, and have nothing that began in this one or later.
    if let Some(part) = part {
        state.seen.retain(|seen| seen.start.is_none_or(|start| start < part.from));
        state.mark.seen = state.seen.len();
    }
    state.part_mark = state.mark;
}

fn ids(state: &Checkpoint) -> HashSet<String> {
    state.seen.iter().map(|seen| seen.id.clone()).collect()
}

/// Whether it is the standard output, which is written from where it is and has no checkpoint.
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new("/dev/stdout")
}
