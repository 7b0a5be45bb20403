//! Going through a file's tree depth first, wholly or for a byte range.

use super::{Node, NodeError, WIDTH};
use crate::address::RAW;
use cid::Cid;
use std::ops::Range;

/// The most levels of nodes above the leaves: 174^6 leaves are more bytes than a
/// file can have.
pub const MAX_DEPTH: usize = 6;

/// One block on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The block's address.
    pub cid: Cid,
    /// Whether it is a leaf, and was not loaded.
    pub leaf: bool,
    /// Where in the file its bytes start.
    pub offset: u64,
    /// Bytes of the block itself; for a leaf as its parent states them, `None` for
    /// a leaf that is the root.
    pub block_len: Option<u64>,
}

/// Why a tree cannot be gone through.
#[derive(Debug, thiserror::Error)]
pub enum WalkError<E> {
    /// A block could not be loaded, or the visitor stopped.
    #[error(transparent)]
    Block(E),
    /// A block is not a node.
    #[error("`{cid}`: {error}")]
    Node {
        /// The block's address.
        cid: Cid,
        /// What is wrong with it.
        error: NodeError,
    },
    /// The nodes contradict each other, or the tree is too deep.
    #[error("`{cid}` does not fit into its tree: {reason}")]
    Shape {
        /// The block's address.
        cid: Cid,
        /// What does not fit.
        reason: &'static str,
    },
}

/// Visits the blocks of a file in depth-first order: each node before its
/// children, children in file order. With a `range` of file bytes, only what it
/// touches, and always the root. `load` gives the bytes of dag-pb blocks; that
/// they hash to their address is its duty.
pub fn walk<E>(
    root: &Cid,
    range: Option<Range<u64>>,
    mut load: impl FnMut(&Cid) -> Result<Vec<u8>, E>,
    mut visit: impl FnMut(Visit) -> Result<(), E>,
) -> Result<(), WalkError<E>> {
    struct Todo {
        cid: Cid,
        offset: u64,
        stated: Option<u64>,
        depth: usize,
    }
    let mut todo = vec![Todo { cid: *root, offset: 0, stated: None, depth: 0 }];
    while let Some(Todo { cid, offset, stated, depth }) = todo.pop() {
        if cid.codec() == RAW {
            let leaf = Visit { cid, leaf: true, offset, block_len: stated };
            visit(leaf).map_err(WalkError::Block)?;
            continue;
        }
        if depth == MAX_DEPTH {
            return Err(WalkError::Shape { cid, reason: "the tree is deeper than six levels" });
        }
        let bytes = load(&cid).map_err(WalkError::Block)?;
        let node = Node::decode(&bytes).map_err(|error| WalkError::Node { cid, error })?;
        if stated.is_some_and(|size| size != node.size()) {
            let reason = "its file size is not what its parent states";
            return Err(WalkError::Shape { cid, reason });
        }
        let block_len = Some(bytes.len() as u64);
        visit(Visit { cid, leaf: false, offset, block_len }).map_err(WalkError::Block)?;
        let first = todo.len();
        todo.reserve(WIDTH);
        let mut at = offset;
        for link in &node.links {
            let end = at.saturating_add(link.size);
            let touched = range.as_ref().is_none_or(|r| at < r.end && r.start < end);
            if touched {
                let stated = Some(link.size);
                todo.push(Todo { cid: link.cid, offset: at, stated, depth: depth + 1 });
            }
            at = end;
        }
        if let Some(children) = todo.get_mut(first..) {
            children.reverse();
        }
    }
    Ok(())
}
