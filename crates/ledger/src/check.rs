//! Checking a log on disk: everything is recomputed from the entries.
//!
//! The check reads only. Entries behind the settled checkpoint are those of the
//! staged batches, as the next opening would complete them. A published checkpoint
//! that covers more than both hold means that entries are lost.

use base::Digest;
use proof::log::{LogPolicy, SignedCheckpoint};
use std::path::Path;
use std::sync::Arc;

use crate::edge::{Edge, TileFile};
use crate::fs::Fs;
use crate::layout::{FULL, Tile, split_bundle};
use crate::publish::CHECKPOINT;
use crate::reader::{ReadError, Reader};
use crate::settle::SETTLED;
use crate::stage::Stage;
use crate::store::{SLOTS, slot_path};

/// Something that is wrong in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, relative to the log's folder.
    pub file: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// How many entries are on the disk, settled or staged.
    pub size: u64,
    /// The size of the published witnessed checkpoint; none when there is none.
    pub witnessed: Option<u64>,
    /// What is wrong, in the order it was found; nothing on a sound log.
    pub findings: Vec<Finding>,
}

/// Recomputes all tiles and the root from the entries, and verifies the checkpoints
/// by the policy.
pub fn check(fs: Arc<dyn Fs>, dir: &Path, policy: &LogPolicy) -> Checked {
    let reader = Reader::new(fs, dir);
    let mut check = Check { reader, findings: Vec::new() };
    let settled = check.settled(policy);
    let witnessed = check.witnessed(policy);
    let (size, root) = settled.unwrap_or((0, None));
    let mut edge = check.entries(size, root, witnessed);
    check.staged(dir, policy, &mut edge, witnessed);
    let size = edge.size();
    if let Some((covered, _)) = witnessed
        && covered > size
    {
        check.report(CHECKPOINT, format!("it covers {covered} entries, {size} are on the disk"));
    }
    Checked { size, witnessed: witnessed.map(|(size, _)| size), findings: check.findings }
}

struct Check {
    reader: Reader,
    findings: Vec<Finding>,
}

impl Check {
    fn report(&mut self, file: impl ToString, problem: impl ToString) {
        self.findings.push(Finding { file: file.to_string(), problem: problem.to_string() });
    }

    /// Size and root of the settled checkpoint.
    fn settled(&mut self, policy: &LogPolicy) -> Option<(u64, Option<Digest>)> {
        let verified =
            self.reader.file(SETTLED).map_err(|error| error.to_string()).and_then(|note| {
                SignedCheckpoint::verify(policy.origin(), policy.log_key(), &note)
                    .map_err(|error| error.to_string())
            });
        match verified {
            Ok(signed) => Some((signed.checkpoint().size, Some(signed.checkpoint().root))),
            Err(problem) => {
                self.report(SETTLED, problem);
                None
            }
        }
    }

    /// Size and root of the published checkpoint, which may be absent.
    fn witnessed(&mut self, policy: &LogPolicy) -> Option<(u64, Digest)> {
        let note = match self.reader.file(CHECKPOINT) {
            Ok(note) => note,
            Err(error) if error.is_absent() => return None,
            Err(error) => {
                self.report(CHECKPOINT, error);
                return None;
            }
        };
        match policy.verify_checkpoint(&note) {
            Ok(witnessed) => Some((witnessed.size(), witnessed.root())),
            Err(error) => {
                self.report(CHECKPOINT, error);
                None
            }
        }
    }

    /// Recomputes tiles and roots from the entries, bundle by bundle.
    fn entries(
        &mut self,
        size: u64,
        root: Option<Digest>,
        witnessed: Option<(u64, Digest)>,
    ) -> Edge {
        let mut edge = Edge::default();
        for index in 0..size.div_ceil(FULL) {
            let Some(tile) = Tile::of(None, index, size) else {
                break;
            };
            let mut full = Vec::new();
            if let Err(problem) = self.bundle(tile, &mut edge, &mut full, witnessed) {
                self.report(tile, problem);
                return edge;
            }
            self.compare(full);
        }
        self.compare(edge.partial());
        if root.is_some_and(|root| root != edge.root()) {
            self.report(SETTLED, format!("its root is not that of the {size} entries"));
        }
        if let Some((at, root)) = witnessed
            && at == size
            && root != edge.root()
        {
            self.report(CHECKPOINT, format!("its root is not that of the first {at} entries"));
        }
        edge
    }

    /// The batches behind the settled checkpoint.
    fn staged(
        &mut self,
        dir: &Path,
        policy: &LogPolicy,
        edge: &mut Edge,
        witnessed: Option<(u64, Digest)>,
    ) {
        let read = |slot| self.reader.read_file(&slot_path(dir, slot));
        let mut stages: Vec<Stage> =
            (0..SLOTS).filter_map(|slot| Stage::decode(&read(slot).ok()?)).collect();
        stages.sort_by_key(|stage| stage.start);
        for stage in stages.into_iter().filter(|s| s.end() > edge.size()).collect::<Vec<_>>() {
            let name = format!("staged entries {} to {}", stage.start, stage.end());
            if stage.start != edge.size() {
                self.report(name, format!("entries from {} on are missing", edge.size()));
                return;
            }
            let pushed: Result<(), String> = (|| {
                for leaf in stage.leaves().ok_or("a wrong count")? {
                    edge.push(leaf, &mut Vec::new()).map_err(|e| e.to_string())?;
                    if let Some((at, root)) = witnessed
                        && at == edge.size()
                        && root != edge.root()
                    {
                        return Err("the published checkpoint has another root".into());
                    }
                }
                let signed =
                    SignedCheckpoint::verify(policy.origin(), policy.log_key(), &stage.note)
                        .map_err(|e| e.to_string())?;
                match signed.checkpoint().root == edge.root() {
                    true => Ok(()),
                    false => Err("another root than signed over".into()),
                }
            })();
            if let Err(problem) = pushed {
                self.report(name, problem);
                return;
            }
        }
    }

    fn bundle(
        &mut self,
        tile: Tile,
        edge: &mut Edge,
        full: &mut Vec<TileFile>,
        witnessed: Option<(u64, Digest)>,
    ) -> Result<(), String> {
        let bytes = self.reader.tile(tile).map_err(|error: ReadError| error.to_string())?;
        let leaves = split_bundle(&bytes, tile.width).map_err(|error| error.to_string())?;
        for leaf in leaves {
            if let Some((at, root)) = witnessed
                && at == edge.size()
                && root != edge.root()
            {
                self.report(CHECKPOINT, format!("its root is not that of the first {at} entries"));
            }
            edge.push(leaf, full).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Compares recomputed tiles with the stored ones.
    fn compare(&mut self, tiles: Vec<TileFile>) {
        for (tile, expected) in tiles {
            match self.reader.tile(tile) {
                Ok(found) if found == expected => {}
                Ok(found) => {
                    let at = found.iter().zip(&expected).take_while(|(a, b)| a == b).count();
                    self.report(tile, format!("differs from the entries at byte {at}"));
                }
                Err(error) => self.report(tile, error),
            }
        }
    }
}
