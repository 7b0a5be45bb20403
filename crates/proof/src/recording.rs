//! The signed checkpoint chain and manifest of a recording.
//!
//! A recording is a stream of encrypted leaves. While it runs, the cell signs a
//! [`Checkpoint`] each second or 16 MiB: how many leaves there are, the root of
//! the Merkle tree (RFC 6962) over their CIDs, how many samples were taken, and
//! the digest of the checkpoint before. The last one is marked final. So a leaf
//! edited, moved, dropped or cut off the end is found, and the first checkpoint
//! that it broke is named, although MCAP itself has checksums only. A sample is
//! covered by the first checkpoint after its leaf was sealed; `samples` counts
//! what was handed to the writer.
//!
//! The [`Manifest`] then names the finished recording: its address, key
//! commitment, times, counts and last checkpoint. Both are canonical JSON
//! (RFC 8785), each signed with Ed25519 under a domain of its own.

use crate::{
    keys::{Signer, verify_ed25519},
    log::merkle::{Frontier, leaf_hash},
};
use base::{Bytes, Digest, Id, Millis, ParseIdError, from_canonical, sha256, to_canonical};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A checkpoint is due after this time.
pub const CHECKPOINT_MILLIS: u64 = 1000;

/// A checkpoint is due after this many bytes of leaves (16 MiB).
pub const CHECKPOINT_BYTES: u64 = 16 * 1024 * 1024;

/// The hexadecimal digits of an order's identifier in its run's name: 128 bits, so
/// that nobody finds an order whose run is called like an earlier one's.
const RUN_DIGITS: usize = 32;

/// The name of the run that carries out an order.
///
/// # Errors
/// None is known; a digest's digits make an identifier.
pub fn run_name(order: &Digest) -> Result<Id, ParseIdError> {
    order.to_string().chars().take(RUN_DIGITS).collect::<String>().parse()
}

/// The name of the recording of one stream of an order's run.
///
/// # Errors
/// The stream's name is too long.
pub fn recording_name(order: &Digest, stream: &Id) -> Result<Id, ParseIdError> {
    format!("{}-{stream}", run_name(order)?).parse()
}

/// What a cell can state about a recording.
pub trait Claim: Clone + PartialEq + Serialize + DeserializeOwned {
    /// Separates its signatures from all others made with the same key.
    const DOMAIN: &'static [u8];
}

impl Claim for Checkpoint {
    const DOMAIN: &'static [u8] = b"interlock/recording-checkpoint/v1\0";
}

impl Claim for Manifest {
    const DOMAIN: &'static [u8] = b"interlock/recording-manifest/v1\0";
}

/// A claim with its signature, not yet verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed<T> {
    /// What was signed.
    pub claim: T,
    /// The Ed25519 signature: 64 bytes.
    pub signature: Bytes,
}

/// A checkpoint as it is stored and sent.
pub type SignedCheckpoint = Signed<Checkpoint>;

/// A manifest as it is stored and sent.
pub type SignedManifest = Signed<Manifest>;

/// A claim that is not what its signer stated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The bytes are not a canonical claim.
    #[error("not a signed claim about a recording: {0}")]
    Format(String),
    /// The signature does not verify under the cell's key.
    #[error("its signature does not verify: edited, or signed by another key")]
    Signature,
}

impl<T: Claim> Signed<T> {
    /// Signs a claim.
    pub fn new(claim: T, signer: &dyn Signer) -> Result<Self, ClaimError> {
        let signature = Bytes(signer.sign(&message(&claim)?).to_vec());
        Ok(Self { claim, signature })
    }

    /// The canonical bytes, as stored.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ClaimError> {
        to_canonical(self).map_err(|e| ClaimError::Format(e.to_string()))
    }

    /// Reads canonical bytes of at most 64 KiB.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ClaimError> {
        from_canonical(bytes).map_err(|e| ClaimError::Format(e.to_string()))
    }

    /// The digest of the canonical bytes, signature included: what a ledger entry
    /// and the next checkpoint name.
    pub fn digest(&self) -> Result<Digest, ClaimError> {
        self.to_bytes().map(|bytes| sha256(&bytes))
    }

    /// The claim, when `public` signed it.
    pub fn verify(&self, public: &[u8; 32]) -> Result<&T, ClaimError> {
        if verify_ed25519(public, &message(&self.claim)?, &self.signature.0) {
            Ok(&self.claim)
        } else {
            Err(ClaimError::Signature)
        }
    }
}

