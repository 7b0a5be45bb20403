//! Recording straight into the vault: plaintext in, a sealed and pinned tree out.
//!
//! [`Recorder`] is a [`std::io::Write`] that a container writer such as MCAP writes
//! into. Each full segment is encrypted, addressed and stored at once; plaintext
//! stays in one buffer in memory.

use crate::{
    dag::{Dag, DagBuilder},
    seal::{KeyCommitment, SealingWriter, SegmentSink, StreamHeader, StreamKey},
    store::{Root, Store, StoreError},
};
use cid::Cid;
use std::{
    io::{self, Write},
    sync::Arc,
};

/// Stores segments as leaves and grows the tree over them.
struct LeafSink {
    store: Arc<Store>,
    dag: DagBuilder,
    leaves: Vec<Cid>,
}

impl SegmentSink for LeafSink {
    fn segment(&mut self, _: u32, _: bool, ciphertext: &[u8]) -> io::Result<()> {
        let cid = self.store.put_leaf(ciphertext).map_err(io::Error::other)?;
        self.dag.push(cid, ciphertext.len() as u64);
        self.leaves.push(cid);
        for (cid, bytes) in self.dag.take_blocks() {
            self.store.put(&cid, &bytes).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// A stream being recorded.
pub struct Recorder {
    seal: SealingWriter<LeafSink>,
    commitment: KeyCommitment,
}

/// A stream that was recorded whole and is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The root, size in ciphertext bytes and metadata, as pinned.
    pub root: Root,
    /// Bytes of plaintext.
    pub plaintext: u64,
    /// The leaves in order: one for each segment.
    pub leaves: Vec<Cid>,
    /// The commitment to the data key.
    pub commitment: KeyCommitment,
}

impl Recorder {
    /// Starts a stream. `associated` is the recording's identifier; key and header
    /// must be fresh.
    pub fn start(
        store: Arc<Store>,
        key: &StreamKey,
        header: StreamHeader,
        associated: &[u8],
    ) -> io::Result<Self> {
        let sink = LeafSink { store, dag: DagBuilder::new(), leaves: Vec::new() };
        let seal = SealingWriter::new(key, header, associated, sink)?;
        Ok(Self { seal, commitment: key.commitment() })
    }

    /// The leaves stored so far, for a checkpoint of the running recording.
    pub fn leaves(&self) -> &[Cid] {
        &self.seal.sink().leaves
    }

    /// Plaintext bytes taken so far.
    pub fn written(&self) -> u64 {
        self.seal.written()
    }

    /// Ends the stream, makes it durable and pins it; `metadata` gets the finished
    /// tree and returns what to keep with it.
    pub fn finish(self, metadata: impl FnOnce(&Dag) -> Vec<u8>) -> Result<Recorded, StoreError> {
        let (plaintext, commitment) = (self.seal.written(), self.commitment);
        let broken = |e: io::Error| StoreError::Invalid(format!("the recording failed: {e}"));
        let LeafSink { store, dag, leaves } = self.seal.finish().map_err(broken)?;
        let dag = dag
            .finish()
            .ok_or_else(|| StoreError::Invalid("a recording has at least one segment".into()))?;
        for (cid, bytes) in &dag.blocks {
            store.put(cid, bytes)?;
        }
        let root = store.pin(&dag.root, &metadata(&dag))?;
        Ok(Recorded { root, plaintext, leaves, commitment })
    }
}

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.seal.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.seal.flush()
    }
}
