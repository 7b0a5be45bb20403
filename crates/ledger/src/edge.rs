//! The right edge of the log in memory: the partial bundle, the partial tiles and
//! the frontier. Leaves go in; files to write come out.

use base::Digest;
use proof::log::merkle::{Frontier, leaf_hash, node_hash};

use crate::layout::{FULL, LeafTooLong, Tile, push_entry};

/// What has to be appended to, and nothing older.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edge {
    frontier: Frontier,
    /// The bytes of the partial bundle.
    bundle: Vec<u8>,
    /// The hashes of the partial tile of each level.
    levels: Vec<Vec<Digest>>,
}

/// A file of the log with its bytes.
pub(crate) type TileFile = (Tile, Vec<u8>);

impl Edge {
    /// The edge of a stored log, from its partial bundle and partial tiles; none
    /// when they do not belong to a log of `size` entries.
    pub(crate) fn restore(size: u64, bundle: Vec<u8>, levels: Vec<Vec<Digest>>) -> Option<Self> {
        // The frontier's nodes are the roots of the complete subtrees; those of
        // each level's partial tile are complete subtrees of whole tiles below.
        let source = EdgeHashes { size, levels: &levels };
        let frontier = Frontier::read(&source, size).ok()?;
        Some(Self { frontier, bundle, levels })
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn root(&self) -> Digest {
        self.frontier.root()
    }

    /// Appends a leaf; tiles that become full are added to `files`.
    pub(crate) fn push(
        &mut self,
        leaf: &[u8],
        files: &mut Vec<TileFile>,
    ) -> Result<(), LeafTooLong> {
        push_entry(&mut self.bundle, leaf)?;
        let index = self.size();
        let mut hash = leaf_hash(leaf);
        self.frontier.push(hash);
        if (index + 1).is_multiple_of(FULL) {
            let tile = Tile { level: None, index: index / FULL, width: FULL };
            files.push((tile, std::mem::take(&mut self.bundle)));
        }
        let mut at = index;
        for level in 0..8u8 {
            let slot = usize::from(level);
            if self.levels.len() <= slot {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(slot) else {
                break;
            };
            hashes.push(hash);
            if (hashes.len() as u64) < FULL {
                break;
            }
            let tile = Tile { level: Some(level), index: at / FULL, width: FULL };
            files.push((tile, to_bytes(hashes)));
            hash = subtree(hashes);
            hashes.clear();
            at /= FULL;
        }
        Ok(())
    }

    /// The partial tiles and the partial bundle as they stand.
    pub(crate) fn partial(&self) -> Vec<TileFile> {
        let bytes = |tile: &Tile| match tile.level {
            None => self.bundle.clone(),
            Some(level) => to_bytes(self.levels.get(usize::from(level)).map_or(&[], Vec::as_slice)),
        };
        Tile::partial(self.size()).into_iter().map(|tile| (tile, bytes(&tile))).collect()
    }
}

/// The frontier's nodes, each in one level's partial tile.
struct EdgeHashes<'a> {
    size: u64,
    levels: &'a [Vec<Digest>],
}

impl proof::log::merkle::HashSource for EdgeHashes<'_> {
    type Error = ();
    fn hash(&self, level: u8, index: u64) -> Result<Digest, ()> {
        let hashes = self.levels.get(usize::from(level / 8)).ok_or(())?;
        let first = (self.size >> (8 * (level / 8))) / FULL * FULL;
        let (low, count) =
            ((index << (level % 8)).checked_sub(first).ok_or(())?, 1u64 << (level % 8));
        let range =
            usize::try_from(low).map_err(drop)?..usize::try_from(low + count).map_err(drop)?;
        Ok(subtree(hashes.get(range).ok_or(())?))
    }
}

/// The root over a power of two of hashes.
pub(crate) fn subtree(hashes: &[Digest]) -> Digest {
    match hashes {
        [] => proof::log::merkle::empty_root(),
        [one] => *one,
        [left, right] => node_hash(left, right),
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            node_hash(&subtree(left), &subtree(right))
        }
    }
}

fn to_bytes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The hashes in a tile's bytes; none when they are not `width` whole hashes.
pub(crate) fn from_bytes(bytes: &[u8], width: u64) -> Option<Vec<Digest>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && hashes.len() as u64 == width)
        .then(|| hashes.iter().copied().map(Digest).collect())
}
