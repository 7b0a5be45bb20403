//! What a witness decides (C2SP tlog-witness), without its disk and its clock.
//!
//! A witness remembers one size and root per log. [`WitnessCore::decide`] takes a
//! request and that memory, and returns what to remember next with the
//! cosignature. The shell must store the new state durably before it lets the
//! cosignature out, and must not run two decisions for one log at once: else a
//! crash or a race would let the witness vouch for two histories.

use base::Digest;
use base64::{Engine, engine::general_purpose::STANDARD as B64};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::checkpoint::{BadCheckpoint, MAX_NOTE_BYTES, SignedCheckpoint, cosign, open_note};
use super::merkle::{empty_root, verify_consistency};
use super::note::{BadVKey, KeyKind, VKey};
use super::tlog_proof::{parse_decimal, parse_hash};
use crate::keys::Signer;

/// The most consistency hashes in a request (tlog-witness).
const MAX_HASHES: usize = 63;

/// What a witness remembers of one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessState {
    /// The size that it cosigned last.
    pub size: u64,
    /// The root that it cosigned last.
    pub root: Digest,
    /// The newest of the log's keys that has signed, when it has had several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<VKey>,
}

impl Default for WitnessState {
    /// Nothing was cosigned yet.
    fn default() -> Self {
        Self { size: 0, root: empty_root(), log: None }
    }
}

/// The body of an `add-checkpoint` request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the sender believes the witness has.
    pub old: u64,
    /// The consistency proof from that size.
    pub proof: Vec<Digest>,
    /// The signed checkpoint, verbatim.
    pub note: Vec<u8>,
}

/// Why a witness does not cosign. [`WitnessRefusal::status`] is the HTTP status.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WitnessRefusal {
    /// The request is malformed, or its old size is above the checkpoint's (400).
    #[error("bad request: {0}")]
    BadRequest(String),
    /// No trusted key of the log has signed the checkpoint (403).
    #[error("{0}")]
    Forbidden(BadCheckpoint),
    /// This witness does not know the log (404).
    #[error("the log `{0}` is not known here")]
    UnknownLog(String),
    /// The key that signed the log last is not among those which this witness knows, so
    /// it cannot tell which of them were replaced (403).
    #[error(
        "the log `{origin}` last signed with `{key}`, which is not among its keys here: name it"
    )]
    UnknownKey {
        /// The log.
        origin: String,
        /// The key that signed it last.
        key: VKey,
    },
    /// The witness has cosigned another size, or another root at this size (409).
    #[error("the size cosigned last is {0}")]
    Conflict(u64),
    /// The consistency proof does not verify (422).
    #[error("no proof that size {size} extends size {old}")]
    Inconsistent {
        /// The size cosigned last.
        old: u64,
        /// The size in the request.
        size: u64,
    },
}

impl WitnessRefusal {
    /// The HTTP status of tlog-witness.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Forbidden(_) | Self::UnknownKey { .. } => 403,
            Self::UnknownLog(_) => 404,
            Self::Conflict(_) => 409,
            Self::Inconsistent { .. } => 422,
        }
    }
}

impl AddCheckpoint {
    /// The most bytes of a body that is worth reading.
    pub const MAX_BYTES: usize = MAX_NOTE_BYTES + 4096;

