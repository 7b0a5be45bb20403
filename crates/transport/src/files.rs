//! Key and certificate files.
//!
//! A secret is written once, readable by its owner alone, and is on the disk
//! (file and directory entry) before the call returns; an existing one is never
//! overwritten. A secret that others can read is refused when it is loaded, as
//! OpenSSH does, because it must be taken for stolen.

use std::{
    fs::{File, OpenOptions},
    io::{Error, ErrorKind, Read, Result, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};
use zeroize::Zeroizing;

/// The most bytes a key or certificate file may have (64 KiB).
pub const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Writes a new file of mode 0600, durably.
///
/// Fails with [`ErrorKind::AlreadyExists`] when the file exists.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    write_new(path, bytes, 0o600)
}

/// Writes a new file of mode 0644, durably.
///
/// Fails with [`ErrorKind::AlreadyExists`] when the file exists.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<()> {
    write_new(path, bytes, 0o644)
}

/// Replaces a file that anybody may read, durably and at once: a reader sees the old
/// bytes or the new ones.
pub fn replace_public(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("tmp");
    let mut file = File::create(&beside).map_err(|e| named(&beside, e))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path).map_err(|e| named(path, e))?;
    sync_parent(path)
}

/// Reads a file of at most [`MAX_FILE_BYTES`] that only its owner may read.
pub fn read_secret(path: &Path) -> Result<Zeroizing<String>> {
    let mode = path.metadata().map_err(|e| named(path, e))?.permissions().mode();
    if mode & 0o077 != 0 {
        let found = mode & 0o777;
        return Err(Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "`{}` has mode {found:o} and holds a secret: mode 600 is expected",
                path.display()
            ),
        ));
    }
    read_text(path).map(Zeroizing::new)
}

/// Reads a text file of at most [`MAX_FILE_BYTES`].
pub fn read_text(path: &Path) -> Result<String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|e| named(path, e))?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|e| named(path, e))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        let reason = format!("`{}` has more than {MAX_FILE_BYTES} bytes", path.display());
        return Err(Error::new(ErrorKind::FileTooLarge, reason));
    }
    Ok(text)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = options.open(path).map_err(|e| named(path, e))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn named(path: &Path, error: Error) -> Error {
    Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_secret(&path, b"first").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(write_secret(&path, b"second").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(read_secret(&path).unwrap().as_str(), "first");
    }

    #[test]
    fn a_public_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        write_public(&path, b"a longer first text").unwrap();
        replace_public(&path, b"second").unwrap();
        assert_eq!(read_text(&path).unwrap(), "second");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_secret_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_public(&path, b"open").unwrap();
        assert_eq!(read_secret(&path).unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(read_text(&path).unwrap(), "open");
    }

    #[test]
    fn the_size_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long");
        write_secret(&path, &vec![b'x'; MAX_FILE_BYTES as usize + 1]).unwrap();
        assert_eq!(read_secret(&path).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
}
