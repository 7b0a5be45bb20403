//! The plant's own keys: who signs and witnesses its ledger, what cells seal to, and the
//! roots of the certificates that its machines show each other.
//!
//! The genesis states the first ones. A change `keys`, signed by two security
//! officers, puts others in their place from its index on. **A checkpoint of *n*
//! entries counts under the keys in force after *n* entries**: so the batch that
//! brings a rotation into force is signed with the new keys already, and an older
//! checkpoint verifies for ever under the keys of its time. A key that was replaced
//! never comes back.
//!
//! Roots are opaque bytes here, bounded and distinct. That each is the certificate of an
//! authority of this site is checked where X.509 is read: by who proposes them, by the
//! site before it admits them, and by each machine before it takes them.

use crate::{
    body::{Body, Change, Genesis, Keys, Witnesses},
    state::Plant,
};
use base::{Bytes, Digest};
use proof::{
    entry::Leaf,
    log::{LogPolicy, VKey},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The bytes of an X25519 public key.
const VAULT_BYTES: usize = 32;
/// The most roots at a time: one, and its successor while the plant changes over, twice.
const MAX_AUTHORITIES: usize = 4;
/// The most bytes of a root's certificate.
const MAX_AUTHORITY_BYTES: usize = 4096;

/// Keys of the plant that took effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rotation {
    /// The entry that brought them into force: they count for checkpoints of more
    /// entries than this.
    pub index: u64,
    /// What changed.
    pub keys: Keys,
}

/// The log that a genesis states, with its witnesses.
///
/// # Errors
/// Keys that do not parse, a log key that is not named like the log, a quorum that
/// the witnesses cannot give, a key that stands twice, a vault key of another length.
pub fn stated(genesis: &Genesis) -> Result<LogPolicy, String> {
    let log: VKey = genesis.log.parse().map_err(|e| format!("log key: {e}"))?;
    let keys = genesis
        .witnesses
        .iter()
        .map(|key| key.parse().map_err(|e| format!("witness key: {e}")))
        .collect::<Result<Vec<VKey>, _>>()?;
    check_vault(&genesis.vault)?;
    check_log(&genesis.origin, log, Witnesses { keys, quorum: genesis.quorum })
}

fn check_vault(key: &Bytes) -> Result<(), String> {
    match key.0.len() {
        VAULT_BYTES => Ok(()),
        found => Err(format!("a vault key of {found} bytes, {VAULT_BYTES} are expected")),
    }
}

fn check_authorities(roots: &[Bytes]) -> Result<(), String> {
    if !(1..=MAX_AUTHORITIES).contains(&roots.len()) {
        let found = roots.len();
        return Err(format!(
            "{found} certificate authorities, 1 to {MAX_AUTHORITIES} are expected"
        ));
    }
    let sized = |root: &Bytes| (1..=MAX_AUTHORITY_BYTES).contains(&root.0.len());
    if let Some(root) = roots.iter().find(|root| !sized(root)) {
        let found = root.0.len();
        return Err(format!(
            "a root certificate of {found} bytes, 1 to {MAX_AUTHORITY_BYTES} are expected"
        ));
    }
    match roots.iter().collect::<BTreeSet<_>>().len() == roots.len() {
        true => Ok(()),
        false => Err("a root certificate stands twice".into()),
    }
}

/// The policy of a log whose own key is named like it and is no witness's.
fn check_log(origin: &str, log: VKey, witnesses: Witnesses) -> Result<LogPolicy, String> {
    if log.name() != origin {
        return Err(format!("the log's key is named `{}`, its origin is `{origin}`", log.name()));
    }
    if let Some(own) = witnesses.keys.iter().find(|w| w.public() == log.public()) {
        return Err(format!("the log's key is the witness `{}`'s too", own.name()));
    }
    let quorum = usize::try_from(witnesses.quorum).unwrap_or(usize::MAX);
    LogPolicy::new(origin, log, witnesses.keys, quorum).map_err(|e| e.to_string())
}

