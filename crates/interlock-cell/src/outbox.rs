//! What the site is to be told, in order, until it has taken it.
//!
//! One file for each item, `NNNNNNNN.json`, written durably before the item
//! counts as queued and removed once the site has it. Items are delivered in the
//! order of their numbers, but that entries do not wait for the recordings before
//! them. What the site refuses for good moves to `refused/`
//! with its reason beside it, so that nothing is lost and nothing behind it waits.

use crate::files;
use base::Bytes;
use proof::{entry::Entry, recording::SignedManifest};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The most bytes of one item's file.
const MAX_ITEM_BYTES: u64 = 1024 * 1024;

/// Something to deliver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Item {
    /// A signed entry.
    Entry(Box<Entry>),
    /// A recording: key, ciphertext, checkpoints, then its entry.
    Recording(Box<Parcel>),
}

/// A recording in the spool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parcel {
    /// The signed manifest.
    pub manifest: SignedManifest,
    /// The entry that registers it.
    pub entry: Entry,
}

impl Item {
    /// The entry of the item.
    pub fn entry(&self) -> &Entry {
        match self {
            Self::Entry(entry) => entry,
            Self::Recording(parcel) => &parcel.entry,
        }
    }

    /// What it is, for people: the word of its entry.
    pub fn word(&self) -> String {
        let body = &self.entry().statement.body;
        let word = body.as_object().and_then(|o| o.keys().next());
        word.cloned().unwrap_or_else(|| "entry".to_owned())
    }

    fn nonce(&self) -> &Bytes {
        &self.entry().statement.nonce
    }
}

/// The queue on disk.
pub struct Outbox {
    dir: PathBuf,
    waiting: BTreeMap<u64, Item>,
    next: u64,
}

impl Outbox {
    /// Opens or makes the queue in a folder.
    ///
    /// # Errors
    /// The folder cannot be used, or an item's file is not one.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir.join("refused"))?;
        let mut waiting = BTreeMap::new();
        for file in fs::read_dir(dir)? {
            let path = file?.path();
            let ends = |ending: &str| path.extension().is_some_and(|e| e == ending);
            if ends("tmp") {
                fs::remove_file(&path)?;
            } else if ends("json") {
                let (number, item) = read(&path)?;
                waiting.insert(number, item);
            }
        }
        let used = waiting.keys().next_back().copied().unwrap_or(0);
        let refused = fs::read_dir(dir.join("refused"))?.filter_map(|f| number(&f.ok()?.path()));
        let next = used.max(refused.max().unwrap_or(0)) + 1;
        Ok(Self { dir: dir.into(), waiting, next })
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many items the site refused for good.
    pub fn refused(&self) -> usize {
        let Ok(files) = fs::read_dir(self.dir.join("refused")) else { return 0 };
        files.filter_map(|f| f.ok()).filter(|f| number(&f.path()).is_some()).count()
    }

    /// Queues an item, durably. One that waits already is not queued twice.
    pub fn push(&mut self, item: Item) -> io::Result<()> {
        if self.waiting.values().any(|waits| waits.nonce() == item.nonce()) {
            return Ok(());
        }
        files::replace(&self.path(self.next), &serde_json::to_vec(&item)?)?;
        self.waiting.insert(self.next, item);
        self.next += 1;
        Ok(())
    }

    /// The first item and its number.
    pub fn first(&self) -> Option<(u64, &Item)> {
        self.waiting.first_key_value().map(|(number, item)| (*number, item))
    }

    /// The first item and its number, if it is a recording: whatever was stated before
    /// it is delivered.
    pub fn first_recording(&self) -> Option<(u64, &Item)> {
        self.first().filter(|(_, item)| matches!(item, Item::Recording(_)))
    }

    /// The first entry and its number.
    pub fn first_entry(&self) -> Option<(u64, &Item)> {
        let found = self.waiting.iter().find(|(_, item)| matches!(item, Item::Entry(_)));
        found.map(|(number, item)| (*number, item))
    }

