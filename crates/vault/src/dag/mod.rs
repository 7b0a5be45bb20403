//! Addressing a sealed stream: a UnixFS file whose leaves are its segments.
//!
//! Each ciphertext segment is one raw leaf; above the leaves stands a balanced
//! tree of dag-pb nodes with up to [`WIDTH`] links, the layout of
//! `ipfs-unixfs-importer` with raw leaves and fixed 1 MiB chunks, so the root is
//! the CID that any IPFS tool computes for the same bytes. A stream of one segment
//! has that leaf as its root.
//!
//! [`DagBuilder`] grows the tree while a recording runs and keeps only the open
//! node of each level. [`walk`] goes through a tree that somebody sent: it bounds
//! depth and node size, and refuses a node whose sizes contradict its parent's.

mod node;
mod walk;

pub use node::{Link, MAX_NODE_BYTES, Node, NodeError};
pub use walk::{MAX_DEPTH, Visit, WalkError, walk};

use crate::address::dag_pb_cid;
use cid::Cid;

/// The most links in one node.
pub const WIDTH: usize = 174;

/// A dag-pb block to store: its address and bytes.
pub type Block = (Cid, Vec<u8>);

/// A finished tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dag {
    /// The root's address.
    pub root: Cid,
    /// Bytes of the whole file.
    pub size: u64,
    /// The inner nodes made since the last [`DagBuilder::take_blocks`].
    pub blocks: Vec<Block>,
}

/// Builds the tree from leaves as they come.
#[derive(Clone, Debug, Default)]
pub struct DagBuilder {
    levels: Vec<Vec<Link>>,
    blocks: Vec<Block>,
    size: u64,
}

impl DagBuilder {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next leaf: the address and length of a raw block.
    pub fn push(&mut self, leaf: Cid, size: u64) {
        self.size = self.size.saturating_add(size);
        self.add(0, Link { cid: leaf, size, total: size });
    }

    /// Takes the inner nodes that are complete by now, to store them early.
    pub fn take_blocks(&mut self) -> Vec<Block> {
        std::mem::take(&mut self.blocks)
    }

    /// Closes the tree; `None` when no leaf was pushed.
    pub fn finish(mut self) -> Option<Dag> {
        let mut level = 0;
        loop {
            let top = level + 1 >= self.levels.len();
            match self.levels.get(level)?.as_slice() {
                [only] if top => {
                    let root = only.cid;
                    return Some(Dag { root, size: self.size, blocks: self.blocks });
                }
                [] => {}
                _ => self.close(level),
            }
            level += 1;
        }
    }

    fn add(&mut self, level: usize, link: Link) {
        if self.levels.len() == level {
            self.levels.push(Vec::with_capacity(WIDTH));
        }
        let Some(links) = self.levels.get_mut(level) else {
            return;
        };
        links.push(link);
        if links.len() == WIDTH {
            self.close(level);
        }
    }

    fn close(&mut self, level: usize) {
        let Some(links) = self.levels.get_mut(level).map(std::mem::take) else {
            return;
        };
        let node = Node { links };
        let bytes = node.encode();
        let cid = dag_pb_cid(&bytes);
        let below = node.links.iter().fold(0u64, |sum, l| sum.saturating_add(l.total));
        let link = Link { cid, size: node.size(), total: below.saturating_add(bytes.len() as u64) };
        self.blocks.push((cid, bytes));
        self.add(level + 1, link);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::address::raw_cid;
    use std::collections::HashMap;

    fn tree(leaves: usize) -> Dag {
        let mut builder = DagBuilder::new();
        for i in 0..leaves {
            builder.push(raw_cid(&i.to_be_bytes()), 8);
        }
        builder.finish().unwrap()
    }

    #[test]
    fn one_leaf_is_its_own_root_and_none_has_no_root() {
        assert_eq!(tree(1).root, raw_cid(&0usize.to_be_bytes()));
        assert!(tree(1).blocks.is_empty());
        assert!(DagBuilder::new().finish().is_none());
    }

    #[test]
    fn node_counts_follow_the_balanced_layout() {
        for (leaves, nodes) in [(2, 1), (174, 1), (175, 3), (348, 3), (349, 4)] {
            assert_eq!(tree(leaves).blocks.len(), nodes, "{leaves} leaves");
        }
        assert_eq!(tree(174 * 174).blocks.len(), 175);
        assert_eq!(tree(174 * 174 + 1).blocks.len(), 174 + 1 + 1 + 1 + 1);
    }

    #[test]
    fn a_walk_finds_every_leaf_in_order() {
        let dag = tree(400);
        let blocks: HashMap<_, _> = dag.blocks.iter().cloned().collect();
        let mut leaves = Vec::new();
        walk::<std::io::Error>(
            &dag.root,
            None,
            |cid| Ok(blocks[cid].clone()),
            |visit| {
                if visit.leaf {
                    assert_eq!(visit.offset, leaves.len() as u64 * 8);
                    leaves.push(visit.cid);
                }
                Ok(())
            },
        )
        .unwrap();
        assert!((0..400usize).map(|i| raw_cid(&i.to_be_bytes())).eq(leaves));
        assert_eq!(dag.size, 3200);
    }

    #[test]
    fn a_range_visits_only_what_it_touches() {
        let dag = tree(400);
        let blocks: HashMap<_, _> = dag.blocks.iter().cloned().collect();
        let mut seen = Vec::new();
        walk::<std::io::Error>(
            &dag.root,
            Some(8 * 174 - 1..8 * 174 + 1),
            |cid| Ok(blocks[cid].clone()),
            |visit| {
                seen.push((visit.leaf, visit.offset));
                Ok(())
            },
        )
        .unwrap();
        let border = 8 * 174;
        assert_eq!(
            seen,
            [(false, 0), (false, 0), (true, border - 8), (false, border), (true, border)]
        );
    }
}
