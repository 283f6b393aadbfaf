//! The files of an output: begun, finished, cut back, removed.

use std::io;

use super::{Output, ids, parquet};
use crate::{
    checkpoint::{Checkpoint, Mark},
    disk::{Disk, DiskFile},
    frame::Halt,
};

impl<D: Disk> Output<D> {
    /// Begins another file, if the one in hand is long enough.
    pub(super) fn rotate(&mut self) -> Result<(), Halt> {
        let mark = self.state.mark;
        if self.state.subject.form.rotate.is_none_or(|most| mark.bytes < most) {
            return Ok(());
        }
        // Only what is in hand is waited for by a save.
        self.commit().map_err(Halt::Output)?;
        let mut state = self.state.clone();
        state.mark = Mark { file: mark.file + 1, bytes: 0, ..mark };
        if self.names.stages() {
            state.mark.all_bytes += self.finish_file()?;
        }
        let next = self.names.written(state.mark.file);
        let open = || {
            let mut file = self.disk.open(&next)?;
            file.cut(0)?;
            self.disk.sync_folder_of(&next)?;
            // Until a part has ended it may have to be cut back to where it began.
            self.drop_staged(self.state.part_mark.file - 1)?;
            Ok(file)
        };
        self.file = open().map_err(Halt::Output)?;
        // It is saved with its first page.
        self.state = state;
        Ok(())
    }

    /// What was staged becomes a file of its own; its length.
    pub(super) fn finish_file(&mut self) -> Result<u64, Halt> {
        self.file.sync().map_err(Halt::Output)?;
        let (from, to) = (self.names.written(self.state.mark.file), self.names.file(self.state.mark.file));
        parquet::finish(&self.disk, &self.state.subject.form.fields, &from, &to)
    }

    /// What is behind `mark` goes.
    pub(super) fn cut_back(&mut self, mut state: Checkpoint, mark: Mark) -> io::Result<()> {
        if self.saved_at.is_none() {
            // Where the standard output is a file, there may be something before this export.
            return Err(io::Error::other(
                "a part of the export begins again, and what was written of it cannot be taken back here: say a file",
            ));
        }
        let file = match self.names.rotates() {
            true => Some(self.disk.open(&self.names.written(mark.file))?),
            false => None,
        };
        // One that was taken away must not come back as zeros.
        let len = file.as_ref().unwrap_or(&self.file).size()?.unwrap_or_default();
        if len < mark.bytes {
            return Err(io::Error::other(self.changed(&mark, len)));
        }
        state.mark = mark;
        if mark.records < self.found.records {
            self.found = mark;
        }
        state.seen.truncate(mark.seen);
        self.seen = ids(&state);
        // That it does not count is known before it is gone.
        self.save(state)?;
        self.drop_files_after(mark.file)?;
        if let Some(file) = file {
            self.file = file;
        }
        self.file.cut(mark.bytes)
    }

    /// The file of the mark has only so many bytes.
    pub(super) fn changed(&self, mark: &Mark, len: u64) -> String {
        format!(
            "{} has {len} bytes, and its checkpoint tells of {}: somebody changed it; say --restart to begin anew, or \
             another --output",
            self.names.written(mark.file).display(),
            mark.bytes
        )
    }

    /// From the last one on, so that there is never one missing among those that are left.
    pub(super) fn drop_files_after(&self, number: u32) -> io::Result<()> {
        if !self.names.rotates() {
            return Ok(());
        }
        let of = |number| [self.names.file(number), self.names.written(number)];
        let is_there = |number| {
            let [file, written] = of(number);
            Ok::<_, io::Error>(self.disk.exists(&file)? || self.disk.exists(&written)?)
        };
        let mut last = number;
        while is_there(last + 1)? {
            last += 1;
        }
        for number in (number + 1..=last).rev() {
            of(number).iter().try_for_each(|path| self.disk.remove(path))?;
        }
        // What is still staged is no file yet, whatever one of that name was.
        if self.names.stages() && number > 1 {
            self.disk.remove(&self.names.file(number))?;
        }
        Ok(())
    }

    /// What was staged up to this file, and is a file of its own by now. From the first one on, so that those that a crash
    /// leaves are found from the last one on.
    fn drop_staged(&self, number: u32) -> io::Result<()> {
        if !self.names.stages() {
            return Ok(());
        }
        let mut first = number + 1;
        while first > 1 && self.disk.exists(&self.names.written(first - 1))? {
            first -= 1;
        }
        (first..=number).try_for_each(|number| self.disk.remove(&self.names.written(number)))
    }

    /// The file in hand has nothing in it, and may not even be there.
    pub(super) fn drop_all_staged(&self) -> io::Result<()> {
        if self.names.stages() {
            self.disk.remove(&self.names.written(self.state.mark.file))?;
        }
        self.drop_staged(self.state.mark.file - 1)
    }
}
