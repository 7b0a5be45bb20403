//! Copies of a log: taken while it is written, kept by an auditor, and used to
//! bring a log that lost its end up to date again.
//!
//! A copy is the tiles of one checkpoint and that checkpoint. The log only grows,
//! so the tiles of a size never change and need no pause of the writer.

use proof::log::{Checkpoint, LogPolicy, LogSigner, SignedCheckpoint, WitnessedCheckpoint, merkle};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::{FileError, Fs, replace};
use crate::keys::KeysInForce;
use crate::layout::{FULL, Tile};
use crate::publish::CHECKPOINT;
use crate::reader::{ReadError, Reader};
use crate::settle::SETTLED;
use crate::store::{CommitError, OpenError, Store};

/// Why a copy was not taken or not used.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The other side's files cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file could not be written or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The copy is not one of this log, or does not continue it.
    #[error("{0}")]
    Unfit(String),
    /// The log could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The entries could not be appended.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// The tiles and bundles of a log of `size` entries, bundles first.
pub fn tiles(size: u64) -> impl Iterator<Item = Tile> {
    let levels = std::iter::once(None).chain((0..8).map(Some));
    levels.flat_map(move |level| (0..).map_while(move |index| Tile::of(level, index, size)))
}

/// The checkpoint that a reader of this log sees, verified under the keys in force by
/// the log's own entries, and these keys; none before the first.
pub fn published(
    fs: Arc<dyn Fs>,
    dir: &Path,
    keys: &dyn KeysInForce,
) -> Result<Option<(LogPolicy, WitnessedCheckpoint)>, CopyError> {
    let path = dir.join(CHECKPOINT);
    let note = match fs.read(&path) {
        Ok(note) => note,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::new("read", &path, error).into()),
    };
    let unfit = |e: &dyn std::fmt::Display| CopyError::Unfit(format!("`{}`: {e}", path.display()));
    let size = Checkpoint::claimed(&note).map_err(|e| unfit(&e))?.size;
    let policy = keys_after(&Reader::new(fs, dir), keys, size)?;
    let at = policy.verify_checkpoint(&note).map_err(|e| unfit(&e))?;
    Ok(Some((policy, at)))
}

/// Whose signatures count after the first `size` entries of a log.
fn keys_after(reader: &Reader, keys: &dyn KeysInForce, size: u64) -> Result<LogPolicy, CopyError> {
    let mut leaves = Vec::new();
    reader.for_each_entry(0..size, size, |index, leaf| {
        if keys.reads(leaf) {
            leaves.push((index, leaf.to_vec()));
        }
        Ok::<_, ReadError>(())
    })?;
    let leaves: Vec<_> = leaves.iter().map(|(index, leaf)| (*index, leaf.as_slice())).collect();
    let text =
        "its entries do not tell whose signatures count: they begin no plant of these anchors";
    keys.policy(size, &leaves).ok_or_else(|| CopyError::Unfit(text.into()))
}

