//! The Merkle tree of RFC 6962 §2.1: hashes, proofs, and the frontier of a tree
//! that only grows.
//!
//! Proofs are made over a [`HashSource`], which answers for complete subtrees,
//! and are checked by the iterative algorithms of RFC 9162 §2.1.3.2 and
//! §2.1.4.2, which need no recursion and no allocation. A [`Frontier`] holds the
//! roots of the complete subtrees that make up a tree (at most 63): enough to
//! append leaves and to recompute the root without any older leaf.

use aws_lc_rs::digest::{Context, SHA256, digest};
use base::Digest;
use serde::{Deserialize, Serialize};

use super::MAX_LOG_SIZE;

/// The longest inclusion or consistency path that a verifier looks at.
pub const MAX_PATH: usize = 64;

/// Where the hashes of complete subtrees come from: tiles, or memory.
pub trait HashSource {
    /// Why a hash cannot be had.
    type Error;
    /// The root of the complete subtree over the leaves
    /// `index * 2^level .. (index + 1) * 2^level`.
    fn hash(&self, level: u8, index: u64) -> Result<Digest, Self::Error>;
}

/// Why a proof cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProveError<E> {
    /// The index or the older size does not lie in the tree.
    #[error("{what} {got} lies outside a tree of {size} leaves")]
    Range {
        /// What was asked for: "index" or "old size".
        what: &'static str,
        /// Its value.
        got: u64,
        /// The size of the tree.
        size: u64,
    },
    /// A hash could not be had.
    #[error("{0}")]
    Source(E),
}

/// The hash of a leaf: SHA-256(0x00 || leaf).
pub fn leaf_hash(leaf: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(leaf);
    to_digest(context.finish().as_ref())
}

/// The hash of an inner node: SHA-256(0x01 || left || right).
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(&[1]);
    context.update(&left.0);
    context.update(&right.0);
    to_digest(context.finish().as_ref())
}

/// The root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Digest {
    to_digest(digest(&SHA256, &[]).as_ref())
}

fn to_digest(bytes: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(bytes);
    Digest(out)
}

/// The root of the tree's first `size` leaves.
pub fn root<S: HashSource>(source: &S, size: u64) -> Result<Digest, S::Error> {
    if size == 0 { Ok(empty_root()) } else { range_root(source, 0, size) }
}

/// The hash of the leaves `lo..hi`, where `lo` is a multiple of the largest power
/// of two that is not above `hi - lo`.
fn range_root<S: HashSource>(source: &S, lo: u64, hi: u64) -> Result<Digest, S::Error> {
    let width = hi - lo;
    if width.is_power_of_two() {
        let level = width.trailing_zeros();
        return source.hash(level as u8, lo >> level);
    }
    let middle = lo + split(width);
    Ok(node_hash(&range_root(source, lo, middle)?, &range_root(source, middle, hi)?))
}