fn message<T: Claim>(claim: &T) -> Result<Vec<u8>, ClaimError> {
    let bytes = to_canonical(claim).map_err(|e| ClaimError::Format(e.to_string()))?;
    Ok([T::DOMAIN, &bytes].concat())
}

/// Whether a recording goes on after a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// More may follow.
    Open,
    /// Nothing follows.
    Final,
}

/// What a recording held at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The recording.
    pub recording: Id,
    /// The order under which it was made.
    pub order: Digest,
    /// 0 for the first, then one more each.
    pub seq: u64,
    /// The digest of the signed checkpoint before; none for the first.
    pub previous: Option<Digest>,
    /// How many leaves are stored.
    pub leaves: u64,
    /// The root of the Merkle tree over their binary CIDs.
    pub root: Digest,
    /// How many samples were taken.
    pub samples: u64,
    /// The host's time of the last sample, or of the start.
    pub last: Millis,
    /// Whether more may follow.
    pub phase: Phase,
}

/// The checkpoints of one running recording: fed with what happens, it says when
/// one is due and makes it.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    recording: Id,
    order: Digest,
    seq: u64,
    previous: Option<Digest>,
    tree: Frontier,
    samples: u64,
    last: Millis,
    signed_at: Millis,
    unsigned_bytes: u64,
}

impl Checkpoints {
    /// A recording that starts now.
    pub fn new(recording: Id, order: Digest, now: Millis) -> Self {
        Self {
            recording,
            order,
            seq: 0,
            previous: None,
            tree: Frontier::new(),
            samples: 0,
            last: now,
            signed_at: now,
            unsigned_bytes: 0,
        }
    }

    /// A leaf of so many bytes was stored under a binary CID.
    pub fn leaf(&mut self, cid: &[u8], bytes: u64) {
        self.tree.push(leaf_hash(cid));
        self.unsigned_bytes = self.unsigned_bytes.saturating_add(bytes);
    }

    /// A sample was taken at a time of the host's clock. A clock set back does not
    /// turn the recording's time back.
    pub fn sample(&mut self, at: Millis) {
        self.samples += 1;
        self.last = self.last.max(at);
    }

    /// How many leaves were fed.
    pub fn leaves(&self) -> u64 {
        self.tree.size()
    }

    /// Whether a checkpoint is due.
    pub fn due(&self, now: Millis) -> bool {
        now.since(self.signed_at) >= CHECKPOINT_MILLIS || self.unsigned_bytes >= CHECKPOINT_BYTES
    }

    /// Signs an open checkpoint. After an error nothing has changed.
    pub fn checkpoint(
        &mut self,
        now: Millis,
        signer: &dyn Signer,
    ) -> Result<SignedCheckpoint, ClaimError> {
        let signed = self.sign(Phase::Open, signer)?;
        self.previous = Some(signed.digest()?);
        self.seq += 1;
        self.signed_at = now;
        self.unsigned_bytes = 0;
        Ok(signed)
    }

    /// Signs the final checkpoint.
    pub fn finish(&self, signer: &dyn Signer) -> Result<SignedCheckpoint, ClaimError> {
        self.sign(Phase::Final, signer)
    }

    fn sign(&self, phase: Phase, signer: &dyn Signer) -> Result<SignedCheckpoint, ClaimError> {
        let claim = Checkpoint {
            recording: self.recording.clone(),
            order: self.order,
            seq: self.seq,
            previous: self.previous,
            leaves: self.tree.size(),
            root: self.tree.root(),
            samples: self.samples,
            last: self.last,
            phase,
        };
        Signed::new(claim, signer)
    }
}

