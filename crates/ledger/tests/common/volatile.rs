//! A file system in memory that loses power: what was not synced may be gone, whole
//! or in part, in any order.

use ledger::Fs;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A file's bytes: as processes see them, and as the disk has them.
#[derive(Clone, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Default)]
struct Disk {
    inodes: BTreeMap<u64, Inode>,
    /// Names as processes see them.
    names: BTreeMap<PathBuf, u64>,
    /// Names as the disk has them.
    durable_names: BTreeMap<PathBuf, u64>,
    next: u64,
    operations: u64,
    /// After so many operations every further one fails.
    power_until: u64,
}

#[derive(Clone, Default)]
pub struct Volatile(Arc<Mutex<Disk>>);

impl Volatile {
    pub fn new() -> Self {
        let fs = Self::default();
        fs.0.lock().unwrap().power_until = u64::MAX;
        fs
    }

    pub fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    /// Power goes after so many more operations.
    pub fn fail_after(&self, operations: u64) {
        let mut disk = self.0.lock().unwrap();
        disk.power_until = disk.operations + operations;
    }

    /// What a new boot finds: for each name and each file's bytes the durable or the
    /// seen version, as the seed decides; unsynced bytes may be cut or garbled.
    pub fn after_power_loss(&self, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let old = self.0.lock().unwrap().clone();
        let mut new = Disk { power_until: u64::MAX, next: old.next, ..Disk::default() };
        let paths: BTreeSet<_> = old.names.keys().chain(old.durable_names.keys()).collect();
        for path in paths {
            let names = if rng.random() { &old.names } else { &old.durable_names };
            if let Some(inode) = names.get(path) {
                new.names.insert(path.clone(), *inode);
            }
        }
        new.durable_names = new.names.clone();
        for inode in new.names.values() {
            let Inode { seen, durable } = &old.inodes[inode];
            let mut bytes = match rng.random_range(0..4) {
                0 => seen.clone(),
                1 if seen != durable && !seen.is_empty() => {
                    seen[..rng.random_range(0..seen.len())].to_vec()
                }
                2 if seen != durable => {
                    // Some 64-byte sectors are new, some are old or zero.
                    let mut mixed = vec![0; seen.len().max(durable.len())];
                    for at in (0..mixed.len()).step_by(64) {
                        let from = if rng.random() { seen } else { durable };
                        for i in at..(at + 64).min(mixed.len()) {
                            mixed[i] = from.get(i).copied().unwrap_or(0);
                        }
                    }
                    mixed
                }
                _ => durable.clone(),
            };
            if seen == durable {
                bytes = durable.clone();
            }
            new.inodes.insert(*inode, Inode { seen: bytes.clone(), durable: bytes });
        }
        Self(Arc::new(Mutex::new(new)))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        let mut disk = self.0.lock().unwrap();
        disk.operations += 1;
        if disk.operations > disk.power_until {
            return Err(io::Error::other("no power"));
        }
        change(&mut disk)
    }
}

impl Disk {
    fn inode(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or(io::ErrorKind::NotFound.into())
    }
}

impl Fs for Volatile {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let disk = self.0.lock().unwrap();
        Ok(disk.inodes[&disk.inode(path)?].seen.clone())
    }
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.change(|disk| {
            let inode = disk.inode(path).unwrap_or(disk.next);
            disk.next = disk.next.max(inode + 1);
            disk.names.insert(path.to_owned(), inode);
            disk.inodes.entry(inode).or_default().seen = bytes.to_vec();
            Ok(())
        })
    }
    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.change(|disk| {
            let inode = disk.inode(path)?;
            let file = disk.inodes.get_mut(&inode).unwrap();
            let kept = file.seen.len().max(bytes.len());
            file.seen.resize(kept, 0);
            file.seen[..bytes.len()].copy_from_slice(bytes);
            Ok(())
        })?;
        self.sync(path)
    }
    fn sync(&self, path: &Path) -> io::Result<()> {
        self.change(|disk| {
            let inode = disk.inode(path)?;
            let file = disk.inodes.get_mut(&inode).unwrap();
            file.durable = file.seen.clone();
            Ok(())
        })
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|disk| {
            let inode = disk.inode(from)?;
            disk.names.remove(from);
            disk.names.insert(to.to_owned(), inode);
            Ok(())
        })
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|disk| {
            disk.durable_names.retain(|path, _| path.parent() != Some(dir));
            let inside = disk.names.iter().filter(|(path, _)| path.parent() == Some(dir));
            disk.durable_names.extend(inside.map(|(path, inode)| (path.clone(), *inode)));
            Ok(())
        })
    }
    fn create_dirs(&self, _: &Path) -> io::Result<()> {
        self.change(|_| Ok(()))
    }
    fn remove_dirs(&self, dir: &Path) -> io::Result<()> {
        self.change(|disk| {
            disk.names.retain(|path, _| !path.starts_with(dir));
            Ok(())
        })
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let disk = self.0.lock().unwrap();
        let inside = disk.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }
    fn lock(&self, _: &Path) -> io::Result<Box<dyn Send + Sync>> {
        Ok(Box::new(()))
    }
}
