//! A disk of real files whose operations fail on demand, and whose power can go: what
//! was not synced may then be gone, whole or in part, in any order.

use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};
use tempfile::TempDir;
use vault::store::{Disk, OsDisk};

/// How operations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Operation `at` does nothing.
    Once,
    /// Operation `at` writes half of its bytes; others do nothing.
    Half,
    /// Operation `at` happens, and an error is returned.
    Persisted,
    /// From operation `at` on the disk is full: nothing grows, the rest works.
    Full,
    /// From operation `at` on there is no power.
    Power,
}

/// What is at a name: a folder, or the file with a number of our own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(u64),
}

#[derive(Default)]
struct State {
    operations: u64,
    /// Names as processes see them, and as the disk has them.
    seen: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    /// Files by inode, and their durable bytes.
    numbers: BTreeMap<u64, u64>,
    bytes: BTreeMap<u64, Vec<u8>>,
    next: u64,
}

pub struct Faulty {
    pub root: TempDir,
    at: u64,
    failure: Failure,
    state: Mutex<State>,
}

fn injected() -> io::Error {
    io::Error::other("injected")
}

fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

impl Faulty {
    pub fn new(failure: Failure, at: u64) -> Arc<Self> {
        Arc::new(Self { root: scratch(), at, failure, state: Mutex::default() })
    }

    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Counts an operation; the error is what it fails with before it does anything.
    fn step(&self, grows: bool) -> io::Result<bool> {
        let mut state = self.state();
        let now = state.operations;
        state.operations += 1;
        match self.failure {
            Failure::Power if now >= self.at => Err(injected()),
            Failure::Full if now >= self.at && grows => Err(io::ErrorKind::StorageFull.into()),
            Failure::Power | Failure::Full => Ok(false),
            _ if now != self.at => Ok(false),
            Failure::Persisted => Ok(true),
            Failure::Once | Failure::Half => Err(injected()),
        }
    }

    fn run<T>(&self, grows: bool, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let lie = self.step(grows)?;
        let done = act()?;
        if lie { Err(injected()) } else { Ok(done) }
    }

    fn number(&self, file: &File) -> u64 {
        self.state().numbers[&file.metadata().unwrap().ino()]
    }

    /// What a new boot finds, as the seed decides, on a disk that works.
    pub fn after_power_loss(&self, seed: u64) -> Arc<Self> {
        let (mut rng, old, new) = (StdRng::seed_from_u64(seed), self.state(), scratch());
        let paths: BTreeSet<_> = old.seen.keys().chain(old.durable.keys()).collect();
        for path in paths {
            let from = if rng.random() { &old.seen } else { &old.durable };
            let to = new.path().join(path.strip_prefix(self.root.path()).unwrap());
            // A folder that was lost took its files with it.
            if !to.parent().unwrap().is_dir() {
                continue;
            }
            match from.get(path) {
                None => {}
                Some(Node::Folder) => fs::create_dir(to).unwrap(),
                Some(Node::File(number)) => {
                    let durable = old.bytes.get(number).cloned().unwrap_or_default();
                    let current = old.seen.iter().find(|(_, n)| **n == Node::File(*number));
                    let seen = current.map_or(durable.clone(), |(path, _)| fs::read(path).unwrap());
                    private(&to, &survivor(&seen, &durable, &mut rng));
                }
            }
        }
        let next =
            Self { root: new, at: u64::MAX, failure: Failure::Once, state: Mutex::default() };
        next.adopt(next.root.path());
        Arc::new(next)
    }

    /// The same files, with all in memory kept: what a killed process leaves.
    pub fn after_kill(&self) -> Arc<Self> {
        let new = scratch();
        for (path, node) in &self.state().seen {
            let to = new.path().join(path.strip_prefix(self.root.path()).unwrap());
            match node {
                Node::Folder => fs::create_dir(to).unwrap(),
                Node::File(_) => private(&to, &fs::read(path).unwrap()),
            }
        }
        let next =
            Self { root: new, at: u64::MAX, failure: Failure::Once, state: Mutex::default() };
        next.adopt(next.root.path());
        Arc::new(next)
    }

