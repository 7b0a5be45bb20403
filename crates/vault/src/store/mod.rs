//! Packed storage on the local disk: blocks in, blocks out, recordings by root.
//!
//! ```text
//! lock                one process at a time
//! packs/NNNNNNNN.pack blocks, appended; a new pack after 256 MiB
//! packs/NNNNNNNN.idx  where they are, for packs that are full
//! roots/CID.json      one recording: its root, size and metadata, or its tombstone
//! ```
//!
//! [`Store::put`] hands bytes to the operating system; [`Store::commit`] makes all
//! since durable, and nothing is acknowledged to anybody before it. [`Store::pin`]
//! commits, then writes the recording's record, so a record never names a block
//! that a crash can take away. After a kill, opening verifies the last pack by
//! hash, drops a torn end and keeps every committed block. A failed `fsync` says
//! nothing about what reached the disk: from then on the store takes no write
//! until it is opened again.
//!
//! Every block is hashed again when it is read, so a damaged disk gives an error
//! and never wrong bytes.

mod check;
mod disk;
mod pack;
mod roots;

pub use check::{CheckReport, Finding, PackCheck, check_pack};
pub use disk::{Disk, OsDisk};
pub use pack::MAX_BLOCK;
pub use roots::Root;

pub(crate) use disk::{read_small, replace};
pub(crate) use pack::Key;

