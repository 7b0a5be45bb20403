//! The file system as the ledger uses it: few operations, each of which a test
//! can make fail.
//!
//! Nothing is durable until it is synced: a file's bytes by [`Fs::sync`] or
//! [`Fs::overwrite`], a name by [`Fs::sync_dir`] on its folder. [`replace`] and
//! [`place`] build on that.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Operations on files by path. An operation that fails may have happened in
/// part, or wholly.
pub trait Fs: Send + Sync {
    /// All bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Creates or empties a file and writes it. Not durable.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Writes over the start of a file, which keeps its length if it is longer,
    /// and makes the bytes durable (fdatasync).
    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes a file's bytes durable (fsync).
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, replacing the file of that name. Not durable.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable (fsync of the folder).
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Creates a folder and its parents; fine when it exists. Not durable.
    fn create_dirs(&self, dir: &Path) -> io::Result<()>;
    /// Removes a folder with all in it; fine when it is absent. Not durable.
    fn remove_dirs(&self, dir: &Path) -> io::Result<()>;
    /// The names in a folder; none when it is absent.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Takes the exclusive lock on a file until the guard is dropped; the error is
    /// `WouldBlock` when another process has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl Fs for RealFs {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::write(path, bytes)
    }

    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn remove_dirs(&self, dir: &Path) -> io::Result<()> {
        absent_is_fine(fs::remove_dir_all(dir), ())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = |entries: fs::ReadDir| {
            entries.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect()
        };
        absent_is_fine(fs::read_dir(dir).and_then(names), Vec::new())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

fn absent_is_fine<T>(result: io::Result<T>, absent: T) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(absent),
        other => other,
    }
}

/// An operation on a file that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} `{}`: {source}", path.display())]
pub struct FileError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    pub(crate) fn new(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self { what, path: path.to_owned(), source }
    }

    /// The kind of failure.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether the file is absent.
    pub fn is_absent(&self) -> bool {
        self.kind() == io::ErrorKind::NotFound
    }
}

/// Names the operation and the path in an error.
pub(crate) trait At<T> {
    fn at(self, what: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, what: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError::new(what, path, source))
    }
}

/// Durably replaces a file: a reader or a crash sees the old bytes or the new.
pub(crate) fn replace(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = temporary(path);
    fs.write(&temporary, bytes).at("write", &temporary)?;
    fs.sync(&temporary).at("sync", &temporary)?;
    fs.rename(&temporary, path).at("rename to", path)?;
    sync_parent(fs, path)
}

/// Places a file so that a reader sees all of it or nothing. Not durable.
pub(crate) fn place(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = temporary(path);
    fs.write(&temporary, bytes).at("write", &temporary)?;
    fs.rename(&temporary, path).at("rename to", path)
}

/// Makes the names in a file's folder durable.
pub(crate) fn sync_parent(fs: &dyn Fs, path: &Path) -> Result<(), FileError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs.sync_dir(dir).at("sync the folder", dir)
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}
