//! What the exporter asks of a file system, so that tests can let it fail and crash at every step.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use fs4::{FileExt, TryLockError};

/// A file system.
pub trait Disk: fmt::Debug + Send + Sync {
    type File: DiskFile;
    type Reader: io::Read;

    /// Opens a file, and makes it if it is not there. What is in it stays.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Makes an empty file, in place of one that is there.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// What is in a file; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;

    /// What is in a file, from its beginning on.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is not there.
    fn reader(&self, path: &Path) -> io::Result<Self::Reader>;

    /// Whether there is such a file.
    ///
    /// # Errors
    ///
    /// If that is not known.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Removes a file, if it is there.
    ///
    /// # Errors
    ///
    /// If it cannot be done.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Puts `from` in the place of `to`, at once.
    ///
    /// # Errors
    ///
    /// If it cannot be done; then `to` is what it was.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Waits until what was made and renamed in the folder of `path` is on the disk.
    ///
    /// # Errors
    ///
    /// If that is not known.
    fn sync_folder_of(&self, path: &Path) -> io::Result<()>;

    /// Puts `bytes` in the place of what is in the file at `path`: all of them, on the disk, or nothing.
    ///
    /// # Errors
    ///
    /// If one step fails; then the file is what it was, or is `bytes`.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.replace_with(path, |file| file.write(bytes))
    }

    /// The same with what `write` writes.
    ///
    /// # Errors
    ///
    /// Those of `write`, and if one step fails; then the file is what it was, or has all of it.
    fn replace_with<T, E: From<io::Error>>(
        &self,
        path: &Path,
        write: impl FnOnce(&mut Self::File) -> Result<T, E>,
    ) -> Result<T, E> {
        let beside = beside(path, ".tmp");
        let mut file = self.create(&beside)?;
        let written = write(&mut file)?;
        file.sync()?;
        drop(file);
        self.rename(&beside, path)?;
        self.sync_folder_of(path)?;
        Ok(written)
    }
}

/// An open file, which is written at its end.
pub trait DiskFile: fmt::Debug + Send {
    /// Keeps others from it until it is closed. `false` if somebody else does.
    ///
    /// # Errors
    ///
    /// If files cannot be locked here.
    fn lock(&self) -> io::Result<bool>;

    /// Its length in bytes; `None` for what is no regular file, such as a pipe.
    ///
    /// # Errors
    ///
    /// If that is not known.
    fn size(&self) -> io::Result<Option<u64>>;

    /// Cuts off what is behind so many bytes.
    ///
    /// # Errors
    ///
    /// If it cannot be done.
    fn cut(&mut self, len: u64) -> io::Result<()>;

    /// Writes all of `bytes` at its end.
    ///
    /// # Errors
    ///
    /// If it cannot be done; then a part of them may be there.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    ///
    /// If that is not known.
    fn sync(&self) -> io::Result<()>;
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// `path` with something behind its name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

// === impl RealDisk ===

impl Disk for RealDisk {
    type File = File;
    type Reader = File;

    fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(false).open(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        File::create(path)
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn reader(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Elsewhere a folder cannot be opened, and a rename is written as it is done.
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    }
}

// === impl File ===

impl DiskFile for File {
    fn lock(&self) -> io::Result<bool> {
        // By name: std has one of its own in newer versions.
        match FileExt::try_lock(self) {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn size(&self) -> io::Result<Option<u64>> {
        let metadata = self.metadata()?;
        Ok(metadata.is_file().then_some(metadata.len()))
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.seek(SeekFrom::Start(len)).map(drop)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}