use crate::address::{DAG_PB, RAW, digest_of, of_digest, verify};
use cid::Cid;
use pack::{Entry, HEADER};
use std::{
    collections::HashMap,
    fs::{File, TryLockError},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// Bytes after which a new pack is begun.
const PACK_BYTES: u64 = 256 << 20;

/// Why storage did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk, or another process, stands in the way.
    #[error("vault `{path}`: cannot {action}: {source}")]
    Io {
        /// The store's folder.
        path: String,
        /// What was attempted.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// What was given is not acceptable.
    #[error("{0}")]
    Invalid(String),
    /// Stored bytes are no longer what was stored, or blocks of a tree are absent.
    #[error("vault: {0}")]
    Damaged(String),
}

/// Where a block is.
#[derive(Clone, Copy)]
struct Place {
    pack: u32,
    at: u64,
    len: u32,
}

#[derive(Default)]
struct Shelf {
    index: HashMap<Key, Place>,
    packs: HashMap<u32, Arc<File>>,
    roots: roots::Roots,
    /// Bytes in packs that belong to no good record, found when opening.
    damaged: Vec<(u32, u64)>,
}

struct Tail {
    number: u32,
    file: Arc<File>,
    end: u64,
    entries: Vec<Entry>,
    dirty: bool,
    /// Set by a failed sync: what the disk holds is unknown.
    failed: bool,
}

/// A vault's blocks and recordings on one disk.
pub struct Store {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    pack_bytes: u64,
    shelf: RwLock<Shelf>,
    tail: Mutex<Tail>,
    _lock: File,
}

impl Store {
    /// Opens or makes the store in a folder and recovers from a crash. Fails when
    /// another process has it open.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::open_on(Arc::new(OsDisk), dir, PACK_BYTES)
    }

    /// As [`Store::open`], on another disk and with another pack size in bytes.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: impl Into<PathBuf>,
        pack_bytes: u64,
    ) -> Result<Self, StoreError> {
        let dir: PathBuf = dir.into();
        let fail = |action| failed(&dir, action);
        let (packs, roots) = (dir.join("packs"), dir.join("roots"));
        disk.make_dir(&packs).map_err(fail("make its folders"))?;
        disk.make_dir(&roots).map_err(fail("make its folders"))?;
        let lock = disk.open(&dir.join("lock")).map_err(fail("open its lock file"))?;
        lock.try_lock().map_err(|error| {
            let source = match error {
                TryLockError::Error(source) => source,
                TryLockError::WouldBlock => io::Error::other("another process has it open"),
            };
            failed(&dir, "lock it")(source)
        })?;
        let mut shelf = Shelf::default();
        let tail = recover(&*disk, &packs, &mut shelf).map_err(fail("read its packs"))?;
        disk.sync_dir(&packs).map_err(fail("sync its folders"))?;
        disk.sync_dir(&dir).map_err(fail("sync its folders"))?;
        let store = Self {
            disk,
            dir,
            pack_bytes,
            shelf: RwLock::new(shelf),
            tail: Mutex::new(tail),
            _lock: lock,
        };
        store.load_roots()?;
        Ok(store)
    }

    /// Stores a block that somebody sent: refuses bytes that do not have its
    /// address. True when it was new. Durable only after [`Store::commit`].
    pub fn put(&self, cid: &Cid, bytes: &[u8]) -> Result<bool, StoreError> {
        verify(cid, bytes).map_err(|e| StoreError::Invalid(e.to_string()))?;
        self.put_verified(key_of(cid)?, bytes)
    }

    /// Stores a raw leaf made here and returns its address; hashes once.
    pub fn put_leaf(&self, bytes: &[u8]) -> Result<Cid, StoreError> {
        let digest = base::sha256(bytes).0;
        self.put_verified(Key { dag_pb: false, digest }, bytes)?;
        Ok(of_digest(RAW, &digest))
    }

    fn put_verified(&self, key: Key, bytes: &[u8]) -> Result<bool, StoreError> {
        let len = u32::try_from(bytes.len()).ok().filter(|l| *l as usize <= MAX_BLOCK);
        let len = len.ok_or_else(|| {
            let size = bytes.len();
            StoreError::Invalid(format!("a block of {size} bytes; at most {MAX_BLOCK} are stored"))
        })?;
        let mut tail = self.tail();
        if self.shelf().index.contains_key(&key) {
            return Ok(false);
        }
        if tail.failed {
            return Err(self.stopped());
        }
        if tail.end > 0 && tail.end + (HEADER + bytes.len()) as u64 > self.pack_bytes {
            self.roll(&mut tail)?;
        }
        let fail = || failed(&self.dir, "write a block");
        tail.dirty = true;
        let body = tail.end + HEADER as u64;
        self.disk.write_at(&tail.file, tail.end, &pack::header(&key, len)).map_err(fail())?;
        self.disk.write_at(&tail.file, body, bytes).map_err(fail())?;
        tail.end = body + u64::from(len);
        tail.entries.push(Entry { key, at: body, len });
        let place = Place { pack: tail.number, at: body, len };
        self.shelf_mut().index.insert(key, place);
        Ok(true)
    }

    /// Makes all blocks put so far durable.
    pub fn commit(&self) -> Result<(), StoreError> {
        self.commit_tail(&mut self.tail())
    }

    fn commit_tail(&self, tail: &mut Tail) -> Result<(), StoreError> {
        if tail.failed {
            return Err(self.stopped());
        }
        if tail.dirty {
            tail.failed = true;
            self.disk.sync(&tail.file).map_err(failed(&self.dir, "sync a pack"))?;
            tail.failed = false;
            tail.dirty = false;
        }
        Ok(())
    }

    /// Ends the current pack and begins the next.
    fn roll(&self, tail: &mut Tail) -> Result<(), StoreError> {
        let packs = self.dir.join("packs");
        let fail = || failed(&self.dir, "begin a pack");
        // A failed append may have left bytes beyond the last record.
        self.disk.truncate(&tail.file, tail.end).map_err(fail())?;
        tail.dirty = true;
        self.commit_tail(tail)?;
        let index = pack::write_index(&tail.entries, tail.end);
        replace(&*self.disk, &packs, &index_name(tail.number), &index).map_err(fail())?;
        let number = tail.number + 1;
        let file = self.disk.open(&packs.join(pack_name(number))).map_err(fail())?;
        self.disk.sync_dir(&packs).map_err(fail())?;
        let file = Arc::new(file);
        self.shelf_mut().packs.insert(number, file.clone());
        *tail = Tail { number, file, end: 0, entries: Vec::new(), dirty: false, failed: false };
        Ok(())
    }

    /// Whether a block is here.
    pub fn has(&self, cid: &Cid) -> bool {
        self.block_len(cid).is_some()
    }

    /// Bytes of a block; `None` when it is not here.
    pub fn block_len(&self, cid: &Cid) -> Option<u64> {
        let key = key_of(cid).ok()?;
        self.shelf().index.get(&key).map(|place| u64::from(place.len))
    }

    /// A block's bytes, verified; `None` when it is not here.
    pub fn get(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key_of(cid)?;
        let found = {
            let shelf = self.shelf();
            shelf.index.get(&key).and_then(|p| Some((*p, shelf.packs.get(&p.pack)?.clone())))
        };
        let Some((place, file)) = found else {
            return Ok(None);
        };
        let mut bytes = vec![0; place.len as usize];
        self.disk
            .read_at(&file, place.at, &mut bytes)
            .map_err(failed(&self.dir, "read a block"))?;
        if base::sha256(&bytes).0 != key.digest {
            let pack = place.pack;
            return Err(StoreError::Damaged(format!("block `{cid}` in pack {pack} has changed")));
        }
        Ok(Some(bytes))
    }

    /// Part of a block's bytes, at most to its end; the whole block is verified.
    pub fn get_range(&self, cid: &Cid, range: Range<u64>) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mut bytes) = self.get(cid)? else {
            return Ok(None);
        };
        let clamp = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
        let (start, end) = (clamp(range.start), clamp(range.end));
        bytes.truncate(end);
        bytes.drain(..start.min(end));
        Ok(Some(bytes))
    }

    /// Deletes every full pack that holds no block of a live recording; returns
    /// the bytes freed. Blocks of an upload in progress count as not live: run it
    /// when none is.
    pub fn reclaim(&self) -> Result<u64, StoreError> {
        let tail = self.tail();
        let mut shelf = self.shelf_mut();
        let mut live: std::collections::HashSet<u32> = [tail.number].into();
        for (key, place) in &shelf.index {
            if shelf.roots.is_live(key) {
                live.insert(place.pack);
            }
        }
        let dead: Vec<u32> = shelf.packs.keys().copied().filter(|n| !live.contains(n)).collect();
        let (packs, mut freed) = (self.dir.join("packs"), 0);
        let fail = || failed(&self.dir, "delete a pack");
        for number in dead {
            if let Some(file) = shelf.packs.remove(&number) {
                freed += self.disk.len(&file).map_err(fail())?;
            }
            shelf.index.retain(|_, place| place.pack != number);
            self.disk.remove(&packs.join(pack_name(number))).map_err(fail())?;
            let index = index_name(number);
            if self.disk.list(&packs).map_err(fail())?.contains(&index) {
                self.disk.remove(&packs.join(index)).map_err(fail())?;
            }
        }
        self.disk.sync_dir(&packs).map_err(fail())?;
        Ok(freed)
    }

    fn stopped(&self) -> StoreError {
        let source = io::Error::other("an earlier sync failed; open the store again");
        failed(&self.dir, "write")(source)
    }

    fn shelf(&self) -> RwLockReadGuard<'_, Shelf> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn shelf_mut(&self) -> RwLockWriteGuard<'_, Shelf> {
        self.shelf.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads every pack into the shelf; the last becomes the tail, verified by hash.
fn recover(disk: &dyn Disk, packs: &Path, shelf: &mut Shelf) -> io::Result<Tail> {
    let names = disk.list(packs)?;
    let number = |name: &String| name.strip_suffix(".pack")?.parse::<u32>().ok();
    let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    let last = numbers.pop().unwrap_or(1);
    let mut take = |number: u32, file: &Arc<File>, entries: &[Entry]| {
        shelf.packs.insert(number, file.clone());
        for Entry { key, at, len } in entries {
            shelf.index.insert(*key, Place { pack: number, at: *at, len: *len });
        }
    };
    for number in numbers {
        let file = Arc::new(disk.open(&packs.join(pack_name(number)))?);
        let len = disk.len(&file)?;
        let name = index_name(number);
        let stored = read_small(disk, packs, &name, pack::MAX_INDEX).unwrap_or_default();
        let entries = match stored.and_then(|bytes| pack::read_index(&bytes, len)) {
            Some(entries) => entries,
            None => {
                let scan = pack::scan(disk, &file)?;
                replace(disk, packs, &name, &pack::write_index(&scan.entries, len))?;
                scan.entries
            }
        };
        take(number, &file, &entries);
    }
    let file = Arc::new(disk.open(&packs.join(pack_name(last)))?);
    let scan = pack::scan(disk, &file)?;
    if disk.len(&file)? > scan.end {
        disk.truncate(&file, scan.end)?;
    }
    take(last, &file, &scan.entries);
    if scan.damaged > 0 {
        shelf.damaged.push((last, scan.damaged));
    }
    // Bytes that survived a kill may be in memory only: the next commit syncs them.
    let dirty = scan.end > 0;
    Ok(Tail { number: last, file, end: scan.end, entries: scan.entries, dirty, failed: false })
}

pub(crate) fn key_of(cid: &Cid) -> Result<Key, StoreError> {
    let kind =
        || StoreError::Invalid(format!("`{cid}` is not a CIDv1 of raw or dag-pb with SHA-256"));
    let digest = digest_of(cid).ok_or_else(kind)?;
    Ok(Key { dag_pb: cid.codec() == DAG_PB, digest })
}

fn failed(dir: &Path, action: &'static str) -> impl Fn(io::Error) -> StoreError + Copy {
    move |source| StoreError::Io { path: dir.display().to_string(), action, source }
}

fn pack_name(number: u32) -> String {
    format!("{number:08}.pack")
}

fn index_name(number: u32) -> String {
    format!("{number:08}.idx")
}
