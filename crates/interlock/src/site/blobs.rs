//! Small files by their digest: pictures, templates, programs, passports.

use base::{Digest, sha256};
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

/// A folder of files named by their SHA-256 digest.
pub struct Blobs(PathBuf);

impl Blobs {
    /// Opens or makes the folder.
    pub fn open(dir: PathBuf) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        Ok(Self(dir))
    }

    /// Stores bytes durably and returns their digest. Blocking.
    pub fn put(&self, bytes: &[u8]) -> io::Result<Digest> {
        let digest = sha256(bytes);
        let path = self.path(&digest);
        if matches!(self.get(&digest), Ok(Some(_))) {
            // Its bytes were synced before it got its name; an attempt that failed may
            // have left the name in memory only.
            File::open(&self.0)?.sync_all()?;
            return Ok(digest);
        }
        let temporary = self.0.join(format!(".{digest}.{:?}", std::thread::current().id()));
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(&self.0)?.sync_all()?;
        Ok(digest)
    }

    /// Whether bytes of this digest were stored.
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    /// Reads bytes; none when they are not here or were changed on the disk.
    pub fn get(&self, digest: &Digest) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(digest)) {
            Ok(bytes) if sha256(&bytes) == *digest => Ok(Some(bytes)),
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("blob {digest} was changed on the disk"),
            )),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.0.join(digest.to_string())
    }
}
