//! Following a log without trusting who serves it.
//!
//! A follower holds the frontier of the tree that it has seen. For a new witnessed
//! checkpoint it fetches the entries in between, recomputes the root and hands out
//! the leaves only when the root is the checkpoint's. So it needs no consistency
//! proof: having all entries, it sees for itself that the log was only appended to.
//! A smaller or forked log is refused with an error that says which.
//!
//! A log may be longer than what can be held. What is missing is then read twice: once
//! for the root, which keeps of each bundle its hash alone, and once more, step by step,
//! to be handed out, each bundle against the hash that made the proven root. So nothing
//! unproven is ever handed out, and a follower that sleeps for years catches up.
//!
//! The log's keys may change by an entry. A checkpoint that the keys known so far did
//! not sign is held against those that the entries up to it would bring into force;
//! see [`KeysInForce`].

use async_trait::async_trait;
use base::Digest;
use proof::log::merkle::Frontier;
use proof::log::{
    BadCheckpoint, Checkpoint, CheckpointError, ExtendError, Included, LogPolicy, OtherRun,
    ProvenRuns, Recomputed, WitnessedCheckpoint,
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

use crate::keys::KeysInForce;
use crate::layout::{BadBundle, FULL, Tile, split_bundle};

/// What a catch-up may keep until the root is proven, in steps: what bears on keys may be
/// long over the years, though little beside the log.
const KEPT_STEPS: usize = 64;

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
    #[error("the log has {got} entries, {seen} were seen before")]
    Rollback {
        /// The checkpoint's size.
        got: u64,
        /// The size seen before.
        seen: u64,
    },
    /// The log was forked, or the entries are not the log's.
    #[error(transparent)]
    Fork(#[from] ExtendError),
    /// The log does not begin with what [`Follower::having_seen`] names.
    #[error("the first {seen} entries are not those that were seen")]
    Rewritten {
        /// How many were seen.
        seen: u64,
    },
    /// A bundle that is read again has other entries than the first time.
    #[error(transparent)]
    Other(#[from] OtherRun),
    /// A bundle does not parse.
    #[error("bundle {index}: {error}")]
    Bundle {
        /// The bundle's index.
        index: u64,
        /// What is wrong.
        error: BadBundle,
    },
    /// What must be kept of the entries to catch up with passes the bound on memory: 32
    /// bytes a bundle, and all that bears on keys.
    #[error("more than {0} bytes to keep of the new entries")]
    TooMuch(usize),
}

impl FollowError {
    /// Whether it says that the log lies, rather than that it cannot be had.
    pub fn is_lie(&self) -> bool {
        match self {
            Self::Rollback { .. }
            | Self::Fork(_)
            | Self::Retired(_)
            | Self::Rewritten { .. }
            | Self::Other(_) => true,
            Self::Source(_) | Self::Checkpoint(_) | Self::Bundle { .. } | Self::TooMuch(_) => false,
        }
    }
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
    /// What is proven and was not handed out yet.
    ahead: Option<Ahead>,
    /// A size and root from before, until the log was held against them.
    before: Option<(u64, Digest)>,
    most_bytes: usize,
}

/// The leaves of one bundle, without those that were seen before.
type Run = Vec<Vec<u8>>;

/// Proven leaves that are still to be handed out.
struct Ahead {
    proven: ProvenRuns,
    /// The runs themselves, when they are few enough to be kept.
    kept: Option<VecDeque<Run>>,
}

/// What a first look at new leaves keeps of them; nothing is proven yet.
struct Look {
    tree: Recomputed,
    /// The leaves that bear on keys.
    rules: Vec<(u64, Vec<u8>)>,
    kept: Option<VecDeque<Run>>,
    /// The root at the size that was seen before.
    before: Option<Digest>,
}

impl Follower {
    /// Follows the log of these keys on from a state, holding about `most_bytes` of new
    /// entries at once, or one bundle (16 MiB) when that is more. Of a log that is longer
    /// it keeps 32 bytes for each bundle meanwhile and the entries that bear on keys, at
    /// most 64 times as much.
    pub fn new(keys: impl KeysInForce + 'static, state: FollowerState, most_bytes: usize) -> Self {
        Self { keys: Box::new(keys), state, latest: None, ahead: None, before: None, most_bytes }
    }

    /// Takes no log but one whose first `size` entries have this root: for who keeps no
    /// state, and remembers what it has seen.
    #[must_use]
    pub fn having_seen(self, size: u64, root: Digest) -> Self {
        Self { before: Some((size, root)), ..self }
    }

    /// What to keep between runs.
    pub fn state(&self) -> &FollowerState {
        &self.state
    }

    /// The newest checkpoint up to which everything was handed out; none before the
    /// first.
    pub fn latest(&self) -> Option<&WitnessedCheckpoint> {
        self.latest.as_ref()
    }

    /// The checkpoint up to which leaves are proven, of which [`Follower::poll`] has more
    /// to hand out; none when there are none.
    pub fn ahead(&self) -> Option<&WitnessedCheckpoint> {
        self.ahead.as_ref().map(|ahead| ahead.proven.checkpoint())
    }

    /// How many entries were handed out.
    pub fn size(&self) -> u64 {
        self.state.frontier.size()
    }

    /// Fetches the newest checkpoint and follows to it: reads the entries up to it and
    /// returns them once they are proven. When they are too many for one step these are
    /// the first, and the next calls return the others; [`Follower::ahead`] tells. Fold
    /// them before the next call, for the keys in force follow from them. After an error
    /// the follower stands where it stood.
    pub async fn poll(&mut self, source: &dyn LogSource) -> Result<Vec<NewLeaf>, FollowError> {
        // Not in place before it is whole: a call that is dropped half way takes nothing.
        let mut ahead = match self.ahead.take() {
            Some(ahead) => ahead,
            None => self.prove(source).await?,
        };
        let leaves = ahead.step(source, self.most_bytes).await;
        if leaves.is_err() {
            self.ahead = Some(ahead);
            return leaves;
        }
        self.state.frontier = ahead.proven.tree().clone();
        if ahead.proven.is_over() {
            // Of the same size it may have an earlier time: a witness's clock was set right,
            // or an old note is shown again, which makes this follower's view no younger.
            self.latest = Some(ahead.proven.checkpoint().clone());
        } else {
            self.ahead = Some(ahead);
        }
        leaves
    }

    /// Looks at the newest checkpoint and all leaves up to it, and proves them.
    async fn prove(&mut self, source: &dyn LogSource) -> Result<Ahead, FollowError> {
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
        let least = self.before.map_or(seen, |(before, _)| before.max(seen));
        match verified {
            Ok(_) if size < least => Err(FollowError::Rollback { got: size, seen: least }),
            Ok(checkpoint) => {
                let look = self.look(source, size).await?;
                let after = self.after(size, &look);
                let ahead = self.reached(&checkpoint, look)?;
                // The entries are proven to stand there, under keys that they replace.
                if let Some(after) = after.filter(|after| *after != known) {
                    after.verify_checkpoint(&note).map_err(FollowError::Retired)?;
                }
                Ok(ahead)
            }
            Err(error) if other_keys(&error) => {
                let look = self.look(source, size).await?;
                let after = self.after(size, &look).filter(|after| *after != known);
                let checkpoint = after.ok_or(error)?.verify_checkpoint(&note)?;
                self.reached(&checkpoint, look)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whose signatures count after the leaves that were looked at.
    fn after(&self, size: u64, look: &Look) -> Option<LogPolicy> {
        let rules: Vec<_> = look.rules.iter().map(|(index, leaf)| (*index, &**leaf)).collect();
        self.keys.policy(size, &rules)
    }

    /// Holds what was looked at against the checkpoint, and against what was seen before.
    fn reached(
        &mut self,
        checkpoint: &WitnessedCheckpoint,
        look: Look,
    ) -> Result<Ahead, FollowError> {
        let proven = checkpoint.reach(look.tree)?;
        if let Some((seen, root)) = self.before {
            let got = checkpoint.size();
            if got < seen {
                return Err(FollowError::Rollback { got, seen });
            }
            if look.before != Some(root) {
                return Err(FollowError::Rewritten { seen });
            }
            self.before = None;
        }
        Ok(Ahead { proven, kept: look.kept })
    }

    /// Looks at the leaves from those that were seen up to `size`.
    async fn look(&self, source: &dyn LogSource, size: u64) -> Result<Look, FollowError> {
        let known = self.state.frontier.clone();
        let at = |tree: &Frontier| {
            self.before.filter(|(before, _)| *before == tree.size()).map(|_| tree.root())
        };
        let before = at(&known);
        let kept = Some(VecDeque::new());
        let mut look = Look { tree: Recomputed::behind(known), rules: Vec::new(), kept, before };
        let (mut held, mut rules) = (0, 0);
        while look.tree.size() < size {
            let next = look.tree.size();
            let run = fetch(source, next, size).await?;
            look.tree.push(&run, |tree| look.before = look.before.or_else(|| at(tree)));
            for (index, leaf) in (next..).zip(&run).filter(|(_, leaf)| self.keys.reads(leaf)) {
                rules += cost(leaf);
                look.rules.push((index, leaf.clone()));
            }
            let most = self.most_bytes.saturating_mul(KEPT_STEPS);
            if rules + look.tree.runs() * size_of::<Digest>() > most {
                return Err(FollowError::TooMuch(most));
            }
            held += run.iter().map(|leaf| cost(leaf)).sum::<usize>();
            match &mut look.kept {
                Some(kept) if held <= self.most_bytes => kept.push_back(run),
                _ => look.kept = None,
            }
        }
        Ok(look)
    }
}

impl Ahead {
    /// The next leaves, as many as make up about `most_bytes`.
    async fn step(
        &mut self,
        source: &dyn LogSource,
        most_bytes: usize,
    ) -> Result<Vec<NewLeaf>, FollowError> {
        let (mut leaves, mut held) = (Vec::new(), 0);
        while !self.proven.is_over() && held < most_bytes {
            let run = match self.run(source).await {
                Ok(run) => run,
                Err(error) if leaves.is_empty() => return Err(error),
                // What was shown is proven, and is not shown again.
                Err(_) => break,
            };
            held += run.iter().map(|new| cost(&new.leaf)).sum::<usize>();
            leaves.extend(run);
        }
        Ok(leaves)
    }

    async fn run(&mut self, source: &dyn LogSource) -> Result<Vec<NewLeaf>, FollowError> {
        let run = match &mut self.kept {
            Some(kept) => kept.pop_front().unwrap_or_default(),
            None => {
                let (next, size) = (self.proven.tree().size(), self.proven.checkpoint().size());
                fetch(source, next, size).await?
            }
        };
        let pairs = self.proven.show(&run)?.into_iter().zip(run);
        Ok(pairs.map(|(included, leaf)| NewLeaf { included, leaf }).collect())
    }
}

/// The leaves from `next` to the end of its bundle in a log of `size` entries.
async fn fetch(source: &dyn LogSource, next: u64, size: u64) -> Result<Run, FollowError> {
    let index = next / FULL;
    let width = Tile::of(None, index, size).map_or(0, |tile| tile.width);
    let bundle = source.entries(index, width).await?;
    let leaves =
        split_bundle(&bundle, width).map_err(|error| FollowError::Bundle { index, error })?;
    let skip = usize::try_from(next % FULL).unwrap_or(0);
    Ok(leaves.into_iter().skip(skip).map(<[u8]>::to_vec).collect())
}

/// What a leaf takes in memory with its proof, in bytes.
fn cost(leaf: &[u8]) -> usize {
    leaf.len() + size_of::<NewLeaf>()
}
