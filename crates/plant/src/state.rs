//! What is known of the plant after an entry.

use crate::body::{
    Change, Genesis, Grant, Hold, Member, Order, Outcome, Program, Recording, Report, RunEnded,
    Template,
};
use crate::history::History;
use crate::trust::Rotation;
use base::{Bytes, Digest, Id, Millis, Refusal, Rule};
use policy::{Action, Decision, Policy, Question, Resource, Role};
use proof::{
    entry::{Entry, Leaf, Statement, VerifiedEntry},
    keys::PublicKey,
    log::MAX_LOG_SIZE,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A member with the keys that count no longer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemberState {
    /// As enrolled.
    pub member: Member,
    /// Fingerprints of invitations that were used, with the index of the entry.
    pub accepted: BTreeMap<Digest, u64>,
    /// Fingerprints of revoked keys, with the index of the revocation.
    pub revoked: BTreeMap<Digest, u64>,
}

impl MemberState {
    pub(crate) fn new(member: Member) -> Self {
        Self { member, accepted: BTreeMap::new(), revoked: BTreeMap::new() }
    }

    /// Whether it has a key that can sign for it: live, and no invitation.
    pub fn signs(&self) -> bool {
        let invites = |k: &PublicKey| matches!(k, PublicKey::Invitation(_));
        let live = |k: &PublicKey| !self.revoked.contains_key(&k.fingerprint());
        self.member.keys.iter().any(|k| !invites(k) && live(k))
    }
}

/// A change that was proposed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proposal {
    /// What would change.
    pub change: Change,
    /// Who proposed it.
    pub proposer: Id,
    /// Security officers that approved it; the proposer counts when it is one.
    pub officers: BTreeSet<Id>,
    /// Whether it has taken effect.
    pub effective: bool,
}

/// An approved program.
pub type ProgramState = Program;

/// How far an order has come.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Logged, not started.
    Pending,
    /// Consumed by its cell at this index.
    Started(u64),
    /// Over.
    Ended(Outcome),
    /// Its cell refused it.
    Refused(Refusal),
}

/// An order and its run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OrderState {
    /// The order.
    pub order: Order,
    /// Its index on the ledger.
    pub index: u64,
    /// Who signed it.
    pub issuer: Id,
    /// The fingerprint of the key that signed it.
    pub key: Digest,
    /// Whether an authenticator verified the person.
    pub user_verified: bool,
    /// When the site logged it.
    pub logged_at: Millis,
    /// How far it has come.
    pub status: RunStatus,
    /// How the run ended.
    pub ended: Option<RunEnded>,
    /// Root CIDs of its recordings.
    pub recordings: BTreeSet<String>,
}

/// A recording in the vault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordingState {
    /// As registered.
    pub recording: Recording,
    /// Its index on the ledger.
    pub index: u64,
    /// The entry that asked to destroy its key.
    pub shred: Option<Digest>,
    /// Whether the key is gone.
    pub shredded: bool,
}

/// A grant and what was read under it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GrantState {
    /// The grant.
    pub grant: Grant,
    /// Its index on the ledger.
    pub index: u64,
    /// Who issued it.
    pub issuer: Id,
    /// Bytes served so far.
    pub used: u64,
    /// Reads so far.
    pub reads: u64,
    /// The index of its revocation.
    pub revoked: Option<u64>,
}

/// A filed report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reported {
    /// The report.
    pub report: Report,
    /// Its index on the ledger.
    pub index: u64,
    /// Who filed it.
    pub issuer: Id,
    /// The digest of the passport issued from it.
    pub passport: Option<Digest>,
}

/// A hold in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HoldState {
    /// The hold.
    pub hold: Hold,
    /// Its index on the ledger.
    pub index: u64,
    /// Who placed it.
    pub issuer: Id,
    /// People who want it released.
    pub releases: BTreeSet<Id>,
}

/// Verifies an entry's signature under a key that [`Plant::key_of`] gave. It takes no
/// plant, so that it may run beside what changes one: [`Plant::admit`] looks again
/// whether the key counts.
///
/// # Errors
/// A refusal by [`Rule::Signature`].
pub fn verify_under(entry: Entry, key: &PublicKey) -> Result<VerifiedEntry, Refusal> {
    let issuer = entry.statement.issuer.clone();
    entry.verify(key).map_err(|e| {
        let accepted = "a signature by the key that the entry names";
        refusal(&issuer, Rule::Signature, e.to_string(), accepted)
    })
}

