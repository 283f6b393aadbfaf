//! The output and its checkpoint: one record a line, as it came, and never one lost or twice.

use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
};

use tower_oauth2::pager::{Continuation, Page};

use crate::{
    args::Said,
    checkpoint::{Checkpoint, Subject},
    config::Period,
    disk::{Disk, DiskFile, RealDisk, beside},
};

/// An output file with its checkpoint beside it.
///
/// The order of steps is what makes it safe: a page is on the disk before the checkpoint that tells of it, and a checkpoint
/// takes the place of the one before it at once. Whatever is behind a checkpoint is cut off by the next run, which asks for
/// it again.
#[derive(Debug)]
pub struct Output<D: Disk> {
    disk: D,
    file: D::File,
    path: PathBuf,
    /// `None` for a pipe or a device, which cannot be gone on with.
    saved_at: Option<PathBuf>,
    state: Checkpoint,
    /// Whether what an earlier export wrote is gone.
    begun: bool,
    /// Records that were there when this run began.
    found: u64,
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
    /// Opens the output, and goes on with an export of the same subject that has not come to its end, unless `restart`. Of
    /// its period counts what was `said`. Otherwise what an earlier one wrote stays until there is something to write.
    ///
    /// # Errors
    ///
    /// If it cannot be written, another process writes it, or it holds another export that is not complete.
    pub fn open(disk: D, path: &Path, subject: Subject, said: Said, restart: bool) -> Result<Self, Unusable> {
        let file = disk.open(path)?;
        let state = Checkpoint::new(subject);
        let Some(len) = file.size()? else { return Ok(Self::stream(disk, file, path, state)) };
        if !file.lock()? {
            return Err(Unusable::Refused(format!(
                "{} is being written by another process: wait for it, or say another --output",
                path.display()
            )));
        }
        let saved_at = beside(path, CHECKPOINT);
        let saved = if restart { None } else { disk.read(&saved_at)? };
        let saved = saved.map(|bytes| Checkpoint::read(&bytes)).transpose().map_err(|problem| {
            let problem = format!("{} {problem}", saved_at.display());
            Unusable::Refused(format!("{problem}: say --restart to begin anew, or another --output"))
        })?;
        let mut output =
            Self { disk, file, path: path.to_owned(), saved_at: Some(saved_at), state, begun: false, found: 0 };
        if let Some(saved) = saved.filter(|saved| !saved.complete) {
            output.go_on(saved, said, len)?;
        }
        Ok(output)
    }

    /// What is written to it cannot be gone on with.
    fn stream(disk: D, file: D::File, path: &Path, state: Checkpoint) -> Self {
        Self { disk, file, path: path.to_owned(), saved_at: None, state, begun: true, found: 0 }
    }

    fn go_on(&mut self, saved: Checkpoint, said: Said, len: u64) -> Result<(), Unusable> {
        let path = self.path.display();
        let mut wanted = self.state.subject.clone();
        if !said.from {
            wanted.period.from = saved.subject.period.from;
        }
        if !said.to {
            wanted.period.to = saved.subject.period.to;
        }
        if let Some(difference) = saved.subject.differs(&wanted) {
            return Err(Unusable::Refused(format!(
                "{path} holds a part of another export, with {difference}: go on with that, say --restart to begin anew, \
                 or say another --output"
            )));
        }
        if len < saved.bytes {
            return Err(Unusable::Refused(format!(
                "{path} has {len} bytes, and its checkpoint tells of {}: somebody changed it; say --restart to begin \
                 anew, or another --output",
                saved.bytes
            )));
        }
        self.file.cut(saved.bytes)?;
        self.found = saved.records;
        self.state = saved;
        self.begun = true;
        Ok(())
    }

    /// How far it is.
    pub const fn state(&self) -> &Checkpoint {
        &self.state
    }

    /// How many records were there when this run began.
    pub const fn found(&self) -> u64 {
        self.found
    }

