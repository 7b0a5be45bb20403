//! Settling: making tiles durable behind the sequencer's back, so that stage
//! slots can be used again.
//!
//! A commit is durable once its slot is. The tiles that it wrote may still be in
//! the page cache; [`settle`] syncs them, then durably moves the settled checkpoint
//! past them. Only then may their slots be written over.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::fs::{At, FileError, Fs, replace};
use crate::layout::Tile;

/// The file with the checkpoint up to which all tiles are durable.
pub(crate) const SETTLED: &str = "checkpoint.settled";

/// All that was written up to one commit.
pub(crate) struct Cut {
    /// The number of the commit.
    pub(crate) commit: u64,
    /// The tiles to make durable.
    pub(crate) tiles: Vec<Tile>,
    /// The checkpoint that they belong to.
    pub(crate) note: Vec<u8>,
}

/// Makes a cut durable, then removes partial versions of tiles that are full.
pub(crate) fn settle(fs: &dyn Fs, dir: &Path, cut: &Cut) -> Result<(), FileError> {
    let mut folders = BTreeSet::new();
    for tile in &cut.tiles {
        let path = dir.join(tile.to_string());
        fs.sync(&path).at("sync", &path)?;
        let inside = path.ancestors().skip(1).take_while(|folder| folder.starts_with(dir));
        folders.extend(inside.map(Path::to_owned));
    }
    for folder in &folders {
        fs.sync_dir(folder).at("sync the folder", folder)?;
    }
    replace(fs, &dir.join(SETTLED), &cut.note)?;
    for tile in cut.tiles.iter().filter(|tile| tile.is_full()) {
        let partial = dir.join(tile.partial_dir());
        fs.remove_dirs(&partial).at("remove", &partial)?;
    }
    Ok(())
}

/// A thread that settles cuts in order.
pub(crate) struct Settler {
    cuts: Option<Sender<Cut>>,
    done: Receiver<Result<u64, FileError>>,
    thread: Option<JoinHandle<()>>,
    busy: bool,
}

impl Settler {
    pub(crate) fn start(fs: Arc<dyn Fs>, dir: PathBuf) -> Self {
        let (cuts, work) = channel::<Cut>();
        let (report, done) = channel();
        let thread = std::thread::spawn(move || {
            for cut in work {
                let result = settle(fs.as_ref(), &dir, &cut).map(|()| cut.commit);
                if report.send(result).is_err() {
                    break;
                }
            }
        });
        Self { cuts: Some(cuts), done, thread: Some(thread), busy: false }
    }

    /// Whether a cut is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Hands over a cut, to be settled meanwhile.
    pub(crate) fn begin(&mut self, cut: Cut) {
        let sent = self.cuts.as_ref().is_some_and(|cuts| cuts.send(cut).is_ok());
        self.busy = sent;
    }

    /// The number of the last settled commit, when a cut was finished; waits for the
    /// one under way if `wait`.
    pub(crate) fn finished(&mut self, wait: bool) -> Result<Option<u64>, FileError> {
        let result = match (self.busy, wait) {
            (false, _) => None,
            (true, true) => self.done.recv().ok(),
            (true, false) => self.done.try_recv().ok(),
        };
        self.busy &= result.is_none();
        result.transpose()
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.cuts = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