/// The files beside the tiles that make a copy a log that can be opened: the
/// checkpoint that readers see, and the same as the one up to which all is durable.
///
/// # Errors
/// The note has no signature of the log.
pub fn checkpoints(
    policy: &LogPolicy,
    at: &WitnessedCheckpoint,
) -> Result<[(&'static str, Vec<u8>); 2], CopyError> {
    let note = String::from_utf8_lossy(at.note()).into_owned();
    let own = format!("\u{2014} {} ", policy.origin());
    let foreign = |line: &&str| !line.starts_with('\u{2014}') || line.starts_with(&own);
    let settled: String = note.split_inclusive('\n').filter(foreign).collect();
    SignedCheckpoint::verify(policy.origin(), policy.log_key(), settled.as_bytes())
        .map_err(|e| CopyError::Unfit(format!("the checkpoint without cosignatures: {e}")))?;
    Ok([(SETTLED, settled.into_bytes()), (CHECKPOINT, at.note().to_vec())])
}

/// Recomputes the root of the first `size` entries from the entries themselves.
pub fn root_of_entries(reader: &Reader, size: u64) -> Result<base::Digest, ReadError> {
    let mut frontier = merkle::Frontier::new();
    reader.for_each_entry(0..size, size, |_, leaf| {
        frontier.push(merkle::leaf_hash(leaf));
        Ok::<_, ReadError>(())
    })?;
    Ok(frontier.root())
}

/// Writes a copy's checkpoints once all its tiles are in place, after recomputing
/// the root from its entries.
pub fn seal(
    fs: Arc<dyn Fs>,
    dir: &Path,
    keys: &dyn KeysInForce,
    at: &WitnessedCheckpoint,
) -> Result<(), CopyError> {
    let reader = Reader::new(fs.clone(), dir);
    let found = root_of_entries(&reader, at.size())?;
    if found != at.root() {
        let size = at.size();
        let text = format!("the {size} entries do not have the root that was cosigned");
        return Err(CopyError::Unfit(text));
    }
    let policy = keys_after(&reader, keys, at.size())?;
    for (name, note) in checkpoints(&policy, at)? {
        replace(fs.as_ref(), &dir.join(name), &note)?;
    }
    Ok(())
}

/// What [`extend`] takes entries from.
pub enum Source {
    /// The folder of the same log elsewhere: the old disk. It is opened as a log, so
    /// that batches that were only staged count, and must not be in use.
    Log(Box<Store>),
    /// A copy that an auditor keeps, up to its witnessed checkpoint.
    Copy(PathBuf, Box<WitnessedCheckpoint>),
}

/// Appends to a log what a longer copy of it has, signed with the one of `signers` that
/// is in force then. Everything is verified before anything is written: that the copy
/// begins with this log, and that its entries have the root that its checkpoint signs.
/// Returns how many were appended.
pub fn extend(
    store: &mut Store,
    fs: Arc<dyn Fs>,
    from: &Source,
    keys: &dyn KeysInForce,
    signers: &[Arc<LogSigner>],
) -> Result<u64, CopyError> {
    let (reader, size, root) = match from {
        Source::Log(log) => {
            let at = log.committed().checkpoint();
            (log.reader(), at.size, at.root)
        }
        Source::Copy(dir, at) => (Reader::new(fs, dir), at.size(), at.root()),
    };
    let here = store.size();
    if size <= here {
        let text = format!("the copy has {size} entries, this log has {here}: nothing to fetch");
        return Err(CopyError::Unfit(text));
    }
    if reader.root(here)? != store.committed().checkpoint().root {
        let text = format!("the copy's first {here} entries are not this log's: another history");
        return Err(CopyError::Unfit(text));
    }
    if root_of_entries(&reader, size)? != root {
        let text = format!("the copy's {size} entries do not have the root that was signed");
        return Err(CopyError::Unfit(text));
    }
    let policy = keys_after(&reader, keys, size)?;
    let signer = signers.iter().find(|signer| signer.vkey() == policy.log_key());
    let signer = signer.ok_or_else(|| {
        CopyError::Unfit(format!("the log's key {} is not here", policy.log_key()))
    })?;
    store.sign_with(signer.clone());
    let mut next = here;
    while next < size {
        let end = (next / FULL + 1).saturating_mul(FULL).min(size);
        store.commit(&reader.read_entries(next..end, size)?)?;
        next = end;
    }
    Ok(size - here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tiles_of_a_size_are_those_that_its_root_needs() {
        let names: Vec<String> = tiles(257).map(|tile| tile.to_string()).collect();
        let expected = [
            "tile/entries/000",
            "tile/entries/001.p/1",
            "tile/0/000",
            "tile/0/001.p/1",
            "tile/1/000.p/1",
        ];
        assert_eq!(names, expected);
        assert_eq!(tiles(0).count(), 0);
    }
}
