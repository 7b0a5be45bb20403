//! A machine's clock, off by as much as one likes, while it runs.
//!
//! Debian's libfaketime stands between the program and the clock; the product knows
//! nothing of it. The monotonic clock goes on as it does when a real clock is set.

use anyhow::Result;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where Debian puts the library, below a folder for the architecture.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The library, when it is installed.
pub fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    folders.flatten().map(|folder| folder.path().join(LIBRARY)).find(|path| path.exists())
}

/// Removes what the library shares for a process that was killed before it could.
pub fn tidy(pid: u32) {
    for name in ["faketime_shm_", "sem.faketime_sem_"] {
        // The library may have been kept out of it.
        let _ = fs::remove_file(format!("/dev/shm/{name}{pid}"));
    }
}

/// The clock of one machine.
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// A clock that is right, kept in a machine's folder.
    pub fn new(library: &Path, machine: &Path) -> Result<Self> {
        let clock = Self { library: library.into(), file: machine.join("clock") };
        clock.set(0)?;
        Ok(clock)
    }

    /// Makes a program go by this clock.
    pub fn wind(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_CACHE_DURATION", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_DISABLE_SHM", "1")
            .env("NO_FAKE_STAT", "1");
    }

    /// Sets it so many seconds ahead of the right time, or behind; the program notices
    /// within a second.
    pub fn set(&self, seconds: i64) -> Result<()> {
        let beside = self.file.with_extension("new");
        fs::write(&beside, format!("{seconds:+}\n"))?;
        Ok(fs::rename(beside, &self.file)?)
    }
}