    /// The items that wait, in order.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.waiting.values()
    }

    /// Puts an item in the place of one that waits.
    pub fn replace(&mut self, number: u64, item: Item) -> io::Result<()> {
        files::replace(&self.path(number), &serde_json::to_vec(&item)?)?;
        self.waiting.insert(number, item);
        Ok(())
    }

    /// The site has an item.
    pub fn delivered(&mut self, number: u64) -> io::Result<()> {
        files::remove(&self.path(number))?;
        self.waiting.remove(&number);
        Ok(())
    }

    /// The site refused an item for good: keeps it aside with the reason.
    pub fn refuse(&mut self, number: u64, reason: &str) -> io::Result<()> {
        let (from, name) = (self.path(number), format!("{number:08}.json"));
        let to = self.dir.join("refused").join(name);
        files::replace(&to.with_extension("reason"), reason.as_bytes())?;
        fs::rename(&from, &to)?;
        files::sync_parent(&to)?;
        files::sync_parent(&from)?;
        self.waiting.remove(&number);
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:08}.json"))
    }
}

fn number(path: &Path) -> Option<u64> {
    let json = path.extension().is_some_and(|e| e == "json");
    path.file_stem().filter(|_| json)?.to_str()?.parse().ok()
}

fn read(path: &Path) -> io::Result<(u64, Item)> {
    let bad = |reason: String| {
        let reason = format!("outbox item `{}`: {reason}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, reason)
    };
    let number = number(path).ok_or_else(|| bad("its name is no number".into()))?;
    if fs::metadata(path)?.len() > MAX_ITEM_BYTES {
        return Err(bad(format!("more than {MAX_ITEM_BYTES} bytes")));
    }
    let item = serde_json::from_slice(&fs::read(path)?).map_err(|e| bad(e.to_string()))?;
    Ok((number, item))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use super::*;
    use base::{Digest, Millis};
    use proof::entry::{Signature, Statement, VERSION};

    /// An entry that differs by a number.
    pub fn entry(n: u8) -> Entry {
        Entry {
            signature: Signature::Ed25519(Bytes(vec![n; 64])),
            statement: Statement {
                at: Millis(u64::from(n)),
                body: serde_json::json!({"run-started": {"n": n}}),
                issuer: "cell-1".parse().unwrap(),
                key: Digest([n; 32]),
                nonce: Bytes(vec![n; 16]),
                site: "plant".parse().unwrap(),
                v: VERSION.into(),
            },
        }
    }

    fn item(n: u8) -> Item {
        Item::Entry(Box::new(entry(n)))
    }

    #[test]
    fn items_come_in_order_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open(dir.path()).unwrap();
        for n in 1..=12 {
            outbox.push(item(n)).unwrap();
        }
        drop(outbox);
        let mut outbox = Outbox::open(dir.path()).unwrap();
        for n in 1..=12 {
            let (number, first) = outbox.first().unwrap();
            assert_eq!(*first, item(n));
            outbox.delivered(number).unwrap();
        }
        assert!(outbox.first().is_none());
        assert_eq!(Outbox::open(dir.path()).unwrap().len(), 0);
    }

    #[test]
    fn an_item_half_written_is_not_there_and_a_queued_one_is_not_queued_twice() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path()).unwrap();
        fs::write(dir.path().join("00000001.tmp"), b"{\"ent").unwrap();
        let mut outbox = Outbox::open(dir.path()).unwrap();
        assert_eq!(outbox.len(), 0);
        outbox.push(item(1)).unwrap();
        outbox.push(item(1)).unwrap();
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn a_refused_item_steps_aside_and_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open(dir.path()).unwrap();
        outbox.push(item(1)).unwrap();
        outbox.push(item(2)).unwrap();
        let (number, _) = outbox.first().unwrap();
        outbox.refuse(number, "no such order").unwrap();
        assert_eq!(outbox.first().unwrap().1, &item(2));
        assert_eq!(outbox.refused(), 1);
        let reason = fs::read_to_string(dir.path().join("refused/00000001.reason")).unwrap();
        assert_eq!(reason, "no such order");
        // Its number is not given to another.
        let (number, _) = outbox.first().unwrap();
        outbox.delivered(number).unwrap();
        drop(outbox);
        let mut outbox = Outbox::open(dir.path()).unwrap();
        outbox.push(item(3)).unwrap();
        assert_eq!(outbox.first().unwrap().0, 2);
    }

    #[test]
    fn a_damaged_item_is_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open(dir.path()).unwrap();
        outbox.push(item(1)).unwrap();
        fs::write(dir.path().join("00000001.json"), b"{}").unwrap();
        assert!(Outbox::open(dir.path()).is_err());
    }
}
