//! Files that the site keeps by name.

use super::Site;
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    thread,
};

impl Site {
    /// Keeps a file of the site's under a name that was validated before.
    pub(super) fn keep_named(&self, kind: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let dir = self.node.dir.join("data").join(kind);
        // A passport holds a report's pictures.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let temporary = dir.join(format!(".{name}.{:?}", thread::current().id()));
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, dir.join(name))?;
        File::open(&dir)?.sync_all()
    }

    pub(super) fn read_named(&self, kind: &str, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.node.dir.join("data").join(kind).join(name))
    }

    /// Keeps a file once for all: returns what is kept under the name, which is
    /// another one's when that came first.
    pub(super) fn keep_first(&self, kind: &str, name: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self.read_named(kind, name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            kept => return kept,
        }
        // Whole before it has its name, and a link never replaces.
        let whole = format!(".{name}.first.{:?}", thread::current().id());
        self.keep_named(kind, &whole, bytes)?;
        let dir = self.node.dir.join("data").join(kind);
        let linked = fs::hard_link(dir.join(&whole), dir.join(name));
        fs::remove_file(dir.join(&whole))?;
        match linked {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => File::open(&dir)?.sync_all()?,
        }
        self.read_named(kind, name)
    }
}