/// The first thing that is wrong with a chain of checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A checkpoint was edited, moved or made for something else.
    #[error("checkpoint {at}: {reason}")]
    Checkpoint {
        /// Its place in the chain, from 0.
        at: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The leaves are not those that were recorded.
    #[error("leaves {from}..{to}, first covered by checkpoint {at}: {reason}")]
    Leaves {
        /// The first checkpoint that they contradict.
        at: u64,
        /// The first of them.
        from: u64,
        /// The one after the last of them.
        to: u64,
        /// What is wrong with them.
        reason: String,
    },
    /// The end is missing.
    #[error("the chain ends after {0} checkpoints without a final one: its end was cut off")]
    Truncated(u64),
}

/// A whole recording's checkpoints, verified against its leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedChain {
    last: SignedCheckpoint,
    digest: Digest,
    checkpoints: u64,
}

impl VerifiedChain {
    /// The final checkpoint.
    pub fn last(&self) -> &Checkpoint {
        &self.last.claim
    }

    /// The digest of the final checkpoint.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How many checkpoints there are.
    pub fn checkpoints(&self) -> u64 {
        self.checkpoints
    }
}

/// Verifies all checkpoints of a recording, in order, against the binary CIDs of
/// its leaves, and names the first thing that is wrong.
pub fn verify_chain<L: AsRef<[u8]>>(
    chain: &[SignedCheckpoint],
    public: &[u8; 32],
    leaves: &[L],
) -> Result<VerifiedChain, ChainError> {
    let mut tree = Frontier::new();
    let mut rest = leaves.iter();
    let mut before: Option<(&Checkpoint, Digest)> = None;
    for (at, signed) in (0u64..).zip(chain) {
        let (claim, digest) = link(signed, public, at, before.as_ref())?;
        let from = tree.size();
        let wrong = |to, reason: String| ChainError::Leaves { at, from, to, reason };
        while tree.size() < claim.leaves {
            let Some(leaf) = rest.next() else {
                let reason = format!("only {} leaves are there", leaves.len());
                return Err(wrong(claim.leaves, reason));
            };
            tree.push(leaf_hash(leaf.as_ref()));
        }
        if tree.root() != claim.root {
            let reason =
                format!("their tree has the root {}, {} is signed", tree.root(), claim.root);
            return Err(wrong(claim.leaves, reason));
        }
        if claim.phase == Phase::Final && rest.len() > 0 {
            let reason = format!("the final checkpoint covers {} leaves only", claim.leaves);
            return Err(ChainError::Leaves {
                at,
                from: claim.leaves,
                to: leaves.len() as u64,
                reason,
            });
        }
        before = Some((claim, digest));
    }
    match (chain.last(), before) {
        (Some(last), Some((claim, digest))) if claim.phase == Phase::Final => {
            Ok(VerifiedChain { last: last.clone(), digest, checkpoints: chain.len() as u64 })
        }
        _ => Err(ChainError::Truncated(chain.len() as u64)),
    }
}

/// Verifies the signatures and links of all checkpoints of a recording, for who has
/// no leaves. Returns the final one with its digest: [`Manifest::matches`] then says
/// whether this is the one chain that a manifest names.
pub fn verify_links<'a>(
    chain: &'a [SignedCheckpoint],
    public: &[u8; 32],
) -> Result<(&'a Checkpoint, Digest), ChainError> {
    let mut before = None;
    for (at, signed) in (0u64..).zip(chain) {
        before = Some(link(signed, public, at, before.as_ref())?);
    }
    match before {
        Some((claim, digest)) if claim.phase == Phase::Final => Ok((claim, digest)),
        _ => Err(ChainError::Truncated(chain.len() as u64)),
    }
}

/// A checkpoint that is signed and may stand at place `at`, with its digest.
fn link<'a>(
    signed: &'a SignedCheckpoint,
    public: &[u8; 32],
    at: u64,
    before: Option<&(&Checkpoint, Digest)>,
) -> Result<(&'a Checkpoint, Digest), ChainError> {
    let broken = |reason: String| ChainError::Checkpoint { at, reason };
    let claim = signed.verify(public).map_err(|e| broken(e.to_string()))?;
    follows(claim, at, before).map_err(broken)?;
    let digest = signed.digest().map_err(|e| broken(e.to_string()))?;
    Ok((claim, digest))
}

