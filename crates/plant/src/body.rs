//! What an entry can state. Each variant is one word of the ledger.
//!
//! Bodies are externally tagged JSON, `{"order": {…}}`, with no unknown key, so
//! that a person can read the ledger and nothing hides in it.

mod change;

pub use change::*;

use base::{Bytes, Digest, Id, Millis, Refusal};
use policy::Role;
use proof::keys::{Passkey, PublicKey};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The typed body of a statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// The first entry: what the plant is.
    Genesis(Box<Genesis>),
    /// A change of the rules, to be approved.
    Propose(Change),
    /// An approval of a proposed change.
    Approve(Approve),
    /// A person used an invitation to enrol a passkey.
    Accept(Accept),
    /// A key that counts no longer, from this index on.
    RevokeKey(RevokeKey),
    /// A run is wanted.
    Order(Order),
    /// The cell consumed an order and begins to move.
    RunStarted(RunStarted),
    /// The run is over.
    RunEnded(RunEnded),
    /// One recording of a run is in the vault.
    Recording(Recording),
    /// A gate refused something.
    Refused(Refused),
    /// A reader may read recordings.
    Grant(Grant),
    /// It may not any longer.
    RevokeGrant(RevokeGrant),
    /// A recording's key is to be destroyed.
    Shred(Shred),
    /// It was destroyed.
    Shredded(Shredded),
    /// Bytes or a key were served under a grant.
    Read(Read),
    /// A processor's findings.
    Report(Box<Report>),
    /// An item's passport was issued.
    Passport(PassportIssued),
    /// Take no orders.
    Hold(Hold),
    /// A hold may end.
    Release(Release),
}

impl Body {
    /// The word that names this body in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Genesis(_) => "genesis",
            Self::Propose(_) => "propose",
            Self::Approve(_) => "approve",
            Self::Accept(_) => "accept",
            Self::RevokeKey(_) => "revoke-key",
            Self::Order(_) => "order",
            Self::RunStarted(_) => "run-started",
            Self::RunEnded(_) => "run-ended",
            Self::Recording(_) => "recording",
            Self::Refused(_) => "refused",
            Self::Grant(_) => "grant",
            Self::RevokeGrant(_) => "revoke-grant",
            Self::Shred(_) => "shred",
            Self::Shredded(_) => "shredded",
            Self::Read(_) => "read",
            Self::Report(_) => "report",
            Self::Passport(_) => "passport",
            Self::Hold(_) => "hold",
            Self::Release(_) => "release",
        }
    }

    /// The cell that the entry's nonce is bound to, when it names one.
    pub fn cell(&self) -> Option<&Id> {
        match self {
            Self::Order(order) => Some(&order.cell),
            Self::Hold(hold) => hold.cell.as_ref(),
            _ => None,
        }
    }
}

/// The plant's beginning and the anchors of all later trust.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// How far an issuer's clock may be ahead of the site's, in milliseconds.
    pub clock_skew_ms: u64,
    /// How old the newest witnessed checkpoint may be for motion, in milliseconds.
    pub freshness_ms: u64,
    /// The decentralised identifier that issues passports (`did:web:…`).
    pub issuer: String,
    /// The log's verifier key (C2SP vkey).
    pub log: String,
    /// The first members; at least two security officers.
    pub members: Vec<Member>,
    /// The plant's name for people.
    pub name: String,
    /// The log's origin line.
    pub origin: String,
    /// The first policy text (Cedar).
    pub policy: String,
    /// How many witnesses must cosign a checkpoint.
    pub quorum: u32,
    /// The vault's X25519 public key: cells seal recording keys to it.
    pub vault: Bytes,
    /// The witnesses' verifier keys (C2SP vkeys).
    pub witnesses: Vec<String>,
}

/// A person or machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its identifier.
    pub id: Id,
    /// Its keys.
    pub keys: Vec<PublicKey>,
    /// Its name for people.
    pub name: String,
    /// Its roles.
    pub roles: BTreeSet<Role>,
    /// The X25519 public key that recordings' keys are sealed to (readers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Bytes>,
}

/// A security officer's approval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// The entry that proposed the change.
    pub proposal: Digest,
}

/// A person accepts an invitation: the invitation's key, which signs this, gives
/// way to a passkey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// The passkey that the person's authenticator made.
    pub passkey: Passkey,
    /// The X25519 public key of the person's browser, to which keys are sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Bytes>,
}

/// A key that counts no longer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeKey {
    /// The key's fingerprint.
    pub key: Digest,
    /// Whose.
    pub member: Id,
    /// Why.
    pub reason: String,
}

/// A program by name and hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramRef {
    /// Its identifier.
    pub id: Id,
    /// The digest of its bytes.
    pub sha256: Digest,
}

/// A run is wanted: what a person signs to launch a robot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Where.
    pub cell: Id,
    /// At most so many entries may stand after the order when it is started.
    pub max_lag: u64,
    /// Not started after this time.
    pub not_after: Millis,
    /// Not started before this time.
    pub not_before: Millis,
    /// The program's parameters, each within its bounds.
    pub parameters: BTreeMap<Id, i64>,
    /// The part on the table.
    pub part: Id,
    /// What is run.
    pub program: ProgramRef,
}

