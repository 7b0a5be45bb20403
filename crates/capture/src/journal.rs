//! The checkpoints of a running recording, signed and kept.
//!
//! A [`Journal`] is fed with each sample and each stored leaf, and writes a signed
//! checkpoint to its log when one is due: a line of canonical JSON each, outside
//! the recording, so that a lost or altered recording is still accounted for. The
//! log is flushed after each line; giving a sink whose `flush` syncs to disk makes
//! it durable.

use base::{MAX_CANONICAL_BYTES, Millis};
use proof::{
    keys::Signer,
    recording::{Checkpoints, ClaimError, Signed, SignedCheckpoint},
};
use std::{
    io::{self, BufRead, Read, Write},
    sync::Arc,
};

/// The most checkpoints read from a log: a day and a half at two a second.
pub const MAX_CHECKPOINTS: usize = 1 << 18;

/// Why a checkpoint was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It could not be signed or is not one.
    #[error("checkpoint line {line}: {reason}")]
    Claim {
        /// The line in the log, from 1.
        line: usize,
        /// What is wrong.
        reason: ClaimError,
    },
    /// The log has more lines or longer ones than allowed.
    #[error("the log of checkpoints has {0}")]
    Limit(String),
    /// The log could not be written or read.
    #[error("the log of checkpoints: {0}")]
    Io(#[from] io::Error),
}

/// Signs the checkpoints of one recording and logs them.
pub struct Journal<W: Write> {
    state: Checkpoints,
    signer: Arc<dyn Signer>,
    log: W,
    lines: usize,
}

impl<W: Write> Journal<W> {
    /// A journal of a recording that starts now.
    pub fn new(state: Checkpoints, signer: Arc<dyn Signer>, log: W) -> Self {
        Self { state, signer, log, lines: 0 }
    }

    /// A leaf of so many bytes was stored under a binary CID.
    pub fn leaf(&mut self, cid: &[u8], bytes: u64) {
        self.state.leaf(cid, bytes);
    }

    /// A sample was taken at a time of the host's clock.
    pub fn sample(&mut self, at: Millis) {
        self.state.sample(at);
    }

    /// How many leaves were fed.
    pub fn leaves(&self) -> u64 {
        self.state.leaves()
    }

    /// Signs and logs a checkpoint when one is due.
    pub fn tick(&mut self, now: Millis) -> Result<Option<SignedCheckpoint>, JournalError> {
        if !self.state.due(now) {
            return Ok(None);
        }
        let line = self.lines + 1;
        let signed = self
            .state
            .checkpoint(now, &*self.signer)
            .map_err(|reason| JournalError::Claim { line, reason })?;
        self.append(&signed)?;
        Ok(Some(signed))
    }

    /// Signs and logs the final checkpoint.
    pub fn finish(mut self) -> Result<SignedCheckpoint, JournalError> {
        let line = self.lines + 1;
        let signed = self
            .state
            .finish(&*self.signer)
            .map_err(|reason| JournalError::Claim { line, reason })?;
        self.append(&signed)?;
        Ok(signed)
    }

    fn append(&mut self, signed: &SignedCheckpoint) -> Result<(), JournalError> {
        self.lines += 1;
        let line = self.lines;
        let mut bytes = signed.to_bytes().map_err(|reason| JournalError::Claim { line, reason })?;
        bytes.push(b'\n');
        self.log.write_all(&bytes)?;
        Ok(self.log.flush()?)
    }
}

/// Reads a log of checkpoints. Verify them with
/// [`verify_chain`](proof::recording::verify_chain) before use.
pub fn read_checkpoints(mut log: impl BufRead) -> Result<Vec<SignedCheckpoint>, JournalError> {
    let mut chain = Vec::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let limit = MAX_CANONICAL_BYTES as u64 + 1;
        if log.by_ref().take(limit).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        if line > MAX_CHECKPOINTS {
            return Err(JournalError::Limit(format!("more than {MAX_CHECKPOINTS} lines")));
        }
        let Some(json) = bytes.strip_suffix(b"\n") else {
            return Err(JournalError::Limit(format!("a line {line} that is cut or too long")));
        };
        let signed =
            Signed::from_bytes(json).map_err(|reason| JournalError::Claim { line, reason })?;
        chain.push(signed);
    }
    Ok(chain)
}