    /// Reads a request body.
    pub fn parse(body: &[u8]) -> Result<Self, WitnessRefusal> {
        let bad = |expected: &str| WitnessRefusal::BadRequest(format!("{expected} is expected"));
        if body.len() > Self::MAX_BYTES {
            return Err(bad("a body of at most 36 KiB"));
        }
        let body = std::str::from_utf8(body).map_err(|_| bad("UTF-8 text"))?;
        let (head, note) =
            body.split_once("\n\n").ok_or_else(|| bad("an empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines
            .next()
            .and_then(|line| parse_decimal(line.strip_prefix("old ")?))
            .ok_or_else(|| bad("`old` and a decimal size in the first line"))?;
        let proof: Vec<Digest> = lines
            .take(MAX_HASHES + 1)
            .map(|line| parse_hash(line).ok_or_else(|| bad("a hash in base64")))
            .collect::<Result<_, _>>()?;
        if proof.len() > MAX_HASHES {
            return Err(bad("a proof of at most 63 hashes"));
        }
        Ok(Self { old, proof, note: note.as_bytes().to_vec() })
    }

    /// The request body.
    pub fn to_body(&self) -> Vec<u8> {
        let mut body = format!("old {}\n", self.old);
        for hash in &self.proof {
            body.push_str(&B64.encode(hash.0));
            body.push('\n');
        }
        body.push('\n');
        [body.as_bytes(), &self.note].concat()
    }

    /// The origin in the checkpoint, by which the witness finds its memory of the
    /// log. Nothing is verified yet.
    pub fn origin(&self) -> Result<String, WitnessRefusal> {
        match open_note(&self.note) {
            Ok((_, checkpoint)) => Ok(checkpoint.origin),
            Err(error) => Err(WitnessRefusal::BadRequest(error.to_string())),
        }
    }
}

/// A decision to cosign: first store the state, then send the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// What to remember of the log from now on.
    pub state: WitnessState,
    /// The signature lines to answer with, one for each key of the witness.
    pub line: String,
}

/// A witness's key and the logs that it knows.
pub struct WitnessCore {
    vkey: VKey,
    signers: Vec<Arc<dyn Signer>>,
    logs: Vec<(String, VKey)>,
}

impl WitnessCore {
    /// A witness that signs as `name` for `logs`: origins and the keys they sign
    /// with. A later key of an origin is the earlier one's successor: once it has
    /// signed, the earlier one counts no longer.
    pub fn new(
        name: &str,
        signer: Arc<dyn Signer>,
        logs: Vec<(String, VKey)>,
    ) -> Result<Self, BadVKey> {
        let vkey = VKey::new(name, KeyKind::Witness, signer.public())?;
        Ok(Self { vkey, signers: vec![signer], logs })
    }

    /// Cosigns with a further key too, under the same name: the one that is to take the
    /// first one's place.
    pub fn also(mut self, next: Arc<dyn Signer>) -> Self {
        self.signers.push(next);
        self
    }

    /// The key that verifies this witness's cosignatures.
    pub fn vkey(&self) -> &VKey {
        &self.vkey
    }

    /// Whether this witness knows a log.
    pub fn knows(&self, origin: &str) -> bool {
        self.logs.iter().any(|(known, _)| known == origin)
    }

    /// Decides on a request, given what is remembered of its log and the time in
    /// seconds since the Unix epoch.
    pub fn decide(
        &self,
        request: &AddCheckpoint,
        state: &WitnessState,
        time: u64,
    ) -> Result<Cosigned, WitnessRefusal> {
        let (signed, log) = self.authenticate(request, state)?;
        let next = signed.checkpoint();
        if request.old > next.size {
            let sizes = format!("an old size of at most {}", next.size);
            return Err(WitnessRefusal::BadRequest(format!("{sizes} is expected")));
        }
        if request.old != state.size {
            return Err(WitnessRefusal::Conflict(state.size));
        }
        if next.size == state.size && next.root != state.root {
            return Err(WitnessRefusal::Conflict(state.size));
        }
        if !verify_consistency(state.size, &state.root, next.size, &next.root, &request.proof) {
            return Err(WitnessRefusal::Inconsistent { old: state.size, size: next.size });
        }
        let lines = self.signers.iter().map(|signer| {
            cosign(self.vkey.name(), signer.as_ref(), next, time)
                .map_err(|error| WitnessRefusal::BadRequest(error.to_string()))
        });
        let line = lines.collect::<Result<String, _>>()?;
        let state = WitnessState { size: next.size, root: next.root, log };
        Ok(Cosigned { state, line })
    }

    /// The checkpoint, once a key of its log has been found to sign it that no later one
    /// has replaced; and the newest key to remember, when the log has had several.
    fn authenticate(
        &self,
        request: &AddCheckpoint,
        state: &WitnessState,
    ) -> Result<(SignedCheckpoint, Option<VKey>), WitnessRefusal> {
        let origin = request.origin()?;
        let known = self.logs.iter().filter(|(known, _)| *known == origin);
        let keys: Vec<&VKey> = known.map(|(_, key)| key).collect();
        let newest = match &state.log {
            None => 0,
            // Without its place, a replaced key could not be told from its successor.
            Some(last) => keys.iter().position(|key| *key == last).ok_or_else(|| {
                WitnessRefusal::UnknownKey { origin: origin.clone(), key: last.clone() }
            })?,
        };
        let mut refusal = WitnessRefusal::UnknownLog(origin.clone());
        for key in keys.iter().skip(newest) {
            match SignedCheckpoint::verify(&origin, key, &request.note) {
                Ok(signed) => {
                    let log = (keys.len() > 1).then(|| (*key).clone());
                    return Ok((signed, log));
                }
                Err(error) => refusal = WitnessRefusal::Forbidden(error),
            }
        }
        Err(refusal)
    }
}
