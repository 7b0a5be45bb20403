//! Checking a log on disk: everything is recomputed from the entries.
//!
//! The check reads only. Entries behind the settled checkpoint are those of the
//! staged batches, as the next opening would complete them. A published checkpoint
//! that covers more than both hold means that entries are lost.

use base::Digest;
use proof::log::{Checkpoint, LogPolicy, SignedCheckpoint};
use std::path::Path;
use std::sync::Arc;

use crate::edge::{Edge, TileFile};
use crate::fs::Fs;
use crate::keys::KeysInForce;
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
/// under the keys in force at their sizes.
pub fn check(fs: Arc<dyn Fs>, dir: &Path, keys: &dyn KeysInForce) -> Checked {
    let reader = Reader::new(fs, dir);
    let mut check = Check { reader, keys, rules: Vec::new(), findings: Vec::new() };
    let settled = check.claimed(SETTLED, true);
    let published = check.claimed(CHECKPOINT, false);
    let claims = |claim: &Option<(Vec<u8>, Checkpoint)>| {
        claim.as_ref().map(|(_, checkpoint)| (checkpoint.size, checkpoint.root))
    };
    let (size, root) = claims(&settled).unzip();
    let mut edge = check.entries(size.unwrap_or(0), root, claims(&published));
    check.staged(dir, &mut edge, claims(&published));
    if let Some((note, checkpoint)) = &settled {
        check.signed(SETTLED, checkpoint.size, note);
    }
    let witnessed = published.and_then(|(note, claim)| check.witnessed(claim.size, &note));
    let size = edge.size();
    if let Some(covered) = witnessed
        && covered > size
    {
        check.report(CHECKPOINT, format!("it covers {covered} entries, {size} are on the disk"));
    }
    Checked { size, witnessed, findings: check.findings }
}

struct Check<'a> {
    reader: Reader,
    keys: &'a dyn KeysInForce,
    /// The leaves that bear on keys.
    rules: Vec<(u64, Vec<u8>)>,
    findings: Vec<Finding>,
}

impl Check<'_> {
    fn report(&mut self, file: impl ToString, problem: impl ToString) {
        self.findings.push(Finding { file: file.to_string(), problem: problem.to_string() });
    }

    /// The note in a file and what it says, before it is known whose it must be.
    fn claimed(&mut self, file: &str, must: bool) -> Option<(Vec<u8>, Checkpoint)> {
        let note = match self.reader.file(file) {
            Err(error) if error.is_absent() && !must => return None,
            read => read.map_err(|error| error.to_string()),
        };
        let claimed = note.and_then(|note| match Checkpoint::claimed(&note) {
            Ok(checkpoint) => Ok((note, checkpoint)),
            Err(error) => Err(error.to_string()),
        });
        claimed.map_err(|problem| self.report(file, problem)).ok()
    }

    /// Takes note of a leaf, when it bears on keys.
    fn note(&mut self, index: u64, leaf: &[u8]) {
        if self.keys.reads(leaf) {
            self.rules.push((index, leaf.to_vec()));
        }
    }

    /// Whose signatures count at a size, by the entries.
    fn policy(&self, size: u64) -> Result<LogPolicy, String> {
        let below = self.rules.iter().filter(|(index, _)| *index < size);
        let rules: Vec<(u64, &[u8])> = below.map(|(index, leaf)| (*index, &**leaf)).collect();
        let unknown = || "the entries do not say whose signatures count".to_owned();
        self.keys.policy(size, &rules).ok_or_else(unknown)
    }

    /// Reports a checkpoint that the log's key of its size did not sign.
    fn signed(&mut self, name: &str, size: u64, note: &[u8]) {
        let signed = self.policy(size).and_then(|policy| {
            SignedCheckpoint::verify(policy.origin(), policy.log_key(), note)
                .map_err(|error| error.to_string())
        });
        if let Err(problem) = signed {
            self.report(name, problem);
        }
    }

    /// The size of the published checkpoint, once it proves to be witnessed.
    fn witnessed(&mut self, size: u64, note: &[u8]) -> Option<u64> {
        let verified = self
            .policy(size)
            .and_then(|policy| policy.verify_checkpoint(note).map_err(|error| error.to_string()));
        match verified {
            Ok(witnessed) => Some(witnessed.size()),
            Err(problem) => {
                self.report(CHECKPOINT, problem);
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
    fn staged(&mut self, dir: &Path, edge: &mut Edge, witnessed: Option<(u64, Digest)>) {
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
                    self.note(edge.size(), leaf);
                    edge.push(leaf, &mut Vec::new()).map_err(|e| e.to_string())?;
                    if let Some((at, root)) = witnessed
                        && at == edge.size()
                        && root != edge.root()
                    {
                        return Err("the published checkpoint has another root".into());
                    }
                }
                let policy = self.policy(edge.size())?;
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
            self.note(edge.size(), leaf);
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
