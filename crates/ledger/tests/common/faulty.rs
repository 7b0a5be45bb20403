//! A file system whose operations fail on demand.

use ledger::Fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing happens.
    Failed,
    /// A write stops half way; others do nothing.
    Half,
    /// It happens, and an error is returned.
    FailedButPersisted,
}

/// Fails the operation with number `at` (from 0) among those that change something.
pub struct Faulty {
    inner: Arc<dyn Fs>,
    count: AtomicU64,
    at: u64,
    failure: Failure,
}

impl Faulty {
    pub fn new(inner: Arc<dyn Fs>, at: u64, failure: Failure) -> Arc<Self> {
        Arc::new(Self { inner, count: AtomicU64::new(0), at, failure })
    }

    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    fn change(
        &self,
        change: impl FnOnce() -> io::Result<()>,
        half: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        if self.count.fetch_add(1, Ordering::SeqCst) != self.at {
            return change();
        }
        match self.failure {
            Failure::Failed => {}
            Failure::Half => half()?,
            Failure::FailedButPersisted => change()?,
        }
        Err(io::Error::other("injected"))
    }
}

fn nothing() -> io::Result<()> {
    Ok(())
}

impl Fs for Faulty {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let half = || self.inner.write(path, &bytes[..bytes.len() / 2]);
        self.change(|| self.inner.write(path, bytes), half)
    }
    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let half = || self.inner.overwrite(path, &bytes[..bytes.len() / 2]);
        self.change(|| self.inner.overwrite(path, bytes), half)
    }
    fn sync(&self, path: &Path) -> io::Result<()> {
        self.change(|| self.inner.sync(path), nothing)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|| self.inner.rename(from, to), nothing)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|| self.inner.sync_dir(dir), nothing)
    }
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        self.change(|| self.inner.create_dirs(dir), nothing)
    }
    fn remove_dirs(&self, dir: &Path) -> io::Result<()> {
        self.change(|| self.inner.remove_dirs(dir), nothing)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.inner.lock(path)
    }
}
