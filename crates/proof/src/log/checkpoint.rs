//! Checkpoints (C2SP tlog-checkpoint), signed by a log and cosigned by witnesses.
//!
//! [`Checkpoint`] is what the text says and proves nothing. [`SignedCheckpoint`]
//! carries the log's verified signature, and no witness's: enough for a witness
//! to judge, not for a gate to open. See [`super::WitnessedCheckpoint`] for that.

use base::Digest;
use signed_note::{Note, NoteError, Signature, VerifierList};
use std::sync::Arc;

use super::note::{KeyKind, VKey, cosigned_message};
use crate::keys::Signer;

/// The most bytes a checkpoint note may have: room for more than 100 signatures.
pub const MAX_NOTE_BYTES: usize = 32 * 1024;

/// The largest log: 2^53 - 1 entries, so that every index is exact in JSON.
pub const MAX_LOG_SIZE: u64 = (1 << 53) - 1;

/// Origin, size and root of a log, as a checkpoint's text states them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many entries the log has.
    pub size: u64,
    /// The Merkle root over those entries.
    pub root: Digest,
}

/// Why bytes are not a checkpoint signed by the expected log.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadCheckpoint {
    /// The bytes are not a signed note with a checkpoint's text.
    #[error("malformed checkpoint: {0}")]
    Malformed(&'static str),
    /// The checkpoint is another log's.
    #[error("a checkpoint of `{got}`, one of `{expected}` is expected")]
    Origin {
        /// The origin in the checkpoint.
        got: String,
        /// The origin that is trusted.
        expected: String,
    },
    /// No signature of an expected key, or one that does not verify.
    #[error("the signature of `{0}` is absent or does not verify")]
    Signature(String),
}

impl Checkpoint {
    /// Reads a checkpoint's text: three lines. Extension lines are refused, since
    /// nothing audits them.
    pub fn from_text(text: &[u8]) -> Result<Self, BadCheckpoint> {
        let parsed = tlog_tiles::Checkpoint::from_bytes(text)
            .map_err(|_| BadCheckpoint::Malformed("origin, size and root lines are expected"))?;
        if parsed.to_bytes() != text || !parsed.extension().is_empty() {
            return Err(BadCheckpoint::Malformed("exactly three lines are expected"));
        }
        if parsed.size() > MAX_LOG_SIZE {
            return Err(BadCheckpoint::Malformed("a size below 2^53 is expected"));
        }
        Ok(Self {
            origin: parsed.origin().to_owned(),
            size: parsed.size(),
            root: Digest(parsed.hash().0),
        })
    }

    /// What a note says, signed or not: it proves nothing, and tells whose signatures
    /// to look for.
    pub fn claimed(note: &[u8]) -> Result<Self, BadCheckpoint> {
        open_note(note).map(|(_, checkpoint)| checkpoint)
    }

    /// The checkpoint's text.
    pub fn to_text(&self) -> Vec<u8> {
        let root = tlog_tiles::Hash(self.root.0);
        format!("{}\n{}\n{root}\n", self.origin, self.size).into_bytes()
    }
}

/// Splits bounded bytes into a note and the checkpoint that it carries.
pub(super) fn open_note(note: &[u8]) -> Result<(Note, Checkpoint), BadCheckpoint> {
    if note.len() > MAX_NOTE_BYTES {
        return Err(BadCheckpoint::Malformed("at most 32 KiB are expected"));
    }
    let note = Note::from_bytes(note)
        .map_err(|_| BadCheckpoint::Malformed("text and signature lines are expected"))?;
    let checkpoint = Checkpoint::from_text(note.text())?;
    Ok((note, checkpoint))
}

