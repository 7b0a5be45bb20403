//! Which log is trusted, and how many witnesses must have seen its checkpoint.

use base::{Digest, Millis};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::checkpoint::{BadCheckpoint, Checkpoint, open_note, signatures, signed_by};
use super::note::{KeyKind, VKey, split_cosignature};

/// The most witnesses a policy may name.
const MAX_WITNESSES: usize = 32;

/// A trusted log and its witnesses. A reader gets it out of band, at enrolment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Terms", into = "Terms")]
pub struct LogPolicy {
    terms: Terms,
}

/// A policy as it is stored, before it is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    origin: String,
    log_key: VKey,
    witnesses: Vec<VKey>,
    quorum: usize,
}

/// Why a policy cannot hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadPolicy {
    /// A key stands where one of another kind belongs.
    #[error(
        "the key `{0}` is of the wrong kind: type 1 for the log, type 4 for a witness is expected"
    )]
    Kind(String),
    /// Two witnesses share a name or a key, so one could count twice.
    #[error("the witness `{0}` shares its name or key with another: distinct ones are expected")]
    Repeated(String),
    /// The quorum is none, or more than the witnesses.
    #[error(
        "a quorum of {quorum} of {witnesses} witnesses: 1 to {witnesses} (at most 32) is expected"
    )]
    Quorum {
        /// The quorum asked for.
        quorum: usize,
        /// How many witnesses there are.
        witnesses: usize,
    },
}

/// Why a checkpoint is not accepted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CheckpointError {
    /// The note is malformed, another log's, or wrongly signed.
    #[error(transparent)]
    Bad(#[from] BadCheckpoint),
    /// Too few witnesses have cosigned it.
    #[error("{got} of the trusted witnesses cosigned, {needed} are needed")]
    Quorum {
        /// How many did.
        got: usize,
        /// How many are needed.
        needed: usize,
    },
}

impl TryFrom<Terms> for LogPolicy {
    type Error = BadPolicy;
    fn try_from(terms: Terms) -> Result<Self, BadPolicy> {
        if terms.log_key.kind() != KeyKind::Log {
            return Err(BadPolicy::Kind(terms.log_key.name().to_owned()));
        }
        let (quorum, witnesses) = (terms.quorum, terms.witnesses.len());
        if quorum == 0 || quorum > witnesses || witnesses > MAX_WITNESSES {
            return Err(BadPolicy::Quorum { quorum, witnesses });
        }
        for (at, witness) in terms.witnesses.iter().enumerate() {
            if witness.kind() != KeyKind::Witness {
                return Err(BadPolicy::Kind(witness.name().to_owned()));
            }
            let same = |w: &VKey| w.name() == witness.name() || w.public() == witness.public();
            if terms.witnesses.iter().take(at).any(same) {
                return Err(BadPolicy::Repeated(witness.name().to_owned()));
            }
        }
        Ok(Self { terms })
    }
}

impl From<LogPolicy> for Terms {
    fn from(policy: LogPolicy) -> Self {
        policy.terms
    }
}

impl LogPolicy {
    /// Trusts the log `origin` under `log_key`, seen by `quorum` of `witnesses`.
    pub fn new(
        origin: &str,
        log_key: VKey,
        witnesses: Vec<VKey>,
        quorum: usize,
    ) -> Result<Self, BadPolicy> {
        Terms { origin: origin.to_owned(), log_key, witnesses, quorum }.try_into()
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        &self.terms.origin
    }

    /// The log's key.
    pub fn log_key(&self) -> &VKey {
        &self.terms.log_key
    }

    /// The witnesses that count.
    pub fn witnesses(&self) -> &[VKey] {
        &self.terms.witnesses
    }

    /// How many witnesses must have cosigned.
    pub fn quorum(&self) -> usize {
        self.terms.quorum
    }

    /// Verifies the log's signature and the witnesses' cosignatures on a note.
    /// Signatures of unknown keys are ignored; a wrong one of a known key fails
    /// the note.
    pub fn verify_checkpoint(&self, note: &[u8]) -> Result<WitnessedCheckpoint, CheckpointError> {
        let (parsed, checkpoint) = open_note(note)?;
        if checkpoint.origin != self.terms.origin {
            let (got, expected) = (checkpoint.origin, self.terms.origin.clone());
            return Err(BadCheckpoint::Origin { got, expected }.into());
        }
        let keys: Vec<&VKey> =
            std::iter::once(&self.terms.log_key).chain(&self.terms.witnesses).collect();
        let found = signatures(&parsed, &keys)?;
        if !signed_by(&found, &self.terms.log_key) {
            let name = self.terms.log_key.name().to_owned();
            return Err(BadCheckpoint::Signature(name).into());
        }
        let is_witness = |s: &&signed_note::Signature| {
            self.terms.witnesses.iter().any(|w| w.name() == s.name() && w.id() == s.id())
        };
        let mut times: Vec<u64> = found
            .iter()
            .filter(is_witness)
            .filter_map(|s| split_cosignature(s.signature()).map(|(time, _)| time))
            .collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        let (got, needed) = (times.len(), self.terms.quorum);
        let time = times.get(needed - 1).ok_or(CheckpointError::Quorum { got, needed })?;
        let witnessed_at = Millis(time.saturating_mul(1000));
        Ok(WitnessedCheckpoint { checkpoint, witnessed_at, note: note.into() })
    }
}

/// A checkpoint that its log signed and a quorum of witnesses cosigned. Only
/// [`LogPolicy::verify_checkpoint`] makes one. Clones are cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessedCheckpoint {
    checkpoint: Checkpoint,
    witnessed_at: Millis,
    note: Arc<[u8]>,
}

impl WitnessedCheckpoint {
    /// The log's name.
    pub fn origin(&self) -> &str {
        &self.checkpoint.origin
    }

    /// How many entries the log has.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The Merkle root over those entries.
    pub fn root(&self) -> Digest {
        self.checkpoint.root
    }

    /// Origin, size and root.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The time since which a whole quorum vouches that this was the log's newest
    /// state: the quorum-th newest cosignature, in whole seconds. One witness
    /// with a wrong clock cannot move it past the others' times.
    pub fn witnessed_at(&self) -> Millis {
        self.witnessed_at
    }

    /// The note with its signatures.
    pub fn note(&self) -> &[u8] {
        &self.note
    }
}
