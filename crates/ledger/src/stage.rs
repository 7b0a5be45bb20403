//! Stage slots: a batch with its signed checkpoint, written and synced as one.
//!
//! Writing a slot is the commit. A slot that was written in part fails its
//! checksum and never counted, one that is whole counts even when the process
//! died before it could say so. Slots are fixed files that are written over in
//! turn, so that a commit costs one fdatasync and no change of a folder.
//!
//! ```text
//! magic 8 | start u64 | count u32 | note length u32 | body length u64
//! note | body: leaves, each with a two-byte length | SHA-256 over all before
//! ```

use base::sha256;

use crate::layout::split_bundle;

const MAGIC: &[u8; 8] = b"ilkstg1\n";
const HEADER: usize = 32;

/// A batch of leaves, and the checkpoint that covers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    /// The index of the first leaf.
    pub(crate) start: u64,
    /// How many leaves.
    pub(crate) count: u32,
    /// The signed checkpoint after them.
    pub(crate) note: Vec<u8>,
    /// The leaves, encoded as in a bundle.
    pub(crate) body: Vec<u8>,
}

impl Stage {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.note.len() + self.body.len() + 32);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.start.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&(self.note.len() as u32).to_be_bytes());
        out.extend_from_slice(&(self.body.len() as u64).to_be_bytes());
        out.extend_from_slice(&self.note);
        out.extend_from_slice(&self.body);
        let sum = sha256(&out);
        out.extend_from_slice(&sum.0);
        out
    }

    /// The batch in a slot; none when it was written in part or not at all.
    pub(crate) fn decode(slot: &[u8]) -> Option<Self> {
        let (magic, rest) = slot.split_first_chunk::<8>()?;
        let (start, rest) = rest.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let (note_length, rest) = rest.split_first_chunk::<4>()?;
        let (body_length, rest) = rest.split_first_chunk::<8>()?;
        let note_length = u32::from_be_bytes(*note_length) as usize;
        let (note, rest) = rest.split_at_checked(note_length)?;
        let body_length = usize::try_from(u64::from_be_bytes(*body_length)).ok()?;
        let (body, rest) = rest.split_at_checked(body_length)?;
        let sum = rest.first_chunk::<32>()?;
        let summed = slot.get(..HEADER + note_length + body_length)?;
        if magic != MAGIC || sha256(summed).0 != *sum {
            return None;
        }
        let (start, count) = (u64::from_be_bytes(*start), u32::from_be_bytes(*count));
        Some(Self { start, count, note: note.to_vec(), body: body.to_vec() })
    }

    /// The leaves, when there are as many as the slot says.
    pub(crate) fn leaves(&self) -> Option<Vec<&[u8]>> {
        split_bundle(&self.body, u64::from(self.count)).ok()
    }

    /// The size of the log after the batch.
    pub(crate) fn end(&self) -> u64 {
        self.start.saturating_add(u64::from(self.count))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_slot_does_not_count() {
        let stage =
            Stage { start: 7, count: 2, note: b"note".to_vec(), body: b"\0\x01a\0\x02bc".to_vec() };
        let slot = stage.encode();
        assert_eq!(Stage::decode(&slot), Some(stage.clone()));
        assert_eq!(stage.leaves().unwrap(), [b"a".as_slice(), b"bc"]);
        assert_eq!(stage.end(), 9);
        // Older, longer bytes may follow.
        assert_eq!(Stage::decode(&[slot.clone(), vec![9; 100]].concat()), Some(stage));
        for cut in 0..slot.len() {
            assert_eq!(Stage::decode(&slot[..cut]), None);
            let mut torn = slot.clone();
            torn[cut..].fill(0x55);
            assert_eq!(Stage::decode(&torn), None);
        }
    }
}
