//! Replacing a member's own keys without a moment in which it has none.
//!
//! ```text
//! sign.key        signs
//! sign.next.key   made and proposed; signs nothing until two officers enrolled it
//! sign.old.key    replaced; it counts until its holder gives it up
//! ```
//!
//! A folder goes from one step to the next when the ledger says so, and a crash
//! between two steps leaves one from which the next can be taken. The sealing key of
//! those who receive sealed keys goes along (`seal.next.key`).

use crate::{
    config::{Node, NodeError, read_key},
    sources::fresh_seed,
};
use base::{Bytes, Digest, Millis};
use plant::body::{Body, RevokeKey};
use proof::{
    entry::Entry,
    keys::{PublicKey, SecretKey, Signer},
};
use std::{
    fs::{self, File},
    io::ErrorKind,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};
use transport::write_secret;
use zeroize::Zeroizing;

const KEY: &str = "sign.key";
const NEXT: &str = "sign.next.key";
const OLD: &str = "sign.old.key";
const SEAL: &str = "seal.key";
const NEXT_SEAL: &str = "seal.next.key";

/// A signing key that can be replaced while others sign with it.
pub struct SigningKey(RwLock<Arc<SecretKey>>);

impl SigningKey {
    pub(crate) fn new(key: SecretKey) -> Self {
        Self(RwLock::new(Arc::new(key)))
    }

    /// The key in use now; whoever must sign several things alike keeps this one.
    pub fn current(&self) -> Arc<SecretKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, key: SecretKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }
}

impl Signer for SigningKey {
    fn public(&self) -> [u8; 32] {
        self.current().public()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.current().sign(message)
    }
}

/// The public halves of the keys that are to take the place of those in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The signing key.
    pub sign: PublicKey,
    /// The X25519 sealing key of who receives sealed keys.
    pub seal: Option<Bytes>,
}

/// What a folder's keys want done.
pub enum Turn {
    /// Nothing.
    Rest,
    /// The next key is enrolled: use it ([`Node::switch`]).
    Switch,
    /// The key in use is enrolled, and so is the old one: it can be given up.
    GiveUp(SecretKey),
    /// The old key counts no longer: [`Node::forget_old`].
    Forget,
}

fn secret(path: &Path) -> Result<SecretKey, NodeError> {
    let seed = read_key(path)?;
    SecretKey::from_seed(&seed).map_err(|e| NodeError::file(path, e))
}

fn make(path: &Path) -> Result<(), NodeError> {
    let seed = fresh_seed().map_err(|e| NodeError::file(path, e))?;
    let text = Zeroizing::new(format!("{}\n", Digest(*seed)));
    write_secret(path, text.as_bytes()).map_err(|e| NodeError::file(path, e))
}

impl Node {
    /// Makes the next keys, or finds those that were made before.
    ///
    /// # Errors
    /// An earlier rotation is not over, or a file cannot be written.
    pub fn prepare_next(&self) -> Result<Next, NodeError> {
        let old = self.dir.join(OLD);
        if old.exists() {
            let reason = "an earlier rotation is not over: this key was not given up yet";
            return Err(NodeError::file(&old, reason));
        }
        // The site's sealing key is the vault's, which is another matter.
        let seals = self.config.server.is_none() && self.dir.join(SEAL).exists();
        let names = [NEXT].into_iter().chain(seals.then_some(NEXT_SEAL));
        for path in names.map(|name| self.dir.join(name)) {
            if !path.exists() {
                make(&path)?;
            }
        }
        let sign = PublicKey::of(&secret(&self.dir.join(NEXT))?);
        let seal = match seals {
            true => {
                let path = self.dir.join(NEXT_SEAL);
                let public = vault::grant_key::public_of(&*read_key(&path)?);
                Some(Bytes(public.map_err(|e| NodeError::file(&path, e))?.to_vec()))
            }
            false => None,
        };
        Ok(Next { sign, seal })
    }

    /// What is to be done next, when `counts` tells which of the member's keys count.
    /// Only what this node verified itself may say so: a key that is given up too early
    /// leaves a member that cannot sign.
    ///
    /// # Errors
    /// A key file cannot be read.
    pub fn turn(&self, counts: impl Fn(&Digest) -> bool) -> Result<Turn, NodeError> {
        let key = |name: &str| match self.dir.join(name) {
            path if path.exists() => secret(&path).map(Some),
            _ => Ok(None),
        };
        let enrolled = |key: &SecretKey| counts(&PublicKey::of(key).fingerprint());
        if key(NEXT)?.is_some_and(|next| enrolled(&next)) {
            return Ok(Turn::Switch);
        }
        let Some(old) = key(OLD)? else {
            return Ok(Turn::Rest);
        };
        Ok(match (enrolled(&old), enrolled(&self.signer.current())) {
            (true, true) if old.public() != self.signer.public() => Turn::GiveUp(old),
            (true, _) => Turn::Rest,
            (false, _) => Turn::Forget,
        })
    }

    /// Signs with the next key from now on. The old one stays beside it until it is
    /// given up.
    ///
    /// # Errors
    /// A file cannot be written; the node then signs as before.
    pub fn switch(&self) -> Result<(), NodeError> {
        let at = |name: &str| self.dir.join(name);
        let (now, next, old) = (at(KEY), at(NEXT), at(OLD));
        let key = secret(&next)?;
        match fs::hard_link(&now, &old) {
            // A crash came between this step and the last one.
            Err(e)
                if e.kind() == ErrorKind::AlreadyExists && *read_key(&old)? == *read_key(&now)? => {
            }
            Err(e) => return Err(NodeError::file(&old, e)),
            Ok(()) => {}
        }
        let seal = at(NEXT_SEAL);
        if seal.exists() {
            fs::rename(&seal, at(SEAL)).map_err(|e| NodeError::file(&seal, e))?;
        }
        self.sync()?;
        fs::rename(&next, &now).map_err(|e| NodeError::file(&next, e))?;
        self.signer.replace(key);
        self.sync()
    }

    /// The entry by which this member gives up its old key. The key itself signs it:
    /// it is the last that it signs.
    ///
    /// # Errors
    /// None is known; an entry of this kind is short.
    pub fn give_up(
        &self,
        old: &SecretKey,
        at: Millis,
        nonce: Bytes,
    ) -> Result<Entry, base::CanonicalError> {
        let key = PublicKey::of(old).fingerprint();
        let reason = "replaced by another key of its own".to_owned();
        let body = Body::RevokeKey(RevokeKey { key, member: self.member().clone(), reason });
        self.sign_with(old, &body, at, nonce)
    }

    /// Removes the old key, which counts no longer.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn forget_old(&self) -> Result<(), NodeError> {
        let old = self.dir.join(OLD);
        match fs::remove_file(&old) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(NodeError::file(&old, e)),
            _ => self.sync(),
        }
    }

    fn sync(&self) -> Result<(), NodeError> {
        let synced = File::open(&self.dir).and_then(|dir| dir.sync_all());
        synced.map_err(|e| NodeError::file(&self.dir, e))
    }

    /// The X25519 secrets that keys may be sealed to: the one in use, then the next,
    /// which the site seals to from the moment it is enrolled.
    ///
    /// # Errors
    /// There is none, or a file is no key.
    pub fn seal_keys(&self) -> Result<Vec<Zeroizing<[u8; 32]>>, NodeError> {
        let next = self.dir.join(NEXT_SEAL);
        let mut keys = vec![self.seal_key()?];
        if next.exists() {
            keys.push(read_key(&next)?);
        }
        Ok(keys)
    }
}
