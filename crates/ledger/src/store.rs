//! The log's folder with its one writer: commit, and recovery after a crash.
//!
//! ```text
//! lock                  held for life: one writer
//! stage/00 .. 31        batches with their signed checkpoints, in turn
//! checkpoint.settled    up to here every tile is durable
//! checkpoint            the newest witnessed checkpoint, for readers
//! tile/...              C2SP tlog-tiles
//! ```
//!
//! A commit stages the batch with its signed checkpoint (one fdatasync, which is
//! the compare-and-swap: the writer is alone, and a slot counts only when it is
//! whole and continues the log), then places the tiles. Tiles are synced later, in
//! the background, before their slot is used again.
//!
//! Opening starts from the settled checkpoint and commits again every whole slot
//! that continues it: tiles are rewritten, with the same bytes. A slot that was
//! written in part is ignored; its batch was never acknowledged. After a failed
//! operation a store refuses to go on, since memory may be ahead of the disk.

use proof::log::{LogSigner, SignedCheckpoint};
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::edge::{Edge, TileFile};
use crate::fs::{At, FileError, Fs, place, replace, sync_parent};
use crate::layout::{LeafTooLong, Tile, push_entry};
use crate::reader::{ReadError, Reader};
use crate::settle::{Cut, SETTLED, Settler, settle};
use crate::stage::Stage;

/// How many stage slots there are.
pub(crate) const SLOTS: u64 = 32;

/// Why a log cannot be created or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file operation failed; `NotFound` when there is no log.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process has the log open, or there is one where a new one was asked for.
    #[error("the log in `{0}` {1}")]
    Taken(PathBuf, &'static str),
    /// What is on disk is not a log of this key: it was changed or lost.
    #[error("the log in `{0}` is damaged: {1}")]
    Damaged(PathBuf, String),
}

