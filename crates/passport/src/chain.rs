//! From leaves with paths to the plant's state: whom to trust, what is on the
//! ledger, and what follows from it.

use crate::{
    Broken,
    evidence::{Evidence, ProvenLeaf},
};
use base::{Digest, Id, Millis};
use plant::{Body, Plant, trust};
use proof::entry::Leaf;
use proof::log::{BadCheckpoint, Checkpoint, CheckpointError, LogPolicy, WitnessedCheckpoint};
use serde::{Deserialize, Serialize};

/// What a reader trusts in advance: which plant, and who vouches for its ledger.
/// It comes by another way than the passport, at a contract's signing, say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchors {
    /// The identifier of the plant's first entry.
    pub genesis: Digest,
    /// Its log and the witnesses of it.
    pub log: LogPolicy,
}

impl Anchors {
    /// The anchors that a plant's own first leaf states.
    ///
    /// # Errors
    /// When it is no genesis, or its keys and quorum cannot make a policy.
    pub fn of(leaf: &Leaf) -> Result<Self, Broken> {
        let broken = |e: String| Broken::proof("entry 0 (genesis)", e);
        let genesis = leaf.entry.id().map_err(|e| broken(e.to_string()))?;
        let body = serde_json::from_value(leaf.entry.statement.body.clone());
        let stated = match body {
            Ok(Body::Genesis(stated)) => stated,
            Ok(other) => return Err(broken(format!("it is `{}`", other.word()))),
            Err(e) => return Err(broken(e.to_string())),
        };
        let log = trust::stated(&stated).map_err(broken)?;
        Ok(Self { genesis, log })
    }
}

/// One leaf that was proven and admitted.
pub(crate) struct Logged {
    pub index: u64,
    pub id: Digest,
    pub issuer: Id,
    /// The issuer's clock.
    pub signed_at: Millis,
    /// The site's clock.
    pub at: Millis,
    pub body: Body,
}

/// The ledger as far as the evidence shows it.
pub(crate) struct Chain {
    /// The plant, and by its own words the log's keys in force at the checkpoint; the
    /// passport's words rest on it.
    pub stated: Anchors,
    /// The checkpoint under the stated policy.
    pub checkpoint: WitnessedCheckpoint,
    /// What the reader trusts, when it brought anchors, rotated keys in the place of
    /// those that they replaced, and the checkpoint under that policy.
    pub pinned: Option<(Anchors, WitnessedCheckpoint)>,
    pub plant: Plant,
    pub entries: Vec<Logged>,
}

impl Chain {
    /// Verifies checkpoint and inclusion, and folds the leaves.
    pub fn fold(evidence: &Evidence, pin: Option<&Anchors>) -> Result<Self, Broken> {
        let (first, _) = first_of(&evidence.entries)?;
        let stated = Anchors::of(&first.leaf)?;
        if let Some(pin) = pin
            && pin.genesis != stated.genesis
        {
            let reason = format!(
                "this passport's plant began with {}, yours with {}",
                stated.genesis, pin.genesis
            );
            return Err(Broken::untrusted("the plant's first entry", reason));
        }
        let keys = Rotated::read(&stated.genesis, &evidence.entries);
        let (checkpoint, log) = keys.open(evidence.checkpoint.as_bytes(), &stated.log)?;
        let pinned = match pin {
            Some(pin) => {
                let (checkpoint, log) = keys.open(evidence.checkpoint.as_bytes(), &pin.log)?;
                Some((Anchors { log, ..pin.clone() }, checkpoint))
            }
            None => None,
        };
        let stated = Anchors { log, ..stated };
        let leaves = evidence
            .entries
            .iter()
            .map(|proven| include(&checkpoint, proven))
            .collect::<Result<Vec<_>, _>>()?;
        Self::of_leaves(stated, checkpoint, pinned, &evidence.entries, &leaves)
    }

    /// Folds entries whose canonical bytes, `leaves`, a witnessed log was shown to
    /// hold: nothing else is interpreted.
    pub fn of_leaves(
        stated: Anchors,
        checkpoint: WitnessedCheckpoint,
        pinned: Option<(Anchors, WitnessedCheckpoint)>,
        entries: &[ProvenLeaf],
        leaves: &[Vec<u8>],
    ) -> Result<Self, Broken> {
        let (first, rest) = first_of(entries)?;
        let plant = Plant::begin(&first.leaf).map_err(|e| Broken::proof(first.name(), e))?;
        let mut chain =
            Self { stated, checkpoint, pinned, plant, entries: Vec::with_capacity(entries.len()) };
        chain.note(first, chain.plant.genesis)?;
        for (proven, bytes) in rest.iter().zip(leaves.iter().skip(1)) {
            let id = chain
                .plant
                .append_at(proven.index, bytes)
                .map_err(|e| Broken::proof(proven.name(), e))?;
            chain.note(proven, id)?;
        }
        Ok(chain)
    }