/// The policy that a change makes of another.
fn changed(before: LogPolicy, keys: &Keys) -> Result<LogPolicy, String> {
    let log = keys.log.clone().unwrap_or_else(|| before.log_key().clone());
    let witnesses = keys.witnesses.clone().unwrap_or_else(|| Witnesses {
        keys: before.witnesses().to_vec(),
        quorum: u32::try_from(before.quorum()).unwrap_or(u32::MAX),
    });
    check_log(before.origin(), log, witnesses)
}

impl Plant {
    /// Whose signatures count on a checkpoint of `size` entries, for who trusts
    /// `first`: the genesis' log, or stricter terms for it. Each part that was
    /// rotated below `size` takes the place of that part of `first`.
    ///
    /// # Errors
    /// `first` does not go together with what was rotated.
    pub fn log_at(&self, first: &LogPolicy, size: u64) -> Result<LogPolicy, String> {
        let mut past = self.rotations.iter().take_while(|rotation| rotation.index < size);
        past.try_fold(first.clone(), |policy, rotation| changed(policy, &rotation.keys))
    }

    /// Whose signatures count on the next checkpoint, by the plant's own words.
    ///
    /// # Errors
    /// None for a plant that was admitted.
    pub fn log_now(&self) -> Result<LogPolicy, String> {
        self.log_at(&stated(&self.anchors)?, u64::MAX)
    }

    /// The vault's X25519 public key in force.
    pub fn vault(&self) -> &Bytes {
        let rotated = self.rotations.iter().rev().find_map(|r| r.keys.vault.as_ref());
        rotated.unwrap_or(&self.anchors.vault)
    }

    /// The roots of the plant's TLS certificates (DER) that its ledger states last, and the
    /// entry from which on they are in force. None when it states none: each machine then
    /// goes by what it was installed with.
    pub fn authorities(&self) -> Option<(u64, &[Bytes])> {
        let mut newest_first = self.rotations.iter().rev();
        newest_first.find_map(|r| Some((r.index, r.keys.authorities.as_deref()?)))
    }

    /// The plant's own keys that a body proposes, or helps into force.
    pub fn keys_in<'a>(&'a self, body: &'a Body) -> Option<&'a Keys> {
        let change = match body {
            Body::Propose(change) => change,
            Body::Approve(approve) => &self.proposals.get(&approve.proposal)?.change,
            _ => return None,
        };
        match change {
            Change::Keys(keys) => Some(keys),
            _ => None,
        }
    }

    /// Whether these keys may come into force.
    pub(crate) fn check_keys(&self, keys: &Keys) -> Result<(), String> {
        let Keys { authorities, log, vault, witnesses } = keys;
        if authorities.is_none() && log.is_none() && vault.is_none() && witnesses.is_none() {
            return Err("it changes no key".into());
        }
        let first = stated(&self.anchors)?;
        let now = self.log_at(&first, u64::MAX)?;
        changed(now.clone(), keys)?;
        let was = self.ever(&first);
        let again = |key: &VKey| was.contains(key.public().as_slice());
        if let Some(log) = keys.log.as_ref().filter(|log| again(log)) {
            return Err(format!("the key `{log}` was in use before"));
        }
        let witnesses = keys.witnesses.iter().flat_map(|w| &w.keys);
        if let Some(back) = witnesses.filter(|w| !now.witnesses().contains(w)).find(|w| again(w)) {
            return Err(format!("the key `{back}` was in use before"));
        }
        if let Some(vault) = &keys.vault {
            check_vault(vault)?;
            if was.contains(vault.0.as_slice()) {
                return Err("the vault's key was in use before".into());
            }
        }
        if let Some(roots) = &keys.authorities {
            check_authorities(roots)?;
            let now = self.authorities().map_or(&[][..], |(_, now)| now);
            let stated = self.rotations.iter().flat_map(|r| r.keys.authorities.iter().flatten());
            let was: BTreeSet<&Bytes> = stated.collect();
            if roots.iter().any(|root| was.contains(root) && !now.contains(root)) {
                return Err("a root certificate was withdrawn before".into());
            }
        }
        Ok(())
    }

