//! Looking for damage: every stored byte is read and hashed again.

use super::{Store, StoreError, of_digest};
use crate::address::{DAG_PB, RAW};
use cid::Cid;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A block cannot be read or its bytes have changed.
    Block {
        /// The block's address.
        cid: Cid,
        /// What was found.
        what: String,
    },
    /// A recording's tree lacks a block or contradicts itself.
    Recording {
        /// The recording's root.
        root: Cid,
        /// What was found.
        what: String,
    },
    /// The record file of a recording cannot be read.
    Record {
        /// The file's name.
        file: String,
    },
    /// Bytes in a pack that belong to no block.
    Pack {
        /// The pack's number.
        pack: u32,
        /// How many bytes.
        bytes: u64,
    },
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Block { cid, what } => write!(f, "block `{cid}`: {what}"),
            Self::Recording { root, what } => write!(f, "recording `{root}`: {what}"),
            Self::Record { file } => write!(f, "record file `roots/{file}` cannot be read"),
            Self::Pack { pack, bytes } => {
                write!(f, "pack {pack}: {bytes} bytes belong to no block")
            }
        }
    }
}

/// What one pack file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackCheck {
    /// Whole blocks, each with the digest that its header states.
    pub blocks: usize,
    /// Where the last of them ends; behind it a block may be in the making.
    pub end: u64,
    /// Bytes before that which belong to no block.
    pub damaged: u64,
}

/// Reads and hashes every block of a pack, also of one that a store is writing.
pub fn check_pack(file: &std::fs::File) -> std::io::Result<PackCheck> {
    let scan = super::pack::scan(&super::OsDisk, file)?;
    Ok(PackCheck { blocks: scan.entries.len(), end: scan.end, damaged: scan.damaged })
}

/// What a check read and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Blocks read and hashed.
    pub blocks: u64,
    /// Bytes read and hashed.
    pub bytes: u64,
    /// Live recordings whose trees were gone through.
    pub recordings: u64,
    /// What is wrong; empty when all is well.
    pub findings: Vec<Finding>,
}

impl Store {
    /// Reads and hashes every block and goes through every live recording's tree.
    /// Reads the whole store, at about the speed of SHA-256.
    pub fn check(&self) -> Result<CheckReport, StoreError> {
        let mut report = CheckReport::default();
        let (keys, damaged, unreadable) = {
            let shelf = self.shelf();
            let mut keys: Vec<_> = shelf.index.iter().map(|(k, p)| (p.pack, p.at, *k)).collect();
            keys.sort_unstable();
            (keys, shelf.damaged.clone(), shelf.roots.unreadable.clone())
        };
        for (_, _, key) in keys {
            let cid = of_digest(if key.dag_pb { DAG_PB } else { RAW }, &key.digest);
            match self.get(&cid) {
                Ok(Some(bytes)) => {
                    report.blocks += 1;
                    report.bytes += bytes.len() as u64;
                }
                // Reclaimed meanwhile.
                Ok(None) => {}
                Err(error) => {
                    let what = error.to_string();
                    report.findings.push(Finding::Block { cid, what });
                }
            }
        }
        for root in self.roots() {
            report.recordings += 1;
            let problem = match self.tree(&root.cid) {
                Ok((size, _)) if size == root.size => None,
                Ok((size, _)) => Some(format!("{size} bytes, its record says {}", root.size)),
                Err(error) => Some(error.to_string()),
            };
            if let Some(what) = problem {
                report.findings.push(Finding::Recording { root: root.cid, what });
            }
        }
        report.findings.extend(unreadable.into_iter().map(|file| Finding::Record { file }));
        let packs = damaged.into_iter().map(|(pack, bytes)| Finding::Pack { pack, bytes });
        report.findings.extend(packs);
        Ok(report)
    }
}
