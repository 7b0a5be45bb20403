//! The few file operations that storage is built on, behind one trait, so that
//! tests can fail each of them in turn.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

/// File operations. Each either did all of it or returns an error; after an error
/// nothing is assumed of the bytes that it was about.
pub trait Disk: Send + Sync + 'static {
    /// Makes a folder and its parents, readable by the owner only, and their names
    /// durable.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;
    /// The names in a folder.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Opens a file to read and write, made with mode 0600 when absent.
    fn open(&self, path: &Path) -> io::Result<File>;
    /// The length of an open file in bytes.
    fn len(&self, file: &File) -> io::Result<u64>;
    /// Reads exactly `out.len()` bytes at an offset.
    fn read_at(&self, file: &File, at: u64, out: &mut [u8]) -> io::Result<()>;
    /// Writes bytes at an offset.
    fn write_at(&self, file: &File, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file.
    fn truncate(&self, file: &File, len: u64) -> io::Result<()>;
    /// Makes a file's bytes durable.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Replaces `to` by `from`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        let made = dir.ancestors().take_while(|d| !d.exists()).count();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // What an earlier, failed attempt made may not be durable: the folder and the
        // one that it is in are synced in any case.
        let parents = dir.ancestors().skip(1).take(made.max(2));
        parents.filter(|d| !d.as_os_str().is_empty()).try_for_each(|d| self.sync_dir(d))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(dir)?;
        entries.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
    }

    fn len(&self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn read_at(&self, file: &File, at: u64, out: &mut [u8]) -> io::Result<()> {
        file.read_exact_at(out, at)
    }

    fn write_at(&self, file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

/// Writes a small file so that after a crash either the old or the new one is
/// there whole: a temporary beside it, synced, renamed, the folder synced.
pub(crate) fn replace(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let staged = dir.join(format!("{name}.tmp"));
    let file = disk.open(&staged)?;
    disk.truncate(&file, 0)?;
    disk.write_at(&file, 0, bytes)?;
    disk.sync(&file)?;
    disk.rename(&staged, &dir.join(name))?;
    disk.sync_dir(dir)
}

/// Reads a small file of at most `most` bytes; `None` when there is none by that
/// name.
pub(crate) fn read_small(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    most: u64,
) -> io::Result<Option<Vec<u8>>> {
    if !disk.list(dir)?.iter().any(|n| n == name) {
        return Ok(None);
    }
    let file = disk.open(&dir.join(name))?;
    let len = disk.len(&file)?;
    if len > most {
        let text = format!("`{name}` has {len} bytes, at most {most} are expected");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut bytes = vec![0; len as usize];
    disk.read_at(&file, 0, &mut bytes)?;
    Ok(Some(bytes))
}
