//! Files that must still say the same after a power cut.
//!
//! A small file is written beside its place, synced, renamed over it, and the
//! folder is synced: a reader sees the old bytes or the new ones, never a mix.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Replaces a file's bytes, durably and at once.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_parent(path)
}

/// Removes a file, durably. One that is gone already is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(()) => sync_parent(path),
    }
}

/// Makes a folder's list of names durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// A file whose `flush` is a sync to disk.
pub struct Synced(File);

impl Synced {
    /// Makes a new, empty file.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::create(path)?;
        sync_parent(path)?;
        Ok(Self(file))
    }
}

impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