/// The cell consumed the order and begins to move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunStarted {
    /// The size of the witnessed checkpoint that the decision rests on.
    pub checkpoint: u64,
    /// The order's entry.
    pub order: Digest,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The program ran to its end.
    Finished,
    /// Somebody or something stopped it.
    Stopped,
    /// The robot, the connection or the recording failed.
    Failed,
}

/// The run is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunEnded {
    /// State samples that the controller made and the recording lacks.
    pub lost: u64,
    /// The order's entry.
    pub order: Digest,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, when it did not finish.
    pub reason: String,
    /// State samples recorded.
    pub samples: u64,
    /// Viewpoints photographed.
    pub viewpoints: u32,
}

/// One recording of a run, encrypted and addressed by content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// Encrypted bytes.
    pub bytes: u64,
    /// The commitment to its key.
    pub commitment: Digest,
    /// The digest of its signed manifest.
    pub manifest: Digest,
    /// The order's entry.
    pub order: Digest,
    /// The root CID.
    pub root: String,
    /// Which stream: `state` or `camera`.
    pub stream: Id,
}

/// A refusal, kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The gate: `motion`, `data`, `change`, `entry`.
    pub gate: String,
    /// The refusal.
    pub refusal: Refusal,
    /// The digest of what was refused, when it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Digest>,
}

/// Whether software enforces a term, or only the contract does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enforcement {
    /// The data gate enforces it.
    Enforced,
    /// The reader has agreed to it; nothing here can force it.
    Contractual,
}

/// One term of a grant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// How it holds.
    pub enforcement: Enforcement,
    /// What it says.
    pub text: String,
}

/// A reader may read recordings, for a purpose, until a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The most bytes served under it.
    pub budget: u64,
    /// Until when.
    pub not_after: Millis,
    /// From when.
    pub not_before: Millis,
    /// The order whose run is to be analysed.
    pub order: Digest,
    /// To whom: an outside processor, or one of the plant's people.
    pub processor: Id,
    /// What for.
    pub purpose: String,
    /// Root CIDs of the recordings.
    pub recordings: BTreeSet<String>,
    /// The terms, each with how it holds.
    pub terms: Vec<Term>,
}

impl Grant {
    /// The digest that binds sealed keys to this grant's terms.
    pub fn terms_digest(&self) -> Digest {
        base::sha256(&base::to_canonical(&self.terms).unwrap_or_default())
    }
}

/// The end of a grant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeGrant {
    /// The grant's entry.
    pub grant: Digest,
    /// Why.
    pub reason: String,
}

/// A recording's key is to be destroyed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shred {
    /// Why.
    pub reason: String,
    /// The root CID.
    pub root: String,
}

/// A recording's key was destroyed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shredded {
    /// The commitment to the key that is gone.
    pub commitment: Digest,
    /// The root CID.
    pub root: String,
    /// The entry that asked for it.
    pub shred: Digest,
}

/// Something was served under a grant. Logged before the first byte leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The bytes that the answer carries.
    pub bytes: u64,
    /// What was asked for: a CID, or `key`.
    pub cid: String,
    /// The grant's entry.
    pub grant: Digest,
    /// The root CID of the recording.
    pub root: String,
}

/// What an analysis concluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// This is the first scan: the part is now known by it.
    Enrolled,
    /// It is the part that was enrolled.
    Confirmed,
    /// It is not the part that was enrolled.
    Denied,
    /// No difference from the template.
    Pass,
    /// It differs from the template.
    Fail,
    /// The photographs do not allow a verdict.
    Undetermined,
}

/// One analysis in a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Analysis {
    /// What it found, in the analysis' own terms; at most a few kilobytes.
    pub details: serde_json::Value,
    /// `identity` or `inspection`.
    pub name: Id,
    /// The digest of the program text: version and parameters.
    pub program: Digest,
    /// The digest of what it compared with: template or enrolled recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Digest>,
    /// The score, in the analysis' own unit.
    pub score: f64,
    /// The score at which the verdict turns.
    pub threshold: f64,
    /// The verdict.
    pub verdict: Verdict,
}

/// A picture that explains a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// `image/png` or `image/jpeg`.
    pub media_type: String,
    /// What it shows.
    pub name: String,
    /// The digest of its bytes.
    pub sha256: Digest,
}

/// A processor's findings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The analyses.
    pub analyses: Vec<Analysis>,
    /// The grant under which the inputs were read.
    pub grant: Digest,
    /// The recordings that were read: root CIDs.
    pub inputs: BTreeSet<String>,
    /// The order whose run was analysed.
    pub order: Digest,
    /// The part.
    pub part: Id,
    /// The pictures that explain it.
    pub pictures: Vec<Picture>,
    /// The digest of the analysing program's executable.
    pub software: Digest,
}

/// An item's passport was issued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassportIssued {
    /// The digest of the credential (`vc+jwt` bytes).
    pub credential: Digest,
    /// The part.
    pub part: Id,
    /// The report's entry.
    pub report: Digest,
}

/// Take no orders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// One cell, or the whole site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<Id>,
    /// Why.
    pub reason: String,
}

/// A hold may end; it does when two people said so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The hold's entry.
    pub hold: Digest,
}
