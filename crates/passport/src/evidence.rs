//! What a passport rests on, as it stands under `evidence` in the credential.
//!
//! Leaves and manifests are the ledger's and the cells' own JSON, so a person can
//! read them. Their signed bytes are the RFC 8785 form of what stands here.
//! Digests and Merkle hashes are 64 hexadecimal digits, keys and signatures
//! base64url without padding, as everywhere in the ledger.

use crate::Broken;
use base::{Digest, Millis};
use proof::{entry::Leaf, recording::SignedManifest};
use serde::{Deserialize, Serialize};

/// The format of evidence and files that this crate reads and writes.
pub const FORMAT: &str = "interlock/passport/1";

/// The JSON-LD type of the evidence.
const TYPE: &str = "InterlockEvidence";

/// The longest credential that is read (8 MiB).
pub const MAX_JWT_BYTES: usize = 8 * 1024 * 1024;

/// The most leaves in one passport.
pub const MAX_ENTRIES: usize = 8 * 1024;

/// The most manifests in one passport: a grant names at most 64 recordings.
pub(crate) const MAX_MANIFESTS: usize = 128;

/// A leaf with the proof that the log holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenLeaf {
    /// Its index in the log.
    pub index: u64,
    /// The leaf.
    pub leaf: Leaf,
    /// Its inclusion path, from the leaf's sibling up, to the checkpoint's root.
    pub path: Vec<Digest>,
}

impl ProvenLeaf {
    /// From the canonical bytes that the log holds.
    ///
    /// # Errors
    /// When the bytes are no leaf.
    pub fn read(index: u64, bytes: &[u8], path: Vec<Digest>) -> Result<Self, Broken> {
        let leaf =
            Leaf::parse(bytes).map_err(|e| Broken::unreadable(format!("entry {index}"), e))?;
        Ok(Self { index, leaf, path })
    }

    /// The word of the entry's body: `order`, `grant` and so on.
    pub(crate) fn word(&self) -> &str {
        let body = self.leaf.entry.statement.body.as_object();
        body.and_then(|b| b.keys().next()).map_or("unknown", String::as_str)
    }

    /// The entry as messages name it.
    pub(crate) fn name(&self) -> String {
        let word: String = self.word().chars().take(20).collect();
        format!("entry {} ({word})", self.index)
    }
}

/// What a site has in hand when it issues a passport.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The entry of the report that the passport is issued from.
    pub report: Digest,
    /// The site's clock.
    pub issued_at: Millis,
    /// The witnessed checkpoint note, verbatim.
    pub checkpoint: Vec<u8>,
    /// The leaves that [`crate::excerpt_for`] names, in order, with their paths to
    /// that checkpoint.
    pub entries: Vec<ProvenLeaf>,
    /// The manifests of the run's recordings and of all inputs of the report, in
    /// any order.
    pub manifests: Vec<SignedManifest>,
}

/// The evidence in a credential; nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The witnessed checkpoint note (C2SP tlog-checkpoint).
    pub checkpoint: String,
    /// The leaves, by index.
    pub entries: Vec<ProvenLeaf>,
    /// [`FORMAT`].
    pub format: String,
    /// When the passport was issued, by the site's clock.
    pub issued_at: Millis,
    /// The recordings' manifests, by root CID.
    pub manifests: Vec<SignedManifest>,
    /// The entry of the report.
    pub report: Digest,
    /// The JSON-LD types.
    #[serde(rename = "type")]
    pub types: Vec<String>,
}

impl Evidence {
    pub(crate) fn from_draft(draft: Draft) -> Result<Self, Broken> {
        let checkpoint = String::from_utf8(draft.checkpoint)
            .map_err(|e| Broken::unreadable("the checkpoint", e))?;
        let mut manifests = draft.manifests;
        manifests.sort_by(|a, b| a.claim.root_cid.cmp(&b.claim.root_cid));
        let evidence = Self {
            checkpoint,
            entries: draft.entries,
            format: FORMAT.into(),
            issued_at: draft.issued_at,
            manifests,
            report: draft.report,
            types: vec![TYPE.into()],
        };
        evidence.check_bounds().map(|()| evidence)
    }

    pub(crate) fn check_bounds(&self) -> Result<(), Broken> {
        let refuse = |reason: String| Err(Broken::unreadable("the evidence", reason));
        if self.format != FORMAT || self.types != [TYPE] {
            let found: String = self.format.chars().take(40).collect();
            return refuse(format!("format `{found}`, `{FORMAT}` is expected"));
        }
        if !(1..=MAX_ENTRIES).contains(&self.entries.len()) {
            let found = self.entries.len();
            return refuse(format!("{found} entries, 1 to {MAX_ENTRIES} are expected"));
        }
        if self.manifests.len() > MAX_MANIFESTS {
            let found = self.manifests.len();
            return refuse(format!("{found} manifests, at most {MAX_MANIFESTS} are expected"));
        }
        Ok(())
    }
}
