//! Recordings: which roots are kept, what is known of them, which blocks are theirs.

use super::{Key, Store, StoreError, disk::read_small, failed, key_of, replace};
use crate::{
    address::parse_cid,
    dag::{WalkError, walk},
};
use base::{Bytes, Digest, from_canonical, sha256, to_canonical};
use cid::Cid;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// The most metadata bytes of one recording.
pub const MAX_METADATA: usize = 32 * 1024;

/// A recording that is kept, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The root's address.
    pub cid: Cid,
    /// Bytes of ciphertext.
    pub size: u64,
    /// What the plant wrote about it: the signed manifest, for example.
    pub metadata: Vec<u8>,
    /// Whether it was taken out of use; a gateway answers 410 for its blocks.
    pub gone: bool,
}

/// A root on disk. `check` covers the rest, so a changed file is noticed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    check: Digest,
    gone: bool,
    metadata: Bytes,
    root: String,
    size: u64,
}

impl Record {
    fn of(root: &Root) -> Self {
        let (metadata, text) = (Bytes(root.metadata.clone()), root.cid.to_string());
        let check = Self::check(&text, root.size, root.gone, &metadata);
        Self { check, gone: root.gone, metadata, root: text, size: root.size }
    }

    fn check(root: &str, size: u64, gone: bool, metadata: &Bytes) -> Digest {
        sha256(format!("{root} {size} {gone} {metadata}").as_bytes())
    }

    fn read(bytes: &[u8]) -> Option<Root> {
        let Self { check, gone, metadata, root, size } = from_canonical(bytes).ok()?;
        if check != Self::check(&root, size, gone, &metadata) {
            return None;
        }
        Some(Root { cid: parse_cid(&root).ok()?, size, metadata: metadata.0, gone })
    }
}

/// The roots in memory, and the owner of each block.
#[derive(Default)]
pub(super) struct Roots {
    list: Vec<Root>,
    numbers: HashMap<Key, u32>,
    owners: HashMap<Key, Vec<u32>>,
    /// Record files that could not be read.
    pub unreadable: Vec<String>,
}

impl Roots {
    fn insert(&mut self, key: Key, root: Root, blocks: impl IntoIterator<Item = Key>) {
        let next = self.list.len() as u32;
        let number = *self.numbers.entry(key).or_insert(next);
        match self.list.get_mut(number as usize) {
            Some(old) => *old = root,
            None => self.list.push(root),
        }
        for block in blocks {
            let owners = self.owners.entry(block).or_default();
            if !owners.contains(&number) {
                owners.push(number);
            }
        }
    }

    fn of(&self, key: &Key) -> impl Iterator<Item = &Root> {
        let numbers = self.owners.get(key).into_iter().flatten();
        numbers.filter_map(|n| self.list.get(*n as usize))
    }

    pub(super) fn is_live(&self, key: &Key) -> bool {
        self.of(key).any(|root| !root.gone)
    }
}

impl Store {
    /// Keeps a recording: checks that every block of the tree is here with the
    /// length that its parent states, makes them durable, then writes the record.
    /// Pinning again replaces the metadata.
    pub fn pin(&self, root: &Cid, metadata: &[u8]) -> Result<Root, StoreError> {
        if metadata.len() > MAX_METADATA {
            let size = metadata.len();
            let text = format!("{size} bytes of metadata; at most {MAX_METADATA} are kept");
            return Err(StoreError::Invalid(text));
        }
        let (size, blocks) = self.tree(root)?;
        self.commit()?;
        let root = Root { cid: *root, size, metadata: metadata.to_vec(), gone: false };
        self.write_root(root, blocks)
    }

    /// Takes a recording out of use for good and leaves a tombstone. Its space
    /// comes back with [`Store::reclaim`]; its key is destroyed by
    /// [`crate::keys::KeyVault::shred`].
    pub fn remove(&self, root: &Cid) -> Result<Root, StoreError> {
        let found = self.root(root).ok_or_else(|| {
            StoreError::Invalid(format!("`{root}` is not the root of a recording kept here"))
        })?;
        self.write_root(Root { gone: true, ..found }, [])
    }

    fn write_root(
        &self,
        root: Root,
        blocks: impl IntoIterator<Item = Key>,
    ) -> Result<Root, StoreError> {
        let key = key_of(&root.cid)?;
        let bytes = to_canonical(&Record::of(&root))
            .map_err(|e| StoreError::Invalid(format!("record of `{}`: {e}", root.cid)))?;
        let name = format!("{}.json", root.cid);
        replace(&*self.disk, &self.dir.join("roots"), &name, &bytes)
            .map_err(failed(&self.dir, "write the record of a recording"))?;
        self.shelf_mut().roots.insert(key, root.clone(), blocks);
        Ok(root)
    }