/// Why a batch was not committed. The store is then stopped, unless the batch had
/// a leaf that was too long.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A leaf does not fit a bundle; nothing was changed.
    #[error(transparent)]
    Leaf(#[from] LeafTooLong),
    /// A file operation failed; whether the batch is in the log shows after reopening.
    #[error(transparent)]
    File(#[from] FileError),
    /// An earlier commit failed.
    #[error("the log has stopped after a failed commit; reopen it")]
    Stopped,
}

/// A log's folder, open for appending.
pub struct Store {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    signer: Arc<LogSigner>,
    edge: Edge,
    committed: SignedCheckpoint,
    /// Number of the next commit since opening, from 1.
    next: u64,
    /// Number of the last settled commit.
    settled: u64,
    settler: Settler,
    /// Full tiles that were placed and not yet handed to the settler.
    unsettled: BTreeSet<Tile>,
    /// The partial tiles at the edge that are in place. Placing one again would put
    /// bytes that are not durable in the place of bytes that are.
    placed: Vec<Tile>,
    folders: HashSet<PathBuf>,
    stopped: bool,
    _lock: Box<dyn Send + Sync>,
}

impl Store {
    /// Creates an empty log in a folder that has none.
    pub fn create(fs: &dyn Fs, dir: &Path, signer: &LogSigner) -> Result<(), OpenError> {
        fs.create_dirs(dir).at("create", dir)?;
        let path = dir.join(SETTLED);
        match fs.read(&path).at("read", &path) {
            Ok(_) => return Err(OpenError::Taken(dir.to_owned(), "exists already")),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.into()),
        }
        sync_parent(fs, dir)?;
        let empty = signer.sign(0, proof::log::merkle::empty_root());
        Ok(replace(fs, &path, empty.note())?)
    }

    /// Opens a log of one key for appending and completes what a crash left undone.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, signer: Arc<LogSigner>) -> Result<Self, OpenError> {
        Self::open_with(fs, dir, vec![signer])
    }

    /// Opens a log that any of `signers` signed last: the keys of its time, and those
    /// that were to take their place. It signs with the one that signed last, until
    /// [`Store::sign_with`] says otherwise.
    pub fn open_with(
        fs: Arc<dyn Fs>,
        dir: &Path,
        signers: Vec<Arc<LogSigner>>,
    ) -> Result<Self, OpenError> {
        let lock = take_lock(fs.as_ref(), dir)?;
        create_slots(fs.as_ref(), dir)?;
        let reader = Reader::new(fs.clone(), dir);
        let damaged = |what: String| OpenError::Damaged(dir.to_owned(), what);
        let (signer, committed) = verify(&signers, &reader.file(SETTLED)?).map_err(damaged)?;
        let edge = load_edge(&reader, committed.checkpoint().size)
            .map_err(|error| damaged(error.to_string()))?
            .filter(|edge| edge.root() == committed.checkpoint().root)
            .ok_or_else(|| damaged("the tiles do not have the root of the checkpoint".into()))?;
        let placed = Tile::partial(edge.size());
        let mut store = Self {
            settler: Settler::start(fs.clone(), dir.to_owned()),
            fs,
            dir: dir.to_owned(),
            signer,
            edge,
            committed,
            next: 1,
            settled: 0,
            placed,
            unsettled: BTreeSet::new(),
            folders: HashSet::new(),
            stopped: false,
            _lock: lock,
        };
        store.recover(&signers)?;
        Ok(store)
    }

    /// The newest committed checkpoint. No witness has seen it yet.
    pub fn committed(&self) -> &SignedCheckpoint {
        &self.committed
    }

    /// How many entries the log has.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Signs with this key from the next commit on. It must be one that the next
    /// opening is given.
    pub fn sign_with(&mut self, signer: Arc<LogSigner>) {
        self.signer = signer;
    }

    /// A reader of this log.
    pub fn reader(&self) -> Reader {
        Reader::new(self.fs.clone(), &self.dir)
    }

    /// Appends leaves durably and places their tiles. Either all of them are in the
    /// log or, after an error, all or none.
    pub fn commit<L: AsRef<[u8]>>(
        &mut self,
        leaves: &[L],
    ) -> Result<&SignedCheckpoint, CommitError> {
        if self.stopped {
            return Err(CommitError::Stopped);
        }
        let (start, mut body) = (self.size(), Vec::new());
        for leaf in leaves {
            push_entry(&mut body, leaf.as_ref())?;
        }
        self.stopped = true;
        let mut files = Vec::new();
        for leaf in leaves {
            self.edge.push(leaf.as_ref(), &mut files)?;
        }
        let signed = self.signer.sign(self.edge.size(), self.edge.root());
        let count = u32::try_from(leaves.len()).unwrap_or(u32::MAX);
        let stage = Stage { start, count, note: signed.note().to_vec(), body };
        let slot = self.free_slot()?;
        self.fs.overwrite(&slot, &stage.encode()).at("write and sync", &slot)?;
        self.place_tiles(files)?;
        self.committed = signed;
        self.next += 1;
        self.settle_behind(SLOTS / 2)?;
        self.stopped = false;
        Ok(&self.committed)
    }

    /// Makes every tile durable, so that the next opening has nothing to do.
    pub fn close(mut self) -> Result<(), FileError> {
        if !self.stopped { self.settle_now() } else { Ok(()) }
    }

    /// The slot of the next commit, once its last batch is settled.
    fn free_slot(&mut self) -> Result<PathBuf, FileError> {
        while self.next > self.settled + SLOTS {
            if !self.settler.is_busy() {
                self.begin_settling();
            }
            match self.settler.finished(true)? {
                Some(commit) => self.settled = commit,
                None => return Err(gone(&self.dir)),
            }
        }
        Ok(slot_path(&self.dir, self.next % SLOTS))
    }

    /// Settles in the background once `behind` commits are not.
    fn settle_behind(&mut self, behind: u64) -> Result<(), FileError> {
        if let Some(commit) = self.settler.finished(false)? {
            self.settled = commit;
        }
        if self.next > self.settled + behind && !self.settler.is_busy() {
            self.begin_settling();
        }
        Ok(())
    }

    fn begin_settling(&mut self) {
        let cut = self.cut();
        self.settler.begin(cut);
    }

    fn cut(&mut self) -> Cut {
        let mut tiles: Vec<Tile> = std::mem::take(&mut self.unsettled).into_iter().collect();
        tiles.extend(Tile::partial(self.committed.checkpoint().size));
        Cut { commit: self.next - 1, tiles, note: self.committed.note().to_vec() }
    }

    fn settle_now(&mut self) -> Result<(), FileError> {
        self.settler.finished(true)?;
        let cut = self.cut();
        settle(self.fs.as_ref(), &self.dir, &cut)?;
        self.settled = cut.commit;
        Ok(())
    }

    /// Places full tiles and the partial ones at the edge.
    fn place_tiles(&mut self, full: Vec<TileFile>) -> Result<(), FileError> {
        self.unsettled.extend(full.iter().map(|(tile, _)| *tile));
        let partial = self.edge.partial();
        let placed = partial.iter().map(|(tile, _)| *tile).collect();
        let placed = std::mem::replace(&mut self.placed, placed);
        let new = partial.into_iter().filter(|(tile, _)| !placed.contains(tile));
        for (tile, bytes) in full.into_iter().chain(new) {
            let path = self.dir.join(tile.to_string());
            if let Some(folder) = path.parent()
                && !self.folders.contains(folder)
            {
                self.fs.create_dirs(folder).at("create", folder)?;
                self.folders.insert(folder.to_owned());
            }
            place(self.fs.as_ref(), &path, &bytes)?;
        }
        Ok(())
    }

    /// Applies the slots that continue the settled log, then settles all of it.
    fn recover(&mut self, signers: &[Arc<LogSigner>]) -> Result<(), OpenError> {
        let mut stages: Vec<Stage> = Vec::new();
        for slot in 0..SLOTS {
            let path = slot_path(&self.dir, slot);
            let bytes = self.fs.read(&path).at("read", &path)?;
            stages.extend(Stage::decode(&bytes));
        }
        stages.sort_by_key(|stage| stage.start);
        let settled = self.size();
        for stage in stages.iter().filter(|stage| stage.end() > settled) {
            self.redo(stage, signers)?;
        }
        Ok(self.settle_now()?)
    }

    fn redo(&mut self, stage: &Stage, signers: &[Arc<LogSigner>]) -> Result<(), OpenError> {
        let damaged = |what: &str| {
            let entries = format!("entries {} to {}", stage.start, stage.end());
            OpenError::Damaged(self.dir.clone(), format!("{what} staged {entries}"))
        };
        let (signer, signed) = verify(signers, &stage.note).map_err(|error| damaged(&error))?;
        let leaves = stage.leaves().ok_or_else(|| damaged("a wrong count in"))?;
        if stage.start != self.size() {
            return Err(damaged("a gap before"));
        }
        let (mut edge, mut files) = (self.edge.clone(), Vec::new());
        for leaf in leaves {
            edge.push(leaf, &mut files).map_err(|error| damaged(&error.to_string()))?;
        }
        let checkpoint = signed.checkpoint();
        if (edge.size(), edge.root()) != (checkpoint.size, checkpoint.root) {
            return Err(damaged("another root than signed over"));
        }
        self.edge = edge;
        self.place_tiles(files)?;
        self.committed = signed;
        self.signer = signer;
        Ok(())
    }
}