fn refusal(issuer: &Id, rule: Rule, reason: String, accepted: &str) -> Refusal {
    Refusal {
        who: issuer.to_string(),
        what: "an entry on the ledger".into(),
        rule,
        reason,
        accepted: accepted.into(),
    }
}

/// The plant after [`Plant::size`] entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Plant {
    /// The site.
    pub site: Id,
    /// The genesis entry's identifier.
    pub genesis: Digest,
    /// The anchors.
    pub anchors: Genesis,
    /// The policy in force.
    pub policy: Policy,
    /// Members by identifier.
    pub members: BTreeMap<Id, MemberState>,
    /// Proposals by entry.
    pub proposals: BTreeMap<Digest, Proposal>,
    /// Programs by identifier.
    pub programs: BTreeMap<Id, ProgramState>,
    /// Templates by identifier.
    pub templates: BTreeMap<Id, Template>,
    /// Orders by entry.
    pub orders: BTreeMap<Digest, OrderState>,
    /// Recordings by root CID.
    pub recordings: BTreeMap<String, RecordingState>,
    /// Grants by entry.
    pub grants: BTreeMap<Digest, GrantState>,
    /// Reports by entry.
    pub reports: BTreeMap<Digest, Reported>,
    /// The report that enrolled each part.
    pub enrolments: BTreeMap<Id, Digest>,
    /// Holds in force, by entry.
    pub holds: BTreeMap<Digest, HoldState>,
    /// Keys of the plant itself that took the place of the genesis', in order.
    pub rotations: Vec<Rotation>,
    /// Every key that somebody ever had.
    pub history: History,
    /// Refusals recorded so far.
    pub refusals: u64,
    /// Entries so far.
    pub size: u64,
    /// When the last entry was logged.
    pub logged_at: Millis,
    /// Index and time of each entry.
    pub(crate) index: HashMap<Digest, (u64, Millis)>,
    /// (issuer, cell, nonce) of each entry.
    pub(crate) used: HashSet<(Id, Option<Id>, Bytes)>,
}

impl Plant {
    /// The index of an entry that is on the ledger.
    pub fn index_of(&self, entry: &Digest) -> Option<u64> {
        self.logged(entry).map(|(index, _)| index)
    }

    /// The index of an entry that is on the ledger, and when it was logged.
    pub fn logged(&self, entry: &Digest) -> Option<(u64, Millis)> {
        self.index.get(entry).copied()
    }

    /// A member's key, when it is enrolled and not revoked. It may be an
    /// invitation: see [`Plant::signing_key`].
    pub fn live_key(&self, member: &Id, key: &Digest) -> Option<&PublicKey> {
        let member = self.members.get(member)?;
        if member.revoked.contains_key(key) {
            return None;
        }
        member.member.keys.iter().find(|k| k.fingerprint() == *key)
    }

    /// Whether the key that an entry verified under is a live key of its issuer. The
    /// entry carries the proof that the key has the fingerprint that it names.
    pub(crate) fn still_counts(&self, entry: &VerifiedEntry) -> bool {
        let (issuer, print) = (&entry.statement().issuer, &entry.statement().key);
        self.members.get(issuer).is_some_and(|member| {
            !member.revoked.contains_key(print) && member.member.keys.contains(entry.key())
        })
    }

    /// A member's key that may sign anything but an acceptance.
    pub fn signing_key(&self, member: &Id, key: &Digest) -> Option<&PublicKey> {
        self.live_key(member, key).filter(|key| !matches!(key, PublicKey::Invitation(_)))
    }

    /// The Ed25519 keys that may have signed a recording's manifest and checkpoints:
    /// those of its cell that counted when its entry was logged, whatever the cell's
    /// keys are now.
    pub fn recording_keys(&self, root: &str) -> Vec<[u8; 32]> {
        let recording = self.recordings.get(root);
        let order = recording.and_then(|r| Some((r, self.orders.get(&r.recording.order)?)));
        order.map(|(r, o)| self.history.ed25519_at(&o.order.cell, r.index)).unwrap_or_default()
    }

    /// The security officers who can sign now.
    pub fn officers(&self) -> impl Iterator<Item = &Id> {
        self.members.keys().filter(|id| self.stands(id, Role::SecurityOfficer))
    }

    /// A member's roles; none when it is not enrolled.
    pub fn roles(&self, member: &Id) -> BTreeSet<Role> {
        self.members.get(member).map(|m| m.member.roles.clone()).unwrap_or_default()
    }

    /// Whether a member has a role.
    pub fn has_role(&self, member: &Id, role: Role) -> bool {
        self.members.get(member).is_some_and(|m| m.member.roles.contains(&role))
    }