    /// Takes files that are there already for durable.
    fn adopt(&self, dir: &Path) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.state().seen.insert(path.clone(), Node::Folder);
                self.adopt(&path);
            } else {
                let file = File::open(&path).unwrap();
                let mut state = self.state();
                state.next += 1;
                let number = state.next;
                state.numbers.insert(file.metadata().unwrap().ino(), number);
                state.bytes.insert(number, fs::read(&path).unwrap());
                state.seen.insert(path, Node::File(number));
            }
        }
        let mut state = self.state();
        state.durable = state.seen.clone();
    }
}

fn private(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The bytes of a file after a power loss: new, old, cut, or some sectors of each.
fn survivor(seen: &[u8], durable: &[u8], rng: &mut StdRng) -> Vec<u8> {
    if seen == durable {
        return durable.to_vec();
    }
    match rng.random_range(0..4) {
        0 => seen.to_vec(),
        // What was appended may be cut; what was synced before it stays.
        1 => seen[..rng.random_range(durable.len().min(seen.len())..=seen.len())].to_vec(),
        2 => {
            let mut mixed = vec![0; seen.len().max(durable.len())];
            for (at, sector) in mixed.chunks_mut(64).enumerate() {
                let from = if rng.random() { seen } else { durable };
                for (i, byte) in sector.iter_mut().enumerate() {
                    *byte = from.get(at * 64 + i).copied().unwrap_or(0);
                }
            }
            mixed
        }
        _ => durable.to_vec(),
    }
}

impl Disk for Faulty {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let root = self.root.path();
        let made: Vec<PathBuf> =
            dir.ancestors().take_while(|d| *d != root).map(Path::to_path_buf).collect();
        let lie = self.step(true)?;
        OsDisk.make_dir(dir)?;
        let mut state = self.state();
        state.seen.extend(made.iter().map(|d| (d.clone(), Node::Folder)));
        if lie {
            return Err(injected());
        }
        state.durable.extend(made.into_iter().map(|d| (d, Node::Folder)));
        Ok(())
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.run(false, || OsDisk.list(dir))
    }
    fn open(&self, path: &Path) -> io::Result<File> {
        let fresh = !path.exists();
        self.run(fresh, || {
            let file = OsDisk.open(path)?;
            let mut state = self.state();
            if fresh {
                state.next += 1;
                let number = state.next;
                state.numbers.insert(file.metadata()?.ino(), number);
                state.seen.insert(path.to_path_buf(), Node::File(number));
            }
            Ok(file)
        })
    }
    fn len(&self, file: &File) -> io::Result<u64> {
        self.run(false, || OsDisk.len(file))
    }
    fn read_at(&self, file: &File, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.run(false, || OsDisk.read_at(file, at, out))
    }
    fn write_at(&self, file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
        let half = matches!(self.failure, Failure::Half | Failure::Full | Failure::Power);
        match self.step(true) {
            Ok(lie) => {
                OsDisk.write_at(file, at, bytes)?;
                if lie { Err(injected()) } else { Ok(()) }
            }
            Err(error) => {
                if half && self.operations() == self.at + 1 {
                    OsDisk.write_at(file, at, &bytes[..bytes.len() / 2])?;
                }
                Err(error)
            }
        }
    }
    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        self.run(false, || OsDisk.truncate(file, len))
    }
    fn sync(&self, file: &File) -> io::Result<()> {
        self.run(false, || {
            let number = self.number(file);
            let mut bytes = vec![0; OsDisk.len(file)? as usize];
            OsDisk.read_at(file, 0, &mut bytes)?;
            self.state().bytes.insert(number, bytes);
            Ok(())
        })
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.run(false, || {
            let mut state = self.state();
            let State { seen, durable, .. } = &mut *state;
            durable.retain(|path, _| path.parent() != Some(dir));
            let inside = seen.iter().filter(|(path, _)| path.parent() == Some(dir));
            durable.extend(inside.map(|(path, node)| (path.clone(), *node)));
            Ok(())
        })
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(false, || {
            OsDisk.rename(from, to)?;
            let mut state = self.state();
            let node = state.seen.remove(from).unwrap();
            state.seen.insert(to.to_path_buf(), node);
            Ok(())
        })
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.run(false, || {
            OsDisk.remove(path)?;
            self.state().seen.remove(path);
            Ok(())
        })
    }
}
