//! Offline proofs of inclusion (C2SP tlog-proof): one text file with the index,
//! the path and the witnessed checkpoint.
//!
//! Reading is strict: one spelling only, so that a file that was touched does not
//! pass as the same file.

use base::Digest;
use base64::{Engine, engine::general_purpose::STANDARD as B64};
use std::fmt;

use super::checkpoint::{MAX_LOG_SIZE, MAX_NOTE_BYTES};
use super::included::{Included, NotIncluded};
use super::merkle::MAX_PATH;
use super::policy::{CheckpointError, LogPolicy};

const HEADER: &str = "c2sp.org/tlog-proof@v1\n";

/// The most bytes of opaque extra data.
const MAX_EXTRA_BYTES: usize = 64 * 1024;

/// The most bytes a proof may have: extra data in base64, a path, a note.
const MAX_PROOF_BYTES: usize = 2 * MAX_EXTRA_BYTES + 4096 + MAX_NOTE_BYTES;

/// The parts of a proof; nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Opaque data that the proof does not authenticate.
    pub extra: Option<Vec<u8>>,
    /// The leaf's index.
    pub index: u64,
    /// The inclusion path, from the leaf's sibling up.
    pub path: Vec<Digest>,
    /// The checkpoint note, verbatim.
    pub checkpoint: Vec<u8>,
}

/// Bytes that are not a proof.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("malformed tlog-proof at line {line}: {expected} is expected")]
pub struct BadProof {
    /// The line, from 1.
    pub line: usize,
    /// What should stand there.
    pub expected: &'static str,
}

/// Why a proof does not prove.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProofError {
    /// The text is not a proof.
    #[error(transparent)]
    Malformed(#[from] BadProof),
    /// The checkpoint is not accepted.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The path does not lead from the leaf to the checkpoint.
    #[error(transparent)]
    NotIncluded(#[from] NotIncluded),
}

impl TlogProof {
    /// Reads a proof; the checkpoint in it is taken verbatim.
    pub fn parse(text: &[u8]) -> Result<Self, BadProof> {
        let at = |line, expected| BadProof { line, expected };
        if text.len() > MAX_PROOF_BYTES {
            return Err(at(1, "a shorter file"));
        }
        let text = std::str::from_utf8(text).map_err(|_| at(1, "UTF-8 text"))?;
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or_else(|| at(1, "an empty line before the checkpoint"))?;
        let mut lines = head.split('\n').enumerate().map(|(n, text)| (n + 1, text)).peekable();
        if lines.next().map(|(_, text)| text) != Some(HEADER.trim_end()) {
            return Err(at(1, "`c2sp.org/tlog-proof@v1`"));
        }
        let extra =
            match lines.peek().and_then(|(n, text)| Some((*n, text.strip_prefix("extra ")?))) {
                None => None,
                Some((n, text)) => {
                    lines.next();
                    let data = B64.decode(text).map_err(|_| at(n, "base64"))?;
                    if data.len() > MAX_EXTRA_BYTES {
                        return Err(at(n, "at most 64 KiB of extra data"));
                    }
                    Some(data)
                }
            };
        let (n, index) = lines.next().unwrap_or((2, ""));
        let index = index
            .strip_prefix("index ")
            .and_then(parse_decimal)
            .ok_or_else(|| at(n, "`index` and a decimal number"))?;
        let path = lines
            .map(|(n, text)| match n {
                _ if n > MAX_PATH + 3 => Err(at(n, "a shorter path")),
                _ => parse_hash(text).ok_or_else(|| at(n, "a hash in base64")),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { extra, index, path, checkpoint: checkpoint.as_bytes().to_vec() })
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", B64.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", B64.encode(hash.0))?;
        }
        write!(f, "\n{}", String::from_utf8_lossy(&self.checkpoint))
    }
}

impl LogPolicy {
    /// Verifies a proof file for a leaf: the checkpoint, then the path.
    pub fn verify_proof(&self, proof: &[u8], leaf: &[u8]) -> Result<Included, ProofError> {
        let proof = TlogProof::parse(proof)?;
        let checkpoint = self.verify_checkpoint(&proof.checkpoint)?;
        Ok(checkpoint.include(proof.index, leaf, &proof.path)?)
    }
}

/// A decimal number in its only spelling, at most [`MAX_LOG_SIZE`].
pub(super) fn parse_decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number <= MAX_LOG_SIZE && number.to_string() == text).then_some(number)
}

/// A hash in base64 with padding.
pub(super) fn parse_hash(text: &str) -> Option<Digest> {
    let bytes = (text.len() == 44).then(|| B64.decode(text).ok())??;
    bytes.try_into().ok().map(Digest)
}