/// The signatures of `keys` on a note, each key at most once. A signature of a
/// known key that does not verify fails the whole note.
pub(super) fn signatures(note: &Note, keys: &[&VKey]) -> Result<Vec<Signature>, BadCheckpoint> {
    let known = keys.iter().map(|key| Box::new((*key).clone()) as Box<dyn signed_note::Verifier>);
    match note.verify(&VerifierList::new(known.collect())) {
        Ok((verified, _)) => Ok(verified),
        Err(NoteError::InvalidSignature { name, .. }) => Err(BadCheckpoint::Signature(name)),
        Err(_) => {
            let names: Vec<_> = keys.iter().map(|key| key.name()).collect();
            Err(BadCheckpoint::Signature(names.join("`, `")))
        }
    }
}

/// Whether one of `found` is by `key`.
pub(super) fn signed_by(found: &[Signature], key: &VKey) -> bool {
    found.iter().any(|s| s.name() == key.name() && s.id() == key.id())
}

/// A checkpoint with the log's verified signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Arc<[u8]>,
}

impl SignedCheckpoint {
    /// Verifies the log's signature on a checkpoint of `origin`.
    pub fn verify(origin: &str, log: &VKey, note: &[u8]) -> Result<Self, BadCheckpoint> {
        let (parsed, checkpoint) = open_note(note)?;
        if checkpoint.origin != origin {
            let (got, expected) = (checkpoint.origin, origin.to_owned());
            return Err(BadCheckpoint::Origin { got, expected });
        }
        if log.kind() != KeyKind::Log || !signed_by(&signatures(&parsed, &[log])?, log) {
            return Err(BadCheckpoint::Signature(log.name().to_owned()));
        }
        Ok(Self { checkpoint, note: note.into() })
    }

    /// Origin, size and root.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The signed note.
    pub fn note(&self) -> &[u8] {
        &self.note
    }
}

/// A log's key with the name that it signs under.
pub struct LogSigner {
    signer: Arc<dyn Signer>,
    vkey: VKey,
}

impl LogSigner {
    /// Signs as the log `origin`; the key's name is the origin, as
    /// tlog-checkpoint recommends.
    pub fn new(origin: &str, signer: Arc<dyn Signer>) -> Result<Self, super::BadVKey> {
        let vkey = VKey::new(origin, KeyKind::Log, signer.public())?;
        Ok(Self { signer, vkey })
    }

    /// The key that verifies what this signs.
    pub fn vkey(&self) -> &VKey {
        &self.vkey
    }

    /// A signed checkpoint of the log with `size` entries and root `root`.
    pub fn sign(&self, size: u64, root: Digest) -> SignedCheckpoint {
        let checkpoint = Checkpoint { origin: self.vkey.name().to_owned(), size, root };
        let text = checkpoint.to_text();
        let line = signature_line(&self.vkey, &self.signer.sign(&text));
        let note = [text.as_slice(), b"\n", line.as_bytes()].concat().into();
        SignedCheckpoint { checkpoint, note }
    }
}

/// A witness's signature line on a checkpoint at a time in seconds since the Unix
/// epoch. Whoever calls it states that the checkpoint extends all that this
/// witness has cosigned; [`super::WitnessCore`] is what checks that.
pub fn cosign(
    name: &str,
    signer: &dyn Signer,
    checkpoint: &Checkpoint,
    time: u64,
) -> Result<String, super::BadVKey> {
    let vkey = VKey::new(name, KeyKind::Witness, signer.public())?;
    let ed25519 = signer.sign(&cosigned_message(time, &checkpoint.to_text()));
    Ok(signature_line(&vkey, &[time.to_be_bytes().as_slice(), &ed25519].concat()))
}

fn signature_line(key: &VKey, signature: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD as B64};
    let bytes = [key.id().to_be_bytes().as_slice(), signature].concat();
    format!("\u{2014} {} {}\n", key.name(), B64.encode(bytes))
}

/// A note with the signature lines that a witness answered appended to it. Nothing
/// is verified: the reader's policy does that.
pub fn append_signature_lines(note: &[u8], lines: &[u8]) -> Vec<u8> {
    [note, lines].concat()
}
