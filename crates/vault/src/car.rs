//! CAR v1: blocks with their addresses in one stream.
//!
//! ```text
//! car   = varint(length) ‖ DAG-CBOR {roots: [CID], version: 1} , section*
//! section = varint(length of CID and bytes) ‖ CID ‖ bytes
//! ```
//!
//! The reader takes one root, bounds every length before it allocates, and checks
//! each block against its address before it hands it out.

use crate::{
    address::{cid_from_bytes, verify},
    store::MAX_BLOCK,
    varint,
};
use cid::Cid;
use std::io::{self, Read, Write};

/// Bytes of a CIDv1 with SHA-256: version, codec, hash, length, digest.
const CID: usize = 36;
/// `{"roots": [42(h'00…')], "version": 1}` up to and behind the root's bytes.
const BEFORE: &[u8] = b"\xa2\x65roots\x81\xd8\x2a\x58\x25\x00";
const AFTER: &[u8] = b"\x67version\x01";

/// Why a stream is not a CAR that is taken.
#[derive(Debug, thiserror::Error)]
pub enum CarError {
    /// The stream could not be read.
    #[error("the CAR cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The bytes are not a CAR v1 with one root of a kind that is stored here.
    #[error("not a CAR v1 with one root: {0}")]
    Form(String),
    /// A block does not have the address that it is sent under.
    #[error("CAR: {0}")]
    Block(#[from] crate::address::Mismatch),
}

/// The header with one root.
pub fn header(root: &Cid) -> Vec<u8> {
    let cid = root.to_bytes();
    let mut out = Vec::with_capacity(64);
    varint::write(&mut out, (BEFORE.len() + cid.len() + AFTER.len()) as u64);
    out.extend_from_slice(BEFORE);
    out.extend_from_slice(&cid);
    out.extend_from_slice(AFTER);
    out
}

/// The bytes before a block of `len` bytes.
pub fn section(cid: &Cid, len: u64) -> Vec<u8> {
    let cid = cid.to_bytes();
    let mut out = Vec::with_capacity(cid.len() + 5);
    varint::write(&mut out, cid.len() as u64 + len);
    out.extend_from_slice(&cid);
    out
}

/// Bytes that a block of `len` bytes takes in a CAR.
pub fn section_len(len: u64) -> u64 {
    varint::len(CID as u64 + len) as u64 + CID as u64 + len
}

/// Bytes of the header.
pub fn header_len() -> u64 {
    (1 + BEFORE.len() + CID + AFTER.len()) as u64
}

/// Writes a CAR.
pub struct CarWriter<W: Write>(W);

impl<W: Write> CarWriter<W> {
    /// Starts a CAR with one root.
    pub fn new(mut out: W, root: &Cid) -> io::Result<Self> {
        out.write_all(&header(root))?;
        Ok(Self(out))
    }

    /// Writes one block.
    pub fn block(&mut self, cid: &Cid, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(&section(cid, bytes.len() as u64))?;
        self.0.write_all(bytes)
    }

    /// Flushes and hands the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.0.flush()?;
        Ok(self.0)
    }
}

/// Reads a CAR block by block; each is verified.
pub struct CarReader<R: Read> {
    input: R,
    root: Cid,
}

impl<R: Read> CarReader<R> {
    /// Reads the header.
    pub fn new(mut input: R) -> Result<Self, CarError> {
        let form = |what: &str| CarError::Form(what.to_owned());
        let expected = header_len() - 1;
        match read_varint(&mut input)? {
            Some(length) if length == expected => {}
            _ => {
                return Err(form("its header does not have the length of one with one root"));
            }
        }
        let mut head = vec![0; expected as usize];
        input.read_exact(&mut head)?;
        let root = head
            .strip_prefix(BEFORE)
            .and_then(|rest| rest.strip_suffix(AFTER))
            .ok_or_else(|| form("its header is not {roots: [one CID], version: 1}"))?;
        let root = cid_from_bytes(root).map_err(|e| form(&e.to_string()))?;
        Ok(Self { input, root })
    }

    /// The root that the header names.
    pub fn root(&self) -> &Cid {
        &self.root
    }

    /// The next block, or `None` at the end.
    pub fn next_block(&mut self) -> Result<Option<(Cid, Vec<u8>)>, CarError> {
        let Some(length) = read_varint(&mut self.input)? else {
            return Ok(None);
        };
        let most = (CID + MAX_BLOCK) as u64;
        let size = length.checked_sub(CID as u64).filter(|_| length <= most).ok_or_else(|| {
            CarError::Form(format!("a section of {length} bytes; {CID} to {most} are taken"))
        })?;
        let mut cid = [0; CID];
        self.input.read_exact(&mut cid)?;
        let cid = cid_from_bytes(&cid).map_err(|e| CarError::Form(e.to_string()))?;
        let mut bytes = vec![0; size as usize];
        self.input.read_exact(&mut bytes)?;
        verify(&cid, &bytes)?;
        Ok(Some((cid, bytes)))
    }
}

/// Reads a varint; `None` when the input ends before its first byte.
fn read_varint(input: &mut impl Read) -> Result<Option<u64>, CarError> {
    let (mut bytes, mut one) = (Vec::with_capacity(10), [0]);
    loop {
        match input.read(&mut one) {
            Ok(0) if bytes.is_empty() => return Ok(None),
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e.into()),
        }
        bytes.extend_from_slice(&one);
        if one == one.map(|b| b & 0x7f) || bytes.len() == 10 {
            let value = varint::read(&bytes).map(|(value, _)| value);
            let bad = || CarError::Form("an integer is not in its shortest form".into());
            return value.ok_or_else(bad).map(Some);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::address::raw_cid;

    fn car(blocks: &[&[u8]]) -> Vec<u8> {
        let root = raw_cid(blocks.first().unwrap());
        let mut writer = CarWriter::new(Vec::new(), &root).unwrap();
        for block in blocks {
            writer.block(&raw_cid(block), block).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, CarError> {
        let mut reader = CarReader::new(bytes)?;
        let mut out = Vec::new();
        while let Some((_, block)) = reader.next_block()? {
            out.push(block);
        }
        Ok(out)
    }

    #[test]
    fn blocks_come_back_and_lengths_are_foretold() {
        let bytes = car(&[b"one", b"", &[7; 300]]);
        assert_eq!(read(&bytes).unwrap(), [b"one".to_vec(), vec![], vec![7; 300]]);
        let foretold = header_len() + section_len(3) + section_len(0) + section_len(300);
        assert_eq!(bytes.len() as u64, foretold);
    }

    #[test]
    fn every_cut_but_between_blocks_and_every_changed_byte_is_refused() {
        let bytes = car(&[b"one", b"two"]);
        let whole = [header_len(), header_len() + section_len(3), bytes.len() as u64];
        for cut in 0..bytes.len() {
            let refused = read(bytes.get(..cut).unwrap()).is_err();
            assert_eq!(refused, !whole.contains(&(cut as u64)), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            *bad.get_mut(at).unwrap() ^= 0x01;
            let in_root = (15..51).contains(&at);
            assert!(read(&bad).is_err() || in_root, "byte {at}");
        }
    }
}