fn take_lock(fs: &dyn Fs, dir: &Path) -> Result<Box<dyn Send + Sync>, OpenError> {
    let path = dir.join("lock");
    match fs.lock(&path).at("lock", &path) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            Err(OpenError::Taken(dir.to_owned(), "is open in another process"))
        }
        other => Ok(other?),
    }
}

/// The slots' names must be durable before a commit relies on them.
fn create_slots(fs: &dyn Fs, dir: &Path) -> Result<(), FileError> {
    let folder = dir.join("stage");
    let present = fs.list(&folder).at("list", &folder)?;
    fs.create_dirs(&folder).at("create", &folder)?;
    for slot in 0..SLOTS {
        let path = slot_path(dir, slot);
        if !present.contains(&slot_name(slot)) {
            fs.write(&path, &[]).at("create", &path)?;
        }
    }
    fs.sync_dir(&folder).at("sync the folder", &folder)?;
    fs.sync_dir(dir).at("sync the folder", dir)
}

fn slot_name(slot: u64) -> String {
    format!("{slot:02}")
}

pub(crate) fn slot_path(dir: &Path, slot: u64) -> PathBuf {
    dir.join("stage").join(slot_name(slot))
}

/// The checkpoint in a note, with the one of `signers` that signed it.
fn verify(
    signers: &[Arc<LogSigner>],
    note: &[u8],
) -> Result<(Arc<LogSigner>, SignedCheckpoint), String> {
    let mut failed = "no key is given".to_owned();
    for signer in signers {
        match SignedCheckpoint::verify(signer.vkey().name(), signer.vkey(), note) {
            Ok(signed) => return Ok((signer.clone(), signed)),
            Err(error) => failed = error.to_string(),
        }
    }
    Err(failed)
}

/// The edge of the log of `size` entries, from its partial tiles.
fn load_edge(reader: &Reader, size: u64) -> Result<Option<Edge>, ReadError> {
    let (mut bundle, mut levels) = (Vec::new(), vec![Vec::new(); 8]);
    for tile in Tile::partial(size) {
        match tile.level.and_then(|level| levels.get_mut(usize::from(level))) {
            Some(hashes) => *hashes = reader.hashes(tile)?,
            None => bundle = reader.tile(tile)?,
        }
    }
    Ok(Edge::restore(size, bundle, levels))
}

fn gone(dir: &Path) -> FileError {
    FileError::new("settle", dir, std::io::Error::other("the settling thread has ended"))
}