/// Whether a checkpoint may stand at place `at`, after `before`.
fn follows(
    claim: &Checkpoint,
    at: u64,
    before: Option<&(&Checkpoint, Digest)>,
) -> Result<(), String> {
    if claim.seq != at {
        return Err(format!("it is number {}: one was dropped or moved", claim.seq));
    }
    let Some((earlier, digest)) = before else {
        return match claim.previous {
            None => Ok(()),
            Some(found) => Err(format!("it follows {found}, and the first follows none")),
        };
    };
    if claim.previous != Some(*digest) {
        return Err(format!("it does not follow {digest}: another was edited or dropped"));
    }
    if claim.recording != earlier.recording || claim.order != earlier.order {
        return Err(format!("it is of recording {} under order {}", claim.recording, claim.order));
    }
    if earlier.phase == Phase::Final {
        return Err("it follows a final one".to_owned());
    }
    let back = claim.leaves < earlier.leaves
        || claim.samples < earlier.samples
        || claim.last < earlier.last;
    if back { Err("leaves, samples or time run backwards".to_owned()) } else { Ok(()) }
}

/// How the stream was encrypted: enough, with the key, to decrypt it by any
/// implementation of Tink's streaming AEAD. Salt and nonce prefix stand in the
/// stream's own header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealing {
    /// Tink's name of the key template, as `AES256_GCM_HKDF_1MB`.
    pub template: String,
    /// Bytes of ciphertext in a segment.
    pub segment_bytes: u32,
    /// The associated data, as UTF-8: the recording's identifier.
    pub associated_data: String,
    /// The commitment to the data key.
    pub key_commitment: Digest,
}

/// What a finished recording is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The recording.
    pub recording: Id,
    /// The run it was made in.
    pub run: Id,
    /// The order that the run carried out.
    pub order: Digest,
    /// The stream: `state` or `camera`.
    pub stream: Id,
    /// The media type of the plaintext: `application/mcap`.
    pub media_type: String,
    /// The cell that recorded and signs.
    pub cell: Id,
    /// The robot.
    pub robot: Id,
    /// The cameras, when it is a stream of images.
    pub cameras: Vec<Id>,
    /// The root CID of the ciphertext.
    pub root_cid: String,
    /// How many leaves the ciphertext has.
    pub leaves: u64,
    /// The root of the Merkle tree over their binary CIDs.
    pub leaves_root: Digest,
    /// Bytes of plaintext.
    pub plaintext_bytes: u64,
    /// Bytes of ciphertext.
    pub ciphertext_bytes: u64,
    /// How it was encrypted.
    pub sealing: Sealing,
    /// When recording started, by the host's clock.
    pub started: Millis,
    /// When it ended.
    pub ended: Millis,
    /// How many samples or images it holds.
    pub samples: u64,
    /// How many samples the source announced and did not deliver.
    pub gaps: u64,
    /// The digest of the final checkpoint.
    pub last_checkpoint: Digest,
}

/// A manifest that does not describe the recording whose checkpoint is at hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the manifest of `{recording}` and its final checkpoint differ in {what}")]
pub struct Mismatch {
    /// The manifest's recording.
    pub recording: Id,
    /// What differs.
    pub what: &'static str,
}

impl Manifest {
    /// Whether a final checkpoint, verified already, is of this recording.
    pub fn matches(&self, last: &Checkpoint, digest: &Digest) -> Result<(), Mismatch> {
        let checks = [
            (self.recording == last.recording, "the recording"),
            (self.order == last.order, "the order"),
            (self.leaves == last.leaves, "the number of leaves"),
            (self.leaves_root == last.root, "the root of the leaves"),
            (self.samples == last.samples, "the number of samples"),
            (last.phase == Phase::Final, "the end: the checkpoint is not final"),
            (self.ended >= last.last, "the time of the end"),
            (self.last_checkpoint == *digest, "the checkpoint's digest"),
        ];
        match checks.into_iter().find(|(agrees, _)| !agrees) {
            Some((_, what)) => Err(Mismatch { recording: self.recording.clone(), what }),
            None => Ok(()),
        }
    }
}