    /// Whether a member has a role and a key that counts.
    pub fn stands(&self, member: &Id, role: Role) -> bool {
        self.has_role(member, role) && self.members.get(member).is_some_and(MemberState::signs)
    }

    /// Asks the policy in force.
    pub fn may(
        &self,
        member: &Id,
        action: Action,
        resource: Resource<'_>,
        user_verified: bool,
        subject: &str,
    ) -> Decision {
        let roles = self.roles(member);
        let question =
            Question { principal: member, roles: &roles, action, resource, user_verified, subject };
        self.policy.decide(&question)
    }

    /// Whether a change of the plant's own keys waits for approval.
    pub(crate) fn proposes_keys(&self) -> bool {
        let keys = |p: &Proposal| matches!(p.change, Change::Keys(_));
        self.proposals.values().any(|p| !p.effective && keys(p))
    }

    /// The holds that stop a cell.
    pub fn holds_on<'a>(&'a self, cell: &'a Id) -> impl Iterator<Item = &'a HoldState> {
        self.holds.values().filter(move |h| h.hold.cell.as_ref().is_none_or(|c| c == cell))
    }

    /// The key that a statement must be signed with.
    ///
    /// # Errors
    /// Why it counts not, or no longer.
    pub fn key_of(&self, statement: &Statement) -> Result<&PublicKey, Refusal> {
        let (issuer, key) = (&statement.issuer, &statement.key);
        let refuse = |reason: String, accepted: &str| {
            Err(refusal(issuer, Rule::Enrolment, reason, accepted))
        };
        let Some(member) = self.members.get(issuer) else {
            let reason = format!("`{issuer}` is not enrolled");
            return refuse(reason, "an entry by an enrolled member");
        };
        if let Some(index) = member.revoked.get(key) {
            let reason = format!("key {} was revoked at index {index}", key.short());
            return refuse(reason, "a key that is not revoked");
        }
        if let Some(index) = member.accepted.get(key) {
            let reason = format!("invitation {} was used at index {index}", key.short());
            return refuse(reason, "an invitation that was not used");
        }
        self.live_key(issuer, key).map_or_else(
            || {
                let reason = format!("key {} is not a key of `{issuer}`", key.short());
                refuse(reason, "one of the issuer's enrolled keys")
            },
            Ok,
        )
    }

    /// Verifies an entry's signature under the issuer's live key.
    pub fn verify(&self, entry: Entry) -> Result<VerifiedEntry, Refusal> {
        let key = self.key_of(&entry.statement)?.clone();
        verify_under(entry, &key)
    }

    /// Begins a plant with its genesis leaf.
    ///
    /// The genesis is signed by one of the security officers it names; whether it
    /// is *the* genesis is a question of trust anchors, so callers compare
    /// [`Plant::genesis`] with the digest they were set up with.
    pub fn begin(leaf: &Leaf) -> Result<Self, Refusal> {
        crate::admit::genesis(leaf)
    }

    /// Verifies, admits and applies the next leaf of a log, for a follower. The
    /// state is unchanged when it is refused.
    ///
    /// A refusal here means that the site logged what it must not have: stop
    /// trusting it.
    pub fn append(&mut self, bytes: &[u8]) -> Result<Digest, Refusal> {
        let leaf = Leaf::parse(bytes).map_err(|e| Refusal {
            who: "the site".into(),
            what: format!("entry {}", self.size),
            rule: Rule::Format,
            reason: e.to_string(),
            accepted: "a canonical leaf".into(),
        })?;
        let verified = self.verify(leaf.entry)?;
        let admitted = self.admit(verified, leaf.logged_at)?;
        let id = admitted.id();
        self.apply(admitted);
        Ok(id)
    }
}

impl Plant {
    /// Like [`Plant::append`], for an excerpt of a log: entries between the last
    /// one and `index` are unknown. What the excerpt leaves out (a revocation,
    /// say) is not known to have happened or not.
    pub fn append_at(&mut self, index: u64, bytes: &[u8]) -> Result<Digest, Refusal> {
        if !(self.size..MAX_LOG_SIZE).contains(&index) {
            return Err(Refusal {
                who: "the excerpt".into(),
                what: format!("entry {index}"),
                rule: Rule::Inclusion,
                reason: format!("it follows entry {}", self.size.saturating_sub(1)),
                accepted: "entries in the order of their indexes, below 2^53".into(),
            });
        }
        let size = std::mem::replace(&mut self.size, index);
        self.append(bytes).inspect_err(|_| self.size = size)
    }
}
