//! The writing side: plaintext in, ciphertext segments out.
//!
//! Plaintext lives in one segment-sized buffer and is encrypted in place before it
//! leaves, so nothing downstream can see it. A writer that is dropped before
//! [`SealingWriter::finish`] leaves a stream without a last segment, which no
//! reader accepts. After an error the writer accepts nothing more: a segment
//! number must never be used for two plaintexts.

use super::{HEADER, SEGMENT, StreamHeader, StreamKey, TAG, capacity};
use aws_lc_rs::aead::{Aad, LessSafeKey};
use std::io::{self, Write};
use zeroize::Zeroizing;

/// Takes ciphertext segments in order.
pub trait SegmentSink {
    /// Takes segment `index`. It has exactly [`SEGMENT`] bytes unless it is the
    /// last. An error ends the stream.
    fn segment(&mut self, index: u32, last: bool, ciphertext: &[u8]) -> io::Result<()>;
}

impl SegmentSink for Vec<u8> {
    fn segment(&mut self, _: u32, _: bool, ciphertext: &[u8]) -> io::Result<()> {
        self.extend_from_slice(ciphertext);
        Ok(())
    }
}

/// Encrypts a stream, segment by segment, into a [`SegmentSink`].
pub struct SealingWriter<K: SegmentSink> {
    sink: K,
    cipher: LessSafeKey,
    header: StreamHeader,
    buffer: Zeroizing<Vec<u8>>,
    index: u32,
    total: u64,
    broken: bool,
}

impl<K: SegmentSink> SealingWriter<K> {
    /// A writer for one new stream. `associated` is bound to every segment (the
    /// recording's identifier); `header` must be fresh for this key.
    pub fn new(
        key: &StreamKey,
        header: StreamHeader,
        associated: &[u8],
        sink: K,
    ) -> io::Result<Self> {
        let cipher = key.derive(&header, associated).map_err(|_| lost("key derivation failed"))?;
        let mut buffer = Zeroizing::new(Vec::with_capacity(SEGMENT));
        buffer.extend_from_slice(&header.to_bytes());
        Ok(Self { sink, cipher, header, buffer, index: 0, total: 0, broken: false })
    }

    /// Plaintext bytes taken so far.
    pub fn written(&self) -> u64 {
        self.total
    }

    /// The sink, to ask it what it has seen.
    pub fn sink(&self) -> &K {
        &self.sink
    }

    /// Emits the last segment and hands the sink back.
    pub fn finish(mut self) -> io::Result<K> {
        self.emit(true)?;
        Ok(self.sink)
    }

    fn start(&self) -> usize {
        if self.index == 0 { HEADER } else { 0 }
    }

    fn emit(&mut self, last: bool) -> io::Result<()> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(lost("the sealed stream has failed before and takes no more"));
        }
        let next = if last { Some(self.index) } else { self.index.checked_add(1) };
        let next = next.ok_or_else(|| lost("a sealed stream has at most 2^32 segments"))?;
        let (start, nonce) = (self.start(), self.header.nonce(self.index, last));
        let plaintext = self.buffer.get_mut(start..).unwrap_or_default();
        let tag = self
            .cipher
            .seal_in_place_separate_tag(nonce, Aad::empty(), plaintext)
            .map_err(|_| lost("encryption failed"))?;
        self.buffer.extend_from_slice(tag.as_ref());
        self.sink.segment(self.index, last, &self.buffer)?;
        self.buffer.clear();
        self.index = next;
        self.broken = false;
        Ok(())
    }
}

impl<K: SegmentSink> Write for SealingWriter<K> {
    fn write(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        if plaintext.is_empty() {
            return Ok(0);
        }
        let full = self.start() + capacity(self.index);
        if self.buffer.len() == full {
            // Only now is it known that this segment is not the last one.
            self.emit(false)?;
        }
        if self.broken {
            return Err(lost("the sealed stream has failed before and takes no more"));
        }
        let room = SEGMENT - TAG - self.buffer.len();
        let (taken, _) = plaintext.split_at(room.min(plaintext.len()));
        self.buffer.extend_from_slice(taken);
        self.total += taken.len() as u64;
        Ok(taken.len())
    }

    /// Does nothing: a part-filled segment cannot leave without ending the stream.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lost(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}
