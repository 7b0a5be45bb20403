//! Merkle proofs: made and checked for random trees, against another
//! implementation of RFC 6962, and refused after every mutation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base::Digest;
use proof::log::merkle::{
    Frontier, HashSource, consistency, empty_root, inclusion, leaf_hash, node_hash, root,
    verify_consistency, verify_inclusion,
};
use proptest::prelude::*;
use std::convert::Infallible;

/// A tree in memory, whose complete subtrees are hashed from its leaves.
struct Tree(Vec<Vec<u8>>);

impl Tree {
    fn of(size: u64) -> Self {
        Self((0..size).map(|n| format!("leaf {n}").into_bytes()).collect())
    }
}

impl HashSource for Tree {
    type Error = Infallible;
    fn hash(&self, level: u8, index: u64) -> Result<Digest, Infallible> {
        if level == 0 {
            return Ok(leaf_hash(&self.0[index as usize]));
        }
        Ok(node_hash(&self.hash(level - 1, 2 * index)?, &self.hash(level - 1, 2 * index + 1)?))
    }
}

/// The same tree for the other implementation, by its stored-hash numbering.
impl tlog_tiles::HashReader for Tree {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let read = |&at: &u64| {
            let (level, index) = tlog_tiles::split_stored_hash_index(at);
            tlog_tiles::Hash(self.hash(level, index).unwrap().0)
        };
        Ok(indexes.iter().map(read).collect())
    }
}

fn foreign(path: &[Digest]) -> Vec<tlog_tiles::Hash> {
    path.iter().map(|hash| tlog_tiles::Hash(hash.0)).collect()
}

/// All ways to damage a path a little.
fn mutations(path: &[Digest]) -> Vec<Vec<Digest>> {
    let mut out = Vec::new();
    for at in 0..path.len() {
        for bit in [0, 100, 255] {
            let mut flipped = path.to_vec();
            flipped[at].0[bit / 8] ^= 1 << (bit % 8);
            out.push(flipped);
        }
        let mut cut = path.to_vec();
        cut.remove(at);
        out.push(cut);
        let mut doubled = path.to_vec();
        doubled.insert(at, path[at]);
        out.push(doubled);
        if at > 0 && path[at] != path[at - 1] {
            let mut swapped = path.to_vec();
            swapped.swap(at, at - 1);
            out.push(swapped);
        }
    }
    out.push([path, &[Digest([7; 32])]].concat());
    out
}

