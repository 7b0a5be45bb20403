//! How much room a disk has left.
//!
//! A machine stops taking work while it can still write down how its last one ended:
//! each keeps some room for that, and says where some must be freed.

use std::{io, path::Path};

/// Bytes that this process may still write on the disk of a path.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    // A file system that does not count its blocks is never full by what it says.
    match disk.f_blocks {
        0 => Ok(u64::MAX),
        _ => Ok(disk.f_bavail.saturating_mul(disk.f_frsize)),
    }
}

/// Whether the disk of a path has so many bytes to spare.
///
/// # Errors
/// Words for people: how much is free, where, and how much is needed.
pub fn room(path: &Path, bytes: u64) -> Result<(), String> {
    let path_text = path.display();
    match free_bytes(path) {
        Ok(free) if free >= bytes => Ok(()),
        Ok(free) => {
            let [free, needed] = [free, bytes].map(|n| n >> 20);
            Err(format!(
                "the disk of `{path_text}` is full: {free} MiB are free, {needed} MiB are needed; \
                 free some space there"
            ))
        }
        Err(error) => Err(format!("the disk of `{path_text}` cannot be asked: {error}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_named_with_what_it_needs() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(room(dir.path(), 0), Ok(()));
        let why = room(dir.path(), u64::MAX - 1).unwrap_err();
        assert!(why.contains(&dir.path().display().to_string()) && why.contains("MiB are needed"));
        let why = room(&dir.path().join("absent"), 1).unwrap_err();
        assert!(why.contains("absent") && why.contains("No such file"), "{why}");
    }
}
