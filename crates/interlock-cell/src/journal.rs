//! What the cell did, on disk before it has an effect.
//!
//! One line for each act, `<first 16 hexadecimal digits of SHA-256> <JSON>`,
//! appended and synced. An order's line stands before the robot is asked to move,
//! so after a crash the order counts as used, whatever became of it. An act
//! carries what is to be delivered because of it; [`Act::Queued`] says that all
//! of that stands in the outbox, so a crash in between loses nothing.
//!
//! A last line without its end was being written when the power went or the disk was
//! full: it had no effect yet and is cut off. Anything else that is wrong refuses to
//! start, for a journal that lost a line could let an order move the robot twice.

use crate::{files::sync_parent, outbox::Item};
use base::{Digest, Millis, sha256};
use plant::body::Outcome;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Something the cell did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// An order was used up; the robot may move from here on.
    Consumed {
        /// The order's entry.
        order: Digest,
    },
    /// The run of an order is over.
    Ended {
        /// The order's entry.
        order: Digest,
    },
    /// An order was refused for good.
    Refused {
        /// The order's entry.
        order: Digest,
    },
    /// The cell placed a hold on itself.
    Held {
        /// The hold's entry.
        entry: Digest,
        /// Why.
        reason: String,
    },
    /// A person at the cell said that a hold of its own may be forgotten.
    Unheld {
        /// The hold's entry.
        entry: Digest,
    },
    /// What the lines before carry stands in the outbox.
    Queued,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at: Millis,
    act: Act,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    items: Vec<Item>,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk stands in the way.
    #[error("journal `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A line is not what was written.
    #[error(
        "journal `{path}`, line {line}: {reason}; restore the file from a copy, since an order \
         that was used could be used again without it"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// How the newest run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct LastRun {
    /// The order's entry.
    pub order: Digest,
    /// How it ended, when its end was stated.
    pub outcome: Option<Outcome>,
    /// When the cell wrote its end down.
    pub ended_at: Millis,
}

impl LastRun {
    fn of(order: Digest, items: &[Item], ended_at: Millis) -> Self {
        let stated = |item: &Item| {
            let end = item.entry().statement.body.get("run-ended")?;
            serde_json::from_value(end.get("outcome")?.clone()).ok()
        };
        Self { order, outcome: items.iter().find_map(stated), ended_at }
    }
}

/// What the lines say together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Orders that were used, with whether their run is over.
    pub consumed: BTreeMap<Digest, bool>,
    /// Orders that were refused for good.
    pub refused: BTreeSet<Digest>,
    /// Holds that the cell placed, by entry.
    pub holds: BTreeMap<Digest, String>,
    /// The newest run that is over.
    pub last_run: Option<LastRun>,
    /// What may not stand in the outbox yet.
    pub unqueued: Vec<Item>,
}

impl Known {
    fn take(&mut self, line: Line) {
        if let Act::Ended { order } = line.act {
            self.last_run = Some(LastRun::of(order, &line.items, line.at));
        }
        self.unqueued.extend(line.items);
        match line.act {
            Act::Consumed { order } => {
                self.consumed.insert(order, false);
            }
            Act::Ended { order } => {
                self.consumed.insert(order, true);
            }
            Act::Refused { order } => {
                self.refused.insert(order);
            }
            Act::Held { entry, reason } => {
                self.holds.insert(entry, reason);
            }
            Act::Unheld { entry } => {
                self.holds.remove(&entry);
            }
            Act::Queued => self.unqueued.clear(),
        }
    }

    /// Whether an order was used.
    pub fn is_consumed(&self, order: &Digest) -> bool {
        self.consumed.contains_key(order)
    }

    /// Orders that were used and whose run has no recorded end.
    pub fn unfinished(&self) -> impl Iterator<Item = &Digest> {
        self.consumed.iter().filter(|(_, over)| !**over).map(|(order, _)| order)
    }
}

/// The open journal.
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of the whole lines.
    length: u64,
    known: Known,
    /// Set by a failed sync: what the disk holds is unknown.
    broken: bool,
}

impl Journal {
    /// Opens or makes a journal.
    ///
    /// # Errors
    /// The file cannot be read or is corrupt.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let fail = |source| JournalError::Io { path: path.into(), source };
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(path).map_err(fail)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(fail)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        if whole < bytes.len() {
            let cut = bytes.len() - whole;
            tracing::warn!(bytes = cut, "the journal's last line was not finished and is cut off");
            file.set_len(whole as u64).map_err(fail)?;
            file.sync_all().map_err(fail)?;
        }
        sync_parent(path).map_err(fail)?;
        let mut known = Known::default();
        let lines = bytes.get(..whole).unwrap_or_default().split_inclusive(|b| *b == b'\n');
        for (at, line) in lines.enumerate() {
            let corrupt =
                |reason| JournalError::Corrupt { path: path.into(), line: at + 1, reason };
            known.take(parse(line).map_err(corrupt)?);
        }
        let length = file.seek(SeekFrom::End(0)).map_err(fail)?;
        Ok(Self { path: path.into(), file, length, known, broken: false })
    }

    /// What the lines say.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Whether no act can be written any more until the journal is opened again.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Writes an act down, with what is to be delivered because of it. It is on
    /// the disk when this returns.
    ///
    /// # Errors
    /// The disk failed and the act must not take effect. A later one may be written
    /// unless [`Journal::is_broken`].
    pub fn write(&mut self, at: Millis, act: Act, items: Vec<Item>) -> Result<(), JournalError> {
        let line = Line { at, act, items };
        self.append(&line)
            .map_err(|source| JournalError::Io { path: self.path.clone(), source })?;
        self.known.take(line);
        Ok(())
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed; restart the cell"));
        }
        let bytes = encode(line)?;
        self.broken = true;
        if let Err(error) = self.file.write_all(&bytes) {
            // A full disk: what stands of the line is taken back, and space may come.
            self.broken = self.cut().is_err();
            return Err(error);
        }
        self.file.sync_data()?;
        self.length += bytes.len() as u64;
        self.broken = false;
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.sync_all()
    }
}

fn encode(line: &Line) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(line)?;
    Ok(format!("{} {json}\n", check(json.as_bytes())).into_bytes())
}

fn check(json: &[u8]) -> String {
    sha256(json).to_string().chars().take(16).collect()
}

fn parse(line: &[u8]) -> Result<Line, String> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let (sum, rest) = line.split_at_checked(16).ok_or("it is too short")?;
    let json = rest.strip_prefix(b" ").ok_or("a space after its check sum is expected")?;
    if check(json).as_bytes() != sum {
        return Err("its check sum is another one: the line was changed".into());
    }
    serde_json::from_slice(json).map_err(|e| e.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
