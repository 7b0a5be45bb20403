//! The reading side: ciphertext segments in, plaintext out, in order or by range.
//!
//! The last segment is opened first. Its nonce carries the end mark, so a stream
//! that was cut, or whose length was misstated, fails before a byte is used.

use super::{HEADER, Layout, SEGMENT, StreamHeader, StreamKey};
use aws_lc_rs::aead::{Aad, LessSafeKey};
use std::{
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
};
use zeroize::Zeroizing;

/// Why a sealed stream does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bytes cannot be a sealed stream of this length.
    #[error("not a sealed stream: {0}")]
    Form(&'static str),
    /// A segment is not what was sealed at this place under this key.
    #[error(
        "segment {index} does not open: it was changed, cut, moved, or sealed under another key or recording"
    )]
    Forged {
        /// The segment's number, from 0.
        index: u32,
    },
    /// The ciphertext could not be had.
    #[error("segment {index} could not be read: {source}")]
    Source {
        /// The segment's number, from 0.
        index: u32,
        /// What the source said.
        source: io::Error,
    },
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Opens single segments of one stream; holds no data.
pub struct SegmentOpener {
    cipher: LessSafeKey,
    header: StreamHeader,
}

impl SegmentOpener {
    /// An opener for the stream that starts with `first` (at least the header).
    pub fn new(key: &StreamKey, associated: &[u8], first: &[u8]) -> Result<Self, OpenError> {
        let header = StreamHeader::from_start(first)
            .ok_or(OpenError::Form("a 40-byte Tink header is expected at the start"))?;
        let cipher = key
            .derive(&header, associated)
            .map_err(|_| OpenError::Form("the stream key cannot be derived"))?;
        Ok(Self { cipher, header })
    }

    /// Decrypts a whole segment in place and returns its plaintext. `last` says
    /// whether the stream ends with it; a wrong answer does not open.
    pub fn open<'a>(
        &self,
        index: u32,
        last: bool,
        ciphertext: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        let forged = || OpenError::Forged { index };
        let full = ciphertext.len() == SEGMENT;
        let start = if index == 0 { HEADER } else { 0 };
        if ciphertext.len() > SEGMENT || (!last && !full) {
            return Err(forged());
        }
        if index == 0 && StreamHeader::from_start(ciphertext) != Some(self.header) {
            return Err(forged());
        }
        let body = ciphertext.get_mut(start..).ok_or_else(forged)?;
        let nonce = self.header.nonce(index, last);
        let plaintext =
            self.cipher.open_in_place(nonce, Aad::empty(), body).map_err(|_| forged())?;
        Ok(plaintext)
    }
}

/// Gives the ciphertext of a stream by segment.
pub trait SegmentSource {
    /// Ciphertext bytes of the whole stream.
    fn len(&self) -> u64;
    /// Whether there is no ciphertext at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The bytes of segment `index`.
    fn segment(&mut self, index: u32) -> io::Result<Vec<u8>>;
}

/// A [`SegmentSource`] over ciphertext in memory.
pub struct SliceSource<'a>(pub &'a [u8]);

impl SegmentSource for SliceSource<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn segment(&mut self, index: u32) -> io::Result<Vec<u8>> {
        let start = (index as usize).saturating_mul(SEGMENT);
        let end = start.saturating_add(SEGMENT).min(self.0.len());
        self.0.get(start..end).map(<[u8]>::to_vec).ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Reads a sealed stream, in order or from any place.
pub struct OpeningReader<S: SegmentSource> {
    source: S,
    opener: SegmentOpener,
    layout: Layout,
    /// The plaintext of the segment read last, and its number.
    held: Option<(u32, Zeroizing<Vec<u8>>)>,
    position: u64,
}

impl<S: SegmentSource> OpeningReader<S> {
    /// Opens a stream: reads its header and authenticates its end.
    pub fn new(key: &StreamKey, associated: &[u8], mut source: S) -> Result<Self, OpenError> {
        let layout = Layout::of_ciphertext(source.len())
            .ok_or(OpenError::Form("no sealed stream has this length"))?;
        let first = source.segment(0).map_err(|source| OpenError::Source { index: 0, source })?;
        let opener = SegmentOpener::new(key, associated, &first)?;
        let mut reader = Self { source, opener, layout, held: None, position: 0 };
        reader.load(layout.last())?;
        Ok(reader)
    }

    /// Plaintext bytes of the whole stream, authenticated.
    pub fn plaintext_len(&self) -> u64 {
        self.layout.plaintext()
    }

    /// The plaintext of a byte range, at most to the end; only the segments that
    /// it touches are read. Keep ranges to what memory can hold.
    pub fn read_range(&mut self, range: Range<u64>) -> Result<Vec<u8>, OpenError> {
        let end = range.end.min(self.plaintext_len());
        let mut out = Vec::new();
        let mut at = range.start;
        while at < end {
            let (index, offset) = self.layout.locate(at);
            let segment = self.load(index)?;
            let rest = segment.get(offset..).unwrap_or_default();
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(rest.len());
            let Some(piece) = rest.get(..wanted).filter(|p| !p.is_empty()) else {
                break;
            };
            out.extend_from_slice(piece);
            at += piece.len() as u64;
        }
        Ok(out)
    }

    /// The plaintext of one segment, from memory when it was the last one read.
    fn load(&mut self, index: u32) -> Result<&[u8], OpenError> {
        if self.held.as_ref().is_none_or(|(held, _)| *held != index) {
            self.held = None;
            let bytes = self.source.segment(index);
            let mut bytes =
                Zeroizing::new(bytes.map_err(|source| OpenError::Source { index, source })?);
            if bytes.len() != self.layout.segment_len(index) {
                return Err(OpenError::Forged { index });
            }
            let last = index == self.layout.last();
            let plain = self.opener.open(index, last, &mut bytes)?.len();
            let start = if index == 0 { HEADER } else { 0 };
            bytes.truncate(start + plain);
            bytes.drain(..start);
            self.held = Some((index, bytes));
        }
        Ok(self.held.as_ref().map(|(_, plain)| plain.as_slice()).unwrap_or_default())
    }
}

impl<S: SegmentSource> Read for OpeningReader<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.plaintext_len() || out.is_empty() {
            return Ok(0);
        }
        let (index, offset) = self.layout.locate(self.position);
        let mut rest = self.load(index)?.get(offset..).unwrap_or_default();
        let count = rest.read(out)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl<S: SegmentSource> Seek for OpeningReader<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.plaintext_len().checked_add_signed(by),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