    /// Every public key that was ever in force.
    fn ever<'a>(&'a self, first: &'a LogPolicy) -> BTreeSet<&'a [u8]> {
        let rotated = || self.rotations.iter().map(|r| &r.keys);
        let logs = rotated().filter_map(|keys| keys.log.as_ref()).chain([first.log_key()]);
        let witnesses = rotated().flat_map(|keys| keys.witnesses.iter().flat_map(|w| &w.keys));
        let vaults = rotated().filter_map(|keys| keys.vault.as_ref()).chain([&self.anchors.vault]);
        logs.chain(witnesses)
            .chain(first.witnesses())
            .map(|key| key.public().as_slice())
            .chain(vaults.map(|key| key.0.as_slice()))
            .collect()
    }
}

/// Whether a leaf may change whose signatures count: a change of the rules, or what
/// brings one into force. All others can be left out of what [`keys_after`] reads.
pub fn bears_on_keys(leaf: &[u8]) -> bool {
    // In canonical JSON nothing else is spelled like this, outside of free JSON in a
    // report; so a leaf that may be one is read whole.
    let body = b"\"body\":{\"";
    let words: [&[u8]; 5] =
        [b"genesis\"", b"propose\"", b"approve\"", b"accept\"", b"revoke-key\""];
    let like = |at: &[u8]| {
        at.strip_prefix(body).is_some_and(|rest| words.iter().any(|word| rest.starts_with(word)))
    };
    if !leaf.windows(body.len() + 11).any(like) {
        return false;
    }
    let body = Leaf::parse(leaf).map(|leaf| leaf.entry.statement.body);
    body.is_ok_and(|body| {
        serde_json::from_value::<Body>(body).is_ok_and(|body| {
            matches!(
                body,
                Body::Genesis(_)
                    | Body::Propose(_)
                    | Body::Approve(_)
                    | Body::Accept(_)
                    | Body::RevokeKey(_)
            )
        })
    })
}

/// Whether leaves propose to rotate keys at all; most ledgers never do.
fn rotates(leaf: &[u8]) -> bool {
    const WORDS: &[u8] = b"{\"propose\":{\"keys\":";
    leaf.windows(WORDS.len()).any(|at| at == WORDS)
}

/// The plant as far as its keys go, from the leaves of a ledger that bear on them.
/// Nothing is proven but what officers signed: it says who *would* have to sign a
/// checkpoint over these leaves, and a checkpoint that they signed proves the leaves.
///
/// `known` is what was folded before, and `leaves` follow it. None when no leaf can
/// have changed a key, so that `known` says it all.
///
/// # Errors
/// The leaves do not fold, or begin another plant than `genesis`.
pub fn keys_after<'a>(
    known: Option<&Plant>,
    genesis: &Digest,
    leaves: impl Iterator<Item = (u64, &'a [u8])> + Clone,
) -> Result<Option<Plant>, String> {
    let open = known.is_some_and(Plant::proposes_keys);
    if !open && !leaves.clone().any(|(_, leaf)| rotates(leaf)) {
        return Ok(None);
    }
    let mut plant = known.cloned();
    for (index, leaf) in leaves.filter(|(_, leaf)| bears_on_keys(leaf)) {
        match &mut plant {
            Some(plant) => {
                plant.append_at(index, leaf).map_err(|e| format!("entry {index}: {e}"))?;
            }
            None => {
                let leaf = Leaf::parse(leaf).map_err(|e| e.to_string())?;
                let begun = Plant::begin(&leaf).map_err(|e| e.to_string())?;
                if index != 0 || begun.genesis != *genesis {
                    return Err(format!("the genesis is {}, {genesis} is expected", begun.genesis));
                }
                plant = Some(begun);
            }
        }
    }
    Ok(plant)
}
