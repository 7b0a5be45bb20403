//! Leaves proven to stand in a witnessed log.
//!
//! There are two ways to know it: an inclusion path ([`WitnessedCheckpoint::include`]),
//! or having every leaf and recomputing the root ([`WitnessedCheckpoint::extend`]). Who
//! cannot hold every leaf reads them twice: once to recompute the root ([`Recomputed`]),
//! and again as those that made it ([`ProvenRuns`]).

use base::Digest;
use std::collections::VecDeque;

use super::WitnessedCheckpoint;
use super::merkle::{Frontier, leaf_hash, verify_inclusion};

/// Proof that a leaf stands at an index of a witnessed log. Private fields: it
/// comes out of a verification only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    index: u64,
    leaf: Digest,
    checkpoint: WitnessedCheckpoint,
}

impl Included {
    /// The leaf's index.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The leaf's Merkle hash, SHA-256(0x00 || leaf).
    pub fn leaf_hash(&self) -> Digest {
        self.leaf
    }

    /// Whether `leaf` is what stands there.
    pub fn is(&self, leaf: &[u8]) -> bool {
        leaf_hash(leaf) == self.leaf
    }

    /// The checkpoint that covers it.
    pub fn checkpoint(&self) -> &WitnessedCheckpoint {
        &self.checkpoint
    }
}

/// A path that does not lead from the leaf to the checkpoint's root.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no proof that this leaf stands at index {index} of `{origin}` with {size} entries")]
pub struct NotIncluded {
    /// The index asked for.
    pub index: u64,
    /// The log's name.
    pub origin: String,
    /// The size of the checkpoint.
    pub size: u64,
}

/// Why leaves do not extend a known tree to a checkpoint.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ExtendError {
    /// Too few or too many leaves.
    #[error("{known} known and {new} new leaves are not the checkpoint's {size}")]
    Size {
        /// Leaves already known.
        known: u64,
        /// Leaves given.
        new: u64,
        /// The size of the checkpoint.
        size: u64,
    },
    /// The leaves have another root: the log was forked or the leaves are forged.
    #[error("the root over {size} leaves is {got}, the checkpoint says {expected}")]
    Root {
        /// The size of the checkpoint.
        size: u64,
        /// The root of the leaves.
        got: Digest,
        /// The root in the checkpoint.
        expected: Digest,
    },
}

impl WitnessedCheckpoint {
    /// Verifies that `leaf` stands at `index`, by its inclusion path.
    pub fn include(
        &self,
        index: u64,
        leaf: &[u8],
        path: &[Digest],
    ) -> Result<Included, NotIncluded> {
        let leaf = leaf_hash(leaf);
        if !verify_inclusion(&leaf, index, self.size(), path, &self.root()) {
            let origin = self.origin().to_owned();
            return Err(NotIncluded { index, origin, size: self.size() });
        }
        Ok(Included { index, leaf, checkpoint: self.clone() })
    }

    /// Verifies that `leaves` follow the tree of `frontier` and end in this
    /// checkpoint, by recomputing its root. Returns the new frontier and a proof
    /// for each leaf, in order.
    pub fn extend<L: AsRef<[u8]>>(
        &self,
        frontier: &Frontier,
        leaves: &[L],
    ) -> Result<(Frontier, Vec<Included>), ExtendError> {
        let (known, new, size) = (frontier.size(), leaves.len() as u64, self.size());
        if known.checked_add(new) != Some(size) {
            return Err(ExtendError::Size { known, new, size });
        }
        let hashes: Vec<Digest> = leaves.iter().map(|leaf| leaf_hash(leaf.as_ref())).collect();
        let mut next = frontier.clone();
        hashes.iter().for_each(|hash| next.push(*hash));
        if next.root() != self.root() {
            return Err(ExtendError::Root { size, got: next.root(), expected: self.root() });
        }
        let included = (known..)
            .zip(hashes)
            .map(|(index, leaf)| Included { index, leaf, checkpoint: self.clone() })
            .collect();
        Ok((next, included))
    }

    /// Verifies that recomputed leaves end in this checkpoint.
    ///
    /// # Errors
    /// They are too few or too many, or have another root.
    pub fn reach(&self, leaves: Recomputed) -> Result<ProvenRuns, ExtendError> {
        let Recomputed { known, tree, runs } = leaves;
        let (got, size) = (tree.root(), self.size());
        if tree.size() != size {
            let (known, new) = (known.size(), tree.size() - known.size());
            return Err(ExtendError::Size { known, new, size });
        }
        if got != self.root() {
            return Err(ExtendError::Root { size, got, expected: self.root() });
        }
        Ok(ProvenRuns { checkpoint: self.clone(), tree: known, runs: runs.into() })
    }
}

/// Leaves behind a known tree, hashed into its root run by run and not kept. Of each run
/// 32 bytes are remembered: its own root, by which the same leaves are known again.
#[derive(Clone, Debug)]
pub struct Recomputed {
    known: Frontier,
    tree: Frontier,
    runs: Vec<Digest>,
}

impl Recomputed {
    /// No leaf yet behind the tree of `known`.
    pub fn behind(known: Frontier) -> Self {
        Self { tree: known.clone(), known, runs: Vec::new() }
    }

    /// Appends a run of leaves, and shows the tree after each of them.
    pub fn push<L: AsRef<[u8]>>(&mut self, run: &[L], mut each: impl FnMut(&Frontier)) {
        let mut own = Frontier::new();
        for leaf in run {
            let hash = leaf_hash(leaf.as_ref());
            self.tree.push(hash);
            own.push(hash);
            each(&self.tree);
        }
        self.runs.push(own.root());
    }

    /// Leaves in the tree, known and new.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// How many runs were appended.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }
}

/// Runs of leaves that are proven to stand in a witnessed log, to be shown once more, for
/// they were not kept.
#[derive(Clone, Debug)]
pub struct ProvenRuns {
    checkpoint: WitnessedCheckpoint,
    tree: Frontier,
    runs: VecDeque<Digest>,
}

/// Leaves that are not the ones which were proven.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the entries from {from} on are not those that were proven to stand there")]
pub struct OtherRun {
    /// The index of the first of them.
    pub from: u64,
}

impl ProvenRuns {
    /// The checkpoint that covers them.
    pub fn checkpoint(&self) -> &WitnessedCheckpoint {
        &self.checkpoint
    }

    /// The tree up to the run that is to be shown next.
    pub fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// Whether every run was shown.
    pub fn is_over(&self) -> bool {
        self.runs.is_empty()
    }

    /// The proofs of the next run's leaves.
    ///
    /// # Errors
    /// These are not its leaves; nothing has changed.
    pub fn show<L: AsRef<[u8]>>(&mut self, run: &[L]) -> Result<Vec<Included>, OtherRun> {
        let (mut own, mut tree) = (Frontier::new(), self.tree.clone());
        let mut included = Vec::with_capacity(run.len());
        for leaf in run {
            let leaf = leaf_hash(leaf.as_ref());
            let (index, checkpoint) = (tree.size(), self.checkpoint.clone());
            included.push(Included { index, leaf, checkpoint });
            own.push(leaf);
            tree.push(leaf);
        }
        // Leaves and nodes are hashed apart, so a root says of how many leaves it is.
        if self.runs.front() != Some(&own.root()) {
            return Err(OtherRun { from: self.tree.size() });
        }
        self.runs.pop_front();
        self.tree = tree;
        Ok(included)
    }
}