    fn note(&mut self, proven: &ProvenLeaf, id: Digest) -> Result<(), Broken> {
        let statement = &proven.leaf.entry.statement;
        let body = serde_json::from_value(statement.body.clone())
            .map_err(|e| Broken::proof(proven.name(), e))?;
        self.entries.push(Logged {
            index: proven.index,
            id,
            issuer: statement.issuer.clone(),
            signed_at: statement.at,
            at: proven.leaf.logged_at,
            body,
        });
        Ok(())
    }

    /// A member's Ed25519 keys that count now.
    pub fn live_keys(&self, member: &Id) -> Vec<[u8; 32]> {
        let Some(state) = self.plant.members.get(member) else {
            return Vec::new();
        };
        state
            .member
            .keys
            .iter()
            .filter(|key| !state.revoked.contains_key(&key.fingerprint()))
            .filter_map(proof::keys::PublicKey::as_ed25519)
            .collect()
    }

    /// An entry by its identifier.
    pub fn entry(&self, id: &Digest) -> Option<&Logged> {
        self.entries.iter().find(|e| e.id == *id)
    }
}

/// The first entry of an excerpt, which is the plant's first one, and all others.
pub(crate) fn first_of(entries: &[ProvenLeaf]) -> Result<(&ProvenLeaf, &[ProvenLeaf]), Broken> {
    let (first, rest) =
        entries.split_first().ok_or_else(|| Broken::unreadable("the evidence", "no entries"))?;
    if first.index != 0 {
        let reason = format!("the first entry has index {}, 0 is expected", first.index);
        return Err(Broken::proof("the excerpt of the ledger", reason));
    }
    Ok((first, rest))
}

/// The canonical bytes of a leaf that the checkpoint includes.
pub(crate) fn include(
    checkpoint: &WitnessedCheckpoint,
    proven: &ProvenLeaf,
) -> Result<Vec<u8>, Broken> {
    let broken = |e: String| Broken::proof(format!("inclusion of {}", proven.name()), e);
    let bytes = proven.leaf.bytes().map_err(|e| broken(e.to_string()))?;
    checkpoint.include(proven.index, &bytes, &proven.path).map_err(|e| broken(e.to_string()))?;
    Ok(bytes)
}

/// Whose signatures count, by the size of the log: the anchors' keys, until entries
/// replace them.
pub(crate) struct Rotated(Option<Plant>);

impl Rotated {
    /// From the entries of an excerpt, which prove nothing yet but what officers
    /// signed. A checkpoint under the keys that they lead to proves the entries.
    pub fn read(genesis: &Digest, entries: &[ProvenLeaf]) -> Self {
        let rotates = |proven: &ProvenLeaf| {
            let body = &proven.leaf.entry.statement.body;
            body.get("propose").is_some_and(|change| change.get("keys").is_some())
        };
        if !entries.iter().any(rotates) {
            return Self(None);
        }
        let bytes = entries.iter().filter_map(|e| Some((e.index, e.leaf.bytes().ok()?)));
        let leaves: Vec<(u64, Vec<u8>)> = bytes.collect();
        let leaves = leaves.iter().map(|(index, leaf)| (*index, leaf.as_slice()));
        // Entries that do not fold replace no key; the fold says what is wrong.
        Self(trust::keys_after(None, genesis, leaves).ok().flatten())
    }

    /// Verifies a checkpoint under the keys in force at its size, beginning with
    /// `first`; returns the policy that it satisfies too.
    pub fn open(
        &self,
        note: &[u8],
        first: &LogPolicy,
    ) -> Result<(WitnessedCheckpoint, LogPolicy), Broken> {
        let log = match (&self.0, Checkpoint::claimed(note)) {
            (Some(plant), Ok(claimed)) => plant
                .log_at(first, claimed.size)
                .map_err(|e| Broken::proof("the rotated keys of the log", e))?,
            _ => first.clone(),
        };
        let checkpoint = log.verify_checkpoint(note).map_err(|e| checkpoint_error(e, &log))?;
        Ok((checkpoint, log))
    }
}

pub(crate) fn checkpoint_error(error: CheckpointError, log: &LogPolicy) -> Broken {
    let what = match &error {
        CheckpointError::Bad(BadCheckpoint::Signature(name)) if name == log.log_key().name() => {
            format!("the log's signature `{name}` on the checkpoint")
        }
        CheckpointError::Bad(BadCheckpoint::Signature(name)) => {
            format!("the cosignature of `{name}` on the checkpoint")
        }
        CheckpointError::Bad(_) => "the checkpoint".into(),
        CheckpointError::Quorum { .. } => "the witnesses' cosignatures on the checkpoint".into(),
    };
    Broken::proof(what, error)
}
