//! Pack files: blocks one after another, each behind a checked header.
//!
//! ```text
//! record = "ILB1" ‖ codec ‖ 0 0 0 ‖ length (u32 LE) ‖ SHA-256 (32) ‖ check (12) ‖ bytes
//! ```
//!
//! `check` is the start of the SHA-256 of the 44 bytes before it, so a header in
//! torn or foreign bytes is not taken for one. A sealed pack has an index file
//! beside it, which only saves the scan: when it is absent or does not fit, the
//! pack is scanned and the index written anew.

use super::disk::Disk;
use crate::{
    address::{DAG_PB, RAW},
    seal::SEGMENT,
};
use std::{fs::File, io};

/// The most bytes in one block.
pub const MAX_BLOCK: usize = SEGMENT;
/// Bytes of a record's header.
pub(super) const HEADER: usize = 56;
const MAGIC: &[u8; 4] = b"ILB1";
const INDEX_MAGIC: &[u8; 4] = b"ILX1";
const INDEX_ENTRY: usize = 45;
/// The most blocks an index file is read with.
const MAX_ENTRIES: usize = 1 << 21;

/// A block's identity in the index: codec and SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Key {
    pub dag_pb: bool,
    pub digest: [u8; 32],
}

/// Where in its pack a block's bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub key: Key,
    pub at: u64,
    pub len: u32,
}

/// What a scan of a pack found.
#[derive(Default)]
pub(super) struct Scan {
    pub entries: Vec<Entry>,
    /// Where the last good record ends.
    pub end: u64,
    /// Bytes before `end` that belong to no good record.
    pub damaged: u64,
}

pub(super) fn header(key: &Key, len: u32) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    let (body, check) = out.split_at_mut(44);
    let (magic, rest) = body.split_at_mut(4);
    magic.copy_from_slice(MAGIC);
    let (codec, rest) = rest.split_at_mut(4);
    if let Some(first) = codec.first_mut() {
        *first = if key.dag_pb { DAG_PB as u8 } else { RAW as u8 };
    }
    let (length, digest) = rest.split_at_mut(4);
    length.copy_from_slice(&len.to_le_bytes());
    digest.copy_from_slice(&key.digest);
    let sum = base::sha256(body).0;
    check.copy_from_slice(sum.first_chunk::<12>().unwrap_or(&[0; 12]));
    out
}

fn parse_header(bytes: &[u8; HEADER]) -> Option<(Key, u32)> {
    let dag_pb = match u64::from(*bytes.get(4)?) {
        RAW => false,
        DAG_PB => true,
        _ => return None,
    };
    let len = u32::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
    let digest = *bytes.get(12..)?.first_chunk()?;
    let key = Key { dag_pb, digest };
    (len as usize <= MAX_BLOCK && header(&key, len) == *bytes).then_some((key, len))
}

/// Goes through a pack; a record counts when its bytes have its digest.
pub(super) fn scan(disk: &dyn Disk, file: &File) -> io::Result<Scan> {
    let len = disk.len(file)?;
    let mut out = Scan::default();
    let mut bytes = vec![0; MAX_BLOCK];
    let mut at = 0;
    while at + HEADER as u64 <= len {
        let mut head = [0; HEADER];
        disk.read_at(file, at, &mut head)?;
        let parsed = parse_header(&head);
        let body = at + HEADER as u64;
        let found = parsed.filter(|(_, size)| body + u64::from(*size) <= len);
        let Some((key, size)) = found else {
            at = next_header(disk, file, at + 1, len)?;
            continue;
        };
        let next = body + u64::from(size);
        let block = bytes.get_mut(..size as usize).unwrap_or_default();
        disk.read_at(file, body, block)?;
        if base::sha256(block).0 == key.digest {
            out.damaged += at - out.end;
            out.end = next;
            out.entries.push(Entry { key, at: body, len: size });
        }
        at = next;
    }
    Ok(out)
}

/// The next place from `at` where a header may start; `len` when there is none.
fn next_header(disk: &dyn Disk, file: &File, mut at: u64, len: u64) -> io::Result<u64> {
    let mut window = vec![0; 1 << 16];
    while at + HEADER as u64 <= len {
        let wanted = window.len().min(usize::try_from(len - at).unwrap_or(usize::MAX));
        let part = window.get_mut(..wanted).unwrap_or_default();
        disk.read_at(file, at, part)?;
        match part.windows(MAGIC.len()).position(|w| w == MAGIC) {
            Some(found) => return Ok(at + found as u64),
            None => at += (wanted - (MAGIC.len() - 1)) as u64,
        }
    }
    Ok(len)
}

/// The index file of a sealed pack of `pack_len` bytes.
pub(super) fn write_index(entries: &[Entry], pack_len: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * INDEX_ENTRY + 48);
    out.extend_from_slice(INDEX_MAGIC);
    out.extend_from_slice(&pack_len.to_le_bytes());
    for entry in entries {
        out.push(u8::from(entry.key.dag_pb));
        out.extend_from_slice(&entry.key.digest);
        out.extend_from_slice(&entry.at.to_le_bytes());
        out.extend_from_slice(&entry.len.to_le_bytes());
    }
    let sum = base::sha256(&out).0;
    out.extend_from_slice(&sum);
    out
}

/// Reads an index file; `None` when it is damaged or of a pack of another length.
pub(super) fn read_index(bytes: &[u8], pack_len: u64) -> Option<Vec<Entry>> {
    let (body, sum) = bytes.split_last_chunk::<32>()?;
    let (magic, rest) = body.split_first_chunk::<4>()?;
    let (stated, rest) = rest.split_first_chunk::<8>()?;
    let fits = magic == INDEX_MAGIC
        && u64::from_le_bytes(*stated) == pack_len
        && base::sha256(body).0 == *sum
        && rest.len().is_multiple_of(INDEX_ENTRY)
        && rest.len() / INDEX_ENTRY <= MAX_ENTRIES;
    if !fits {
        return None;
    }
    let entry = |part: &[u8]| {
        let (kind, rest) = part.split_first()?;
        let (digest, rest) = rest.split_first_chunk::<32>()?;
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let key = Key { dag_pb: *kind == 1, digest: *digest };
        let entry = Entry {
            key,
            at: u64::from_le_bytes(*at),
            len: u32::from_le_bytes(*rest.first_chunk()?),
        };
        let end = entry.at.checked_add(u64::from(entry.len))?;
        (end <= pack_len && entry.len as usize <= MAX_BLOCK).then_some(entry)
    };
    rest.chunks_exact(INDEX_ENTRY).map(entry).collect()
}

/// The largest index file that is read.
pub(super) const MAX_INDEX: u64 = (MAX_ENTRIES * INDEX_ENTRY + 48) as u64;
