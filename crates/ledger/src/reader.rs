//! Reading a log on disk: entries, hashes and proofs.
//!
//! A reader takes no lock and reads what is committed: callers say for which size
//! of the log they ask, and take that size from a checkpoint.

use base::Digest;
use proof::log::merkle::{self, HashSource, ProveError};
use proof::log::{SignedCheckpoint, TlogProof};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::edge::{from_bytes, subtree};
use crate::fs::{At, FileError, Fs};
use crate::layout::{BadBundle, FULL, Tile, bundle_prefix, split_bundle};

/// A log's folder, for reading.
#[derive(Clone)]
pub struct Reader {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
}

/// Why a part of the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file does not hold what its name says.
    #[error("`{tile}` is damaged: {what}")]
    Damaged {
        /// The file, relative to the log's folder.
        tile: String,
        /// What was found.
        what: String,
    },
    /// The index or size lies outside the log.
    #[error("{got} lies outside a log of {size} entries")]
    Range {
        /// The index or older size asked for.
        got: u64,
        /// The size of the log.
        size: u64,
    },
}

impl ReadError {
    fn damaged(tile: &Tile, what: impl ToString) -> Self {
        Self::Damaged { tile: tile.to_string(), what: what.to_string() }
    }
}

impl From<ProveError<ReadError>> for ReadError {
    fn from(error: ProveError<ReadError>) -> Self {
        match error {
            ProveError::Range { got, size, .. } => Self::Range { got, size },
            ProveError::Source(error) => error,
        }
    }
}

impl Reader {
    /// Reads the log in `dir`.
    pub fn new(fs: Arc<dyn Fs>, dir: &Path) -> Self {
        Self { fs, dir: dir.to_owned() }
    }

    /// The bytes of a tile or bundle. A partial one is cut from a wider one when it
    /// was removed because the wider one exists.
    pub fn tile(&self, tile: Tile) -> Result<Vec<u8>, ReadError> {
        match self.file(&tile.to_string()) {
            Err(error) if error.is_absent() && !tile.is_full() => self.cut(tile, error),
            other => Ok(other?),
        }
    }

    /// A partial tile from the full one, which is in place before partial ones are
    /// removed, or from a wider partial one.
    fn cut(&self, tile: Tile, absent: FileError) -> Result<Vec<u8>, ReadError> {
        let (wider, bytes) = match self.file(&tile.full().to_string()) {
            Ok(bytes) => (tile.full(), bytes),
            Err(_) => {
                let dir = self.dir.join(tile.partial_dir());
                let widths = self.fs.list(&dir).at("list", &dir)?;
                let widths = widths.iter().filter_map(|width| width.parse().ok());
                let width = widths.filter(|width| *width > tile.width).min().ok_or(absent)?;
                let wider = Tile { width, ..tile };
                (wider, self.file(&wider.to_string())?)
            }
        };
        self.prefix(&bytes, tile).ok_or_else(|| ReadError::damaged(&wider, "too short"))
    }

    fn prefix(&self, bytes: &[u8], tile: Tile) -> Option<Vec<u8>> {
        let prefix = match tile.level {
            Some(_) => bytes.get(..usize::try_from(tile.width).ok()? * 32),
            None => bundle_prefix(bytes, tile.width),
        };
        prefix.map(<[u8]>::to_vec)
    }

    pub(crate) fn file(&self, name: &str) -> Result<Vec<u8>, FileError> {
        let path = self.dir.join(name);
        self.fs.read(&path).at("read", &path)
    }

    /// A file by its whole path.
    pub(crate) fn read_file(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        self.fs.read(path).at("read", path)
    }

    /// The hashes of a tile.
    pub(crate) fn hashes(&self, tile: Tile) -> Result<Vec<Digest>, ReadError> {
        from_bytes(&self.tile(tile)?, tile.width)
            .ok_or_else(|| ReadError::damaged(&tile, format!("{} hashes are expected", tile.width)))
    }

    /// Calls `visit` with each leaf in `range` of a log of `size` entries, in order.
    pub fn for_each_entry<E: From<ReadError>>(
        &self,
        range: Range<u64>,
        size: u64,
        mut visit: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if range.end > size {
            return Err(ReadError::Range { got: range.end, size }.into());
        }
        let mut index = range.start;
        while index < range.end {
            let tile =
                Tile::of(None, index / FULL, size).ok_or(ReadError::Range { got: index, size })?;
            let bytes = self.tile(tile)?;
            let leaves = split_bundle(&bytes, tile.width)
                .map_err(|error: BadBundle| ReadError::damaged(&tile, error))?;
            for leaf in leaves.into_iter().skip(usize::try_from(index % FULL).unwrap_or(0)) {
                if index < range.end {
                    visit(index, leaf)?;
                    index += 1;
                }
            }
        }
        Ok(())
    }

    /// The leaves in `range` of a log of `size` entries.
    pub fn read_entries(&self, range: Range<u64>, size: u64) -> Result<Vec<Vec<u8>>, ReadError> {
        let mut leaves = Vec::new();
        self.for_each_entry(range, size, |_, leaf| {
            leaves.push(leaf.to_vec());
            Ok::<_, ReadError>(())
        })?;
        Ok(leaves)
    }

    /// The inclusion path of a leaf in the log of `size` entries.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Digest>, ReadError> {
        Ok(merkle::inclusion(&self.at(size), index, size)?)
    }

    /// The proof that the log of `size` entries extends that of `old`.
    pub fn consistency(&self, old: u64, size: u64) -> Result<Vec<Digest>, ReadError> {
        Ok(merkle::consistency(&self.at(size), old, size)?)
    }

    /// The root of the log's first `size` entries.
    pub fn root(&self, size: u64) -> Result<Digest, ReadError> {
        merkle::root(&self.at(size), size)
    }

    /// A proof file for a leaf under a checkpoint note of `size` entries.
    pub fn tlog_proof(&self, index: u64, size: u64, note: &[u8]) -> Result<TlogProof, ReadError> {
        let path = self.inclusion(index, size)?;
        Ok(TlogProof { extra: None, index, path, checkpoint: note.to_vec() })
    }

    /// A proof file for a leaf under a signed checkpoint, without witnesses.
    pub fn signed_proof(
        &self,
        index: u64,
        signed: &SignedCheckpoint,
    ) -> Result<TlogProof, ReadError> {
        self.tlog_proof(index, signed.checkpoint().size, signed.note())
    }

    fn at(&self, size: u64) -> Tree<'_> {
        Tree { reader: self, size }
    }
}

/// The hashes of the log's first `size` entries.
struct Tree<'a> {
    reader: &'a Reader,
    size: u64,
}

impl HashSource for Tree<'_> {
    type Error = ReadError;
    fn hash(&self, level: u8, index: u64) -> Result<Digest, ReadError> {
        let outside = ReadError::Range { got: index, size: self.size };
        let (tile_level, height) = (level / 8, level % 8);
        let first = index << height;
        let Some(tile) = Tile::of(Some(tile_level), first / FULL, self.size) else {
            return Err(outside);
        };
        let hashes = self.reader.hashes(tile)?;
        let low = usize::try_from(first % FULL).unwrap_or(usize::MAX);
        let range = low..low.saturating_add(1 << height);
        hashes.get(range).map(subtree).ok_or(outside)
    }
}
