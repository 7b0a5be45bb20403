//! The data keys of recordings, wrapped under the vault's master key.
//!
//! ```text
//! master.key      32 random bytes, mode 0600
//! keys/ID.key     "ILK1" ‖ commitment (32) ‖ nonce (12) ‖ AES-256-GCM(master, key) (48)
//! ```
//!
//! The recording's identifier and the commitment are the associated data, so a file
//! that was renamed or edited does not open. [`KeyVault::shred`] overwrites a key
//! file, syncs it, removes it and syncs the folder: no copy of the ciphertext,
//! wherever it is, opens afterwards. A file system that writes copies (ZFS, btrfs)
//! or flash that remaps blocks may keep the old 96 bytes until it reuses them; they
//! open under the master key only, so keep that on storage of its own where this
//! matters.

use crate::{
    seal::{KeyCommitment, StreamKey},
    store::{Disk, OsDisk, read_small, replace},
};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base::{Digest, Id};
use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use zeroize::Zeroizing;

const MAGIC: &[u8; 4] = b"ILK1";
const FILE: usize = 96;
const MASTER: &str = "master.key";

/// Why a key was not had, kept or destroyed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The disk stands in the way.
    #[error("key vault `{path}`: cannot {action}: {source}")]
    Io {
        /// The key vault's folder.
        path: String,
        /// What was attempted.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no key for the recording: never made, or shredded.
    #[error("no key for recording `{0}`: it was never made or has been shredded")]
    Absent(Id),
    /// A key is there already, or a file is not what was written.
    #[error("key of `{0}`: {1}")]
    Refused(String, &'static str),
}

/// What was destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shredded {
    /// The recording.
    pub recording: Id,
    /// The commitment to the key that is gone.
    pub commitment: KeyCommitment,
}

/// The wrapped keys on disk.
pub struct KeyVault {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    master: LessSafeKey,
    writing: Mutex<()>,
}

