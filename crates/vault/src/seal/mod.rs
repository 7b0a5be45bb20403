//! Sealing a recording: Google Tink's streaming AEAD, `AES256_GCM_HKDF_1MB`.
//!
//! The ciphertext is a header and a row of segments, each of 1 MiB but the last:
//!
//! ```text
//! header   = 40 ‖ salt (32 bytes) ‖ nonce prefix (7 bytes)
//! key      = HKDF-SHA-256(data key, salt, info = associated data), 32 bytes
//! nonce i  = nonce prefix ‖ i as u32 big endian ‖ (1 when last, else 0)
//! segment  = AES-256-GCM(key, nonce i, plaintext i), with a 16-byte tag
//! ```
//!
//! The header counts as part of the first segment, so every segment but the last
//! is exactly [`SEGMENT`] bytes and becomes exactly one IPFS leaf. The position
//! and the end are in the nonce: a cut, swapped, repeated or reordered stream does
//! not open. Tink's Java, C++, Go and Python libraries read the same bytes.
//!
//! GCM does not commit to its key, so the signed manifest of a recording carries
//! [`StreamKey::commitment`], and a key is checked against it before use.

mod key;
mod open;
mod writer;

pub use key::{KeyCommitment, StreamHeader, StreamKey};
pub use open::{OpenError, OpeningReader, SegmentOpener, SegmentSource, SliceSource};
pub use writer::{SealingWriter, SegmentSink};

/// Bytes of ciphertext in every segment but the last: 1 MiB.
pub const SEGMENT: usize = 1 << 20;
/// Bytes of the header at the start of the first segment.
pub const HEADER: usize = 40;
/// Bytes of the authentication tag that ends each segment.
pub const TAG: usize = 16;

/// Plaintext bytes in segment `index` when it is full.
pub(crate) const fn capacity(index: u32) -> usize {
    if index == 0 { SEGMENT - HEADER - TAG } else { SEGMENT - TAG }
}

/// How a ciphertext of a known length divides into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    ciphertext: u64,
    segments: u32,
}

impl Layout {
    /// The layout of `ciphertext` bytes; `None` for a length that no sealed stream
    /// has: too short, a last segment without a full tag, or over 2^32 segments.
    pub fn of_ciphertext(ciphertext: u64) -> Option<Self> {
        let segments = u32::try_from(ciphertext.div_ceil(SEGMENT as u64)).ok()?;
        let layout = Self { ciphertext, segments };
        let last = segments.checked_sub(1)?;
        let least = if last == 0 { HEADER + TAG } else { TAG + 1 };
        (layout.segment_len(last) >= least).then_some(layout)
    }

    /// Number of segments, at least 1.
    pub fn segments(&self) -> u32 {
        self.segments
    }

    /// Index of the last segment.
    pub fn last(&self) -> u32 {
        self.segments.saturating_sub(1)
    }

    /// Ciphertext bytes of the whole stream, header included.
    pub fn ciphertext(&self) -> u64 {
        self.ciphertext
    }

    /// Plaintext bytes of the whole stream.
    pub fn plaintext(&self) -> u64 {
        let overhead = HEADER as u64 + u64::from(self.segments) * TAG as u64;
        self.ciphertext.saturating_sub(overhead)
    }

    /// Ciphertext bytes of one segment; 0 beyond the end.
    pub fn segment_len(&self, index: u32) -> usize {
        let rest = self.ciphertext.saturating_sub(u64::from(index) * SEGMENT as u64);
        usize::try_from(rest).unwrap_or(SEGMENT).min(SEGMENT)
    }

    /// The segment that holds a plaintext offset, and the offset inside its
    /// plaintext. Meaningful below [`Layout::plaintext`].
    pub fn locate(&self, offset: u64) -> (u32, usize) {
        let first = capacity(0) as u64;
        if offset < first {
            return (0, offset as usize);
        }
        let (rest, full) = (offset - first, capacity(1) as u64);
        (u32::try_from(rest / full + 1).unwrap_or(u32::MAX), (rest % full) as usize)
    }
}