    /// Whether a later run can go on where this one stops.
    pub const fn can_go_on(&self) -> bool {
        self.saved_at.is_some()
    }

    /// Writes a page of the part in hand, which goes on at `next`, or ends.
    ///
    /// # Errors
    ///
    /// If the output fails: a full disk, a closed pipe. A later run goes on with the page.
    pub fn write(&mut self, page: &Page, next: Option<Continuation>) -> io::Result<()> {
        self.begin()?;
        let mut lines = Vec::with_capacity(page.bytes().len());
        for item in page.raw_items() {
            lines.extend_from_slice(&one_line(item.as_bytes()));
            lines.push(b'\n');
        }
        self.file.write(&lines)?;
        let mut state = self.state.clone();
        state.bytes += lines.len() as u64;
        state.records += page.len() as u64;
        state.pages += 1;
        if next.is_none() {
            state.parts.pop_front();
        }
        state.continuation = next;
        self.save(state)
    }

    /// The part in hand has no more pages.
    ///
    /// # Errors
    ///
    /// If it cannot be saved.
    pub fn end_part(&mut self) -> io::Result<()> {
        let mut state = self.state.clone();
        state.parts.pop_front();
        state.continuation = None;
        if self.begun {
            return self.save(state);
        }
        self.state = state;
        Ok(())
    }

    /// Cuts the part in hand, of which nothing was written, in two. `false` if it is too short for that.
    pub fn halve_part(&mut self) -> bool {
        let halves = self.state.parts.front().and_then(Period::halves);
        if let Some([first, second]) = halves {
            self.state.parts.pop_front();
            self.state.parts.push_front(second);
            self.state.parts.push_front(first);
        }
        halves.is_some()
    }

    /// Nothing is missing. An export without a record leaves an empty file.
    ///
    /// # Errors
    ///
    /// If the output fails.
    pub fn complete(&mut self) -> io::Result<()> {
        self.begin()?;
        let mut state = self.state.clone();
        state.complete = true;
        self.save(state)
    }

    /// Removes what an earlier export wrote. That this one has begun is known before that is gone.
    fn begin(&mut self) -> io::Result<()> {
        if !self.begun {
            self.save(self.state.clone())?;
            self.file.cut(0)?;
            self.begun = true;
        }
        Ok(())
    }

    /// Data first: a checkpoint never tells of what is not on the disk.
    fn save(&mut self, state: Checkpoint) -> io::Result<()> {
        if let Some(saved_at) = &self.saved_at {
            self.file.sync()?;
            self.disk.replace(saved_at, &state.to_bytes())?;
        }
        self.state = state;
        Ok(())
    }
}

impl Output<RealDisk> {
    /// To the standard output, whatever that is.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn stdout(subject: Subject) -> Result<Self, Unusable> {
        #[cfg(unix)]
        let file = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?;
        #[cfg(windows)]
        let file = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned()?;
        Ok(Self::stream(RealDisk, file.into(), Path::new("-"), Checkpoint::new(subject)))
    }
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A record on one line. A line break within JSON can only be between its tokens, so that leaving it out changes nothing.
fn one_line(record: &[u8]) -> Cow<'_, [u8]> {
    let breaks = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if record.iter().any(breaks) {
        Cow::Owned(record.iter().copied().filter(|byte| !breaks(byte)).collect())
    } else {
        Cow::Borrowed(record)
    }
}

/// What the name of a checkpoint has behind that of its output.
pub const CHECKPOINT: &str = ".checkpoint";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_changed_only_where_it_has_line_breaks() {
        let plain = br#"{"a": 1.10, "b": "x\ny"}"#;
        assert!(matches!(one_line(plain), Cow::Borrowed(same) if same == plain));
        assert_eq!(&*one_line(b"{\r\n  \"a\": 1,\n\t\"b\": [\n]}"), b"{  \"a\": 1,\t\"b\": []}");
    }
}