impl KeyVault {
    /// Opens the keys in a folder; makes the master key with `fill` (a secure
    /// random source) when there is none. Refuses a master key that others may
    /// read.
    pub fn open<E: Into<io::Error>>(
        dir: impl Into<PathBuf>,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, KeyError> {
        Self::open_on(Arc::new(OsDisk), dir, fill)
    }

    /// As [`KeyVault::open`], on another disk.
    pub fn open_on<E: Into<io::Error>>(
        disk: Arc<dyn Disk>,
        dir: impl Into<PathBuf>,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, KeyError> {
        let dir: PathBuf = dir.into();
        let keys = dir.join("keys");
        disk.make_dir(&keys).map_err(failed(&dir, "make its folders"))?;
        let fail = || failed(&dir, "read or make the master key");
        let mut master = Zeroizing::new([0u8; 32]);
        match read_small(&*disk, &dir, MASTER, 32).map_err(fail())?.map(Zeroizing::new) {
            Some(bytes) if bytes.len() == 32 => master.copy_from_slice(&bytes),
            Some(_) => return Err(KeyError::Refused(MASTER.into(), "32 bytes are expected")),
            None => {
                fill(&mut *master).map_err(|e| fail()(e.into()))?;
                replace(&*disk, &dir, MASTER, &*master).map_err(fail())?;
            }
        }
        // An attempt that failed may have left a name that is not durable yet, and the
        // keys kept from here on are worth nothing without the master key.
        disk.sync_dir(&dir).map_err(fail())?;
        let mode = std::fs::metadata(dir.join(MASTER)).map_err(fail())?.permissions();
        if mode.mode() & 0o077 != 0 {
            return Err(KeyError::Refused(
                MASTER.into(),
                "others may read it; mode 0600 is expected",
            ));
        }
        for name in disk.list(&keys).map_err(fail())?.iter().filter(|n| n.ends_with(".tmp")) {
            disk.remove(&keys.join(name)).map_err(fail())?;
        }
        let master = UnboundKey::new(&AES_256_GCM, &*master)
            .map_err(|_| KeyError::Refused(MASTER.into(), "it is not an AES-256 key"))?;
        Ok(Self { disk, dir, master: LessSafeKey::new(master), writing: Mutex::new(()) })
    }

    /// Keeps a recording's key, durably. `nonce` must be fresh random bytes.
    /// Refuses a recording that has a key.
    pub fn keep(&self, recording: &Id, key: &StreamKey, nonce: [u8; 12]) -> Result<(), KeyError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.read(recording)?.is_some() {
            let what = "it is there already; each recording has a key of its own";
            return Err(KeyError::Refused(recording.to_string(), what));
        }
        let commitment = key.commitment();
        let mut wrapped = key.expose().to_vec();
        let nonce_bytes = nonce;
        self.master
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated(recording, &commitment)),
                &mut wrapped,
            )
            .map_err(|_| KeyError::Refused(recording.to_string(), "it cannot be wrapped"))?;
        let file = [&MAGIC[..], &commitment.0.0, &nonce_bytes, &wrapped].concat();
        replace(&*self.disk, &self.dir.join("keys"), &name(recording), &file)
            .map_err(failed(&self.dir, "write a key"))
    }

    /// A recording's key.
    pub fn get(&self, recording: &Id) -> Result<StreamKey, KeyError> {
        let changed = || KeyError::Refused(recording.to_string(), "its file was changed");
        let file = self.read(recording)?.ok_or_else(|| KeyError::Absent(recording.clone()))?;
        let (commitment, rest) = parse(&file).ok_or_else(changed)?;
        let (nonce, wrapped) = rest.split_first_chunk::<12>().ok_or_else(changed)?;
        let mut wrapped = Zeroizing::new(wrapped.to_vec());
        let plain = self
            .master
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(associated(recording, &commitment)),
                &mut wrapped,
            )
            .map_err(|_| changed())?;
        let key = StreamKey::from_bytes((&*plain).try_into().map_err(|_| changed())?);
        if key.matches(&commitment) { Ok(key) } else { Err(changed()) }
    }

    /// The recordings that have a key.
    pub fn list(&self) -> Result<Vec<Id>, KeyError> {
        let names =
            self.disk.list(&self.dir.join("keys")).map_err(failed(&self.dir, "list keys"))?;
        let mut ids: Vec<Id> =
            names.iter().filter_map(|n| n.strip_suffix(".key")?.parse().ok()).collect();
        ids.sort();
        Ok(ids)
    }

    /// Destroys a recording's key: nothing opens the recording afterwards, here or
    /// for whoever has only the ciphertext. May be repeated after an error.
    pub fn shred(&self, recording: &Id) -> Result<Shredded, KeyError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.read(recording)?.ok_or_else(|| KeyError::Absent(recording.clone()))?;
        // A shredding that was cut short leaves zeros: finish it, with no commitment.
        let commitment =
            parse(&file).map_or(KeyCommitment(Digest([0; 32])), |(commitment, _)| commitment);
        let (keys, fail) = (self.dir.join("keys"), || failed(&self.dir, "destroy a key"));
        let path = keys.join(name(recording));
        let handle = self.disk.open(&path).map_err(fail())?;
        // The commitment stays until the removal, so a repeat can still report it.
        let secret = (MAGIC.len() + 32) as u64;
        self.disk.write_at(&handle, secret, &[0; FILE - 36]).map_err(fail())?;
        self.disk.sync(&handle).map_err(fail())?;
        self.disk.remove(&path).map_err(fail())?;
        self.disk.sync_dir(&keys).map_err(fail())?;
        Ok(Shredded { recording: recording.clone(), commitment })
    }

    fn read(&self, recording: &Id) -> Result<Option<Vec<u8>>, KeyError> {
        read_small(&*self.disk, &self.dir.join("keys"), &name(recording), FILE as u64)
            .map_err(failed(&self.dir, "read a key"))
    }
}

