//! Room on the site's disk.
//!
//! A ledger whose commit fails stops for good, since its memory may be ahead of the
//! disk. So it takes no entry once its disk is nearly full, and goes on by itself when
//! there is room again. Recordings stop earlier than entries: they must not take the
//! room of what says that they were made.

use base::{Refusal, Rule};
use std::path::PathBuf;

/// Bytes that must be free for an entry.
const ENTRY_BYTES: u64 = 16 << 20;
/// Bytes that must be free for recordings and files.
const DATA_BYTES: u64 = 64 << 20;

/// The folder whose disk is watched.
pub struct Room(PathBuf);

impl Room {
    /// Watches the disk of a folder.
    pub fn of(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// Refuses an entry when the disk is nearly full.
    ///
    /// # Errors
    /// A refusal that says where space is to be freed.
    pub fn for_entry(&self) -> Result<(), Refusal> {
        self.check(ENTRY_BYTES, "an entry on the ledger")
    }

    /// Refuses recordings and files when the disk is nearly full.
    ///
    /// # Errors
    /// A refusal that says where space is to be freed.
    pub fn for_data(&self) -> Result<(), Refusal> {
        self.check(DATA_BYTES, "to store data at the site")
    }

    fn check(&self, bytes: u64, what: &str) -> Result<(), Refusal> {
        node::disk::room(&self.0, bytes).map_err(|reason| Refusal {
            who: "the sender".into(),
            what: what.into(),
            rule: Rule::Limit,
            reason: format!("on the site, {reason}"),
            accepted: "the same once the site's disk has room again".into(),
        })
    }
}