    /// The recordings that are kept, without those taken out of use.
    pub fn roots(&self) -> Vec<Root> {
        self.shelf().roots.list.iter().filter(|r| !r.gone).cloned().collect()
    }

    /// One recording, also when it is gone.
    pub fn root(&self, root: &Cid) -> Option<Root> {
        let (key, shelf) = (key_of(root).ok()?, self.shelf());
        let number = shelf.roots.numbers.get(&key)?;
        shelf.roots.list.get(*number as usize).cloned()
    }

    /// The recordings that a block belongs to, also those that are gone.
    pub fn roots_of(&self, block: &Cid) -> Vec<Root> {
        let Ok(key) = key_of(block) else {
            return Vec::new();
        };
        self.shelf().roots.of(&key).cloned().collect()
    }

    /// The blocks of the tree that are not here, at most `most`. When a node is
    /// absent the blocks below it are unknown, so ask again once it came.
    pub fn missing(&self, root: &Cid, most: usize) -> Result<Vec<Cid>, StoreError> {
        let mut missing = Vec::new();
        // Absent nodes end their branch: the tree is walked once per node instead.
        let mut nodes = vec![*root];
        let mut seen = HashSet::new();
        while let Some(cid) = nodes.pop() {
            if missing.len() >= most {
                break;
            }
            if !seen.insert(cid) {
                continue;
            }
            if !self.has(&cid) {
                missing.push(cid);
            } else if key_of(&cid)?.dag_pb {
                let bytes = self.get(&cid)?.unwrap_or_default();
                let node = crate::dag::Node::decode(&bytes)
                    .map_err(|e| StoreError::Damaged(format!("`{cid}`: {e}")))?;
                nodes.extend(node.links.iter().rev().map(|link| link.cid));
            }
        }
        Ok(missing)
    }

    /// The size of the file under a root and all its blocks; an error names the
    /// first block that is absent, does not fit or comes twice.
    pub(super) fn tree(&self, root: &Cid) -> Result<(u64, HashSet<Key>), StoreError> {
        let (mut size, mut blocks) = (0u64, HashSet::new());
        let absent =
            |cid: &Cid| StoreError::Damaged(format!("block `{cid}` of `{root}` is not here"));
        walk(
            root,
            None,
            |cid| self.get(cid)?.ok_or_else(|| absent(cid)),
            |visit| {
                let len = self.block_len(&visit.cid).ok_or_else(|| absent(&visit.cid))?;
                if visit.block_len.is_some_and(|stated| stated != len) {
                    let text =
                        format!("leaf `{}` has another length than `{root}` states", visit.cid);
                    return Err(StoreError::Damaged(text));
                }
                if visit.leaf {
                    size = size.saturating_add(len);
                }
                // Ciphertext never repeats; a tree that does could name more blocks
                // than anybody can visit.
                if !blocks.insert(key_of(&visit.cid)?) {
                    let text = format!("`{root}` has block `{}` twice", visit.cid);
                    return Err(StoreError::Damaged(text));
                }
                Ok(())
            },
        )
        .map_err(|error| match error {
            WalkError::Block(error) => error,
            other => StoreError::Damaged(other.to_string()),
        })?;
        Ok((size, blocks))
    }

    /// Reads all records when the store opens.
    pub(super) fn load_roots(&self) -> Result<(), StoreError> {
        let dir = self.dir.join("roots");
        let fail = || failed(&self.dir, "read the records of recordings");
        for name in self.disk.list(&dir).map_err(fail())? {
            if name.ends_with(".tmp") {
                self.disk.remove(&dir.join(&name)).map_err(fail())?;
                continue;
            }
            let bytes = read_small(&*self.disk, &dir, &name, 1 << 16).map_err(fail())?;
            let Some(root) = bytes.and_then(|b| Record::read(&b)) else {
                self.shelf_mut().roots.unreadable.push(name);
                continue;
            };
            // A tree that was reclaimed, or lost a block, still has its record;
            // `check` tells the two apart.
            let blocks = self.tree(&root.cid).map(|(_, blocks)| blocks).unwrap_or_default();
            let key = key_of(&root.cid)?;
            self.shelf_mut().roots.insert(key, root, blocks.into_iter().chain([key]));
        }
        Ok(())
    }
}