fn parse(file: &[u8]) -> Option<(KeyCommitment, &[u8])> {
    let (magic, rest) = file.split_first_chunk::<4>()?;
    let (commitment, rest) = rest.split_first_chunk::<32>()?;
    (magic == MAGIC && file.len() == FILE).then_some((KeyCommitment(Digest(*commitment)), rest))
}

fn associated(recording: &Id, commitment: &KeyCommitment) -> Vec<u8> {
    [recording.as_str().as_bytes(), &commitment.0.0].concat()
}

fn name(recording: &Id) -> String {
    format!("{recording}.key")
}

fn failed(dir: &Path, action: &'static str) -> impl Fn(io::Error) -> KeyError + Copy {
    move |source| KeyError::Io { path: dir.display().to_string(), action, source }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    fn vault(dir: &Path) -> KeyVault {
        KeyVault::open(dir, |b| {
            b.fill(7);
            Ok::<_, io::Error>(())
        })
        .unwrap()
    }

    fn id(text: &str) -> Id {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_comes_back_after_reopening_and_is_not_in_the_clear() {
        let dir = tempfile::tempdir().unwrap();
        let key = StreamKey::from_bytes([9; 32]);
        vault(dir.path()).keep(&id("rec-1"), &key, [1; 12]).unwrap();
        assert_eq!(vault(dir.path()).get(&id("rec-1")).unwrap().expose(), &[9; 32]);
        let file = std::fs::read(dir.path().join("keys/rec-1.key")).unwrap();
        assert!(!file.windows(32).any(|w| w == [9; 32]));
        assert_eq!(vault(dir.path()).list().unwrap(), [id("rec-1")]);
    }

    #[test]
    fn a_second_key_for_a_recording_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path());
        vault.keep(&id("a"), &StreamKey::from_bytes([1; 32]), [1; 12]).unwrap();
        let again = vault.keep(&id("a"), &StreamKey::from_bytes([2; 32]), [2; 12]);
        assert!(matches!(again, Err(KeyError::Refused(..))));
    }

    #[test]
    fn a_renamed_or_changed_file_does_not_open() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path());
        vault.keep(&id("a"), &StreamKey::from_bytes([1; 32]), [1; 12]).unwrap();
        let (from, to) = (dir.path().join("keys/a.key"), dir.path().join("keys/b.key"));
        let good = std::fs::read(&from).unwrap();
        std::fs::write(&to, &good).unwrap();
        assert!(matches!(vault.get(&id("b")), Err(KeyError::Refused(..))));
        for at in 0..good.len() {
            let mut bad = good.clone();
            *bad.get_mut(at).unwrap() ^= 1;
            std::fs::write(&from, &bad).unwrap();
            assert!(matches!(vault.get(&id("a")), Err(KeyError::Refused(..))), "byte {at}");
        }
    }

    #[test]
    fn a_shredded_key_is_gone_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path());
        let key = StreamKey::from_bytes([1; 32]);
        vault.keep(&id("a"), &key, [1; 12]).unwrap();
        // A hard link shows what the bytes became.
        let witness = dir.path().join("witness");
        std::fs::hard_link(dir.path().join("keys/a.key"), &witness).unwrap();
        assert_eq!(vault.shred(&id("a")).unwrap().commitment, key.commitment());
        assert!(matches!(vault.get(&id("a")), Err(KeyError::Absent(_))));
        assert!(matches!(vault.shred(&id("a")), Err(KeyError::Absent(_))));
        assert!(std::fs::read(&witness).unwrap().iter().skip(36).all(|b| *b == 0));
    }

    #[test]
    fn a_master_key_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(vault(dir.path()));
        let path = dir.path().join(MASTER);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let fill = |_: &mut [u8]| Ok::<_, io::Error>(());
        assert!(matches!(KeyVault::open(dir.path(), fill), Err(KeyError::Refused(..))));
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(KeyVault::open(dir.path(), fill).is_ok());
    }
}
