//! The output: one record a line, as it came.

use std::{
    borrow::Cow,
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::Path,
};

use tower_oauth2::pager::Page;

/// Writes NDJSON to a file or the standard output, with a buffer of a fixed size.
#[derive(Debug)]
pub struct Sink {
    out: Out,
    /// Whether what an earlier run wrote is gone.
    begun: bool,
    records: u64,
    bytes: u64,
}

#[derive(Debug)]
enum Out {
    File(BufWriter<File>),
    Stdout(BufWriter<io::Stdout>),
}

// === impl Sink ===

impl Sink {
    /// Opens the file; `-` is the standard output. What an earlier run wrote stays until there is something to write.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let out = if path == Path::new("-") {
            Out::Stdout(BufWriter::with_capacity(BUFFER, io::stdout()))
        } else {
            Out::File(BufWriter::with_capacity(
                BUFFER,
                OpenOptions::new().write(true).create(true).truncate(false).open(path)?,
            ))
        };
        Ok(Self { out, begun: false, records: 0, bytes: 0 })
    }

    /// Writes what is on a page.
    ///
    /// # Errors
    ///
    /// If the output fails: a full disk, a closed pipe.
    pub fn write(&mut self, page: &Page) -> io::Result<()> {
        self.begin()?;
        for item in page.raw_items() {
            let line = one_line(item.as_bytes());
            self.out.write_all(&line)?;
            self.out.write_all(b"\n")?;
            self.records += 1;
            self.bytes += line.len() as u64 + 1;
        }
        // What reads a pipe gets each page when it comes.
        if matches!(self.out, Out::Stdout(_)) { self.out.flush() } else { Ok(()) }
    }

    /// Writes what is in the buffer, and waits until a file is on the disk. A complete run without a record leaves an empty
    /// file; one that failed before its first page leaves what was there.
    ///
    /// # Errors
    ///
    /// If the output fails.
    pub fn finish(&mut self, complete: bool) -> io::Result<()> {
        if complete {
            self.begin()?;
        }
        self.out.flush()?;
        match &self.out {
            Out::File(file) => match file.get_ref().sync_all() {
                // A pipe or a device behind a path has nothing to sync.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
                result => result,
            },
            Out::Stdout(_) => Ok(()),
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        if let (Out::File(file), false) = (&self.out, self.begun) {
            // A pipe or a device behind a path has no length.
            if file.get_ref().metadata()?.is_file() {
                file.get_ref().set_len(0)?;
            }
        }
        self.begun = true;
        Ok(())
    }

    pub const fn records(&self) -> u64 {
        self.records
    }

    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(stdout) => stdout.flush(),
        }
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

const BUFFER: usize = 256 * 1024;

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