/// The largest power of two below `width`, which is at least 2.
fn split(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

/// The inclusion path of leaf `index` in the tree of `size` leaves, from the
/// leaf's sibling up.
pub fn inclusion<S: HashSource>(
    source: &S,
    index: u64,
    size: u64,
) -> Result<Vec<Digest>, ProveError<S::Error>> {
    if index >= size {
        return Err(ProveError::Range { what: "index", got: index, size });
    }
    let (mut lo, mut hi, mut path) = (0, size, Vec::new());
    while hi - lo > 1 {
        let middle = lo + split(hi - lo);
        let (sibling_lo, sibling_hi) = if index < middle { (middle, hi) } else { (lo, middle) };
        path.push(range_root(source, sibling_lo, sibling_hi).map_err(ProveError::Source)?);
        if index < middle { hi = middle } else { lo = middle }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `size` leaves starts with the tree of `old` leaves.
/// It is empty for `old` 0 and for `old == size`.
pub fn consistency<S: HashSource>(
    source: &S,
    old: u64,
    size: u64,
) -> Result<Vec<Digest>, ProveError<S::Error>> {
    if old > size {
        return Err(ProveError::Range { what: "old size", got: old, size });
    }
    if old == 0 {
        return Ok(Vec::new());
    }
    let (mut lo, mut hi, mut path) = (0, size, Vec::new());
    while old < hi {
        let middle = lo + split(hi - lo);
        let (sibling_lo, sibling_hi) = if old <= middle { (middle, hi) } else { (lo, middle) };
        path.push(range_root(source, sibling_lo, sibling_hi).map_err(ProveError::Source)?);
        if old <= middle { hi = middle } else { lo = middle }
    }
    // A verifier knows the old root itself, so it is sent only when it is not
    // the left edge of the new tree.
    if lo > 0 {
        path.push(range_root(source, lo, hi).map_err(ProveError::Source)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` proves that the tree of `size` leaves with root `root` has a
/// leaf with hash `leaf` at `index`.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    path: &[Digest],
    root: &Digest,
) -> bool {
    if index >= size || path.len() > MAX_PATH {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            skip_absent(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Climbs while the node is a left child with no sibling, for it then is its
/// own parent.
fn skip_absent(node: &mut u64, last: &mut u64) {
    while *node & 1 == 0 && *node != 0 {
        *node >>= 1;
        *last >>= 1;
    }
}

/// Whether `path` proves that the tree of `size` leaves with root `root` starts
/// with the tree of `old` leaves with root `old_root`. Every tree starts with the
/// empty tree; its path is empty.
pub fn verify_consistency(
    old: u64,
    old_root: &Digest,
    size: u64,
    root: &Digest,
    path: &[Digest],
) -> bool {
    if old > size || path.len() > MAX_PATH {
        return false;
    }
    if old == size {
        return path.is_empty() && old_root == root;
    }
    if old == 0 {
        return path.is_empty() && *old_root == empty_root();
    }
    let mut rest = path.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { rest.next() };
    let Some(first) = first else { return false };
    let (mut node, mut last) = (old - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut before, mut after) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            before = node_hash(sibling, &before);
            after = node_hash(sibling, &after);
            skip_absent(&mut node, &mut last);
        } else {
            after = node_hash(&after, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && before == *old_root && after == *root
}

/// The right edge of a tree: what is needed to append to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Edge", into = "Edge")]
pub struct Frontier {
    size: u64,
    /// The roots of the complete subtrees, widest first.
    nodes: Vec<Digest>,
}

/// A frontier as it is stored, before its shape is checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edge {
    size: u64,
    nodes: Vec<Digest>,
}

impl TryFrom<Edge> for Frontier {
    type Error = String;
    fn try_from(edge: Edge) -> Result<Self, String> {
        let expected = edge.size.count_ones() as usize;
        if edge.nodes.len() != expected || edge.size > MAX_LOG_SIZE {
            return Err(format!(
                "{} nodes in the frontier of a tree of {} leaves: {expected} are expected",
                edge.nodes.len(),
                edge.size
            ));
        }
        Ok(Self { size: edge.size, nodes: edge.nodes })
    }
}

impl From<Frontier> for Edge {
    fn from(frontier: Frontier) -> Self {
        Self { size: frontier.size, nodes: frontier.nodes }
    }
}

impl Frontier {
    /// The frontier of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// The frontier of the first `size` leaves of a stored tree.
    pub fn read<S: HashSource>(source: &S, size: u64) -> Result<Self, S::Error> {
        let (mut nodes, mut lo) = (Vec::new(), 0);
        for level in (0..64).rev() {
            let width = 1u64 << level;
            if size & width != 0 {
                nodes.push(source.hash(level, lo >> level)?);
                lo += width;
            }
        }
        Ok(Self { size, nodes })
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Digest) {
        let (mut hash, mut size) = (leaf, self.size);
        while size & 1 == 1 {
            if let Some(left) = self.nodes.pop() {
                hash = node_hash(&left, &hash);
            }
            size >>= 1;
        }
        self.nodes.push(hash);
        self.size += 1;
    }

    /// The root of the tree.
    pub fn root(&self) -> Digest {
        let folded =
            self.nodes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        folded.unwrap_or_else(empty_root)
    }
}
