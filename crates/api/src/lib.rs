//! The versioned types of the site's HTTP API, without a server in them.
//!
//! Paths begin with [`PREFIX`], those of the web console's own with
//! [`console::PREFIX`]. Errors are RFC 9457 problems. Entries travel as the
//! canonical JSON that was signed; what the server says beside them is a
//! convenience that a caller can verify against the ledger.

pub mod console;

use base::{Bytes, Digest, Id, Millis, Refusal, Rule};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Where the API lives.
pub const PREFIX: &str = "/api/v1";
/// The most bytes of one blob: a picture, a template, a program.
pub const MAX_BLOB_BYTES: usize = 16 * 1024 * 1024;

/// An entry was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Submitted {
    /// The entry's identifier.
    #[schema(value_type = String)]
    pub id: Digest,
    /// Its index on the ledger.
    pub index: u64,
    /// Whether it was on the ledger already.
    pub known: bool,
}

/// Something that happened, as it is streamed and listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// The entry's index.
    pub index: u64,
    /// The entry's identifier.
    #[schema(value_type = String)]
    pub id: Digest,
    /// Who stated it.
    #[schema(value_type = String)]
    pub issuer: Id,
    /// When the site logged it, in milliseconds since 1970.
    #[schema(value_type = u64)]
    pub logged_at: Millis,
    /// What was stated, `{"word": {…}}`.
    #[schema(value_type = Object)]
    pub body: serde_json::Value,
}

/// The plant at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// The site.
    #[schema(value_type = String)]
    pub site: Id,
    /// Its name for people.
    pub name: String,
    /// The genesis entry.
    #[schema(value_type = String)]
    pub genesis: Digest,
    /// Entries in the newest witnessed checkpoint.
    pub witnessed: u64,
    /// When that checkpoint was witnessed.
    #[schema(value_type = u64)]
    pub witnessed_at: Millis,
    /// How many there are of each thing.
    pub counts: BTreeMap<String, u64>,
}

/// One rule, applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// The rule.
    #[schema(value_type = String)]
    pub rule: Rule,
    /// Whether it is satisfied.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What is accepted.
    pub accepted: String,
    /// Whether waiting can help.
    pub transient: bool,
}

/// Why an order will or will not be accepted, rule by rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// Whether every rule is satisfied.
    pub accepted: bool,
    /// The rules.
    pub checks: Vec<Check>,
    /// What admission to the ledger said, for an order that is not logged.
    #[schema(value_type = Option<Object>)]
    pub refusal: Option<Refusal>,
}

/// An order that is not signed yet, to be explained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderDraft {
    /// Who would sign it.
    #[schema(value_type = String)]
    pub issuer: Id,
    /// The fingerprint of the key that would sign it.
    #[schema(value_type = String)]
    pub key: Digest,
    /// The order as the entry's body would hold it.
    #[schema(value_type = Object)]
    pub order: serde_json::Value,
    /// Whether an authenticator would verify the person.
    pub user_verified: bool,
}

/// One leaf of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Logged {
    /// Its index.
    pub index: u64,
    /// The leaf: the entry with its signature, and when the site logged it.
    #[schema(value_type = Object)]
    pub leaf: serde_json::Value,
}

/// A recording's key, sealed to a processor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SealedKey {
    /// HPKE's encapsulated key.
    #[schema(value_type = String)]
    pub enc: Bytes,
    /// The sealed key.
    #[schema(value_type = String)]
    pub ciphertext: Bytes,
}

/// A recording's key, from its cell to the vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// The signed manifest, canonical JSON.
    #[schema(value_type = Object)]
    pub manifest: serde_json::Value,
    /// The key, sealed to the vault.
    pub key: SealedKey,
}

/// Leaves with their proofs: enough for a reader to fold what concerns it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Dossier {
    /// The witnessed checkpoint, a signed note.
    pub checkpoint: String,
    /// The leaves, in the order of the ledger.
    pub leaves: Vec<ProvenLeaf>,
    /// The signed manifests of the granted recordings, by root CID.
    #[schema(value_type = Object)]
    pub manifests: BTreeMap<String, serde_json::Value>,
}

/// A leaf and its inclusion path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProvenLeaf {
    /// Its index.
    pub index: u64,
    /// The leaf's canonical bytes.
    #[schema(value_type = String)]
    pub leaf: Bytes,
    /// The inclusion path, from the leaf up.
    #[schema(value_type = Vec<String>)]
    pub path: Vec<Digest>,
}
