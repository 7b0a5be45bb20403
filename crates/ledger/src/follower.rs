//! Following a log without trusting who serves it.
//!
//! A follower holds the frontier of the tree that it has seen. For a new witnessed
//! checkpoint it fetches the entries in between, recomputes the root and hands out
//! the leaves only when the root is the checkpoint's. So it needs no consistency
//! proof: having all entries, it sees for itself that the log was only appended to.
//! A smaller or forked log is refused with an error that says which.
//!
//! The log's keys may change by an entry. A checkpoint that the keys known so far did
//! not sign is held against those that the entries up to it would bring into force;
//! see [`KeysInForce`].

use async_trait::async_trait;
use proof::log::merkle::Frontier;
use proof::log::{
    BadCheckpoint, Checkpoint, CheckpointError, ExtendError, Included, LogPolicy,
    WitnessedCheckpoint,
};
use serde::{Deserialize, Serialize};

use crate::keys::KeysInForce;
use crate::layout::{BadBundle, FULL, Tile, split_bundle};

/// Where a log's checkpoint and bundles come from.
#[async_trait]
pub trait LogSource: Send + Sync {
    /// The newest checkpoint note.
    async fn checkpoint(&self) -> Result<Vec<u8>, SourceError>;
    /// The bytes of the bundle at `index` with `width` entries: at most 16 MiB.
    async fn entries(&self, index: u64, width: u64) -> Result<Vec<u8>, SourceError>;
}

/// A source that does not answer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the log cannot be read: {0}")]
pub struct SourceError(pub String);

/// Why a follower does not advance.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FollowError {
    /// The source does not answer; try again.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The checkpoint does not satisfy the policy.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The entries replace the keys that signed the checkpoint over them.
    #[error("the new entries replace keys of the log, and by the new ones: {0}")]
    Retired(CheckpointError),
    /// The checkpoint is smaller than one seen before.
    #[error("a checkpoint of size {got}, but size {seen} was seen before")]
    Rollback {
        /// The checkpoint's size.
        got: u64,
        /// The size seen before.
        seen: u64,
    },
    /// The log was forked, or the entries are not the log's.
    #[error(transparent)]
    Fork(#[from] ExtendError),
    /// A bundle does not parse.
    #[error("bundle {index}: {error}")]
    Bundle {
        /// The bundle's index.
        index: u64,
        /// What is wrong.
        error: BadBundle,
    },
    /// The entries to catch up with pass the bound on memory.
    #[error("more than {0} bytes of new entries")]
    TooMuch(usize),
}

/// What a follower keeps between runs. Store it together with what the leaves led
/// to, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowerState {
    /// The frontier of the log that was seen.
    pub frontier: Frontier,
}

/// A verified leaf with the proof that it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLeaf {
    /// The proof.
    pub included: Included,
    /// The leaf's bytes.
    pub leaf: Vec<u8>,
}

/// Follows one log.
pub struct Follower {
    keys: Box<dyn KeysInForce>,
    state: FollowerState,
    latest: Option<WitnessedCheckpoint>,
    most_bytes: usize,
}

impl Follower {
    /// Follows the log of these keys on from a state, holding at most `most_bytes` of
    /// new entries at once.
    pub fn new(keys: impl KeysInForce + 'static, state: FollowerState, most_bytes: usize) -> Self {
        Self { keys: Box::new(keys), state, latest: None, most_bytes }
    }

    /// What to keep between runs.
    pub fn state(&self) -> &FollowerState {
        &self.state
    }

    /// The newest checkpoint that was verified; none before the first.
    pub fn latest(&self) -> Option<&WitnessedCheckpoint> {
        self.latest.as_ref()
    }

    /// How many entries were seen.
    pub fn size(&self) -> u64 {
        self.state.frontier.size()
    }

    /// Fetches the newest checkpoint and follows to it: fetches the entries up to it
    /// and returns them once they are proven. Fold them before the next call, for the
    /// keys in force follow from them. After an error the follower stands where it
    /// stood.
    pub async fn poll(&mut self, source: &dyn LogSource) -> Result<Vec<NewLeaf>, FollowError> {
        let note = source.checkpoint().await?;
        let size = Checkpoint::claimed(&note).map_err(CheckpointError::from)?.size;
        let seen = self.size();
        let known = self.keys.policy(size.min(seen), &[]);
        let known = known.ok_or_else(|| SourceError("its keys are not known yet".into()))?;
        let verified = known.verify_checkpoint(&note);
        let other_keys = |error: &CheckpointError| {
            size > seen
                && matches!(
                    error,
                    CheckpointError::Bad(BadCheckpoint::Signature(_))
                        | CheckpointError::Quorum { .. }
                )
        };
        match verified {
            Ok(checkpoint) if size < seen => {
                Err(FollowError::Rollback { got: checkpoint.size(), seen })
            }
            Ok(checkpoint) => {
                let leaves = self.fetch(source, size).await?;
                let extended = checkpoint.extend(&self.state.frontier, &leaves)?;
                // The entries are proven to stand there, under keys that they replace.
                if let Some(after) = self.after(size, &leaves).filter(|after| *after != known) {
                    after.verify_checkpoint(&note).map_err(FollowError::Retired)?;
                }
                Ok(self.take(checkpoint, extended, leaves))
            }
            Err(error) if other_keys(&error) => {
                let leaves = self.fetch(source, size).await?;
                let after = self.after(size, &leaves).filter(|after| *after != known);
                let checkpoint = after.ok_or(error)?.verify_checkpoint(&note)?;
                let extended = checkpoint.extend(&self.state.frontier, &leaves)?;
                Ok(self.take(checkpoint, extended, leaves))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whose signatures count after these further leaves.
    fn after(&self, size: u64, leaves: &[Vec<u8>]) -> Option<LogPolicy> {
        let new: Vec<_> = (self.size()..).zip(leaves.iter().map(Vec::as_slice)).collect();
        self.keys.policy(size, &new)
    }

    fn take(
        &mut self,
        checkpoint: WitnessedCheckpoint,
        (frontier, included): (Frontier, Vec<Included>),
        leaves: Vec<Vec<u8>>,
    ) -> Vec<NewLeaf> {
        self.state.frontier = frontier;
        let newer = |seen: &WitnessedCheckpoint| {
            (seen.size(), seen.witnessed_at()) < (checkpoint.size(), checkpoint.witnessed_at())
        };
        if self.latest.as_ref().is_none_or(newer) {
            self.latest = Some(checkpoint);
        }
        let pairs = included.into_iter().zip(leaves);
        pairs.map(|(included, leaf)| NewLeaf { included, leaf }).collect()
    }

    /// The leaves from the ones seen up to `size`; nothing is proven yet.
    async fn fetch(&self, source: &dyn LogSource, size: u64) -> Result<Vec<Vec<u8>>, FollowError> {
        let (mut leaves, mut bytes, mut next) = (Vec::new(), 0, self.size());
        while next < size {
            let index = next / FULL;
            let width = Tile::of(None, index, size).map_or(0, |tile| tile.width);
            let bundle = source.entries(index, width).await?;
            let new = split_bundle(&bundle, width)
                .map_err(|error| FollowError::Bundle { index, error })?;
            let skip = usize::try_from(next % FULL).unwrap_or(0);
            bytes += bundle.len();
            if bytes > self.most_bytes {
                return Err(FollowError::TooMuch(self.most_bytes));
            }
            leaves.extend(new.into_iter().skip(skip).map(<[u8]>::to_vec));
            next = index * FULL + width;
        }
        Ok(leaves)
    }
}