#[test]
fn known_roots() {
    // RFC 6962 test vectors: the empty tree and the tree of one empty leaf.
    assert_eq!(
        empty_root().to_string(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(
        leaf_hash(b"").to_string(),
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    );
}

#[test]
fn every_small_tree_agrees_with_the_other_implementation() {
    for size in 1..=40u64 {
        let tree = Tree::of(size);
        let top = root(&tree, size).unwrap();
        let foreign_root = tlog_tiles::tree_hash(size, &tree).unwrap();
        assert_eq!(top.0, foreign_root.0, "root of {size}");
        for index in 0..size {
            let path = inclusion(&tree, index, size).unwrap();
            assert_eq!(foreign(&path), tlog_tiles::prove_record(size, index, &tree).unwrap());
        }
        for old in 1..=size {
            let path = consistency(&tree, old, size).unwrap();
            assert_eq!(foreign(&path), tlog_tiles::prove_tree(size, old, &tree).unwrap());
        }
    }
}

#[test]
fn what_lies_outside_the_tree_has_no_proof() {
    let tree = Tree::of(5);
    let top = root(&tree, 5).unwrap();
    assert!(inclusion(&tree, 5, 5).is_err());
    assert!(consistency(&tree, 6, 5).is_err());
    assert!(!verify_inclusion(&leaf_hash(b"leaf 0"), 5, 5, &[], &top));
    assert!(!verify_inclusion(&leaf_hash(b"leaf 0"), 0, 0, &[], &top));
    assert!(!verify_inclusion(&top, u64::MAX - 1, u64::MAX, &[top; 70], &top));
    assert!(!verify_consistency(6, &top, 5, &top, &[]));
    assert!(!verify_consistency(0, &top, 5, &top, &[]), "an old size of 0 has the empty root");
    assert!(verify_consistency(0, &empty_root(), 5, &top, &[]));
    assert!(!verify_consistency(0, &empty_root(), 5, &top, &[top]));
}

proptest! {
    #[test]
    fn inclusion_holds_and_no_mutation_does(size in 1u64..700, seed in any::<u64>()) {
        let (index, tree) = (seed % size, Tree::of(size));
        let (top, leaf) = (root(&tree, size).unwrap(), leaf_hash(&tree.0[index as usize]));
        let path = inclusion(&tree, index, size).unwrap();
        prop_assert!(verify_inclusion(&leaf, index, size, &path, &top));
        let record = tlog_tiles::check_record(
            &foreign(&path), size, tlog_tiles::Hash(top.0), index, tlog_tiles::Hash(leaf.0));
        prop_assert!(record.is_ok());
        for bad in mutations(&path) {
            prop_assert!(!verify_inclusion(&leaf, index, size, &bad, &top));
        }
        prop_assert!(!verify_inclusion(&leaf_hash(b"another"), index, size, &path, &top));
        prop_assert!(!verify_inclusion(&leaf, index, size, &path, &Digest([1; 32])));
        for wrong in [index.wrapping_sub(1), index + 1, index ^ 2] {
            prop_assert!(!verify_inclusion(&leaf, wrong, size, &path, &top));
        }
    }

    #[test]
    fn consistency_holds_and_no_mutation_does(size in 1u64..700, seed in any::<u64>()) {
        let (old, tree) = (1 + seed % size, Tree::of(size));
        let (before, after) = (root(&tree, old).unwrap(), root(&tree, size).unwrap());
        let path = consistency(&tree, old, size).unwrap();
        prop_assert!(verify_consistency(old, &before, size, &after, &path));
        for bad in mutations(&path) {
            prop_assert!(!verify_consistency(old, &before, size, &after, &bad));
        }
        prop_assert!(!verify_consistency(old, &Digest([1; 32]), size, &after, &path));
        prop_assert!(!verify_consistency(old, &before, size, &Digest([1; 32]), &path));
    }

    #[test]
    fn random_bytes_prove_nothing(
        index in any::<u64>(), size in any::<u64>(),
        path in proptest::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let path: Vec<_> = path.into_iter().map(Digest).collect();
        let some = Digest([3; 32]);
        prop_assert!(!verify_inclusion(&some, index, size, &path, &Digest([4; 32])));
        prop_assert!(!verify_consistency(index, &some, size, &Digest([4; 32]), &path));
    }

    #[test]
    fn a_frontier_grows_to_the_same_root(size in 0u64..600, cut in any::<u64>()) {
        let (tree, cut) = (Tree::of(size), cut % (size + 1));
        let mut frontier = Frontier::read(&tree, cut).unwrap();
        prop_assert_eq!(frontier.root(), root(&tree, cut).unwrap());
        let text = serde_json::to_vec(&frontier).unwrap();
        prop_assert_eq!(&serde_json::from_slice::<Frontier>(&text).unwrap(), &frontier);
        for leaf in &tree.0[cut as usize..] {
            frontier.push(leaf_hash(leaf));
        }
        prop_assert_eq!(frontier.size(), size);
        prop_assert_eq!(frontier.root(), root(&tree, size).unwrap());
    }
}

#[test]
fn a_frontier_with_the_wrong_shape_is_refused() {
    let hash = "00".repeat(32);
    let text = format!("{{\"size\":2,\"nodes\":[\"{hash}\",\"{hash}\"]}}");
    assert!(serde_json::from_str::<Frontier>(&text).is_err());
    assert!(serde_json::from_str::<Frontier>("{\"size\":9007199254740992,\"nodes\":[]}").is_err());
}
