//! Taking a recording in from a cell.
//!
//! The cell sends the ciphertext as a CAR. Each block is checked against its
//! address before it is stored, blocks are made durable every 64 MiB, and the
//! recording is pinned only when its tree is complete. An upload that breaks off
//! loses nothing: [`Store::missing`] says which blocks to send, and blocks that are
//! here already cost only their transfer.

use crate::{
    car::{CarError, CarReader, CarWriter, section_len},
    dag::{WalkError, walk},
    store::{Root, Store, StoreError},
};
use cid::Cid;
use std::{
    collections::HashSet,
    io::{Read, Write},
};

/// Bytes stored between two commits.
const COMMIT_EVERY: u64 = 64 << 20;

/// Why a recording was not taken in. Blocks that were stored before stay.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The upload is not a CAR of what was announced.
    #[error(transparent)]
    Car(#[from] CarError),
    /// The upload passes a bound, or has another root than was announced.
    #[error("upload refused: {0}")]
    Refused(String),
    /// The vault could not store it, or the tree is not complete.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an upload brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestReport {
    /// Blocks that were new.
    pub stored: u64,
    /// Blocks that were here already.
    pub had: u64,
    /// Bytes of the new blocks.
    pub bytes: u64,
    /// The recording as pinned; `None` while blocks are missing.
    pub root: Option<Root>,
    /// Blocks that are still missing, at most 1,000; ask [`Store::missing`] again
    /// after the next upload.
    pub missing: Vec<Cid>,
}

/// Reads a CAR upload of the recording `root`, of at most `most` bytes.
/// Pins the recording with `metadata` when its tree is complete. Blocking.
pub fn ingest_car(
    store: &Store,
    root: &Cid,
    metadata: &[u8],
    most: u64,
    car: impl Read,
) -> Result<IngestReport, IngestError> {
    let mut reader = CarReader::new(car)?;
    if reader.root() != root {
        let found = reader.root();
        return Err(IngestError::Refused(format!("its root is `{found}`, `{root}` was announced")));
    }
    let mut report = IngestReport::default();
    let (mut taken, mut pending) = (0u64, 0u64);
    while let Some((cid, bytes)) = reader.next_block()? {
        let size = bytes.len() as u64;
        taken += section_len(size);
        if taken > most {
            return Err(IngestError::Refused(format!("it has over {most} bytes")));
        }
        if store.put(&cid, &bytes)? {
            report.stored += 1;
            report.bytes += size;
            pending += size;
        } else {
            report.had += 1;
        }
        if pending >= COMMIT_EVERY {
            store.commit()?;
            pending = 0;
        }
    }
    report.missing = store.missing(root, 1_000)?;
    if report.missing.is_empty() {
        report.root = Some(store.pin(root, metadata)?);
    } else {
        store.commit()?;
    }
    Ok(report)
}

/// Writes a recording as a CAR, depth first, without the blocks that the other
/// side has. Returns the bytes of blocks written. Blocking.
pub fn export_car<W: Write>(
    store: &Store,
    root: &Cid,
    skip: &HashSet<Cid>,
    out: W,
) -> Result<u64, StoreError> {
    let lost = |e: std::io::Error| StoreError::Invalid(format!("the CAR cannot be written: {e}"));
    let absent = |cid: &Cid| StoreError::Damaged(format!("block `{cid}` of `{root}` is not here"));
    let load = |cid: &Cid| store.get(cid)?.ok_or_else(|| absent(cid));
    let mut writer = CarWriter::new(out, root).map_err(lost)?;
    let mut written = 0;
    walk(root, None, load, |visit| {
        if !skip.contains(&visit.cid) {
            let bytes = load(&visit.cid)?;
            writer.block(&visit.cid, &bytes).map_err(lost)?;
            written += bytes.len() as u64;
        }
        Ok(())
    })
    .map_err(|error| match error {
        WalkError::Block(error) => error,
        other => StoreError::Damaged(other.to_string()),
    })?;
    writer.finish().map_err(lost)?;
    Ok(written)
}
