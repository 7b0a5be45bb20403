//! What changes the rules: members and roles, policy, programs, templates, and the plant's
//! own keys.

use super::Member;
use base::{Bytes, Digest, Id};
use policy::Role;
use proof::log::VKey;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A change of the rules. It takes effect when enough people approved it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Enrols a member, or replaces its keys, name and roles.
    Member(Member),
    /// Sets a member's roles; none removes its rights.
    Roles(SetRoles),
    /// Replaces the policy text.
    Policy(SetPolicy),
    /// Approves a robot program, pinned by its hash.
    Program(Program),
    /// Approves a template to inspect parts against.
    Template(Template),
    /// Rotates the plant's own keys.
    Keys(Keys),
}

impl Change {
    /// The word that policies see as `context.kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Member(_) => "member",
            Self::Roles(_) => "roles",
            Self::Policy(_) => "policy",
            Self::Program(_) => "program",
            Self::Template(_) => "template",
            Self::Keys(_) => "keys",
        }
    }

    /// The member whose keys or roles it would change.
    pub fn member(&self) -> Option<&Id> {
        match self {
            Self::Member(member) => Some(&member.id),
            Self::Roles(roles) => Some(&roles.member),
            Self::Policy(_) | Self::Program(_) | Self::Template(_) | Self::Keys(_) => None,
        }
    }

    /// Whether it changes who may do what; then two security officers sign.
    pub fn changes_rules(&self) -> bool {
        matches!(self, Self::Member(_) | Self::Roles(_) | Self::Policy(_) | Self::Keys(_))
    }
}

/// New roles of a member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRoles {
    /// Whose.
    pub member: Id,
    /// All roles from now on.
    pub roles: BTreeSet<Role>,
}

/// A new policy text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPolicy {
    /// Cedar.
    pub text: String,
}

/// A robot program that orders may name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The cells that it may run on.
    pub cells: BTreeSet<Id>,
    /// Its identifier.
    pub id: Id,
    /// Its parameters and their bounds.
    pub parameters: BTreeMap<Id, Parameter>,
    /// The digest of its bytes.
    pub sha256: Digest,
    /// What it does, for people.
    pub title: String,
}

/// One whole-number parameter of a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Used when an order does not say.
    pub default: i64,
    /// The largest allowed value.
    pub max: i64,
    /// The smallest allowed value.
    pub min: i64,
    /// What it is, for people.
    pub title: String,
    /// Its unit.
    pub unit: String,
}

/// A picture of a good part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its identifier: a part or a kind of part.
    pub id: Id,
    /// The digest of the image file.
    pub sha256: Digest,
    /// What it shows, for people.
    pub title: String,
    /// The viewpoint of the scan program from which it shows the part.
    pub view: u32,
}

/// New keys of the plant itself, from the index on at which they take effect; what is
/// absent stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Every root of the plant's TLS certificates from then on (RFC 5280, DER). Without
    /// one, the roots are those that each machine was installed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<Vec<Bytes>>,
    /// The log's verifier key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<VKey>,
    /// The vault's X25519 public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<Bytes>,
    /// All witnesses from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnesses: Option<Witnesses>,
}

/// The witnesses of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witnesses {
    /// Their verifier keys.
    pub keys: Vec<VKey>,
    /// How many of them must cosign a checkpoint.
    pub quorum: u32,
}
