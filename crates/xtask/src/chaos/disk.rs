//! A machine's data on a disk of its own that can be filled to the last byte.
//!
//! The disk is a `tmpfs`, mounted in a mount namespace of this process's own: nothing
//! of it is left when the process ends, however it ends. That needs root.

use crate::tools::run;
use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The size of a disk that is not filled: more than any run of this needs.
const ROOMY: &str = "8g";
/// How often a disk that others write to is shrunk before that counts as failed.
const TRIES: u32 = 50;

/// Whether this machine lets the process have mounts of its own.
pub fn can() -> bool {
    Command::new("unshare").args(["--mount", "true"]).output().is_ok_and(|o| o.status.success())
}

/// A mounted disk.
pub struct Disk(PathBuf);

impl Disk {
    /// Moves a folder onto a disk of its own.
    pub fn under(folder: &Path) -> Result<Self> {
        let aside = folder.with_extension("aside");
        std::fs::rename(folder, &aside).with_context(|| format!("`{}`", folder.display()))?;
        std::fs::create_dir(folder)?;
        let size = format!("size={ROOMY},mode=700");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder))?;
        run(Command::new("cp").arg("-a").arg(aside.join(".")).arg(folder))?;
        std::fs::remove_dir_all(aside)?;
        Ok(Self(folder.into()))
    }

    /// Takes all of its room: the disk becomes as small as what it holds.
    pub fn fill(&self) -> Result<()> {
        for _ in 0..TRIES {
            if self.resize(&self.used()?.to_string())? {
                return Ok(());
            }
        }
        bail!("the disk of `{}` could not be filled", self.0.display())
    }

    /// Gives the room back.
    pub fn free(&self) -> Result<()> {
        match self.resize(ROOMY)? {
            true => Ok(()),
            false => bail!("the disk of `{}` could not be freed", self.0.display()),
        }
    }

    fn used(&self) -> Result<u64> {
        let output = Command::new("df").args(["-B1", "--output=used"]).arg(&self.0).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let used = text.lines().nth(1).and_then(|line| line.trim().parse().ok());
        used.with_context(|| format!("`df` says `{text}`"))
    }

    fn resize(&self, size: &str) -> Result<bool> {
        let option = format!("remount,size={size}");
        let output = Command::new("mount").args(["-o", &option]).arg(&self.0).output()?;
        Ok(output.status.success())
    }
}
